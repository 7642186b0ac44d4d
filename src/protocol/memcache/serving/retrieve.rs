//! Requests for values: `get`, `gets`, `gat`, `gats`.

use super::super::key::MAX_LENGTH;
use super::Refusal;
use super::words::Words;
use super::words::is_expiration;

/// A request for the values of one key or more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retrieve<'b> {
    pub(crate) name: RetrieveName,
    /// What `gat` and `gats` set: the word as it was written.
    pub(crate) expiration: Option<&'b [u8]>,
    /// One or more.
    pub(crate) key_count: usize,
    keys: Words<'b>,
}

/// What a request for values is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetrieveName {
    Get,
    Gets,
    Gat,
    Gats,
}

impl RetrieveName {
    pub(crate) fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Get => b"get",
            Self::Gets => b"gets",
            Self::Gat => b"gat",
            Self::Gats => b"gats",
        }
    }
}

/// The keys of a request in its order, which may name one twice.
pub(crate) type Keys<'b> = Words<'b>;

impl<'b> Retrieve<'b> {
    /// A request without an expiration, whose keys were looked at.
    #[inline]
    pub(super) fn new(name: RetrieveName, key_count: usize, keys: Words<'b>) -> Self {
        Self { name, expiration: None, key_count, keys }
    }

    /// Reads what follows the name.
    #[inline]
    pub(super) fn read(name: RetrieveName, mut words: Words<'b>) -> Result<Self, Refusal> {
        let expiration = match name {
            RetrieveName::Gat | RetrieveName::Gats => Some(words.next().ok_or(Refusal::Unknown)?),
            RetrieveName::Get | RetrieveName::Gets => None,
        };
        let keys = words;
        let mut key_count = 0;
        for key in words {
            if key.len() > MAX_LENGTH {
                return Err(Refusal::Format);
            }
            key_count += 1;
        }
        if key_count == 0 {
            return Err(Refusal::Unknown);
        }
        if expiration.is_some_and(|text| !is_expiration(text)) {
            return Err(Refusal::Expiration);
        }
        Ok(Self { name, expiration, key_count, keys })
    }

    /// Appends a request of this kind for some of the keys: one line, which has one reply. Several with a space
    /// between any two pass for one.
    pub(crate) fn write_fragment<'k>(
        &self,
        out: &mut Vec<u8>,
        keys: impl Iterator<Item = &'k [u8]>,
    ) {
        out.extend_from_slice(self.name.as_bytes());
        if let Some(expiration) = self.expiration {
            out.push(b' ');
            out.extend_from_slice(expiration);
        }
        for key in keys {
            out.push(b' ');
            out.extend_from_slice(key);
        }
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn keys(&self) -> Keys<'b> {
        self.keys
    }
}
