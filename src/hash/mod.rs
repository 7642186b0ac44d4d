//! Key hashes: bytes to a 32-bit number, bit for bit as nutcracker and others compute them.
//!
//! [`HashKind`] lists the twelve functions of nutcracker 0.5.0 (`src/hashkit`), [`CharSign`] says how
//! a C `char` was compiled there, [`ClientHashKind`] lists what clients of memcached have besides, and
//! [`HashFn`] is what a function of your own implements.
//!
//! Not here: which part of a key is hashed ([`HashTag`](crate::HashTag)), and what the number means
//! ([`Ring`](crate::Ring)).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Result;
use crate::error::ShardError;

mod clients;
mod crc;
mod fnv;
mod hsieh;
mod jenkins;
mod md5;
mod murmur;
mod murmur3;
mod one_at_a_time;
mod sha1;
mod utf16;

pub use clients::ClientHashKind;
pub(crate) use md5::digest as md5_digest;
pub(crate) use murmur3::Murmur3;
pub(crate) use sha1::sha1_start;

/// A function from a key's bytes to a 32-bit number.
///
/// Which node owns a key depends on this number alone, so a change to a function moves keys.
/// Implementations are called on every request, from many threads, and must not panic.
///
/// # Examples
///
/// ```
/// use shardwright::HashFn;
///
/// /// Sums the bytes. Do not use it.
/// #[derive(Debug)]
/// struct Sum;
///
/// impl HashFn for Sum {
///     fn hash(&self, key: &[u8]) -> u32 {
///         key.iter().map(|&byte| u32::from(byte)).sum()
///     }
///
///     fn name(&self) -> &str {
///         "sum"
///     }
/// }
///
/// assert_eq!(Sum.hash(b"ab"), 195);
/// ```
pub trait HashFn: fmt::Debug + Send + Sync {
    /// Hashes `key`, which is never empty: the hash of an empty key is 0 by definition.
    fn hash(&self, key: &[u8]) -> u32;

    /// The name for people: in `Debug` output and in messages.
    fn name(&self) -> &str;

    /// Hashes four keys. Override it where four can be computed faster together than one by one.
    fn hash_four(&self, keys: [&[u8]; 4]) -> [u32; 4] {
        keys.map(|key| self.hash(key))
    }
}

impl<T: HashFn + ?Sized> HashFn for Arc<T> {
    fn hash(&self, key: &[u8]) -> u32 {
        (**self).hash(key)
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn hash_four(&self, keys: [&[u8]; 4]) -> [u32; 4] {
        (**self).hash_four(keys)
    }
}

/// How the C compiler that built nutcracker read a `char`.
///
/// Keys are `char` strings there. On x86 a `char` is signed, and a byte from 0x80 on enters
/// `one_at_a_time`, the four `fnv` and the tail of `hsieh` as a negative number; on ARM and POWER it
/// is unsigned. So one nutcracker.yml places non-ASCII keys differently on different machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CharSign {
    /// As on x86 and x86-64. The default.
    #[default]
    Signed,
    /// As on Linux for ARM and POWER.
    Unsigned,
}

impl CharSign {
    /// A byte as C promotes it to a 32-bit integer.
    fn extend(self, byte: u8) -> u32 {
        match self {
            Self::Signed => i32::from(byte as i8) as u32,
            Self::Unsigned => u32::from(byte),
        }
    }
}

/// One list is the enum, the names in configuration files and the documentation.
macro_rules! hash_kinds {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// The twelve hash functions of nutcracker 0.5.0 (`src/hashkit/`, a file a function), with their
        /// quirks.
        ///
        /// `HashKind` is itself a [`HashFn`] with signed `char`s;
        /// [`with_char_sign`](Self::with_char_sign) makes the other one.
        ///
        /// # Examples
        ///
        /// ```
        /// use shardwright::{HashFn, HashKind};
        ///
        /// assert_eq!(HashKind::default(), HashKind::Fnv1a64);
        /// assert_eq!("crc16".parse::<HashKind>()?, HashKind::Crc16);
        /// assert_eq!(HashKind::Crc16.hash(b"apple"), 3_662_830_516);
        /// # Ok::<(), shardwright::ShardError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum HashKind {
            $($(#[$doc])+ $variant,)+
        }

        impl HashKind {
            /// All of them, in the order of nutcracker's documentation.
            pub const ALL: [Self; 12] = [$(Self::$variant),+];

            /// The name in nutcracker.yml.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

hash_kinds! {
    /// Jenkins's one-at-a-time.
    OneAtATime = "one_at_a_time",
    /// The first four bytes of the MD5 digest, little-endian.
    Md5 = "md5",
    /// CRC-16/XMODEM in a 32-bit register that is never masked: the low half is the true CRC, the
    /// high half holds what the register shifted out.
    Crc16 = "crc16",
    /// Bits 16 to 30 of the CRC-32, a 15-bit number: practically every key lands on the node of the
    /// first ketama point.
    Crc32 = "crc32",
    /// The whole CRC-32 of zlib.
    Crc32a = "crc32a",
    /// The low half of 64-bit FNV-1. Keys that differ only at the end spread badly over a ring.
    Fnv1_64 = "fnv1_64",
    /// FNV-1a with the low halves of the 64-bit constants, nutcracker's default. Keys that differ
    /// only in their last two or three bytes land close together.
    #[default]
    Fnv1a64 = "fnv1a_64",
    /// 32-bit FNV-1.
    Fnv1_32 = "fnv1_32",
    /// 32-bit FNV-1a.
    Fnv1a32 = "fnv1a_32",
    /// Paul Hsieh's SuperFastHash, started at 0 instead of the length.
    Hsieh = "hsieh",
    /// 32-bit MurmurHash2, seeded with 0xdeadbeef times the length.
    Murmur = "murmur",
    /// Bob Jenkins's lookup3 (`hashlittle`), started at 13.
    Jenkins = "jenkins",
}

impl HashKind {
    /// This function as a nutcracker computes it whose `char` has the given sign.
    pub const fn with_char_sign(self, sign: CharSign) -> NutcrackerHash {
        NutcrackerHash { kind: self, sign }
    }

    fn hash_with(self, key: &[u8], sign: CharSign) -> u32 {
        match self {
            Self::OneAtATime => one_at_a_time::one_at_a_time(key, sign),
            Self::Md5 => md5::md5(key),
            Self::Crc16 => crc::crc16(key),
            Self::Crc32 => crc::crc32(key),
            Self::Crc32a => crc::crc32a(key),
            Self::Fnv1_64 => fnv::fnv1_64(key, sign),
            Self::Fnv1a64 => fnv::fnv1a_64(key, sign),
            Self::Fnv1_32 => fnv::fnv1_32(key, sign),
            Self::Fnv1a32 => fnv::fnv1a_32(key, sign),
            Self::Hsieh => hsieh::hsieh(key, sign),
            Self::Murmur => murmur::murmur(key),
            Self::Jenkins => jenkins::jenkins(key),
        }
    }
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HashKind {
    type Err = ShardError;

    /// Reads a name as nutcracker.yml has it, in lower case.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) for any other text.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            ShardError::configuration(format!(
                "\"{name}\" is not a valid hash; one of {} is",
                Self::ALL.map(Self::as_str).join(", ")
            ))
        })
    }
}

impl HashFn for HashKind {
    fn hash(&self, key: &[u8]) -> u32 {
        self.hash_with(key, CharSign::Signed)
    }

    fn name(&self) -> &str {
        self.as_str()
    }

    fn hash_four(&self, keys: [&[u8]; 4]) -> [u32; 4] {
        self.with_char_sign(CharSign::Signed).hash_four(keys)
    }
}

/// A [`HashKind`] together with the [`CharSign`] of the machine nutcracker was built for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NutcrackerHash {
    kind: HashKind,
    sign: CharSign,
}

impl NutcrackerHash {
    /// Which function it is.
    pub const fn kind(self) -> HashKind {
        self.kind
    }

    /// How it reads a `char`.
    pub const fn char_sign(self) -> CharSign {
        self.sign
    }
}

impl From<HashKind> for NutcrackerHash {
    fn from(kind: HashKind) -> Self {
        kind.with_char_sign(CharSign::Signed)
    }
}

impl HashFn for NutcrackerHash {
    fn hash(&self, key: &[u8]) -> u32 {
        self.kind.hash_with(key, self.sign)
    }

    fn name(&self) -> &str {
        self.kind.as_str()
    }

    fn hash_four(&self, keys: [&[u8]; 4]) -> [u32; 4] {
        match self.kind {
            HashKind::Fnv1a64 => fnv::fnv1a_64_four(keys, self.sign),
            _ => keys.map(|key| self.hash(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_values_of_the_specification_hold() {
        // nutcracker.md section 2, taken from the binary; columns in the order of `HashKind::ALL`.
        let rows: [(&[u8], [u32; 12]); 4] = [
            (
                b"apple",
                [
                    2297466611, 3195025439, 3662830516, 10542, 2838417488, 473199127, 1488911807,
                    67176023, 280767167, 3738850110, 4142305122, 1442444624,
                ],
            ),
            (
                b"\xff",
                [
                    2925896852, 3561969920, 7920, 32512, 4278190080, 2046707744, 2046707310,
                    4210270944, 4193493326, 44489640, 3679652508, 3784723880,
                ],
            ),
            (
                b"abc\xff",
                [
                    1415671628, 1766794944, 1956485860, 2655, 2321516509, 75214862, 301509084,
                    1176603886, 2496406044, 4205561239, 3423463401, 928494670,
                ],
            ),
            (
                "ключ".as_bytes(),
                [
                    4224321546, 1719363011, 1012230207, 3247, 212833818, 1687779865, 2846718081,
                    833875961, 2950043617, 4203376956, 2596721327, 1261183855,
                ],
            ),
        ];
        for (key, hashes) in rows {
            assert_eq!(HashKind::ALL.map(|kind| kind.hash(key)), hashes, "{key:?}");
        }
    }

    #[test]
    fn names_parse_back() {
        for kind in HashKind::ALL {
            assert_eq!(kind.as_str().parse::<HashKind>().unwrap(), kind);
        }
        let error = "FNV1A_64".parse::<HashKind>().unwrap_err().to_string();
        assert!(error.contains("FNV1A_64") && error.contains("fnv1a_64"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn four_together_equal_four_alone(
            keys: [Vec<u8>; 4],
            unsigned: bool,
            kind in 0..HashKind::ALL.len(),
        ) {
            let sign = if unsigned { CharSign::Unsigned } else { CharSign::Signed };
            let hash = HashKind::ALL[kind].with_char_sign(sign);
            let keys = keys.each_ref().map(Vec::as_slice);
            proptest::prop_assert_eq!(hash.hash_four(keys), keys.map(|key| hash.hash(key)));
        }
    }
}
