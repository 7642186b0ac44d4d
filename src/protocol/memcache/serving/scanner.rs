//! Where a request of a client's ends.

use super::Command;
use super::Refusal;
use super::Request;
use super::search::find;
use super::usual;

/// Longer lines are not waited for, unless they may be long.
pub(super) const MAX_LINE: usize = 64 << 10;
/// Of a `get` or `gets` with many keys.
const MAX_LINE_OF_KEYS: usize = 8 << 20;
/// A request of the binary protocol begins with it.
const BINARY: u8 = 0x80;

/// The bytes are no requests. The connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenRequest {
    #[error("the client speaks the binary protocol")]
    Binary,
    #[error("a line is too long")]
    LineTooLong,
    /// Somebody makes a browser send requests to a memcached; what follows may be any command. Memcached
    /// closes the connection as well.
    #[error("the client speaks HTTP")]
    Http,
}

impl BrokenRequest {
    /// What the client is told before the connection is closed.
    pub(crate) fn line(self) -> &'static [u8] {
        match self {
            Self::Binary => b"CLIENT_ERROR the binary protocol is not supported\r\n",
            Self::LineTooLong => b"CLIENT_ERROR line too long\r\n",
            Self::Http => b"CLIENT_ERROR this is not an HTTP server\r\n",
        }
    }
}

/// How much of a request has arrived.
#[derive(Clone, Debug)]
pub(crate) enum Arrival<'b> {
    /// All of it.
    Whole(Request<'b>),
    /// Its line, and not all of its value: up to [`Request::length`] bytes are to be waited for. Who sends
    /// the value on as it comes has to look at its end: it is a line end, or the request is
    /// [refused](Refusal::DataChunk).
    Begun(Request<'b>),
    /// At least so many bytes more are needed to tell.
    Missing(usize),
    /// It is answered with a line, unless it `is_silent`. Then so many bytes are passed over, which may
    /// be more than have arrived: a value is never read as requests.
    Refused { refusal: Refusal, is_silent: bool, length: usize },
}

/// Reads requests from bytes that arrive in pieces.
///
/// It remembers how far it has looked for the end of a line, so that a line that arrives in a hundred
/// pieces is looked at once; and it never looks at a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestScanner {
    searched: usize,
}

impl RequestScanner {
    #[cfg(test)]
    pub(super) fn having_searched(searched: usize) -> Self {
        Self { searched }
    }

    /// Reads a request whose keys are not looked at.
    ///
    /// # Errors
    ///
    /// As of [`read_with_keys`](Self::read_with_keys).
    #[cfg(any(test, feature = "proxy-tls", feature = "_fuzz"))]
    pub(crate) fn read<'b>(&mut self, bytes: &'b [u8]) -> Result<Arrival<'b>, BrokenRequest> {
        self.read_with_keys(bytes, &mut Vec::new())
    }

    /// Reads the request at the start of `bytes`, which begin alike at every call until it is whole or
    /// refused. If it is one for values, `keys` are then its keys, and else of no meaning: they are found in
    /// the one pass over the line, and would have to be looked for again.
    ///
    /// # Errors
    ///
    /// If this is no request. The scanner is of no use then.
    #[inline]
    pub(crate) fn read_with_keys<'b>(
        &mut self,
        bytes: &'b [u8],
        keys: &mut Vec<&'b [u8]>,
    ) -> Result<Arrival<'b>, BrokenRequest> {
        if self.searched == 0
            && let Some(request) = usual::read(bytes, keys)
        {
            return Ok(self.arrival(request, bytes));
        }
        self.read_any(bytes, keys)
    }

    /// Reads a request without a guess at what it is.
    fn read_any<'b>(
        &mut self,
        bytes: &'b [u8],
        keys: &mut Vec<&'b [u8]>,
    ) -> Result<Arrival<'b>, BrokenRequest> {
        let start = self.searched.min(bytes.len());
        let Some(end) = line_end(bytes, start) else {
            self.searched = bytes.len();
            check_length(bytes, bytes.len())?;
            return Ok(Arrival::Missing(1));
        };
        check_length(bytes, end)?;
        self.searched = 0;
        match Request::read(bytes, end) {
            Ok(request) => {
                if let Command::Retrieve(retrieve) = &request.command {
                    keys.clear();
                    keys.extend(retrieve.keys());
                }
                Ok(self.arrival(request, bytes))
            }
            Err(_) if is_http(&bytes[..end]) => Err(BrokenRequest::Http),
            Err(line) => Ok(Arrival::Refused {
                refusal: line.refusal,
                is_silent: line.is_silent,
                length: line.length,
            }),
        }
    }

    /// How much has arrived of `request`, which begins `bytes`.
    #[inline]
    fn arrival<'b>(&mut self, request: Request<'b>, bytes: &'b [u8]) -> Arrival<'b> {
        if request.line_length == request.length {
            return Arrival::Whole(request);
        }
        let Some(bytes) = bytes.get(..request.length) else {
            // The end of its line.
            self.searched = request.line_length - 1;
            return Arrival::Begun(request);
        };
        match bytes {
            [.., b'\r', b'\n'] => Arrival::Whole(request),
            // As many bytes as memcached passes over.
            _ => Arrival::Refused {
                refusal: Refusal::DataChunk,
                is_silent: request.is_silent,
                length: request.length,
            },
        }
    }
}

/// Where the line feed of the first line end is, of which there is none before `start`. Memcached ends a line at
/// a bare line feed, too; here it is a control character in the line, which is refused: a key with one in it must
/// not begin another request.
#[inline]
fn line_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut from = start;
    loop {
        let place = from + find(&bytes[from..], b'\n')?;
        if place > 0 && bytes[place - 1] == b'\r' {
            return Some(place);
        }
        from = place + 1;
    }
}

/// Checks that a line may go on for `length` bytes and one more, its end.
#[inline]
fn check_length(bytes: &[u8], length: usize) -> Result<(), BrokenRequest> {
    match bytes.first() {
        Some(&BINARY) => Err(BrokenRequest::Binary),
        _ if length < MAX_LINE => Ok(()),
        _ if length < MAX_LINE_OF_KEYS && may_be_long(&bytes[..MAX_LINE]) => Ok(()),
        _ => Err(BrokenRequest::LineTooLong),
    }
}

fn may_be_long(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    line.starts_with(b"get ") || line.starts_with(b"gets ")
}

fn is_http(line: &[u8]) -> bool {
    let is_method = line.starts_with(b"GET ") || line.starts_with(b"POST ");
    is_method && line.windows(5).any(|window| window == b"HTTP/")
}
