//! Replies of the classic protocol, read.

use super::BrokenReply;
use super::Kind;
use super::Progress;
use super::ProgressOf;
use super::Reply;
use super::line::data;
use super::line::decimal;
use super::line::decimal_u32;
use super::line::error;
use super::line::line;
use super::node_wide::Answer;

const END: &[u8] = b"END\r\n";

/// Reads the reply of which `line` is the first, `length` being where the next one begins. `None` if it
/// is perhaps an error line.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    line: &'a [u8],
    length: usize,
    kind: Kind,
    key: &[u8],
) -> Result<Option<Progress<'a>>, BrokenReply> {
    let reply = match (kind, line) {
        (Kind::Get { with_cas }, _) if line.starts_with(b"VALUE ") => {
            return value(bytes, &line[6..], length, key, with_cas).map(Some);
        }
        (Kind::Get { .. }, b"END") => Reply::Miss,
        (Kind::Store, b"STORED") => Reply::Stored,
        (Kind::Store, b"NOT_STORED") => Reply::NotStored,
        (Kind::Store, b"EXISTS") => Reply::Exists,
        (Kind::Store | Kind::Delete | Kind::Arithmetic | Kind::Touch, b"NOT_FOUND") => {
            Reply::NotFound
        }
        (Kind::Delete, b"DELETED") => Reply::Deleted,
        (Kind::Touch, b"TOUCHED") => Reply::Touched,
        (Kind::Arithmetic, [b'0'..=b'9', ..]) => Reply::Number(decimal(line)?),
        _ => return Ok(None),
    };
    Ok(Some(Progress::Whole(reply, length)))
}

/// Reads the value whose line says `words` behind `VALUE`, and the `END` behind it.
fn value<'a>(
    bytes: &'a [u8],
    words: &[u8],
    start: usize,
    key: &[u8],
    with_cas: bool,
) -> Result<Progress<'a>, BrokenReply> {
    if words.split(|&byte| byte == b' ').next() != Some(key) {
        return Err(BrokenReply::Key);
    }
    let Head { flags, length, cas, .. } = Head::read(words, with_cas)?;
    let (data, end) = match data(bytes, start, length, END.len())? {
        ProgressOf::Whole(data, end) => (data, end),
        ProgressOf::Missing(count) => return Ok(Progress::Missing(count)),
    };
    let rest = &bytes[end..];
    if rest.starts_with(END) {
        Ok(Progress::Whole(Reply::Value { data, flags, cas }, end + END.len()))
    } else if END.starts_with(rest) {
        Ok(Progress::Missing(END.len() - rest.len()))
    } else {
        Err(BrokenReply::Unexpected)
    }
}

/// What the line of a value says.
struct Head<'a> {
    key: &'a [u8],
    flags: u32,
    length: usize,
    cas: Option<u64>,
}

impl<'a> Head<'a> {
    /// Reads what stands behind `VALUE`.
    fn read(words: &'a [u8], with_cas: bool) -> Result<Self, BrokenReply> {
        let mut words = words.split(|&byte| byte == b' ');
        let mut word = || words.next().ok_or(BrokenReply::Unexpected);
        let key = word()?;
        let flags = decimal_u32(word()?)?;
        let length = decimal_u32(word()?)? as usize;
        let cas = if with_cas { Some(decimal(word()?)?) } else { None };
        match words.next() {
            Some(_) => Err(BrokenReply::Unexpected),
            None => Ok(Self { key, flags, length, cas }),
        }
    }
}

/// A value among the replies to several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) data: &'a [u8],
    pub(crate) flags: u32,
    pub(crate) cas: Option<u64>,
}

/// Appends a request for several keys in one line, which has one reply: the values that there are, and an
/// end. A server with the meta protocol knows it as well, and answers it two to three times faster than as
/// many requests of one key (measured with memcached 1.6.18, 100 values of 100 bytes).
pub(crate) fn write_gets<'k>(
    out: &mut Vec<u8>,
    keys: impl Iterator<Item = &'k [u8]>,
    with_cas: bool,
) {
    out.extend_from_slice(if with_cas { b"gets" } else { b"get" });
    for key in keys {
        debug_assert_eq!(super::check_key(key), Ok(()));
        out.push(b' ');
        out.extend_from_slice(key);
    }
    out.extend_from_slice(b"\r\n");
}

/// Reads the next value of the reply to it, or `None` for the end. After an error nothing more of the reply
/// comes.
///
/// # Errors
///
/// If the bytes are no such reply.
#[inline]
pub(crate) fn read_found(
    bytes: &[u8],
    with_cas: bool,
) -> Result<Answer<'_, Option<Found<'_>>>, BrokenReply> {
    let (line, start) = match line(bytes)? {
        ProgressOf::Whole(line, length) => (line, length),
        ProgressOf::Missing(count) => return Ok(ProgressOf::Missing(count)),
    };
    let Some(words) = line.strip_prefix(b"VALUE ") else {
        return match (line, error(line)?) {
            (b"END", _) => Ok(ProgressOf::Whole(Ok(None), start)),
            (_, Some(error)) => Ok(ProgressOf::Whole(Err(error), start)),
            _ => Err(BrokenReply::Unexpected),
        };
    };
    let Head { key, flags, length, cas } = Head::read(words, with_cas)?;
    // At least the end follows.
    Ok(match data(bytes, start, length, END.len())? {
        ProgressOf::Whole(data, end) => {
            ProgressOf::Whole(Ok(Some(Found { key, data, flags, cas })), end)
        }
        ProgressOf::Missing(count) => ProgressOf::Missing(count),
    })
}

#[cfg(test)]
mod tests {
    use super::super::ErrorReply;
    use super::*;

    const REPLY: &[u8] = b"VALUE a 0 3 7\r\nabc\r\nVALUE b 9 7 8\r\nEND\r\nx \r\nEND\r\n";

    #[test]
    fn a_line_asks_for_several_keys() {
        let mut out = Vec::new();
        write_gets(&mut out, [&b"a"[..], b"b"].into_iter(), true);
        write_gets(&mut out, [&b"c"[..]].into_iter(), false);
        assert_eq!(out, b"gets a b\r\nget c\r\n");
    }

    #[test]
    fn values_are_read_one_by_one_however_they_arrive() {
        let a = Found { key: b"a", data: b"abc", flags: 0, cas: Some(7) };
        let b = Found { key: b"b", data: b"END\r\nx ", flags: 9, cas: Some(8) };
        let mut start = 0;
        for expected in [Some(a), Some(b), None] {
            let rest = &REPLY[start..];
            let Ok(ProgressOf::Whole(Ok(found), length)) = read_found(rest, true) else {
                panic!("{:?}", rest.escape_ascii().to_string());
            };
            assert_eq!(found, expected);
            for end in 0..length {
                let read = read_found(&rest[..end], true).unwrap();
                let ProgressOf::Missing(count) = read else { panic!("{read:?} of {end} bytes") };
                assert!((1..=rest.len() - end).contains(&count), "{count} of {end} bytes");
            }
            start += length;
        }
        assert_eq!(start, REPLY.len());
    }

    #[test]
    fn what_is_no_reply_to_several_keys_is_broken() {
        for (bytes, error) in [
            (&b"STORED\r\n"[..], BrokenReply::Unexpected),
            (b"VALUE a 0 3\r\nabcd\r\nEND\r\n", BrokenReply::DataEnd),
            (b"VALUE a 0 3 1 1\r\nabc\r\nEND\r\n", BrokenReply::Unexpected),
            (b"VALUE a 0\r\n", BrokenReply::Unexpected),
            (b"VALUE a 0 x\r\n", BrokenReply::Number),
        ] {
            assert_eq!(read_found(bytes, false), Err(error), "{}", bytes.escape_ascii());
        }
        let refused = read_found(b"SERVER_ERROR out of memory\r\n", false).unwrap();
        let text = ErrorReply::Server(b"out of memory");
        assert_eq!(refused, ProgressOf::Whole(Err(text), 28));
    }
}
