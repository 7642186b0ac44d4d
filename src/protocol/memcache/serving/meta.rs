//! Requests of the meta protocol.

use std::borrow::Cow;

use super::super::key::MAX_LENGTH;
use super::Refusal;
use super::base64::decode;
use super::store::Refused;
use super::store::sized;
use super::words::Words;
use super::words::number;

/// Beyond so many, memcached 1.6.18 refuses an `ms` without swallowing its value.
const MAX_FLAGS: usize = 16;

/// A request of the meta protocol for a key.
#[derive(Clone, Debug)]
pub(crate) struct Meta<'b> {
    /// `mg`, `ms`, `md`, `ma` or `me`.
    pub(crate) name: [u8; 2],
    /// As it was written, perhaps in base64.
    pub(crate) key: &'b [u8],
    /// What the item is called, and so what decides where it is.
    pub(crate) routing_key: Cow<'b, [u8]>,
    /// Which replies the client does not want to see. They come all the same: what is sent to the node
    /// does not say so.
    pub(crate) quiet: Option<Quiet>,
}

/// Replies that the flag `q` hides. It never hides an error.
///
/// What memcached 1.6.18 hides, as measured: `EN` of an `mg`; `HD` of `ms` and `md`; `HD` and `VA` of an
/// `ma`, unless the `ma` has just made the item, which its reply does not show. `NF`, `NS` and `EX` are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    Get,
    Store,
    Delete,
    Arithmetic,
}

impl<'b> Meta<'b> {
    /// Reads what follows the name, and how long the value is if there is to be one.
    pub(super) fn read(
        name: [u8; 2],
        mut words: Words<'b>,
    ) -> Result<(Self, Option<u64>), Refused> {
        let key = match words.next() {
            Some(key) => key,
            None if name == *b"me" => return Err((Refusal::Format, None)),
            None => return Err((Refusal::Unknown, None)),
        };
        let length = match name {
            [_, b's'] => Some(words.next().and_then(number).ok_or((Refusal::Format, None))?),
            _ => None,
        };
        let (mut is_quiet, mut is_encoded, mut count) = (false, false, 0);
        for flag in words {
            is_quiet |= is_quiet_flag(flag);
            is_encoded |= flag[0] == b'b';
            count += 1;
        }
        let refused = |refusal| (refusal, length);
        if key.len() > MAX_LENGTH {
            return Err(refused(Refusal::Format));
        }
        if length.is_some() && count > MAX_FLAGS {
            return Err(refused(Refusal::Flags));
        }
        let routing_key = match is_encoded {
            true => Cow::Owned(decode(key).ok_or(refused(Refusal::Base64))?),
            false => Cow::Borrowed(key),
        };
        let length = length.map(sized).transpose()?;
        let quiet = Quiet::of(name).filter(|_| is_quiet);
        Ok((Self { name, key, routing_key, quiet }, length))
    }
}

impl Quiet {
    fn of(name: [u8; 2]) -> Option<Self> {
        Some(match &name {
            b"mg" => Self::Get,
            b"ms" => Self::Store,
            b"md" => Self::Delete,
            b"ma" => Self::Arithmetic,
            // Of an `me`, which is for debugging, memcached hides nothing.
            _ => return None,
        })
    }

    /// Whether the client is not to see this reply, of which the first line is enough.
    pub(crate) fn hides(self, reply: &[u8]) -> bool {
        let Some((code, rest)) = reply.split_first_chunk::<2>() else {
            return false;
        };
        let is_code = matches!(rest.first(), Some(b' ' | b'\r'));
        is_code
            && match self {
                Self::Get => code == b"EN",
                Self::Store | Self::Delete => code == b"HD",
                Self::Arithmetic => code == b"HD" || code == b"VA",
            }
    }
}

/// Appends `line` without what asks for fewer replies.
pub(super) fn write_loud(line: &[u8], out: &mut Vec<u8>) {
    let mut words = Words::new(line);
    out.extend(words.by_ref().next().into_iter().flatten());
    // A key may well begin with a q. A length cannot.
    let key = words.next();
    let rest = words.filter(|word| !is_quiet_flag(word));
    for word in key.into_iter().chain(rest) {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

/// Of a flag memcached looks at the first letter.
fn is_quiet_flag(word: &[u8]) -> bool {
    word.first() == Some(&b'q')
}
