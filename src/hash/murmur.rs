//! 32-bit MurmurHash2 (nutcracker 0.5.0 `nc_murmur.c`).

const MULTIPLIER: u32 = 0x5bd1_e995;

/// `hash_murmur`: seeded with 0xdeadbeef times the length; words are little-endian on every machine.
pub(super) fn murmur(key: &[u8]) -> u32 {
    let length = key.len() as u32;
    let mut hash = 0xdead_beef_u32.wrapping_mul(length) ^ length;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut mixed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        mixed = mixed.wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 24;
        mixed = mixed.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed;
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        let number = tail.iter().rev().fold(0, |number, &byte| (number << 8) | u32::from(byte));
        hash = (hash ^ number).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}
