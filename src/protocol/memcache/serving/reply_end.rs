//! Where a reply of a node's ends.

use super::super::BrokenReply;
use super::super::line::MAX_LINE;
use super::search::find;
use super::values::Head;
use super::values::number;

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
    /// As many had the reply before.
    last_values: u32,
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
            let head = match expected {
                // The end of such a line need not be looked for.
                Expected::Values => self.pass_whole_values(bytes),
                _ => None,
            };
            let rest = bytes.get(self.position..).unwrap_or_default();
            let rest = &rest[..rest.len().min(MAX_LINE)];
            let (line, part) = match head {
                Some(head) => (head.line_length, Part::Value(head.length)),
                None => {
                    let Some(line) = self.line(rest)? else {
                        return Ok(None);
                    };
                    (line.len(), part(expected, line, self.has_begun)?)
                }
            };
            self.has_begun = true;
            self.position += line;
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

    /// Goes on behind the values that are there with their ends: most are, and need not be remembered in pieces.
    /// What begins behind them may be one more, of which the line is there.
    #[inline]
    fn pass_whole_values<'b>(&mut self, bytes: &'b [u8]) -> Option<Head<'b>> {
        let mut rest = bytes.get(self.position..).unwrap_or_default();
        let mut count = 0;
        let head = loop {
            let Ok(head) = Head::read(&rest[..rest.len().min(MAX_LINE)]) else {
                break None;
            };
            let value_end = head.line_length.saturating_add(head.length);
            let Some((_, [b'\r', b'\n', behind @ ..])) = rest.split_at_checked(value_end) else {
                break Some(head);
            };
            rest = behind;
            count += 1;
        };
        if count > 0 {
            self.position = bytes.len() - rest.len();
            self.searched = self.position;
            self.has_begun = true;
            self.values = self.values.saturating_add(count);
        }
        head
    }

    /// Forgets the first `count` of the bytes, which are not shown to it again: they were sent on before
    /// the reply was complete. No more than are [known](Self::known).
    pub(crate) fn take(&mut self, count: usize) {
        debug_assert!(count <= self.position, "what is not known to be of the reply is not taken");
        self.position = self.position.saturating_sub(count);
        self.searched = self.searched.saturating_sub(count);
    }

    /// How many of the bytes that follow those that were [taken](Self::take) are of a value, if all that were known
    /// have been.
    #[inline]
    pub(crate) fn left_of_value(&self) -> usize {
        if self.is_in_value { self.position } else { 0 }
    }

    /// How many values there were until now of the reply that is not complete.
    pub(crate) fn values(&self) -> u32 {
        self.values
    }

    /// How many values there were of the reply whose end was found last.
    pub(crate) fn last_values(&self) -> u32 {
        self.last_values
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

    /// The line at the start of `rest`, which is what has arrived from the position on, with its end.
    #[inline]
    fn line<'r>(&mut self, rest: &'r [u8]) -> Result<Option<&'r [u8]>, BrokenReply> {
        // Nobody waits for the end of a line that will not be understood.
        if rest.first().is_some_and(|byte| !byte.is_ascii_uppercase() && !byte.is_ascii_digit()) {
            return Err(BrokenReply::NoReply);
        }
        let start = (self.searched - self.position).min(rest.len());
        match find(&rest[start..], b'\n') {
            Some(place) => {
                let line = &rest[..start + place + 1];
                line.ends_with(b"\r\n").then_some(Some(line)).ok_or(BrokenReply::LineEnd)
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
        *self = Self { last_values: self.values, ..Self::default() };
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

/// What a line, given with its end, says of a reply to what was asked.
#[inline]
fn part(expected: Expected, whole: &[u8], has_begun: bool) -> Result<Part, BrokenReply> {
    let line = &whole[..whole.len() - 2];
    match (expected, line) {
        (Expected::Line, _) if is_line(line) => Ok(Part::Last),
        (Expected::Values | Expected::Stats, b"END") => Ok(Part::Last),
        // Why it was not read before.
        (Expected::Values, [b'V', b'A', b'L', b'U', b'E', b' ', ..]) => {
            Head::read(whole).map(|head| Part::Value(head.length))
        }
        (Expected::Meta, [first, second, rest @ ..])
            if matches!(rest.first(), None | Some(b' ')) =>
        {
            match &[*first, *second] {
                b"VA" => value(rest),
                b"HD" | b"EN" | b"NF" | b"NS" | b"EX" | b"MN" | b"ME" => Ok(Part::Last),
                _ => Err(BrokenReply::Unexpected),
            }
        }
        (Expected::Stats, b"OK" | b"RESET") if !has_begun => Ok(Part::Last),
        (Expected::Stats, _) if is_stat(line) => Ok(Part::Inner),
        _ if is_error(line) => Ok(Part::Last),
        _ => Err(BrokenReply::Unexpected),
    }
}

/// Reads what stands behind `VA`: a length, and flags.
#[inline]
fn value(rest: &[u8]) -> Result<Part, BrokenReply> {
    let (length, flags) = number(rest, u32::MAX.into())?;
    match flags.first() {
        None | Some(b' ') => Ok(Part::Value(length as usize)),
        Some(_) => Err(BrokenReply::Number),
    }
}

/// Whether the line is one of those that are whole replies.
#[inline]
fn is_line(line: &[u8]) -> bool {
    match line {
        b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND" | b"DELETED" | b"TOUCHED" | b"OK"
        | b"RESET" | b"MN" => true,
        [b'0'..=b'9', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => line.starts_with(b"VERSION "),
    }
}

/// Whether the line is one of several: of statistics, and of `cachedump` and `detail dump`.
fn is_stat(line: &[u8]) -> bool {
    [&b"STAT "[..], b"ITEM ", b"PREFIX "].iter().any(|word| line.starts_with(word))
}
