//! Hashes of Java clients, which read a key as UTF-16 and not as bytes.

use std::iter;

/// `String.hashCode`: 31 times what was, and the next unit.
pub(super) fn java_string(key: &[u8]) -> u32 {
    fold(key, 0, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit))
}

/// The FNVs of spymemcached 2.12 `DefaultHashAlgorithm`: a unit enters as a whole. The low half of
/// what is 64 bits wide there needs only the low halves of the constants.
pub(super) fn fnv1_64(key: &[u8]) -> u32 {
    fold(key, 0x8422_2325, |hash, unit| hash.wrapping_mul(0x1b3) ^ unit)
}

pub(super) fn fnv1a_64(key: &[u8]) -> u32 {
    fold(key, 0x8422_2325, |hash, unit| (hash ^ unit).wrapping_mul(0x1b3))
}

pub(super) fn fnv1_32(key: &[u8]) -> u32 {
    fold(key, 0x811c_9dc5, |hash, unit| hash.wrapping_mul(0x0100_0193) ^ unit)
}

pub(super) fn fnv1a_32(key: &[u8]) -> u32 {
    fold(key, 0x811c_9dc5, |hash, unit| (hash ^ unit).wrapping_mul(0x0100_0193))
}

fn fold(key: &[u8], start: u32, step: impl Fn(u32, u32) -> u32) -> u32 {
    if key.is_ascii() {
        return key.iter().fold(start, |hash, &byte| step(hash, u32::from(byte)));
    }
    units(key).fold(start, |hash, unit| step(hash, u32::from(unit)))
}

/// `key` as the `String` that Java reads from it; what is not UTF-8 becomes U+FFFD.
fn units(key: &[u8]) -> impl Iterator<Item = u16> {
    key.utf8_chunks().flat_map(|chunk| {
        let replacement = iter::repeat_n(0xfffd, usize::from(!chunk.invalid().is_empty()));
        chunk.valid().encode_utf16().chain(replacement)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_hashes_units_of_utf_16() {
        // `new String(bytes, UTF_8).hashCode()` of OpenJDK 17, as an unsigned number.
        for (key, hash) in [
            (b"apple".as_slice(), 93_029_210),
            ("ключ".as_bytes(), 33_309_882),
            ("a\u{1f511}b".as_bytes(), 57_842_285),
            (b"\xff", 65_533),
            (b"a\xf0\x9f\x94b", 2_124_838),
        ] {
            assert_eq!(java_string(key), hash, "{}", key.escape_ascii());
        }
    }
}
