//! SHA-1, for Dalli's points.

use sha1::Digest;
use sha1::Sha1;

/// The first 32 bits of the digest, big-endian: the first eight of its hexadecimal digits.
pub(crate) fn sha1_start(bytes: &[u8]) -> u32 {
    let digest: [u8; 20] = Sha1::digest(bytes).into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_holds() {
        // FIPS 180-2, appendix A.1.
        assert_eq!(sha1_start(b"abc"), 0xa999_3e36);
    }
}
