//! Requests of one key, written.

use super::Dialect;
use super::line::write_decimal;

/// What is asked of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request<'a> {
    Get {
        with_cas: bool,
    },
    Store {
        mode: StoreMode,
        flags: u32,
        expiration: u32,
        data: &'a [u8],
    },
    Delete,
    /// With `creates`, a number that is missing becomes 0: in the meta protocol only. A classic server says
    /// that there is none.
    Increment {
        delta: u64,
        creates: bool,
    },
    Decrement {
        delta: u64,
        creates: bool,
    },
    Touch {
        expiration: u32,
    },
}

/// When a value is stored, and what becomes of the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreMode {
    Set,
    /// Only if there is none.
    Add,
    /// Only if there is one.
    Replace,
    /// Behind the one that is there, which keeps its flags and its expiration, in both protocols.
    Append,
    /// In front of it, likewise.
    Prepend,
    /// Only over the value that had this number when it was read.
    Cas(u64),
}

/// What replies a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get { with_cas: bool },
    Store,
    Delete,
    Arithmetic,
    Touch,
}

impl Request<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match *self {
            Self::Get { with_cas } => Kind::Get { with_cas },
            Self::Store { .. } => Kind::Store,
            Self::Delete => Kind::Delete,
            Self::Increment { .. } | Self::Decrement { .. } => Kind::Arithmetic,
            Self::Touch { .. } => Kind::Touch,
        }
    }
}

/// Appends the request for `key`, which [`check_key`](super::check_key) has passed. The classic protocol
/// has no place for `opaque`.
pub(crate) fn write(
    out: &mut Vec<u8>,
    dialect: Dialect,
    key: &[u8],
    request: &Request<'_>,
    opaque: u32,
) {
    debug_assert_eq!(super::check_key(key), Ok(()));
    match dialect {
        Dialect::Classic => write_classic(out, key, request),
        Dialect::Meta => write_meta(out, key, request, opaque),
    }
    if let Request::Store { data, .. } = request {
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// The line of a classic request.
fn write_classic(out: &mut Vec<u8>, key: &[u8], request: &Request<'_>) {
    let name: &[u8] = match request {
        Request::Get { with_cas: false } => b"get ",
        Request::Get { with_cas: true } => b"gets ",
        Request::Store { mode, .. } => match mode {
            StoreMode::Set => b"set ",
            StoreMode::Add => b"add ",
            StoreMode::Replace => b"replace ",
            StoreMode::Append => b"append ",
            StoreMode::Prepend => b"prepend ",
            StoreMode::Cas(_) => b"cas ",
        },
        Request::Delete => b"delete ",
        Request::Increment { .. } => b"incr ",
        Request::Decrement { .. } => b"decr ",
        Request::Touch { .. } => b"touch ",
    };
    out.extend_from_slice(name);
    out.extend_from_slice(key);
    match *request {
        Request::Get { .. } | Request::Delete => {}
        Request::Store { mode, flags, expiration, data } => {
            argument(out, b" ", flags);
            argument(out, b" ", readable(expiration));
            argument(out, b" ", data.len() as u64);
            if let StoreMode::Cas(cas) = mode {
                argument(out, b" ", cas);
            }
        }
        Request::Increment { delta, .. } | Request::Decrement { delta, .. } => {
            argument(out, b" ", delta)
        }
        Request::Touch { expiration } => argument(out, b" ", readable(expiration)),
    }
    out.extend_from_slice(b"\r\n");
}

/// The line of a meta request.
fn write_meta(out: &mut Vec<u8>, key: &[u8], request: &Request<'_>, opaque: u32) {
    let name: &[u8] = match request {
        Request::Get { .. } | Request::Touch { .. } => b"mg ",
        Request::Store { .. } => b"ms ",
        Request::Delete => b"md ",
        Request::Increment { .. } | Request::Decrement { .. } => b"ma ",
    };
    out.extend_from_slice(name);
    out.extend_from_slice(key);
    match *request {
        Request::Get { with_cas: false } => out.extend_from_slice(b" v f"),
        Request::Get { with_cas: true } => out.extend_from_slice(b" v f c"),
        Request::Store { mode, flags, expiration, data } => {
            argument(out, b" ", data.len() as u64);
            argument(out, b" F", flags);
            argument(out, b" T", readable(expiration));
            match mode {
                StoreMode::Set => out.extend_from_slice(b" MS"),
                StoreMode::Add => out.extend_from_slice(b" ME"),
                StoreMode::Replace => out.extend_from_slice(b" MR"),
                StoreMode::Append => out.extend_from_slice(b" MA"),
                StoreMode::Prepend => out.extend_from_slice(b" MP"),
                StoreMode::Cas(cas) => argument(out, b" MS C", cas),
            }
        }
        Request::Delete => {}
        Request::Increment { delta, creates } => arithmetic(out, b" MI v D", delta, creates),
        Request::Decrement { delta, creates } => arithmetic(out, b" MD v D", delta, creates),
        Request::Touch { expiration } => argument(out, b" T", readable(expiration)),
    }
    argument(out, b" O", opaque);
    out.extend_from_slice(b"\r\n");
}

fn arithmetic(out: &mut Vec<u8>, mode: &[u8], delta: u64, creates: bool) {
    argument(out, mode, delta);
    if creates {
        // As 0, for ever.
        out.extend_from_slice(b" N0 J0");
    }
}

/// A server reads times as 32 bits with a sign: what is later than January 2038 would be in the past, and
/// the value lost at once (memcached 1.6.18). The binary protocol has no such sign.
pub(super) fn readable(time: u32) -> u32 {
    time.min(i32::MAX.cast_unsigned())
}

fn argument(out: &mut Vec<u8>, name: &[u8], number: impl Into<u64>) {
    out.extend_from_slice(name);
    write_decimal(out, number.into());
}
