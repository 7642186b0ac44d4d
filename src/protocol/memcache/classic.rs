//! Replies of the classic protocol, read.

use super::BrokenReply;
use super::Kind;
use super::Progress;
use super::ProgressOf;
use super::Reply;
use super::line::data;
use super::line::decimal;
use super::line::decimal_u32;

const END: &[u8] = b"END\r\n";

/// Reads the reply of which `line` is the first, `length` being where the next one begins. `None` if it
/// is perhaps an error line.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    line: &'a [u8],
    length: usize,
    kind: Kind,
    key: &[u8],
) -> Result<Option<Progress<'a>>, BrokenReply> {
    let reply = match (kind, line) {
        (Kind::Get { with_cas }, _) if line.starts_with(b"VALUE ") => {
            return value(bytes, &line[6..], length, key, with_cas).map(Some);
        }
        (Kind::Get { .. }, b"END") => Reply::Miss,
        (Kind::Store, b"STORED") => Reply::Stored,
        (Kind::Store, b"NOT_STORED") => Reply::NotStored,
        (Kind::Store, b"EXISTS") => Reply::Exists,
        (Kind::Store | Kind::Delete | Kind::Arithmetic | Kind::Touch, b"NOT_FOUND") => {
            Reply::NotFound
        }
        (Kind::Delete, b"DELETED") => Reply::Deleted,
        (Kind::Touch, b"TOUCHED") => Reply::Touched,
        (Kind::Arithmetic, [b'0'..=b'9', ..]) => Reply::Number(decimal(line)?),
        _ => return Ok(None),
    };
    Ok(Some(Progress::Whole(reply, length)))
}

/// Reads the value whose line says `words` behind `VALUE`, and the `END` behind it.
fn value<'a>(
    bytes: &'a [u8],
    words: &[u8],
    start: usize,
    key: &[u8],
    with_cas: bool,
) -> Result<Progress<'a>, BrokenReply> {
    let mut words = words.split(|&byte| byte == b' ');
    if words.next() != Some(key) {
        return Err(BrokenReply::Key);
    }
    let mut word = || words.next().ok_or(BrokenReply::Unexpected);
    let flags = decimal_u32(word()?)?;
    let length = decimal_u32(word()?)?;
    let cas = if with_cas { Some(decimal(word()?)?) } else { None };
    if words.next().is_some() {
        return Err(BrokenReply::Unexpected);
    }
    let (data, end) = match data(bytes, start, length as usize, END.len())? {
        ProgressOf::Whole(data, end) => (data, end),
        ProgressOf::Missing(count) => return Ok(Progress::Missing(count)),
    };
    let rest = &bytes[end..];
    if rest.starts_with(END) {
        Ok(Progress::Whole(Reply::Value { data, flags, cas }, end + END.len()))
    } else if END.starts_with(rest) {
        Ok(Progress::Missing(END.len() - rest.len()))
    } else {
        Err(BrokenReply::Unexpected)
    }
}
