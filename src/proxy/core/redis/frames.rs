//! Replies as their bytes, for gathering.

use crate::plan::Reply;
use crate::protocol::resp::Body;
use crate::protocol::resp::Header;
use crate::protocol::resp::Scanner;
use crate::protocol::resp::ShortStrings;
use crate::protocol::resp::write_array_header;

/// A whole reply, as a node sent it or as we made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame(pub(super) Vec<u8>);

impl Reply for Frame {
    fn nil() -> Self {
        Self(b"$-1\r\n".to_vec())
    }

    fn integer(number: i64) -> Self {
        Self(format!(":{number}\r\n").into_bytes())
    }

    fn array(elements: Vec<Self>) -> Self {
        let mut bytes = Vec::new();
        write_array_header(&mut bytes, elements.len());
        elements.iter().for_each(|element| bytes.extend_from_slice(&element.0));
        Self(bytes)
    }

    /// As RESP2 has it: one behind the other.
    fn map(pairs: Vec<(Self, Self)>) -> Self {
        Self::array(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect())
    }

    fn is_error(&self) -> bool {
        matches!(self.0.first(), Some(b'-' | b'!'))
    }

    fn is_map(&self) -> bool {
        self.0.first() == Some(&b'%')
    }

    fn as_integer(&self) -> Option<i64> {
        integer(&self.0)
    }

    fn into_elements(self) -> Option<Vec<Self>> {
        if !matches!(self.0.first(), Some(b'*' | b'~' | b'%')) {
            return None;
        }
        let elements = elements(&self.0)?;
        Some(elements.map(|element| Self(element.to_vec())).collect())
    }

    fn equals(&self, other: &Self) -> bool {
        self == other
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        string(&self.0)
    }
}

/// The number that a reply is.
pub(super) fn integer(reply: &[u8]) -> Option<i64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The bytes of the string that a reply is.
pub(super) fn string(reply: &[u8]) -> Option<&[u8]> {
    match Header::read(reply).ok()?? {
        Header { length, body: Body::String(string) } => reply.get(length..length + string),
        Header { length, body: Body::None } if reply.first() == Some(&b'+') => {
            reply.get(1..length - 2)
        }
        _ => None,
    }
}

/// The elements of an aggregate, each a whole reply; `None` if it is none, or nil.
pub(super) fn elements(reply: &[u8]) -> Option<Elements<'_>> {
    match Header::read(reply).ok()?? {
        Header { length, body: Body::Replies(count) } => {
            let strings = ShortStrings::default();
            Some(Elements { rest: &reply[length..], left: count, strings })
        }
        _ => None,
    }
}

/// Walks over the elements of an aggregate.
#[derive(Clone, Debug)]
pub(super) struct Elements<'r> {
    rest: &'r [u8],
    left: u64,
    strings: ShortStrings,
}

impl<'r> Elements<'r> {
    /// The bytes of those that are left.
    pub(super) fn into_rest(self) -> &'r [u8] {
        self.rest
    }

    /// How many are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

impl<'r> Iterator for Elements<'r> {
    type Item = &'r [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'r [u8]> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let length = match self.strings.length(self.rest) {
            Some(length) => length,
            None => any_length(self.rest)?,
        };
        let (element, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(element)
    }
}

/// How long the string or nil at the start of `bytes` is, with its header; `None` if it is something else, or not
/// complete. `strings` are those before it.
#[inline(always)]
pub(super) fn value_length(bytes: &[u8], strings: &mut ShortStrings) -> Option<usize> {
    let length = match strings.length(bytes) {
        Some(length) => length,
        None if matches!(bytes.first(), Some(b'$' | b'_')) => any_length(bytes)?,
        None => return None,
    };
    (length <= bytes.len()).then_some(length)
}

/// How long the reply at the start of `bytes` is.
fn any_length(bytes: &[u8]) -> Option<usize> {
    match Header::read(bytes).ok()?? {
        Header { length, body: Body::None } => Some(length),
        Header { length, body: Body::String(string) } => Some(length + string + 2),
        Header { .. } => Scanner::default().scan(bytes).ok()?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_whole_replies() {
        let reply = b"*4\r\n$1\r\na\r\n*2\r\n:1\r\n+x\r\n$-1\r\n_\r\n";
        let all: Vec<&[u8]> = elements(reply).unwrap().collect();
        assert_eq!(all, [&b"$1\r\na\r\n"[..], b"*2\r\n:1\r\n+x\r\n", b"$-1\r\n", b"_\r\n"]);
        assert!(elements(b"*-1\r\n").is_none());
        assert!(elements(b":1\r\n").is_none());
        assert_eq!(elements(b"*3\r\n:1\r\n").unwrap().left(), 3);
        assert_eq!(elements(b"*3\r\n:1\r\n").unwrap().collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn numbers_have_64_bits() {
        assert_eq!(integer(b":4294967297\r\n"), Some(4_294_967_297));
        assert_eq!(integer(b":-1\r\n"), Some(-1));
        assert_eq!(integer(b"+1\r\n"), None);
        assert_eq!(string(b"$2\r\nab\r\n"), Some(&b"ab"[..]));
        assert_eq!(string(b"+OK\r\n"), Some(&b"OK"[..]));
    }
}
