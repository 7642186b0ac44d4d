//! The CRCs (nutcracker 0.5.0 `nc_crc16.c`, `nc_crc32.c`).

/// Table of CRC-16/XMODEM: polynomial 0x1021, most significant bit first.
const XMODEM: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[index] = crc as u32;
        index += 1;
    }
    table
};

/// `hash_crc16`: the register is 32 bits wide and never masked, and all of it is returned.
pub(super) fn crc16(key: &[u8]) -> u32 {
    key.iter().fold(0, |crc, &byte| (crc << 8) ^ XMODEM[usize::from((crc >> 8) as u8 ^ byte)])
}

/// `hash_crc32`: bits 16 to 30 of the CRC-32, as libmemcached and the Perl client take them.
pub(super) fn crc32(key: &[u8]) -> u32 {
    (crc32a(key) >> 16) & 0x7fff
}

/// `hash_crc32a`: the CRC-32 of zlib.
pub(super) fn crc32a(key: &[u8]) -> u32 {
    crc32fast::hash(key)
}

/// gomemcache `selector.go` `PickServer` copies a key into 256 bytes before it takes the CRC-32.
pub(super) fn gomemcache(key: &[u8]) -> u32 {
    crc32a(&key[..key.len().min(256)])
}
