//! The values in a reply to a `get`.

use super::super::BrokenReply;
use super::search::find_space_or_control;

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

    /// All bytes of the next value, if it is of this key: `word` is a space and the key. The end of another key is not
    /// looked for, so that this takes half of the time.
    #[inline]
    pub(crate) fn next_of(&mut self, word: &[u8]) -> Option<&'r [u8]> {
        let words = self.rest.strip_prefix(b"VALUE")?.strip_prefix(word)?;
        let (length, value) = read_numbers(words).ok()?;
        let line_length = self.rest.len() - value.len();
        let (block, rest) = self.rest.split_at_checked(line_length + length + 2)?;
        self.rest = rest;
        Some(block)
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
        let Head { key, line_length, length } = Head::read(self.rest).ok()?;
        let (block, rest) = self.rest.split_at_checked(line_length + length + 2)?;
        self.rest = rest;
        Some((key, block))
    }
}

/// The line of a value.
pub(super) struct Head<'r> {
    pub(super) key: &'r [u8],
    /// Of the line, with its end.
    pub(super) line_length: usize,
    /// Of the value.
    pub(super) length: usize,
}

impl<'r> Head<'r> {
    /// Reads the line at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// If it is none, or not complete. A control character is in no key that is asked for.
    #[inline(always)]
    pub(super) fn read(bytes: &'r [u8]) -> Result<Self, BrokenReply> {
        let words = bytes.strip_prefix(b"VALUE ").ok_or(BrokenReply::Unexpected)?;
        let (key, words) =
            words.split_at(find_space_or_control(words).ok_or(BrokenReply::Unexpected)?);
        let (length, rest) = read_numbers(words)?;
        Ok(Self { key, line_length: bytes.len() - rest.len(), length })
    }
}

/// Reads what stands behind the key in the line of a value: how long the value is, and what follows the line.
#[inline(always)]
fn read_numbers(words: &[u8]) -> Result<(usize, &[u8]), BrokenReply> {
    match read_short(words) {
        Some(read) => Ok(read),
        None => read_any(words),
    }
}

/// As [`read_numbers`], if the flags are 0, the length has one to four digits, and nothing follows it: so are most
/// lines. Else another has to look.
#[inline(always)]
fn read_short(words: &[u8]) -> Option<(usize, &[u8])> {
    let start: &[u8; 9] = words.first_chunk()?;
    let mut length = 0;
    for place in 3..8 {
        match start[place] {
            digit @ b'0'..=b'9' => length = 10 * length + usize::from(digit - b'0'),
            b'\r' if place > 3 && start[place + 1] == b'\n' && start.starts_with(b" 0 ") => {
                return Some((length, &words[place + 2..]));
            }
            _ => return None,
        }
    }
    None
}

/// As [`read_numbers`], whatever they are.
fn read_any(words: &[u8]) -> Result<(usize, &[u8]), BrokenReply> {
    let (_flags, words) = number(words, u32::MAX.into())?;
    let (length, mut words) = number(words, u32::MAX.into())?;
    if words.first() == Some(&b' ') {
        (_, words) = number(words, u64::MAX)?;
    }
    match words {
        [b'\r', b'\n', rest @ ..] => Ok((length as usize, rest)),
        [b' ', ..] => Err(BrokenReply::Unexpected),
        _ => Err(BrokenReply::Number),
    }
}

/// No number of so many digits is too large.
const SURE_DIGITS: usize = 19;

/// Reads a space and a number, which is at most `most`, and says what follows it.
#[inline]
pub(super) fn number(text: &[u8], most: u64) -> Result<(u64, &[u8]), BrokenReply> {
    let digits = text.strip_prefix(b" ").ok_or(BrokenReply::Unexpected)?;
    let mut rest = digits;
    let mut number: u64 = 0;
    while let [byte @ b'0'..=b'9', behind @ ..] = rest {
        number = number.wrapping_mul(10).wrapping_add((byte - b'0').into());
        rest = behind;
    }
    let length = digits.len() - rest.len();
    if length > SURE_DIGITS {
        number = checked_number(&digits[..length]).ok_or(BrokenReply::Number)?;
    }
    if length == 0 || number > most {
        return Err(BrokenReply::Number);
    }
    Ok((number, rest))
}

/// The number that so many digits are, of which the first may be zeros.
#[cold]
fn checked_number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add((digit - b'0').into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_lines_are_read_as_others_are(
            start in " |  | a|",
            flags in "0|1|00|4294967296",
            length in "[0-9]{0,6}|[0-9]{9,11}|0{18,22}[0-9]{1,3}|[0-9]x",
            cas in "| 1| 18446744073709551615| 18446744073709551616| ",
            end in "\r\n|\r|\n|\rx|",
            behind in "[a\r\n]{0,9}",
        ) {
            let bytes = format!("{start}{flags} {length}{cas}{end}{behind}").into_bytes();
            for cut in 0..=bytes.len() {
                let words = &bytes[..cut];
                prop_assert_eq!(read_numbers(words), read_any(words));
            }
        }

        #[test]
        fn numbers_are_at_most_what_they_may_be(
            digits in "0{0,25}[0-9]{0,21}",
            most in prop::sample::select(&[u64::MAX, u32::MAX as u64][..]),
        ) {
            let text = format!(" {digits}x");
            let expected = digits.parse().ok().filter(|&number| number <= most);
            prop_assert_eq!(
                number(text.as_bytes(), most).ok(),
                expected.map(|number: u64| (number, &b"x"[..]))
            );
        }

        #[test]
        fn a_value_is_of_one_key_only(
            key in "[ab]{1,3}",
            other in "[ab]{1,3}",
            flags in "0|7",
            value in "[a-c]{0,12}",
            cas in "| 9",
        ) {
            let block = format!("VALUE {key} {flags} {}{cas}\r\n{value}\r\n", value.len());
            let reply = block.clone() + "END\r\n";
            let mut values = Values::new(reply.as_bytes());
            let found = values.next_of(format!(" {other}").as_bytes());
            prop_assert_eq!(found, (key == other).then_some(block.as_bytes()));
            let rest = if key == other { "END\r\n" } else { &reply };
            prop_assert_eq!(values.rest(), rest.as_bytes());
        }
    }
}
