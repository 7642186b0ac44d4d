//! Eight bytes looked at in one step, which lines of text are worth: a search byte by byte takes four times as long.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where the first `byte` stands in `bytes`.
#[inline]
pub(super) fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    let pattern = ONES * u64::from(byte);
    first(bytes, |word| zeros(word ^ pattern), |it| it == byte)
}

/// Where the first space or control character of ASCII stands in `bytes`.
#[inline]
pub(super) fn find_space_or_control(bytes: &[u8]) -> Option<usize> {
    let marks = |word: u64| {
        // Both at once: neither has its highest bit.
        let below = word.wrapping_sub(ONES * 0x21);
        let deletes = (word ^ (ONES * 0x7f)).wrapping_sub(ONES);
        (below | deletes) & !word & HIGHS
    };
    first(bytes, marks, |it| it <= b' ' || it == 0x7f)
}

/// Whether a control character of ASCII stands in `bytes`.
#[inline]
pub(super) fn has_control(bytes: &[u8]) -> bool {
    first(bytes, |word| below(word, 0x20) | deletes(word), |it| it.is_ascii_control()).is_some()
}

/// The place of the first byte that is looked for. `marks` is given eight bytes, the first of them lowest, and
/// sets the highest bit of each that is; above the first of them it may err.
#[inline]
fn first(bytes: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let place = |marks: u64| marks.trailing_zeros() as usize / 8;
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(bytes.len() - rest.len() + place(marks));
        }
        rest = behind;
    }
    match bytes.last_chunk() {
        // Some of them were looked at before.
        Some(word) => {
            let marks = marks(u64::from_le_bytes(*word));
            (marks != 0).then(|| bytes.len() - 8 + place(marks))
        }
        None => bytes.iter().position(|&byte| is(byte)),
    }
}

/// Marks the bytes that are zero.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Marks the bytes that are less than `limit`, which is at most 0x80.
#[inline]
fn below(word: u64, limit: u64) -> u64 {
    word.wrapping_sub(ONES * limit) & !word & HIGHS
}

/// Marks the bytes that are 0x7f.
#[inline]
fn deletes(word: u64) -> u64 {
    zeros(word ^ (ONES * 0x7f))
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
            let is_special = |it: &u8| *it == b' ' || it.is_ascii_control();
            prop_assert_eq!(find_space_or_control(&bytes), bytes.iter().position(is_special));
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
