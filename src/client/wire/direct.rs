//! A TCP or unix socket of our own.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::RawFd;
use std::time::Duration;
use std::time::Instant;

use redis::Value;
use rustix::net::RecvFlags;

use super::buffer::Buffer;
use super::link::WireError;
use super::poll::Interest;
use super::poll::wait;
use super::socket::Socket;
use super::value;
use crate::client::clock;
use crate::client::clock::Deadline;
use crate::protocol::resp::Scanner;

/// A socket that blocks, what has arrived on it, and how many replies are owed.
///
/// One request costs one write and one read, as in redis-rs: the socket's own timeout keeps the deadline,
/// and the clock is looked at again only when a request or its reply goes in pieces. Together with others
/// the same socket is read and written without blocking.
#[derive(Debug)]
pub(crate) struct Direct {
    socket: Socket,
    arrived: Buffer,
    scanner: Scanner,
    /// Requests that were sent and not answered.
    owed: usize,
    /// What the socket's timeout is set to.
    timeout: Option<Duration>,
    last_used: Instant,
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

impl Direct {
    pub(super) fn new(socket: Socket, now: Instant) -> Self {
        Self {
            socket,
            arrived: Buffer::default(),
            scanner: Scanner::default(),
            owed: 0,
            timeout: None,
            last_used: now,
        }
    }

    pub(super) fn is_usable(&mut self, now: Instant) -> bool {
        let rested = now.saturating_duration_since(self.last_used) > RESTED;
        self.last_used = now;
        if rested {
            match self.socket.peek() {
                // Messages may come at any time. They are read, to see what is behind them.
                Ok(Some(b'>')) if self.read_what_is_there().is_ok() => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return false,
            }
        }
        self.owed == 0 && self.holds_only_messages()
    }

    fn read_what_is_there(&mut self) -> Result<(), WireError> {
        let mut received = 0;
        while received < BYTES_A_TURN {
            match self.try_receive()? {
                0 => break,
                count => received += count,
            }
        }
        Ok(())
    }

    /// Whether nothing has arrived but push messages, the last of which may be incomplete.
    #[inline]
    fn holds_only_messages(&self) -> bool {
        let mut rest = self.arrived.bytes();
        while let Some(kind) = rest.first() {
            match Scanner::default().scan(rest) {
                Ok(length) if *kind == b'>' => rest = length.map_or(&[], |length| &rest[length..]),
                _ => return false,
            }
        }
        true
    }

    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        requests: usize,
        deadline: Deadline,
    ) -> Result<(), WireError> {
        self.owed += requests;
        self.bound(deadline.limit())?;
        let sent = self.socket.try_send(bytes)?;
        if sent < bytes.len() { self.send_slowly(&bytes[sent..], deadline) } else { Ok(()) }
    }

    /// Writes what did not fit into the socket's buffer as the node takes it. The socket's own timeout
    /// would not do: a unix socket's begins anew with each piece.
    #[cold]
    fn send_slowly(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), WireError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let now = clock::now();
            if deadline.has_passed(now) {
                return Err(WireError::Deadline);
            }
            wait([Some(Interest::Writable(self.as_fd()))].into_iter(), deadline.left(now))?;
            rest = &rest[self.socket.try_send(rest)?..];
        }
        self.tighten(deadline)
    }

    pub(super) fn receive(
        &mut self,
        deadline: Deadline,
        on_push: &mut dyn FnMut(Value),
    ) -> Result<(Value, usize), WireError> {
        if let Some(reply) = self.next_reply(on_push)? {
            return Ok(reply);
        }
        if deadline.limit().is_some_and(|limit| self.timeout.is_none_or(|other| other > limit)) {
            // The request had another deadline than its reply.
            self.bound(deadline.limit())?;
        }
        // Without any time left, what has arrived is still read.
        let is_over = deadline.limit() == Some(Duration::ZERO);
        let flags = if is_over { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        loop {
            if let Some(reply) = self.next_reply(on_push)? {
                return Ok(reply);
            }
            self.make_room();
            match self.arrived.receive(&self.socket, flags) {
                Ok(0) => return Err(end_of_stream()),
                Ok(_) => {
                    // Nearly always this is the whole reply, and the clock need not be asked.
                    if let Some(reply) = self.next_reply(on_push)? {
                        return Ok(reply);
                    }
                }
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error.into()),
            }
            self.tighten(deadline)?;
        }
    }

    /// The next reply that has arrived whole, with its length on the wire.
    pub(crate) fn next_reply(
        &mut self,
        on_push: &mut dyn FnMut(Value),
    ) -> Result<Option<(Value, usize)>, WireError> {
        while let Some(length) = self.whole_frame()? {
            let is_push = self.arrived.bytes().first() == Some(&b'>');
            if !is_push && self.owed == 0 {
                return Err(WireError::Broken("a reply that nobody asked for".into()));
            }
            let value = self.take_frame(length)?;
            if is_push {
                on_push(value);
            } else {
                self.owed -= 1;
                return Ok(Some((value, length)));
            }
        }
        Ok(None)
    }

    /// The next value that has arrived whole, be it a reply or not.
    pub(super) fn next_value(&mut self) -> Result<Option<Value>, WireError> {
        match self.whole_frame()? {
            Some(length) => self.take_frame(length).map(Some),
            None => Ok(None),
        }
    }

    fn whole_frame(&mut self) -> Result<Option<usize>, WireError> {
        if self.arrived.is_empty() {
            return Ok(None);
        }
        Ok(self.scanner.scan(self.arrived.bytes())?)
    }

    fn take_frame(&mut self, length: usize) -> Result<Value, WireError> {
        let bytes = &self.arrived.bytes()[..length];
        let value = value::read(bytes).map_err(|error| WireError::Broken(error.to_string()))?;
        self.arrived.take(length);
        Ok(value)
    }

    /// Notes that `requests` requests are about to be written with [`try_send`](Self::try_send).
    pub(crate) fn owe(&mut self, requests: usize) {
        self.owed += requests;
    }

    /// Writes as much of `bytes` as goes without waiting.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_send(bytes)
    }

    /// Reads what has arrived, without waiting. Returns the number of bytes; 0 if nothing has.
    pub(crate) fn try_receive(&mut self) -> Result<usize, WireError> {
        self.make_room();
        match self.arrived.receive(&self.socket, RecvFlags::DONTWAIT) {
            Ok(0) => Err(end_of_stream()),
            Ok(count) => Ok(count),
            Err(error) if is_early(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the last read left room, and so took all there was.
    #[cfg(feature = "tokio-comp")]
    pub(crate) fn has_room(&self) -> bool {
        self.arrived.has_room()
    }

    fn make_room(&mut self) {
        let missing =
            if self.arrived.is_empty() { 1 } else { self.scanner.missing(self.arrived.bytes()) };
        self.arrived.reserve(missing);
    }

    /// Sets the socket's timeout to `limit`, if it is not.
    fn bound(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if self.timeout != limit {
            self.socket.set_timeout(limit)?;
            self.timeout = limit;
        }
        Ok(())
    }

    /// After a write that took time or a read that did not finish: bounds the next read by what is left.
    #[cold]
    fn tighten(&mut self, deadline: Deadline) -> Result<(), WireError> {
        let now = clock::now();
        let Some(left) = deadline.left(now) else {
            return Ok(self.bound(None)?);
        };
        if left.is_zero() {
            return Err(WireError::Deadline);
        }
        match self.timeout {
            Some(timeout) if timeout <= left + SLACK => Ok(()),
            _ => Ok(self.bound(Some(left))?),
        }
    }
}

impl AsFd for Direct {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Direct {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Whether a read ended before something arrived: its time was over, or a signal came. Reading on after a
/// signal would wait for as long again, and a process that gets one every 10 ms (a profiler's) for ever.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn end_of_stream() -> WireError {
    WireError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed by the node"))
}
