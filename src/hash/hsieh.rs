//! Paul Hsieh's SuperFastHash (nutcracker 0.5.0 `nc_hsieh.c`).

use super::CharSign;

/// `hash_hsieh`: started at 0, not at the length; only the last byte of a tail of three is
/// sign-extended.
pub(super) fn hsieh(key: &[u8], sign: CharSign) -> u32 {
    let mut hash: u32 = 0;
    let mut blocks = key.chunks_exact(4);
    for block in &mut blocks {
        hash = hash.wrapping_add(pair(block));
        let mixed = (pair(&block[2..]) << 11) ^ hash;
        hash = (hash << 16) ^ mixed;
        hash = hash.wrapping_add(hash >> 11);
    }
    match blocks.remainder() {
        tail @ &[_, _, last] => {
            hash = hash.wrapping_add(pair(tail));
            hash ^= hash << 16;
            hash ^= sign.extend(last) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        tail @ &[_, _] => {
            hash = hash.wrapping_add(pair(tail));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        &[byte] => {
            hash = hash.wrapping_add(u32::from(byte));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

/// The first two bytes, little-endian.
fn pair(bytes: &[u8]) -> u32 {
    u32::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}
