//! The FNV family (nutcracker 0.5.0 `nc_fnv.c`).

use super::CharSign;

const BASIS_64: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME_64: u64 = 0x0100_0000_01b3;
const BASIS_32: u32 = 0x811c_9dc5;
const PRIME_32: u32 = 0x0100_0193;

/// `hash_fnv1_64`: 64-bit arithmetic, the low half of the result.
pub(super) fn fnv1_64(key: &[u8], sign: CharSign) -> u32 {
    // Bits only ever move up in a product, so the low half can be computed alone.
    fold(key, sign, BASIS_64 as u32, |hash, byte| hash.wrapping_mul(PRIME_64 as u32) ^ byte)
}

/// `hash_fnv1a_64`: the constants of the 64-bit function cut to 32 bits.
pub(super) fn fnv1a_64(key: &[u8], sign: CharSign) -> u32 {
    match sign {
        CharSign::Signed => fold(key, CharSign::Signed, BASIS_64 as u32, step_1a_64),
        CharSign::Unsigned => fold(key, CharSign::Unsigned, BASIS_64 as u32, step_1a_64),
    }
}

/// `hash_fnv1_32`.
pub(super) fn fnv1_32(key: &[u8], sign: CharSign) -> u32 {
    fold(key, sign, BASIS_32, |hash, byte| hash.wrapping_mul(PRIME_32) ^ byte)
}

/// `hash_fnv1a_32`.
pub(super) fn fnv1a_32(key: &[u8], sign: CharSign) -> u32 {
    fold(key, sign, BASIS_32, |hash, byte| (hash ^ byte).wrapping_mul(PRIME_32))
}

/// Four `fnv1a_64` at once. One alone waits for its own multiplication at every byte; four chains
/// side by side fill that wait.
pub(super) fn fnv1a_64_four(keys: [&[u8]; 4], sign: CharSign) -> [u32; 4] {
    let common = keys.iter().map(|key| key.len()).min().unwrap_or(0);
    let [a, b, c, d] = keys.map(|key| &key[..common]);
    let mut hashes = [BASIS_64 as u32; 4];
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        hashes[0] = step_1a_64(hashes[0], sign.extend(*a));
        hashes[1] = step_1a_64(hashes[1], sign.extend(*b));
        hashes[2] = step_1a_64(hashes[2], sign.extend(*c));
        hashes[3] = step_1a_64(hashes[3], sign.extend(*d));
    }
    for (hash, key) in hashes.iter_mut().zip(keys) {
        *hash = fold(&key[common..], sign, *hash, step_1a_64);
    }
    hashes
}

#[inline]
fn step_1a_64(hash: u32, byte: u32) -> u32 {
    (hash ^ byte).wrapping_mul(PRIME_64 as u32)
}

#[inline]
fn fold(key: &[u8], sign: CharSign, basis: u32, step: impl Fn(u32, u32) -> u32) -> u32 {
    key.iter().fold(basis, |hash, &byte| step(hash, sign.extend(byte)))
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    /// The literal translation of the C loop, in 64 bits.
    fn fnv1_64_in_full(key: &[u8]) -> u32 {
        let step =
            |hash: u64, &byte: &u8| hash.wrapping_mul(PRIME_64) ^ i64::from(byte as i8) as u64;
        key.iter().fold(BASIS_64, step) as u32
    }

    proptest::proptest! {
        #[test]
        fn the_low_half_needs_only_the_low_half(key: Vec<u8>) {
            proptest::prop_assert_eq!(fnv1_64(&key, CharSign::Signed), fnv1_64_in_full(&key));
        }

        #[test]
        fn without_sign_extension_it_is_the_low_half_of_the_fnv_crate(key: Vec<u8>) {
            let mut hasher = fnv::FnvHasher::default();
            hasher.write(&key);
            proptest::prop_assert_eq!(fnv1a_64(&key, CharSign::Unsigned), hasher.finish() as u32);
        }
    }
}
