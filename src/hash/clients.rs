//! Key hashes of memcached clients that nutcracker does not have.

use std::fmt;
use std::str::FromStr;

use super::HashFn;
use super::crc;
use super::murmur3;
use super::utf16;
use crate::error::Result;
use crate::error::ShardError;

/// One list is the enum, the names in configuration files and the documentation.
macro_rules! client_hash_kinds {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal => $function:path,)+) => {
        /// Hash functions that clients of memcached have and nutcracker has not; a
        /// [`Preset`](crate::Preset) chooses among them.
        ///
        /// Those of Java hash the UTF-16 units of a key. Bytes that are not UTF-8 count as U+FFFD there, as
        /// they do when Java reads a `String` from them.
        ///
        /// # Examples
        ///
        /// ```
        /// use shardwright::{ClientHashKind, HashFn};
        ///
        /// let hash: ClientHashKind = "java_string".parse()?;
        /// assert_eq!(hash.hash(b"apple"), 93_029_210);
        /// # Ok::<(), shardwright::ShardError>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ClientHashKind {
            $($(#[$doc])+ $variant,)+
        }

        impl ClientHashKind {
            /// All of them.
            pub const ALL: [Self; 8] = [$(Self::$variant),+];

            /// The name in configuration files.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl HashFn for ClientHashKind {
            fn hash(&self, key: &[u8]) -> u32 {
                match self {
                    $(Self::$variant => $function(key),)+
                }
            }

            fn name(&self) -> &str {
                self.as_str()
            }
        }
    };
}

client_hash_kinds! {
    /// MurmurHash3 (x86, 32 bits) with the seed 0.
    Murmur3 = "murmur3" => murmur3::murmur3,
    /// libmemcached's `murmur3`: the same, seeded with 0xdeadbeef times the length.
    LibmemcachedMurmur3 = "libmemcached_murmur3" => murmur3::libmemcached_murmur3,
    /// The CRC-32 of the first 256 bytes (gomemcache).
    Gomemcache = "gomemcache_crc32" => crc::gomemcache,
    /// Java's `String.hashCode` (spymemcached's `NATIVE_HASH`).
    JavaString = "java_string" => utf16::java_string,
    /// spymemcached's `FNV1_64_HASH`: as [`HashKind::Fnv1_64`](crate::HashKind::Fnv1_64) for ASCII.
    SpymemcachedFnv1_64 = "spymemcached_fnv1_64" => utf16::fnv1_64,
    /// spymemcached's `FNV1A_64_HASH`: as [`HashKind::Fnv1a64`](crate::HashKind::Fnv1a64) for ASCII.
    SpymemcachedFnv1a64 = "spymemcached_fnv1a_64" => utf16::fnv1a_64,
    /// spymemcached's `FNV1_32_HASH`: as [`HashKind::Fnv1_32`](crate::HashKind::Fnv1_32) for ASCII.
    SpymemcachedFnv1_32 = "spymemcached_fnv1_32" => utf16::fnv1_32,
    /// spymemcached's `FNV1A_32_HASH`: as [`HashKind::Fnv1a32`](crate::HashKind::Fnv1a32) for ASCII.
    SpymemcachedFnv1a32 = "spymemcached_fnv1a_32" => utf16::fnv1a_32,
}

impl fmt::Display for ClientHashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ClientHashKind {
    type Err = ShardError;

    /// Reads a name, in lower case.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) for any other text.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            ShardError::configuration(format!(
                "\"{name}\" is not a valid client hash; one of {} is",
                Self::ALL.map(Self::as_str).join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::HashKind;

    #[test]
    fn names_parse_back() {
        for kind in ClientHashKind::ALL {
            assert_eq!(kind.as_str().parse::<ClientHashKind>().unwrap(), kind);
        }
        let error = "murmur".parse::<ClientHashKind>().unwrap_err().to_string();
        assert!(error.contains("\"murmur\"") && error.contains("java_string"), "{error}");
    }

    #[test]
    fn gomemcache_reads_256_bytes() {
        let long = [b'x'; 300];
        let hash = ClientHashKind::Gomemcache;
        assert_eq!(hash.hash(&long), HashKind::Crc32a.hash(&long[..256]));
        assert_ne!(hash.hash(&long), HashKind::Crc32a.hash(&long));
        assert_eq!(hash.hash(&long[..256]), hash.hash(&long));
    }

    proptest::proptest! {
        #[test]
        fn for_ascii_the_fnvs_are_those_of_nutcracker(key in "[ -~]{0,40}") {
            for (java, c) in [
                (ClientHashKind::SpymemcachedFnv1_64, HashKind::Fnv1_64),
                (ClientHashKind::SpymemcachedFnv1a64, HashKind::Fnv1a64),
                (ClientHashKind::SpymemcachedFnv1_32, HashKind::Fnv1_32),
                (ClientHashKind::SpymemcachedFnv1a32, HashKind::Fnv1a32),
            ] {
                proptest::prop_assert_eq!(java.hash(key.as_bytes()), c.hash(key.as_bytes()));
            }
        }
    }
}
