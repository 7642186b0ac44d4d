//! The values in a reply to a `get`.

use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::line::decimal;
use crate::protocol::memcache::line::decimal_u32;
use crate::protocol::search::find;

/// The values in a whole reply: the key of each, and all of its bytes, from `VALUE` to the line end behind
/// the value.
#[derive(Clone, Debug)]
pub(crate) struct Values<'r> {
    rest: &'r [u8],
}

impl<'r> Values<'r> {
    /// `reply` is one that the scanner has found whole.
    pub(crate) fn new(reply: &'r [u8]) -> Self {
        Self { rest: reply }
    }

    /// What has not been read: behind the last value it is `END` and its line end, or an error.
    pub(crate) fn rest(&self) -> &'r [u8] {
        self.rest
    }
}

impl<'r> Iterator for Values<'r> {
    type Item = (&'r [u8], &'r [u8]);

    #[inline]
    fn next(&mut self) -> Option<(&'r [u8], &'r [u8])> {
        let end = find(self.rest, b'\n')?;
        let words = self.rest[..end].strip_suffix(b"\r")?.strip_prefix(b"VALUE ")?;
        let (key, length) = read_head(words).ok()?;
        let (block, rest) = self.rest.split_at_checked(end + 1 + length + 2)?;
        self.rest = rest;
        Some((key, block))
    }
}

/// Reads what stands behind `VALUE`: the key, and how long the value is.
#[inline]
pub(super) fn read_head(words: &[u8]) -> Result<(&[u8], usize), BrokenReply> {
    let mut words = words.split(|&byte| byte == b' ');
    let mut word = || words.next().ok_or(BrokenReply::Unexpected);
    let key = word()?;
    decimal_u32(word()?)?;
    let length = decimal_u32(word()?)? as usize;
    if let Some(cas) = words.next() {
        decimal(cas)?;
    }
    match words.next() {
        Some(_) => Err(BrokenReply::Unexpected),
        None => Ok((key, length)),
    }
}
