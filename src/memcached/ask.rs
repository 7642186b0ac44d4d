//! What a node is asked, and what came of it.

use std::collections::HashMap;

use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::Dialect;
use crate::protocol::memcache::ErrorReply;
use crate::protocol::memcache::Kind;
use crate::protocol::memcache::ProgressOf;
use crate::protocol::memcache::Reply;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::read;
use crate::protocol::memcache::read_flush;
use crate::protocol::memcache::read_stat;
use crate::protocol::memcache::read_version;
use crate::protocol::memcache::write;
use crate::protocol::memcache::write_flush;
use crate::protocol::memcache::write_stats;
use crate::protocol::memcache::write_version;

/// One request, which has one reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask<'a> {
    /// Of one key, which has been checked.
    Key {
        key: &'a [u8],
        request: Request<'a>,
    },
    Version,
    Flush {
        delay: Option<u32>,
    },
    Stats,
}

/// What is to be known of a request to read its reply.
#[derive(Clone, Debug)]
pub(super) enum Expected<K> {
    Key { key: K, kind: Kind },
    Version,
    Flush,
    Stats,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Value { data: Vec<u8>, flags: u32, cas: Option<u64> },
    Miss,
    Stored,
    NotStored,
    Exists,
    NotFound,
    Deleted,
    Touched,
    Number(u64),
    Version(String),
    Flushed,
    Stats(HashMap<String, String>),
    Refused(Refusal),
}

/// An error reply, in the server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server does not know the request.
    Unknown,
    Client(String),
    Server(String),
}

/// The next outcome, if all of it has arrived.
pub(super) enum Next {
    /// How many bytes it was, and whether what follows is the reply to the next request.
    Arrived { outcome: Outcome, length: usize, is_in_step: bool },
    /// At least so many bytes are missing.
    Missing(usize),
}

impl<'a> Ask<'a> {
    /// The key, if it is of one.
    pub(super) fn key(&self) -> &'a [u8] {
        match self {
            Self::Key { key, .. } => key,
            _ => &[],
        }
    }

    /// Appends the request.
    pub(super) fn write(&self, out: &mut Vec<u8>, dialect: Dialect, opaque: u32) {
        match self {
            Self::Key { key, request } => write(out, dialect, key, request, opaque),
            Self::Version => write_version(out),
            Self::Flush { delay } => write_flush(out, *delay),
            Self::Stats => write_stats(out, None),
        }
    }

    /// What its reply must be like.
    #[inline]
    pub(super) fn expected(&self) -> Expected<&[u8]> {
        match self {
            Self::Key { key, request } => Expected::Key { key, kind: request.kind() },
            Self::Version => Expected::Version,
            Self::Flush { .. } => Expected::Flush,
            Self::Stats => Expected::Stats,
        }
    }
}

impl<K: AsRef<[u8]>> Expected<K> {
    /// Reads the reply at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// If what is there is not the reply.
    #[inline]
    pub(super) fn read(
        &self,
        bytes: &[u8],
        dialect: Dialect,
        opaque: u32,
    ) -> Result<Next, BrokenReply> {
        match self {
            Self::Key { key, kind } => {
                Ok(match read(bytes, dialect, *kind, key.as_ref(), opaque)? {
                    ProgressOf::Missing(count) => Next::Missing(count),
                    ProgressOf::Whole(Reply::Error(error), length) => {
                        let is_in_step = error.leaves_in_step(*kind);
                        Next::Arrived { outcome: refused(error), length, is_in_step }
                    }
                    ProgressOf::Whole(reply, length) => {
                        Next::Arrived { outcome: outcome(reply), length, is_in_step: true }
                    }
                })
            }
            Self::Version => read_version(bytes)
                .map(|progress| next(progress, |version| Outcome::Version(text(version)))),
            Self::Flush => read_flush(bytes).map(|progress| next(progress, |()| Outcome::Flushed)),
            Self::Stats => read_stats(bytes),
        }
    }
}

fn outcome(reply: Reply<'_>) -> Outcome {
    match reply {
        Reply::Value { data, flags, cas } => Outcome::Value { data: data.to_vec(), flags, cas },
        Reply::Miss => Outcome::Miss,
        Reply::Stored => Outcome::Stored,
        Reply::NotStored => Outcome::NotStored,
        Reply::Exists => Outcome::Exists,
        Reply::NotFound => Outcome::NotFound,
        Reply::Deleted => Outcome::Deleted,
        Reply::Touched => Outcome::Touched,
        Reply::Number(number) => Outcome::Number(number),
        Reply::Error(error) => refused(error),
    }
}

/// As with a request that has no value behind it, which could be taken for requests.
const NO_VALUE: Kind = Kind::Delete;

/// An answer for the whole node.
fn next<'a, T>(
    progress: ProgressOf<Result<T, ErrorReply<'a>>>,
    outcome: impl FnOnce(T) -> Outcome,
) -> Next {
    match progress {
        ProgressOf::Missing(count) => Next::Missing(count),
        ProgressOf::Whole(Ok(answer), length) => {
            Next::Arrived { outcome: outcome(answer), length, is_in_step: true }
        }
        ProgressOf::Whole(Err(error), length) => {
            let is_in_step = error.leaves_in_step(NO_VALUE);
            Next::Arrived { outcome: refused(error), length, is_in_step }
        }
    }
}

/// Reads statistics from their first line on each time: they are short, and nothing has to be remembered.
fn read_stats(bytes: &[u8]) -> Result<Next, BrokenReply> {
    let mut stats = HashMap::new();
    let mut length = 0;
    loop {
        match read_stat(&bytes[length..])? {
            ProgressOf::Missing(count) => return Ok(Next::Missing(count)),
            ProgressOf::Whole(Ok(Some((name, value))), line) => {
                stats.insert(text(name), text(value));
                length += line;
            }
            ProgressOf::Whole(Ok(None), line) => {
                let outcome = Outcome::Stats(stats);
                return Ok(Next::Arrived { outcome, length: length + line, is_in_step: true });
            }
            ProgressOf::Whole(Err(error), line) => {
                let (length, is_in_step) = (length + line, error.leaves_in_step(NO_VALUE));
                return Ok(Next::Arrived { outcome: refused(error), length, is_in_step });
            }
        }
    }
}

fn refused(error: ErrorReply<'_>) -> Outcome {
    Outcome::Refused(error.into())
}

impl From<ErrorReply<'_>> for Refusal {
    #[cold]
    fn from(error: ErrorReply<'_>) -> Self {
        match error {
            ErrorReply::Unknown => Self::Unknown,
            ErrorReply::Client(what) => Self::Client(text(what)),
            ErrorReply::Server(what) => Self::Server(text(what)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
