//! MD5 (nutcracker 0.5.0 `nc_md5.c`), as a key hash and for ketama's points.

use md5::Digest;
use md5::Md5;

/// `hash_md5`: the first four bytes of the digest, little-endian.
pub(super) fn md5(key: &[u8]) -> u32 {
    digest(key)[0]
}

/// The digest as the four little-endian numbers that ketama takes for points.
pub(crate) fn digest(bytes: &[u8]) -> [u32; 4] {
    let digest: [u8; 16] = Md5::digest(bytes).into();
    let mut numbers = [0; 4];
    for (number, group) in numbers.iter_mut().zip(digest.chunks_exact(4)) {
        *number = u32::from_le_bytes([group[0], group[1], group[2], group[3]]);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_specification_holds() {
        // nutcracker.md 3.2: points 0 and 3 of "server1-8".
        let [first, .., last] = digest(b"server1-8");
        assert_eq!((first, last), (3853726576, 2667054752));
    }
}
