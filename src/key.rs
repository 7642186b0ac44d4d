//! Hash tags: which part of a key is hashed.

use std::str::FromStr;

use crate::error::Result;
use crate::error::ShardError;

/// The two bytes around the part of a key that is hashed, so that related keys share a node.
///
/// With the tag `{}` the keys `user:{42}:name` and `user:{42}:mail` hash alike, as `42`. The rule is
/// nutcracker's (`nc_server.c` `server_pool_idx`): the first opening byte counts, then the first
/// closing byte after it; if nothing stands between them, or one is missing, the whole key is
/// hashed and no second attempt is made.
///
/// # Examples
///
/// ```
/// use shardwright::HashTag;
///
/// let tag: HashTag = "{}".parse()?;
/// assert_eq!(tag.hashed_part(b"user:{42}:name"), b"42");
/// assert_eq!(tag.hashed_part(b"{}{42}"), b"{}{42}");
/// assert_eq!(tag.hashed_part(b"no tag"), b"no tag");
/// # Ok::<(), shardwright::ShardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashTag {
    open: u8,
    close: u8,
}

impl HashTag {
    /// A tag that opens with `open` and closes with `close`; they may be the same byte.
    pub const fn new(open: u8, close: u8) -> Self {
        Self { open, close }
    }

    /// The opening byte.
    pub const fn open(self) -> u8 {
        self.open
    }

    /// The closing byte.
    pub const fn close(self) -> u8 {
        self.close
    }

    /// The part of `key` that is hashed: what the tag encloses, or the whole key.
    pub fn hashed_part(self, key: &[u8]) -> &[u8] {
        self.tagged_part(key).unwrap_or(key)
    }

    /// What the tag encloses in `key`, if it encloses anything.
    pub fn tagged_part(self, key: &[u8]) -> Option<&[u8]> {
        let start = key.iter().position(|&byte| byte == self.open)? + 1;
        let rest = key.get(start..)?;
        let length = rest.iter().position(|&byte| byte == self.close)?;
        (length > 0).then(|| &rest[..length])
    }
}

impl FromStr for HashTag {
    type Err = ShardError;

    /// Reads a tag of exactly two bytes (nutcracker counts bytes, not characters).
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) for any other length.
    fn from_str(text: &str) -> Result<Self> {
        match text.as_bytes() {
            &[open, close] => Ok(Self { open, close }),
            other => Err(ShardError::configuration(format!(
                "a hash tag has two characters, such as \"{{}}\", not {}",
                other.len()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURLY: HashTag = HashTag::new(b'{', b'}');

    #[test]
    fn the_first_open_byte_and_the_first_close_byte_after_it_count() {
        // nutcracker.md 3.5, observed on nutcracker 0.5.0.
        for (key, part) in [
            ("foo{{bar}}zap", "{bar"),
            ("a}b{c}d", "c"),
            ("{a", "{a"),
            ("{}{c}", "{}{c}"),
            ("a{}b{c}", "a{}b{c}"),
            ("", ""),
            ("{", "{"),
            ("}", "}"),
        ] {
            assert_eq!(CURLY.hashed_part(key.as_bytes()), part.as_bytes(), "{key}");
        }
        assert_eq!(HashTag::new(b'$', b'$').hashed_part(b"a$b$c"), b"b");
    }

    #[test]
    fn a_tag_is_two_bytes() {
        assert_eq!("é".parse::<HashTag>().unwrap(), HashTag::new(0xc3, 0xa9));
        assert!("{".parse::<HashTag>().is_err());
        assert!("{}}".parse::<HashTag>().is_err());
    }
}
