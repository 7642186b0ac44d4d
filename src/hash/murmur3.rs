//! 32-bit MurmurHash3 (Appleby's `MurmurHash3_x86_32`), as clients of memcached use it.

/// A hash in the making: bytes come one by one, so that what many inputs begin with is hashed once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Murmur3 {
    hash: u32,
    /// The bytes behind the last whole word, the first one lowest.
    tail: u32,
    length: u32,
}

impl Murmur3 {
    pub(crate) const fn new(seed: u32) -> Self {
        Self { hash: seed, tail: 0, length: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        let place = self.length % 4;
        self.tail |= u32::from(byte) << (8 * place);
        self.length = self.length.wrapping_add(1);
        if place == 3 {
            self.hash = (self.hash ^ mixed(self.tail)).rotate_left(13);
            self.hash = self.hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
            self.tail = 0;
        }
    }

    #[inline]
    pub(crate) fn finish(self) -> u32 {
        finished(self.hash ^ mixed(self.tail) ^ self.length)
    }
}

/// With the seed 0 (pymemcache).
pub(super) fn murmur3(key: &[u8]) -> u32 {
    with_seed(key, 0)
}

/// libmemcached 1.1.4 `libhashkit/murmur3.cc` `hashkit_murmur3`: seeded with 0xdeadbeef times the
/// length.
pub(super) fn libmemcached_murmur3(key: &[u8]) -> u32 {
    with_seed(key, 0xdead_beef_u32.wrapping_mul(key.len() as u32))
}

fn with_seed(key: &[u8], seed: u32) -> u32 {
    let mut hash = Murmur3::new(seed);
    key.iter().for_each(|&byte| hash.push(byte));
    hash.finish()
}

/// A word as it enters the hash; zero enters as zero.
fn mixed(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

/// `fmix32`: every bit changes every other.
fn finished(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
