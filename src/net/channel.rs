//! A connected socket with what has arrived on it, and a deadline.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

use rustix::net::RecvFlags;

use super::buffer::Buffer;
use super::clock;
use super::clock::Deadline;
use super::poll::Interest;
use super::poll::wait;
use super::socket::Socket;

/// A socket that blocks, and what has arrived on it.
///
/// One request costs one write and one read: the socket's own timeout keeps the deadline, and the clock is
/// looked at again only when a request or its reply goes in pieces. Together with others the same socket is
/// read and written without blocking. What the bytes mean is for the protocol above to say.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: Socket,
    arrived: Buffer,
    /// What the socket's timeout is set to.
    timeout: Option<Duration>,
    last_used: Instant,
}

/// Why a channel is of no use any more.
#[derive(Debug)]
pub(crate) enum ChannelError {
    Io(io::Error),
    /// The deadline passed.
    Deadline,
}

impl From<io::Error> for ChannelError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A connection that rested longer is looked at before it is used: a server that restarted, or that closes
/// idle connections, has hung up by then, and a request would be lost on it; and what a node said unasked
/// must not answer the request. Looking costs a system call, which once in this time is next to nothing.
const RESTED: Duration = Duration::from_millis(1);

/// How much is read from a node, more or less, before the clock is looked at and other nodes have their
/// turn: one that sends faster than we read must not hold up the deadline, or them.
pub(crate) const BYTES_A_TURN: usize = 64 << 10;

/// The socket's timeout may be this much longer than what is left: setting it costs a system call.
const SLACK: Duration = Duration::from_millis(10);

impl Channel {
    pub(crate) fn new(socket: Socket, now: Instant) -> Self {
        Self { socket, arrived: Buffer::default(), timeout: None, last_used: now }
    }

    /// The bytes that have arrived and were not taken.
    pub(crate) fn arrived(&self) -> &[u8] {
        self.arrived.bytes()
    }

    /// Takes the first `count` of them away.
    pub(crate) fn take(&mut self, count: usize) {
        self.arrived.take(count);
    }

    /// Whether it has rested so long that it must be looked at with [`peek`](Self::peek). It is in use
    /// from here on.
    #[inline]
    pub(crate) fn has_rested(&mut self, now: Instant) -> bool {
        let has_rested = now.saturating_duration_since(self.last_used) > RESTED;
        self.last_used = now;
        has_rested
    }

    /// The next byte on the socket, left where it is; none at the end, and an error of kind `WouldBlock` if
    /// nothing has arrived.
    pub(crate) fn peek(&self) -> io::Result<Option<u8>> {
        self.socket.peek()
    }

    /// Writes all of `bytes`.
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), ChannelError> {
        self.bound(deadline.limit())?;
        let sent = self.socket.try_send(bytes)?;
        if sent < bytes.len() { self.send_slowly(&bytes[sent..], deadline) } else { Ok(()) }
    }

    /// Writes what did not fit into the socket's buffer as the node takes it. The socket's own timeout
    /// would not do: a unix socket's begins anew with each piece.
    #[cold]
    fn send_slowly(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), ChannelError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let now = clock::now();
            if deadline.has_passed(now) {
                return Err(ChannelError::Deadline);
            }
            wait([Some(Interest::Writable(self.as_fd()))].into_iter(), deadline.left(now))?;
            rest = &rest[self.socket.try_send(rest)?..];
        }
        self.tighten(deadline)
    }

    /// To be called before a reply is waited for with [`receive`](Self::receive).
    #[inline]
    pub(crate) fn begin_to_wait(&mut self, deadline: Deadline) -> io::Result<()> {
        let limit = deadline.limit();
        if limit.is_some_and(|limit| self.timeout.is_none_or(|other| other > limit)) {
            // The request had another deadline than its reply.
            self.bound(limit)?;
        }
        Ok(())
    }

    /// Waits until something arrives, `missing` bytes at best; false if nothing did. Nearly always that is
    /// the whole reply, and the clock need not be asked; if not, [`tighten`](Self::tighten) comes before
    /// the next time.
    ///
    /// # Errors
    ///
    /// The socket's, and at the end of the stream.
    #[inline]
    pub(crate) fn receive(&mut self, missing: usize, deadline: Deadline) -> io::Result<bool> {
        // Without any time left, what has arrived is still read.
        let is_over = deadline.limit() == Some(Duration::ZERO);
        let flags = if is_over { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        self.read(missing, flags).map(|count| count > 0)
    }

    /// After a write that took time or a read that did not finish: bounds the next read by what is left.
    #[cold]
    pub(crate) fn tighten(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        let now = clock::now();
        let Some(left) = deadline.left(now) else {
            return Ok(self.bound(None)?);
        };
        if left.is_zero() {
            return Err(ChannelError::Deadline);
        }
        match self.timeout {
            Some(timeout) if timeout <= left + SLACK => Ok(()),
            _ => Ok(self.bound(Some(left))?),
        }
    }

    /// Writes as much of `bytes` as goes without waiting.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_send(bytes)
    }

    /// Reads what has arrived, without waiting, into room for at least `missing` bytes. Returns the number
    /// of bytes; 0 if nothing has.
    ///
    /// # Errors
    ///
    /// The socket's, and at the end of the stream.
    pub(crate) fn try_receive(&mut self, missing: usize) -> io::Result<usize> {
        self.read(missing, RecvFlags::DONTWAIT)
    }

    /// Whether the last read left room, and so took all there was.
    #[cfg_attr(not(feature = "_pipe"), allow(dead_code, reason = "readiness needs it"))]
    pub(crate) fn has_room(&self) -> bool {
        self.arrived.has_room()
    }

    fn read(&mut self, missing: usize, flags: RecvFlags) -> io::Result<usize> {
        self.arrived.reserve(missing);
        match self.arrived.receive(&self.socket, flags) {
            Ok(0) => Err(end_of_stream()),
            Ok(count) => Ok(count),
            Err(error) if is_early(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sets the socket's timeout to `limit`, if it is not.
    fn bound(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if self.timeout != limit {
            self.socket.set_timeout(limit)?;
            self.timeout = limit;
        }
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether a read ended before something arrived: its time was over, or a signal came. Reading on after a
/// signal would wait for as long again, and a process that gets one every 10 ms (a profiler's) for ever.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

pub(crate) fn end_of_stream() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed by the node")
}
