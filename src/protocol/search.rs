//! Eight bytes looked at in one step, which lines of text are worth: a search byte by byte takes four times as long.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where the first `byte` stands in `bytes`.
#[inline]
pub(super) fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    let pattern = ONES * u64::from(byte);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // Its lowest bit is set in the first byte that is zero. Above that one it may err.
        let zeros = zeros(u64::from_le_bytes(*word) ^ pattern);
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&it| it == byte).map(|place| words.len() * 8 + place)
}

/// Whether a control character of ASCII stands in `bytes`.
#[inline]
pub(super) fn has_control(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let is_in_words = words.iter().any(|word| {
        let word = u64::from_le_bytes(*word);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        below_space | zeros(word ^ (ONES * 0x7f)) != 0
    });
    is_in_words || rest.iter().any(u8::is_ascii_control)
}

/// A number that is not zero where a byte of `word` is zero.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes around those that are looked for, and what a borrow might take for them.
    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            prop::sample::select(&b"\n\x0b\x09\x1f\x20\x21\x7e\x7f\x80\xff\0"[..]),
            any::<u8>()
        ]
    }

    proptest! {
        #[test]
        fn the_first_is_found(bytes in prop::collection::vec(byte(), 0..40), looked_for in byte()) {
            prop_assert_eq!(find(&bytes, looked_for), bytes.iter().position(|&it| it == looked_for));
        }

        #[test]
        fn control_characters_are_seen(bytes in prop::collection::vec(0x1e..=0xffu8, 0..40)) {
            prop_assert_eq!(has_control(&bytes), bytes.iter().any(u8::is_ascii_control));
        }
    }

    #[test]
    fn each_byte_is_a_control_character_or_not_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for place in 0..17 {
                let mut bytes = [b'a'; 17];
                bytes[place] = byte;
                assert_eq!(has_control(&bytes), byte.is_ascii_control(), "{byte} at {place}");
            }
        }
    }
}
