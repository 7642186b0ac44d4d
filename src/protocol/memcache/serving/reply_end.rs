//! Where a reply of a node's ends.

use super::values::read_head;
use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::line::MAX_LINE;
use crate::protocol::memcache::line::decimal_u32;
use crate::protocol::search::find;

const END: usize = b"END\r\n".len();

/// What a node was asked, as far as its reply's form depends on it. An error line is a reply to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// One line.
    Line,
    /// Values and `END`. An error may follow values; it ends the reply.
    Values,
    /// A line, and a value if the line says so.
    Meta,
    /// Lines and `END`, or one line.
    Stats,
}

/// Finds the end of a reply in bytes that arrive in pieces.
///
/// It remembers where it stands, so that a reply of a thousand values that arrives in a hundred pieces
/// is looked at once; and it looks at lines only, never at the bytes of a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplyScanner {
    /// How far the bytes are known to be of this reply. While a value is on its way this is its end, and
    /// may be behind what has arrived.
    position: usize,
    /// How far the end of a line has been looked for.
    searched: usize,
    /// A line end is to follow at the position: that of a value.
    is_in_value: bool,
    /// A line was read, and others follow.
    has_begun: bool,
    /// Values that have begun.
    values: u32,
}

/// What a line says of the reply it belongs to.
enum Part {
    /// It is the last.
    Last,
    /// Others follow.
    Inner,
    /// A value of this length follows.
    Value(usize),
}

impl ReplyScanner {
    /// Scans `bytes`, which begin with a reply to what was asked, and begin alike at every call until its
    /// end was found, but for what was [taken](Self::take). Returns its length, or `None` if it is not
    /// complete.
    ///
    /// # Errors
    ///
    /// If this is no reply to that. The scanner is of no use then.
    #[inline]
    pub(crate) fn scan(
        &mut self,
        expected: Expected,
        bytes: &[u8],
    ) -> Result<Option<usize>, BrokenReply> {
        loop {
            if self.is_in_value {
                let Some([first, second, ..]) = bytes.get(self.position..) else {
                    return Ok(None);
                };
                if [*first, *second] != *b"\r\n" {
                    return Err(BrokenReply::DataEnd);
                }
                self.is_in_value = false;
                self.position += 2;
                self.searched = self.position;
                if expected == Expected::Meta {
                    return Ok(Some(self.finish()));
                }
            }
            let Some(line) = self.line(bytes)? else {
                return Ok(None);
            };
            let part = part(expected, line, self.has_begun)?;
            let length = line.len() + 2;
            self.has_begun = true;
            self.position += length;
            self.searched = self.position;
            match part {
                Part::Last => return Ok(Some(self.finish())),
                Part::Inner => {}
                Part::Value(length) => {
                    self.values = self.values.saturating_add(1);
                    self.is_in_value = true;
                    let end = self.position.checked_add(length);
                    self.position = end.ok_or(BrokenReply::Number)?;
                }
            }
        }
    }

    /// Forgets the first `count` of the bytes, which are not shown to it again: they were sent on before
    /// the reply was complete. No more than are [known](Self::known).
    pub(crate) fn take(&mut self, count: usize) {
        debug_assert!(count <= self.position, "what is not known to be of the reply is not taken");
        self.position = self.position.saturating_sub(count);
        self.searched = self.searched.saturating_sub(count);
    }

    /// How many values there were until now of the reply that is not complete.
    pub(crate) fn values(&self) -> u32 {
        self.values
    }

    /// How many of `bytes`, which were scanned, belong to the reply in any case.
    pub(crate) fn known(&self, bytes: &[u8]) -> usize {
        self.position.min(bytes.len())
    }

    /// How many bytes are missing at least, of the reply that begins `bytes`, which were scanned.
    pub(crate) fn missing(&self, expected: Expected, bytes: &[u8]) -> usize {
        let behind = if expected == Expected::Values { END } else { 0 };
        let least = if self.is_in_value { 2 + behind } else { behind };
        self.position.saturating_add(least).saturating_sub(bytes.len()).max(1)
    }

    /// The line at the position, without its end.
    #[inline]
    fn line<'r>(&mut self, bytes: &'r [u8]) -> Result<Option<&'r [u8]>, BrokenReply> {
        let rest = bytes.get(self.position..).unwrap_or_default();
        // Nobody waits for the end of a line that will not be understood.
        if rest.first().is_some_and(|byte| !byte.is_ascii_uppercase() && !byte.is_ascii_digit()) {
            return Err(BrokenReply::NoReply);
        }
        let rest = &rest[..rest.len().min(MAX_LINE)];
        let start = (self.searched - self.position).min(rest.len());
        match find(&rest[start..], b'\n') {
            Some(place) => {
                let line = rest[..start + place].strip_suffix(b"\r");
                Ok(Some(line.ok_or(BrokenReply::LineEnd)?))
            }
            None if rest.len() == MAX_LINE => Err(BrokenReply::LineTooLong),
            None => {
                self.searched = self.position + rest.len();
                Ok(None)
            }
        }
    }

    fn finish(&mut self) -> usize {
        let length = self.position;
        *self = Self::default();
        length
    }
}

/// Whether a reply, or the last line of one, is an error.
pub(crate) fn is_error(line: &[u8]) -> bool {
    let line = match line {
        [b'C', b'L', b'I', b'E', b'N', b'T', b'_', line @ ..] => line,
        [b'S', b'E', b'R', b'V', b'E', b'R', b'_', line @ ..] => line,
        line => line,
    };
    line.starts_with(b"ERROR")
}

#[inline]
fn part(expected: Expected, line: &[u8], has_begun: bool) -> Result<Part, BrokenReply> {
    let (word, rest) = match find(line, b' ') {
        Some(space) => (&line[..space], Some(&line[space + 1..])),
        None => (line, None),
    };
    match (expected, word, rest) {
        (Expected::Values, b"VALUE", Some(words)) => {
            read_head(words).map(|(_, length)| Part::Value(length))
        }
        (Expected::Values | Expected::Stats, b"END", None) => Ok(Part::Last),
        (Expected::Meta, b"VA", Some(words)) => {
            let length = words.split(|&byte| byte == b' ').next().unwrap_or_default();
            decimal_u32(length).map(|length| Part::Value(length as usize))
        }
        (Expected::Meta, b"HD" | b"EN" | b"NF" | b"NS" | b"EX" | b"MN" | b"ME", _) => {
            Ok(Part::Last)
        }
        // Those of `cachedump`, and of `detail dump`.
        (Expected::Stats, b"STAT" | b"ITEM" | b"PREFIX", Some(_)) => Ok(Part::Inner),
        (Expected::Stats, b"OK" | b"RESET", None) if !has_begun => Ok(Part::Last),
        (Expected::Line, word, rest) if is_line(word, rest) => Ok(Part::Last),
        _ if is_error(line) => Ok(Part::Last),
        _ => Err(BrokenReply::Unexpected),
    }
}

/// Whether the line is one of those that are whole replies.
#[inline]
fn is_line(word: &[u8], rest: Option<&[u8]>) -> bool {
    match (word, rest) {
        (
            b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND" | b"DELETED" | b"TOUCHED" | b"OK"
            | b"RESET" | b"MN",
            None,
        ) => true,
        (b"VERSION", Some(_)) => true,
        (digits, None) => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}
