//! The words of a line, and the numbers among them.

use super::search::find;

/// The words of a line: what stands between its spaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'b> {
    rest: &'b [u8],
}

impl<'b> Words<'b> {
    pub(super) fn new(line: &'b [u8]) -> Self {
        Self { rest: line }
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'b [u8] {
        self.rest
    }
}

impl<'b> Iterator for Words<'b> {
    type Item = &'b [u8];

    #[inline]
    fn next(&mut self) -> Option<&'b [u8]> {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let end = find(self.rest, b' ').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// The first few words of a line, and how many there are. No command has more.
pub(super) fn first_words<'b>(words: Words<'b>) -> ([&'b [u8]; 8], usize) {
    let mut first = [&[][..]; 8];
    let mut count = 0;
    for word in words {
        if let Some(place) = first.get_mut(count) {
            *place = word;
        }
        count += 1;
    }
    (first, count)
}

/// The number that `text` is: digits, and as memcached reads them any number of zeros before them.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let (first, rest) = text.split_first()?;
    rest.iter()
        .try_fold(digit(*first)?, |number, byte| number.checked_mul(10)?.checked_add(digit(*byte)?))
}

/// Whether `text` is a time to live, or a point in time. It may be negative, and is then over. Servers of
/// other versions may have read more or less than 32 bits of it.
pub(super) fn is_expiration(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    number(digits).is_some_and(|number| i64::try_from(number).is_ok())
}

#[inline]
fn digit(byte: u8) -> Option<u64> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(digit.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_what_spaces_part(line in "[ a-c]{0,40}") {
            let expected: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
            let words: Vec<_> = Words::new(line.as_bytes()).collect();
            prop_assert_eq!(&words, &expected.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
            let (first, count) = first_words(Words::new(line.as_bytes()));
            prop_assert_eq!(count, words.len());
            let held = count.min(first.len());
            prop_assert_eq!(&first[..held], &words[..held]);
        }

        #[test]
        fn numbers_are_digits(text in "[-+ 0-9a]{0,22}") {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let expected = if is_number { text.parse::<u64>().ok() } else { None };
            prop_assert_eq!(number(text.as_bytes()), expected);
            let is_signed = !text.contains(['+', ' ', 'a']) && text.parse::<i64>().is_ok();
            // The one whose positive twin needs a bit more.
            let is_least = text.trim_start_matches(['-', '0']) == "9223372036854775808";
            prop_assert!(is_expiration(text.as_bytes()) == is_signed || is_least);
        }
    }
}
