//! Lengths, which stand on lines of their own.

/// The line is no number, or one of more than eighteen digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotALength;

const MAX_DIGITS: usize = 18;

/// The lengths of the header and of the string behind it, if `bytes` begin with a string whose length has one to
/// three digits, as nearly all have. Else another has to look.
#[inline(always)]
pub(super) fn short_string(bytes: &[u8]) -> Option<(usize, usize)> {
    let &[b'$', first, second, third, fourth, fifth, ..] = bytes else {
        return None;
    };
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    let (a, b, c) = (digit(first), digit(second), digit(third));
    match (second, third, fourth) {
        (b'\r', b'\n', _) if a < 10 => Some((4, a)),
        (_, b'\r', b'\n') if a < 10 && b < 10 => Some((5, 10 * a + b)),
        (_, _, b'\r') if a < 10 && b < 10 && c < 10 && fifth == b'\n' => {
            Some((6, 100 * a + 10 * b + c))
        }
        _ => None,
    }
}

/// Short strings that follow one another: their headers are alike more often than not, and one that is like the last
/// is not read again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortStrings {
    /// The bytes of the last header, and which of eight bytes they are.
    header: u64,
    mask: u64,
    lengths: (usize, usize),
}

impl Default for ShortStrings {
    /// No header is like the last one.
    fn default() -> Self {
        Self { header: 1, mask: 0, lengths: (0, 0) }
    }
}

impl ShortStrings {
    /// As [`short_string`].
    #[inline(always)]
    pub(super) fn lengths(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        let Some(start) = bytes.first_chunk() else {
            return short_string(bytes);
        };
        let start = u64::from_le_bytes(*start);
        if start & self.mask != self.header {
            self.lengths = short_string(bytes)?;
            self.mask = u64::MAX >> (64 - 8 * self.lengths.0);
            self.header = start & self.mask;
        }
        Some(self.lengths)
    }

    /// How long the string is with its header and its end.
    #[cfg(feature = "proxy")]
    #[inline(always)]
    pub(crate) fn length(&mut self, bytes: &[u8]) -> Option<usize> {
        self.lengths(bytes).map(|(header, string)| header + string + 2)
    }
}

/// The length that the line at the start of `bytes` is, and where the line ends; `None` if it is not
/// complete. A negative length, which stands for nil, is `None` too.
#[inline]
pub(super) fn length(bytes: &[u8]) -> Result<Option<(usize, Option<u64>)>, NotALength> {
    let is_negative = bytes.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let mut place = start;
    let mut number: u64 = 0;
    loop {
        let Some(byte) = bytes.get(place) else {
            return Ok(None);
        };
        let digit = byte.wrapping_sub(b'0');
        if digit >= 10 {
            break;
        }
        if place - start >= MAX_DIGITS {
            return Err(NotALength);
        }
        number = number * 10 + u64::from(digit);
        place += 1;
    }
    // -0 is no number of Redis's (7.0 `util.c` `string2ll`), and would be one of redis-rs's.
    let is_odd = place == start || is_negative && number == 0;
    if is_odd || bytes[place] != b'\r' {
        return Err(NotALength);
    }
    match bytes.get(place + 1) {
        Some(b'\n') => Ok(Some((place, (!is_negative).then_some(number)))),
        Some(_) => Err(NotALength),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_length_is_read_when_it_is_complete(
            digits in "[0-9]{1,18}",
            is_negative: bool,
            behind: Vec<u8>,
        ) {
            prop_assume!(!is_negative || digits.bytes().any(|digit| digit != b'0'));
            let sign = if is_negative { "-" } else { "" };
            let line = format!("{sign}{digits}\r\n").into_bytes();
            for cut in 0..line.len() {
                prop_assert_eq!(length(&line[..cut]), Ok(None));
            }
            let number = (!is_negative).then(|| digits.parse().unwrap());
            let end = line.len() - 2;
            prop_assert_eq!(length(&[line, behind].concat()), Ok(Some((end, number))));
        }

        #[test]
        fn short_strings_are_read_like_all(line in "[-0-9\r\n]{0,6}") {
            let bytes = [b"$", line.as_bytes(), b"......"].concat();
            if let Some((header, string)) = short_string(&bytes) {
                prop_assert_eq!(length(&bytes[1..]), Ok(Some((header - 3, Some(string as u64)))));
            } else if let Ok(Some((end, Some(_)))) = length(&bytes[1..]) {
                prop_assert!(end > 3, "{line:?}");
            }
        }

        #[test]
        fn a_header_like_the_last_is_read_alike(
            lines in prop::collection::vec("[$0-9\r\n]{0,3}|[$](0|1|10|11|100|101)\r\n", 1..20),
            behind in "[0-9\r\n]{0,8}",
        ) {
            let mut strings = ShortStrings::default();
            for line in lines {
                let bytes = [line.as_bytes(), behind.as_bytes()].concat();
                prop_assert_eq!(strings.lengths(&bytes), short_string(&bytes));
            }
            prop_assert_eq!(strings.lengths(&[0; 8]), None);
        }

        #[test]
        fn what_is_refused_stays_refused(bytes in "[-0-9\r\n ]{0,24}", cut: prop::sample::Index) {
            let bytes = bytes.as_bytes();
            if let Err(error) = length(&bytes[..cut.index(bytes.len() + 1)]) {
                prop_assert_eq!(length(bytes), Err(error));
            }
        }
    }
}
