//! Requests as servers read them: what a client sends may be cut anywhere, wrong, or typed by hand.

use super::line::ShortStrings;
use super::line::length;
use super::line::short_string;

/// What is at the start of bytes that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A command of this many bytes; no arguments are none.
    Command(usize),
    /// Something else than an array: a line whose words are a command.
    Inline,
    /// It is not complete: so many bytes have to be there at least.
    Needs(usize),
}

/// The bytes are no request, and nothing that follows them is one: the texts of Redis 7.0 (`networking.c`
/// `processMultibulkBuffer`), but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("Protocol error: invalid multibulk length")]
    Count,
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    Kind(u8),
    #[error("Protocol error: invalid bulk length")]
    Length,
    #[error("Protocol error: a bulk string does not end with CR LF")]
    StringEnd,
}

/// Redis's limits: of a line, `PROTO_INLINE_MAX_SIZE`, the greatest `int`, and the default of `proto-max-bulk-len`.
const MAX_LINE: usize = 64 << 10;
const MAX_COUNT: u64 = i32::MAX as u64;
const MAX_STRING: u64 = 512 << 20;

/// So many arguments are worth a look at whether their headers are alike.
const MANY: u64 = 32;

/// Reads the request at the start of `bytes`: its arguments are appended to `args`, which is empty before.
///
/// # Errors
///
/// If there is none, and never will be.
#[inline]
pub(crate) fn frame<'b>(bytes: &'b [u8], args: &mut Vec<&'b [u8]>) -> Result<Frame, FrameError> {
    match bytes.first() {
        Some(b'*') => {}
        None => return Ok(Frame::Needs(1)),
        Some(_) => return Ok(Frame::Inline),
    }
    let (end, count) = match length(&bytes[1..]) {
        Ok(Some(found)) => found,
        Ok(None) if bytes.len() > MAX_LINE => return Err(FrameError::Count),
        Ok(None) => return Ok(Frame::Needs(bytes.len() + 1)),
        Err(_) => return Err(FrameError::Count),
    };
    let mut place = end + 3;
    // A negative number is none at all, as in Redis.
    let count = count.unwrap_or(0);
    if count > MAX_COUNT {
        return Err(FrameError::Count);
    }
    // Keys and values take turns in some commands.
    let mut strings = [ShortStrings::default(); 2];
    for number in 0..count {
        let rest = bytes.get(place..).unwrap_or_default();
        let lengths = if count > MANY {
            strings[number as usize % 2].lengths(rest)
        } else {
            short_string(rest)
        };
        if let Some((header, string)) = lengths
            && let Some(argument) = rest.get(header..header + string)
            && rest[header + string..].starts_with(b"\r\n")
        {
            args.push(argument);
            place += header + string + 2;
            continue;
        }
        let Some(&kind) = bytes.get(place) else {
            return Ok(Frame::Needs(place + 1));
        };
        if kind != b'$' {
            return Err(FrameError::Kind(kind));
        }
        let (end, string) = match length(&bytes[place + 1..]) {
            Ok(Some((end, Some(string)))) if string <= MAX_STRING => (end, string as usize),
            Ok(None) => return Ok(Frame::Needs(bytes.len() + 1)),
            _ => return Err(FrameError::Length),
        };
        let start = place + end + 3;
        place = start + string + 2;
        if place > bytes.len() {
            return Ok(Frame::Needs(place));
        }
        if bytes[start + string..place] != *b"\r\n" {
            return Err(FrameError::StringEnd);
        }
        args.push(&bytes[start..start + string]);
    }
    Ok(Frame::Command(place))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::resp::write_array_header;
    use crate::protocol::resp::write_bulk_string;

    fn read(bytes: &[u8]) -> Result<(Frame, Vec<Vec<u8>>), FrameError> {
        let mut args = Vec::new();
        let frame = frame(bytes, &mut args)?;
        Ok((frame, args.into_iter().map(<[u8]>::to_vec).collect()))
    }

    #[test]
    fn what_is_no_request_is_refused_in_the_words_of_redis() {
        for (bytes, error) in [
            (&b"*x\r\n"[..], "invalid multibulk length"),
            (b"*99999999999\r\n", "invalid multibulk length"),
            (b"*1\r\n:1\r\n", "expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "invalid bulk length"),
            (b"*1\r\n$1\r\nabc", "a bulk string does not end with CR LF"),
        ] {
            let text = read(bytes).unwrap_err().to_string();
            assert_eq!(text, format!("Protocol error: {error}"));
        }
    }

    #[test]
    fn nothing_is_asked_by_no_arguments() {
        for bytes in [&b"*0\r\n"[..], b"*-1\r\n"] {
            assert_eq!(read(bytes), Ok((Frame::Command(bytes.len()), vec![])));
        }
        assert_eq!(read(b"PING\r\nx"), Ok((Frame::Inline, vec![])));
        assert_eq!(read(b""), Ok((Frame::Needs(1), vec![])));
    }

    proptest! {
        #[test]
        fn whoever_waits_for_what_is_needed_gets_the_request(args: Vec<Vec<u8>>, behind: Vec<u8>) {
            let mut bytes = Vec::new();
            write_array_header(&mut bytes, args.len());
            args.iter().for_each(|argument| write_bulk_string(&mut bytes, argument));
            let length = bytes.len();
            let mut there = 1;
            while there < length {
                match read(&bytes[..there]) {
                    Ok((Frame::Needs(needed), _)) => {
                        prop_assert!(needed > there && needed <= length);
                        there = needed;
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            bytes.extend(behind);
            prop_assert_eq!(read(&bytes), Ok((Frame::Command(length), args)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
