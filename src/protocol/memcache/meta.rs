//! Replies of the meta protocol, read.

use super::BrokenReply;
use super::Kind;
use super::Progress;
use super::ProgressOf;
use super::Reply;
use super::line::data;
use super::line::decimal;
use super::line::decimal_u32;

/// Of a number with 64 bits.
const MAX_DIGITS: u32 = 20;

/// Reads the reply of which `line` is the first, `length` being where the next one begins. `None` if it
/// is perhaps an error line.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    line: &'a [u8],
    length: usize,
    kind: Kind,
    opaque: u32,
) -> Result<Option<Progress<'a>>, BrokenReply> {
    let mut words = line.split(|&byte| byte == b' ');
    let reply = match (kind, words.next().unwrap_or_default()) {
        (Kind::Get { .. } | Kind::Arithmetic, b"VA") => {
            let size = decimal_u32(words.next().ok_or(BrokenReply::Unexpected)?)?;
            if kind == Kind::Arithmetic && size > MAX_DIGITS {
                return Err(BrokenReply::Number);
            }
            let flags = Flags::read(words, opaque)?;
            return value(bytes, length, size, kind, flags).map(Some);
        }
        (Kind::Get { .. }, b"EN") => Reply::Miss,
        (Kind::Store, b"HD") => Reply::Stored,
        (Kind::Store, b"NS") => Reply::NotStored,
        (Kind::Store, b"EX") => Reply::Exists,
        (Kind::Store | Kind::Delete | Kind::Arithmetic, b"NF") => Reply::NotFound,
        (Kind::Delete, b"HD") => Reply::Deleted,
        (Kind::Touch, b"HD") => Reply::Touched,
        // A touch is a get that fetches nothing.
        (Kind::Touch, b"EN") => Reply::NotFound,
        _ => return Ok(None),
    };
    Flags::read(words, opaque)?;
    Ok(Some(Progress::Whole(reply, length)))
}

/// Reads the value behind the line, of `size` bytes.
fn value(
    bytes: &[u8],
    start: usize,
    size: u32,
    kind: Kind,
    flags: Flags,
) -> Result<Progress<'_>, BrokenReply> {
    let (data, end) = match data(bytes, start, size as usize, 0)? {
        ProgressOf::Whole(data, end) => (data, end),
        ProgressOf::Missing(count) => return Ok(Progress::Missing(count)),
    };
    let reply = match kind {
        Kind::Get { with_cas } => Reply::Value {
            data,
            flags: flags.client.ok_or(BrokenReply::Unexpected)?,
            cas: match with_cas {
                true => Some(flags.cas.ok_or(BrokenReply::Unexpected)?),
                false => None,
            },
        },
        _ => Reply::Number(decimal(data)?),
    };
    Ok(Progress::Whole(reply, end))
}

/// What stands behind the first word of a reply, or its length.
#[derive(Default)]
struct Flags {
    client: Option<u32>,
    cas: Option<u64>,
}

impl Flags {
    /// Reads them. Those that were not asked for are passed over: a server adds some (`W`, `X`, `Z`) to
    /// what somebody has marked as stale.
    fn read<'a>(words: impl Iterator<Item = &'a [u8]>, opaque: u32) -> Result<Self, BrokenReply> {
        let (mut flags, mut is_ours) = (Self::default(), false);
        for word in words {
            match word {
                [b'O', text @ ..] => {
                    is_ours = decimal_u32(text) == Ok(opaque);
                    if !is_ours {
                        return Err(BrokenReply::Opaque);
                    }
                }
                [b'f', text @ ..] => flags.client = Some(decimal_u32(text)?),
                [b'c', text @ ..] => flags.cas = Some(decimal(text)?),
                _ => {}
            }
        }
        if is_ours { Ok(flags) } else { Err(BrokenReply::Opaque) }
    }
}
