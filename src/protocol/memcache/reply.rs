//! Replies to requests of one key.

use super::BrokenReply;
use super::Dialect;
use super::Kind;
use super::ProgressOf;
use super::classic;
use super::line::error;
use super::line::line;
use super::meta;

/// A reply to a request of one key. It means the same in both protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    /// What a get found. The number is there if it was asked for.
    Value {
        data: &'a [u8],
        flags: u32,
        cas: Option<u64>,
    },
    /// A get found nothing (`END`, `EN`).
    Miss,
    Stored,
    /// The mode was against it: there was a value, or none (`NOT_STORED`, `NS`). An append that makes a
    /// value too large ends so too.
    NotStored,
    /// The value has changed since it was read (`EXISTS`, `EX`).
    Exists,
    /// There is no such key (`NOT_FOUND`, `NF`, and for a touch `EN`).
    NotFound,
    Deleted,
    Touched,
    /// What an increment or a decrement has made of the value.
    Number(u64),
    Error(ErrorReply<'a>),
}

/// An error line. None of them repeats a key or an opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorReply<'a> {
    /// `ERROR`: the server does not know the request.
    Unknown,
    /// `CLIENT_ERROR`, and its text.
    Client(&'a [u8]),
    /// `SERVER_ERROR`, and its text.
    Server(&'a [u8]),
}

impl ErrorReply<'_> {
    /// Whether this was the whole reply to a request of this kind, so that what follows is the reply to the
    /// next one. Else the connection is to be closed.
    ///
    /// As measured with memcached 1.6.18, alike in both protocols:
    ///
    /// | reply | after a store | after the others |
    /// |---|---|---|
    /// | `SERVER_ERROR object too large for cache` | in step: the value is swallowed | – |
    /// | `SERVER_ERROR out of memory storing object` | in step, likewise | – |
    /// | `CLIENT_ERROR cannot increment or decrement non-numeric value` | – | in step |
    /// | `CLIENT_ERROR bad command line format` (a key too long, a number that is none) | not: the value is read as a request. If the flags of a meta request were wrong, it is swallowed | in step |
    /// | `CLIENT_ERROR bad data chunk` | not: what is too much is read as a request | – |
    /// | `ERROR` | not: the value is read as a request | in step |
    /// | `CLIENT_ERROR unauthenticated` | not: the requests behind it are thrown away | not, likewise |
    ///
    /// Any other `SERVER_ERROR` after a store leaves it open, and so counts as not in step; but nutcracker's own,
    /// for servers behind it that it cannot reach, are in step.
    pub(crate) fn leaves_in_step(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Client(b"unauthenticated"), _) => false,
            (Self::Server(text), Kind::Store) => {
                matches!(*text, b"object too large for cache" | b"out of memory storing object")
                    || OF_NUTCRACKER.contains(text)
            }
            (Self::Unknown | Self::Client(_), Kind::Store) => false,
            _ => true,
        }
    }
}

/// What nutcracker 0.5.0 says for a server that it cannot reach (`nc_request.c` `req_error`: the system's words
/// for an error). It has read the whole request then.
const OF_NUTCRACKER: [&[u8]; 7] = [
    b"Connection refused",
    b"Connection timed out",
    b"Connection reset by peer",
    b"No route to host",
    b"Network is unreachable",
    b"Broken pipe",
    b"Host is down",
];

/// How much of a reply has arrived.
pub(crate) type Progress<'a> = ProgressOf<Reply<'a>>;

/// Reads the reply at the start of `bytes` to the request of this kind that was written for `key`.
///
/// What is missing of a value is as much as the server says, up to 4 GiB: whoever makes room for it does so as
/// it comes.
///
/// # Errors
///
/// If the bytes are no reply to that request. No more is to be read from there then.
#[inline]
pub(crate) fn read<'a>(
    bytes: &'a [u8],
    dialect: Dialect,
    kind: Kind,
    key: &[u8],
    opaque: u32,
) -> Result<Progress<'a>, BrokenReply> {
    let (line, length) = match line(bytes)? {
        ProgressOf::Whole(line, length) => (line, length),
        ProgressOf::Missing(count) => return Ok(Progress::Missing(count)),
    };
    let progress = match dialect {
        Dialect::Classic => classic::read(bytes, line, length, kind, key)?,
        Dialect::Meta => meta::read(bytes, line, length, kind, opaque)?,
    };
    match progress {
        Some(progress) => Ok(progress),
        None => match error(line)? {
            Some(error) => Ok(Progress::Whole(Reply::Error(error), length)),
            None => Err(BrokenReply::Unexpected),
        },
    }
}
