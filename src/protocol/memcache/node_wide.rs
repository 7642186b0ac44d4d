//! Requests of a whole node, and their replies. They are the same whichever protocol the keys are asked
//! with, but for the one that asks whether there is a meta protocol.

use super::BrokenReply;
use super::ErrorReply;
use super::ProgressOf;
use super::line::error;
use super::line::line;
use super::line::write_decimal;
use super::request::readable;

/// How much has arrived of a reply that is a `T`, or an error line.
pub(crate) type Answer<'a, T> = ProgressOf<Result<T, ErrorReply<'a>>>;

/// Appends the question for the server's version.
pub(crate) fn write_version(out: &mut Vec<u8>) {
    out.extend_from_slice(b"version\r\n");
}

/// Reads the version.
pub(crate) fn read_version(bytes: &[u8]) -> Result<Answer<'_, &[u8]>, BrokenReply> {
    answer(bytes, |line| line.strip_prefix(b"VERSION "))
}

/// Appends the request that does nothing, and that only a server with the meta protocol knows.
pub(crate) fn write_meta_noop(out: &mut Vec<u8>) {
    out.extend_from_slice(b"mn\r\n");
}

/// Reads the reply to it. [`Unknown`](ErrorReply::Unknown) says that there is no meta protocol.
pub(crate) fn read_meta_noop(bytes: &[u8]) -> Result<Answer<'_, ()>, BrokenReply> {
    answer(bytes, |line| (line == b"MN").then_some(()))
}

/// Appends the request that forgets all values, now or in `delay` seconds.
pub(crate) fn write_flush(out: &mut Vec<u8>, delay: Option<u32>) {
    out.extend_from_slice(b"flush_all");
    if let Some(delay) = delay {
        out.push(b' ');
        write_decimal(out, readable(delay).into());
    }
    out.extend_from_slice(b"\r\n");
}

/// Reads the reply to it.
pub(crate) fn read_flush(bytes: &[u8]) -> Result<Answer<'_, ()>, BrokenReply> {
    answer(bytes, |line| (line == b"OK").then_some(()))
}

/// Appends the question for statistics, those of a `group` (`items`, `slabs`, …) or the general ones. The
/// group is a word as a key is ([`check_key`](super::check_key)).
pub(crate) fn write_stats(out: &mut Vec<u8>, group: Option<&[u8]>) {
    debug_assert!(group.is_none_or(|group| super::check_key(group).is_ok()));
    out.extend_from_slice(b"stats");
    if let Some(group) = group {
        out.push(b' ');
        out.extend_from_slice(group);
    }
    out.extend_from_slice(b"\r\n");
}

/// Reads one line of statistics: a name and its value, which may have spaces in it. `None` is the end of
/// them. `stats reset` has no other line than that.
pub(crate) fn read_stat(bytes: &[u8]) -> Result<Answer<'_, Option<Stat<'_>>>, BrokenReply> {
    answer(bytes, |line| match line {
        b"END" | b"RESET" => Some(None),
        _ => {
            let words = line.strip_prefix(b"STAT ")?;
            let space = words.iter().position(|&byte| byte == b' ')?;
            Some(Some((&words[..space], &words[space + 1..])))
        }
    })
}

/// The name of a statistic, and its value.
pub(crate) type Stat<'a> = (&'a [u8], &'a [u8]);

/// Appends the user name and the password, as a server takes them that was started with `-Y`. Any other
/// server takes them for a value and stores it under the key `auth`.
pub(crate) fn write_auth(out: &mut Vec<u8>, user: &[u8], password: &[u8]) {
    out.extend_from_slice(b"set auth 0 0 ");
    write_decimal(out, (user.len() + 1 + password.len()) as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(user);
    out.push(b' ');
    out.extend_from_slice(password);
    out.extend_from_slice(b"\r\n");
}

/// Reads the reply to them. After any error the connection is to be closed.
pub(crate) fn read_auth(bytes: &[u8]) -> Result<Answer<'_, ()>, BrokenReply> {
    answer(bytes, |line| (line == b"STORED").then_some(()))
}

/// Reads a line that is an error, or what `meaning` takes from it.
fn answer<'a, T>(
    bytes: &'a [u8],
    meaning: impl FnOnce(&'a [u8]) -> Option<T>,
) -> Result<Answer<'a, T>, BrokenReply> {
    let (line, length) = match line(bytes)? {
        ProgressOf::Whole(line, length) => (line, length),
        ProgressOf::Missing(count) => return Ok(ProgressOf::Missing(count)),
    };
    match (meaning(line), error(line)?) {
        (Some(answer), _) => Ok(ProgressOf::Whole(Ok(answer), length)),
        (None, Some(error)) => Ok(ProgressOf::Whole(Err(error), length)),
        (None, None) => Err(BrokenReply::Unexpected),
    }
}
