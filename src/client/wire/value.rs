//! Replies as redis-rs has them.

use redis::Value;

use crate::plan::Reply;
use crate::protocol::resp::Body;
use crate::protocol::resp::Header;

/// A reply that the scanner let through and redis-rs cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reply of kind '{}' cannot be read", .0.escape_ascii())]
pub(crate) struct UnreadableReply(u8);

/// Reads the reply that `bytes` hold; they hold one whole reply, as the scanner measured it.
///
/// The result is what redis-rs's own parser gives (a test compares them), except that text which is not
/// UTF-8 is patched where redis-rs would give up the connection. What is rare is left to that parser.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, UnreadableReply> {
    let mut rest = bytes;
    read_next(&mut rest)
}

fn read_next(bytes: &mut &[u8]) -> Result<Value, UnreadableReply> {
    let whole = *bytes;
    let kind = whole.first().copied().unwrap_or_default();
    let unreadable = UnreadableReply(kind);
    let header = Header::read(whole).ok().flatten().ok_or(unreadable)?;
    let line = &whole[1..header.length - 2];
    *bytes = &whole[header.length..];
    match (kind, header.body) {
        (b'$', Body::String(length)) => {
            let string = take_string(bytes, length).ok_or(unreadable)?;
            Ok(Value::BulkString(string.to_vec()))
        }
        (b':', _) => number(line).map(Value::Int).ok_or(unreadable),
        (b'+', _) if line == b"OK" => Ok(Value::Okay),
        (b'+', _) => Ok(Value::SimpleString(String::from_utf8_lossy(line).into_owned())),
        (b'*', Body::Replies(count)) => read_many(bytes, count).map(Value::Array),
        (b'~', Body::Replies(count)) => read_many(bytes, count).map(Value::Set),
        (b'%', Body::Replies(count)) => {
            let mut replies = read_many(bytes, count)?.into_iter();
            let mut pairs = Vec::with_capacity(replies.len() / 2);
            while let (Some(key), Some(value)) = (replies.next(), replies.next()) {
                pairs.push((key, value));
            }
            Ok(Value::Map(pairs))
        }
        (b'$' | b'*' | b'~' | b'_', _) => Ok(Value::Nil),
        (b'#', _) => match line {
            b"t" => Ok(Value::Boolean(true)),
            b"f" => Ok(Value::Boolean(false)),
            _ => Err(unreadable),
        },
        (b',', _) => {
            let number = std::str::from_utf8(line).ok().and_then(|line| line.trim().parse().ok());
            number.map(Value::Double).ok_or(unreadable)
        }
        (b'-', _) => Ok(error_line(&String::from_utf8_lossy(line))),
        // Long errors, big numbers (whose type depends on a feature of redis-rs), verbatim strings,
        // attributes and push messages.
        _ => {
            let length = frame_length(whole).ok_or(unreadable)?;
            *bytes = &whole[length..];
            redis::parse_redis_value(&whole[..length]).map_err(|_| unreadable)
        }
    }
}

fn read_many(bytes: &mut &[u8], count: u64) -> Result<Vec<Value>, UnreadableReply> {
    // Each of them has three bytes or more, so this is bounded by what was read.
    let mut replies = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(bytes.len()));
    for _ in 0..count {
        replies.push(read_next(bytes)?);
    }
    Ok(replies)
}

fn take_string<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let string = bytes.get(..length)?;
    *bytes = bytes.get(length + 2..)?;
    Some(string)
}

fn number(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

fn frame_length(bytes: &[u8]) -> Option<usize> {
    crate::protocol::resp::Scanner::default().scan(bytes).ok().flatten()
}

/// An error as a server would have replied it: `CODE text`.
///
/// redis-rs offers no other way to make an error of a code that it knows.
pub(crate) fn error_value(text: &str) -> Value {
    let line: String =
        text.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }).collect();
    error_line(&line)
}

/// The error whose line is `line`, in which no CR LF stands.
fn error_line(line: &str) -> Value {
    redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap_or(Value::Nil)
}

impl Reply for Value {
    fn nil() -> Self {
        Self::Nil
    }

    fn integer(number: i64) -> Self {
        Self::Int(number)
    }

    fn array(elements: Vec<Self>) -> Self {
        Self::Array(elements)
    }

    fn map(pairs: Vec<(Self, Self)>) -> Self {
        Self::Map(pairs)
    }

    fn is_error(&self) -> bool {
        matches!(self, Self::ServerError(_))
    }

    fn is_map(&self) -> bool {
        matches!(self, Self::Map(_))
    }

    fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    fn into_elements(self) -> Option<Vec<Self>> {
        match self {
            Self::Array(elements) | Self::Set(elements) => Some(elements),
            Self::Map(pairs) => {
                Some(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
            }
            _ => None,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self == other
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::BulkString(bytes) => Some(bytes),
            Self::SimpleString(text) => Some(text.as_bytes()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::resp::replies;

    proptest! {
        #[test]
        fn replies_are_read_as_redis_rs_reads_them(bytes in replies()) {
            let ours = read(&bytes);
            match redis::parse_redis_value(&bytes) {
                Ok(theirs) => {
                    // NaN is the only value that does not equal itself.
                    prop_assert_eq!(format!("{:?}", ours.unwrap()), format!("{theirs:?}"));
                }
                Err(_) => prop_assert!(ours.is_err()),
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_no_reason_to_hang_up() {
        let Ok(Value::ServerError(error)) = read(b"-ERR unknown command '\xff'\r\n") else {
            panic!("no error");
        };
        assert_eq!(error.details(), Some("unknown command '\u{fffd}'"));
        assert_eq!(read(b"+\xff\r\n"), Ok(Value::SimpleString("\u{fffd}".into())));
    }

    #[test]
    fn half_a_line_end_stays_in_an_error() {
        for bytes in [&b"-\n2\r\n"[..], b"-ERR a\rb\r\n", b"!9\r\nERR a\r\nbc\r\n"] {
            let theirs = redis::parse_redis_value(bytes).unwrap();
            assert_eq!(read(bytes), Ok(theirs));
        }
    }

    #[test]
    fn an_error_of_ours_looks_like_a_servers() {
        let Value::ServerError(error) = error_value("CROSSSLOT keys\r\ndiffer") else {
            panic!("no error");
        };
        assert_eq!(error.kind(), Some(redis::ServerErrorKind::CrossSlot));
        assert_eq!(error.details(), Some("keys  differ"));
    }
}
