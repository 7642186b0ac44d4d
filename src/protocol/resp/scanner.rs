//! Where a reply ends.

use super::line::NotALength;
use super::line::ShortStrings;
use super::line::length;

/// The bytes are not RESP, or more than the limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenFrame {
    #[error("'{}' begins no reply; is that a Redis?", .0.escape_ascii())]
    Kind(u8),
    #[error("a length is not a number")]
    Length,
    #[error("a string does not end with CR LF")]
    StringEnd,
    #[error("a line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    #[error("a string is longer than {MAX_STRING} bytes")]
    StringTooLong,
    #[error("replies are nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

impl From<NotALength> for BrokenFrame {
    fn from(_: NotALength) -> Self {
        Self::Length
    }
}

/// Redis's own `proto-max-bulk-len` may be raised; this is its greatest default times eight.
const MAX_STRING: u64 = 4 << 30;
const MAX_LINE: usize = 64 << 10;
/// As deep as redis-rs 1.8 reads (`parser.rs` `MAX_RECURSE_DEPTH`); what is in nothing has depth 1.
pub(crate) const MAX_DEPTH: usize = 100;

/// Finds the end of a reply (RESP2 or RESP3) in bytes that arrive in pieces.
///
/// It remembers where it stands, so that a reply of a thousand elements that arrives in a hundred
/// pieces is looked at once; and it looks at lengths only, never at the bytes of a string.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    /// How far the reply has been scanned, from its start. While a string is on its way this is its end, and may
    /// be behind what has arrived.
    position: usize,
    /// The line end of a string is to follow at the position.
    is_in_string: bool,
    /// For each aggregate that is open, how many replies are left in it.
    open: Vec<u64>,
}

impl Scanner {
    /// Scans `bytes`, which begin with a reply and begin alike at every call until its end was found.
    /// Returns its length, or `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// If this is no reply, or one beyond the limits. The scanner is of no use then.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, BrokenFrame> {
        loop {
            if self.is_in_string {
                match bytes.get(self.position..self.position + 2) {
                    Some(b"\r\n") => self.position += 2,
                    Some(_) => return Err(BrokenFrame::StringEnd),
                    None => return Ok(None),
                }
                self.is_in_string = false;
            } else if !self.skip_short_strings(bytes) {
                let Some(header) = Header::read(&bytes[self.position.min(bytes.len())..])? else {
                    return Ok(None);
                };
                self.position += header.length;
                match header.body {
                    Body::None | Body::Replies(0) => {}
                    Body::String(length) => {
                        self.position += length;
                        self.is_in_string = true;
                        continue;
                    }
                    Body::Replies(count) => {
                        // What is in it is one deeper.
                        if self.open.len() + 1 >= MAX_DEPTH {
                            return Err(BrokenFrame::TooDeep);
                        }
                        self.open.push(count);
                        continue;
                    }
                }
            }
            while let Some(left) = self.open.last_mut() {
                *left -= 1;
                if *left > 0 {
                    break;
                }
                self.open.pop();
            }
            if self.open.is_empty() {
                return Ok(Some(std::mem::take(&mut self.position)));
            }
        }
    }

    /// Passes over short strings in an aggregate, of which there may be very many. Answers whether the last reply in
    /// it was one: it is still counted.
    #[inline]
    fn skip_short_strings(&mut self, bytes: &[u8]) -> bool {
        let Some(left) = self.open.last_mut() else {
            return false;
        };
        let mut strings = ShortStrings::default();
        while let Some(rest) = bytes.get(self.position..)
            && let Some((header, string)) = strings.lengths(rest)
            && let Some([b'\r', b'\n']) = rest.get(header + string..header + string + 2)
        {
            self.position += header + string + 2;
            if *left == 1 {
                return true;
            }
            *left -= 1;
        }
        false
    }

    /// How many bytes are missing at least, of the reply that begins `bytes`, which were scanned.
    pub(crate) fn missing(&self, bytes: &[u8]) -> usize {
        let end = if self.is_in_string { self.position + 2 } else { self.position };
        end.saturating_sub(bytes.len()).max(1)
    }

    /// How many of `bytes`, which were scanned, belong to the reply in any case.
    #[cfg(feature = "proxy")]
    pub(crate) fn known(&self, bytes: &[u8]) -> usize {
        self.position.min(bytes.len())
    }

    /// How many of the bytes that follow those that were [taken](Self::take) are of a string, if all that were known
    /// have been.
    #[cfg(feature = "proxy")]
    #[inline]
    pub(crate) fn left_of_string(&self) -> usize {
        if self.is_in_string { self.position } else { 0 }
    }

    /// Forgets the first `count` of the bytes, which are not shown to it again: they were sent on before the
    /// reply was complete. No more than are [known](Self::known).
    #[cfg(feature = "proxy")]
    pub(crate) fn take(&mut self, count: usize) {
        self.position = self.position.saturating_sub(count);
    }
}

/// The first line of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// Of the line, with its end.
    pub(crate) length: usize,
    pub(crate) body: Body,
}

/// What follows the first line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    None,
    /// A string of this many bytes, and a line end.
    String(usize),
    /// This many replies.
    Replies(u64),
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` if it is not complete.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, BrokenFrame> {
        if let &[kind @ (b'*' | b'$'), digit @ b'0'..=b'9', b'\r', b'\n', ..] = bytes {
            // As most are.
            let body = Body::new(kind, Some(u64::from(digit - b'0')))?;
            return Ok(Some(Self { length: 4, body }));
        }
        let Some((&kind, line)) = bytes.split_first() else {
            return Ok(None);
        };
        match kind {
            b'$' | b'*' | b'=' | b'!' | b'~' | b'>' | b'%' | b'|' => {
                let Some((end, number)) = length(line)? else {
                    return Ok(None);
                };
                Ok(Some(Self { length: end + 3, body: Body::new(kind, number)? }))
            }
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {
                Ok(line_end(line)?.map(|end| Self { length: end + 3, body: Body::None }))
            }
            _ => Err(BrokenFrame::Kind(kind)),
        }
    }
}

impl Body {
    /// What follows a line of `kind` and `number`; a negative number, which stands for nil, is `None`.
    #[inline]
    fn new(kind: u8, number: Option<u64>) -> Result<Self, BrokenFrame> {
        Ok(match (kind, number) {
            (b'$' | b'=' | b'!', Some(length)) if length > MAX_STRING => {
                return Err(BrokenFrame::StringTooLong);
            }
            (b'$' | b'=' | b'!', Some(length)) => Self::String(length as usize),
            (b'%', Some(pairs)) => Self::Replies(pairs.saturating_mul(2)),
            // The attributes, and the reply they belong to.
            (b'|', pairs) => Self::Replies(pairs.unwrap_or(0).saturating_mul(2).saturating_add(1)),
            (_, Some(count)) => Self::Replies(count),
            (_, None) => Self::None,
        })
    }
}

/// Where the line ends that begins `bytes`: at the first CR with an LF behind it.
#[inline]
fn line_end(bytes: &[u8]) -> Result<Option<usize>, BrokenFrame> {
    let searched = &bytes[..bytes.len().min(MAX_LINE)];
    let is_end = |&place: &usize| searched[place] == b'\r' && bytes.get(place + 1) == Some(&b'\n');
    match (0..searched.len()).find(is_end) {
        None if bytes.len() > MAX_LINE => Err(BrokenFrame::LineTooLong),
        end => Ok(end),
    }
}

#[cfg(test)]
pub(super) mod tests;
