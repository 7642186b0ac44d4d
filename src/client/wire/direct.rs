//! A TCP or unix socket of our own.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::RawFd;
use std::time::Instant;

use redis::Value;

use super::link::WireError;
use super::value;
use crate::net::BYTES_A_TURN;
use crate::net::Channel;
use crate::net::Socket;
use crate::net::clock::Deadline;
use crate::protocol::resp::Scanner;

/// A channel, and how many replies are owed on it.
///
/// One request costs one write and one read, as in redis-rs.
#[derive(Debug)]
pub(crate) struct Direct {
    channel: Channel,
    scanner: Scanner,
    /// Requests that were sent and not answered.
    owed: usize,
}

impl Direct {
    pub(super) fn new(socket: Socket, now: Instant) -> Self {
        Self { channel: Channel::new(socket, now), scanner: Scanner::default(), owed: 0 }
    }

    pub(super) fn is_usable(&mut self, now: Instant) -> bool {
        if self.channel.has_rested(now) {
            match self.channel.peek() {
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
        let mut rest = self.channel.arrived();
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
        Ok(self.channel.send(bytes, deadline)?)
    }

    pub(super) fn receive(
        &mut self,
        deadline: Deadline,
        on_push: &mut dyn FnMut(Value),
    ) -> Result<(Value, usize), WireError> {
        if let Some(reply) = self.next_reply(on_push)? {
            return Ok(reply);
        }
        self.channel.begin_to_wait(deadline)?;
        loop {
            if self.channel.receive(self.missing(), deadline)?
                && let Some(reply) = self.next_reply(on_push)?
            {
                return Ok(reply);
            }
            self.channel.tighten(deadline)?;
        }
    }

    /// The next reply that has arrived whole, with its length on the wire.
    pub(crate) fn next_reply(
        &mut self,
        on_push: &mut dyn FnMut(Value),
    ) -> Result<Option<(Value, usize)>, WireError> {
        while let Some(length) = self.whole_frame()? {
            let is_push = self.channel.arrived().first() == Some(&b'>');
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
        if self.channel.arrived().is_empty() {
            return Ok(None);
        }
        Ok(self.scanner.scan(self.channel.arrived())?)
    }

    fn take_frame(&mut self, length: usize) -> Result<Value, WireError> {
        let bytes = &self.channel.arrived()[..length];
        let value = value::read(bytes).map_err(|error| WireError::Broken(error.to_string()))?;
        self.channel.take(length);
        Ok(value)
    }

    /// Notes that `requests` requests are about to be written with [`try_send`](Self::try_send).
    pub(crate) fn owe(&mut self, requests: usize) {
        self.owed += requests;
    }

    /// Writes as much of `bytes` as goes without waiting.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.try_send(bytes)
    }

    /// Reads what has arrived, without waiting. Returns the number of bytes; 0 if nothing has.
    pub(crate) fn try_receive(&mut self) -> Result<usize, WireError> {
        Ok(self.channel.try_receive(self.missing())?)
    }

    /// Whether the last read left room, and so took all there was.
    #[cfg(feature = "tokio-comp")]
    pub(crate) fn has_room(&self) -> bool {
        self.channel.has_room()
    }

    fn missing(&self) -> usize {
        match self.channel.arrived() {
            [] => 1,
            bytes => self.scanner.missing(bytes),
        }
    }
}

impl AsFd for Direct {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl AsRawFd for Direct {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
