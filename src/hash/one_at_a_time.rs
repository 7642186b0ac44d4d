//! Jenkins's one-at-a-time (nutcracker 0.5.0 `nc_one_at_a_time.c`).

use super::CharSign;

/// `hash_one_at_a_time`: bytes enter sign-extended.
pub(super) fn one_at_a_time(key: &[u8], sign: CharSign) -> u32 {
    let mut hash: u32 = 0;
    for &byte in key {
        hash = hash.wrapping_add(sign.extend(byte));
        hash = hash.wrapping_add(hash << 10);
        hash ^= hash >> 6;
    }
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15)
}
