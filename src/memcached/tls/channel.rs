//! One connection with TLS.

use std::io;
use std::io::BufRead;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;

use super::config::TlsTarget;
use crate::net::BYTES_A_TURN;
use crate::net::Buffer;
use crate::net::Channel;
use crate::net::ChannelError;
use crate::net::clock::Deadline;
use crate::net::end_of_stream;

/// A [`Channel`] whose bytes are records of TLS; the bytes here are what is in them. Nothing that has arrived
/// stays behind in the channel, so that its socket says what there is to wait for.
#[derive(Debug)]
pub(in crate::memcached) struct TlsChannel {
    channel: Channel,
    session: ClientConnection,
    arrived: Buffer,
    /// Records that are to be sent, and how much of them was.
    records: Vec<u8>,
    sent: usize,
    /// Whether the node said that nothing more comes.
    is_closed: bool,
    /// Whether the last read took all that there was on the socket.
    had_room: bool,
}

impl TlsChannel {
    pub(in crate::memcached) fn new(channel: Channel, target: &TlsTarget) -> io::Result<Self> {
        let session = ClientConnection::new(Arc::clone(&target.config), target.name.clone())
            .map_err(broken)?;
        Ok(Self {
            channel,
            session,
            arrived: Buffer::default(),
            records: Vec::new(),
            sent: 0,
            is_closed: false,
            had_room: false,
        })
    }

    /// Goes on with the handshake as far as it goes without waiting, and says whether it is over.
    pub(in crate::memcached) fn secure(&mut self) -> io::Result<bool> {
        loop {
            self.flush()?;
            if !self.session.is_handshaking() {
                return Ok(self.is_flushed());
            }
            if self.channel.try_receive(1)? == 0 {
                return Ok(false);
            }
            self.decrypt()?;
            if self.is_closed {
                return Err(end_of_stream());
            }
        }
    }

    pub(in crate::memcached) fn arrived(&self) -> &[u8] {
        self.arrived.bytes()
    }

    pub(in crate::memcached) fn take(&mut self, count: usize) {
        self.arrived.take(count);
    }

    pub(in crate::memcached) fn has_rested(&mut self, now: Instant) -> bool {
        self.channel.has_rested(now)
    }

    /// Whether all records have been sent that there are.
    pub(in crate::memcached) fn is_flushed(&self) -> bool {
        self.records.is_empty()
    }

    /// As with a channel. There is more to hear where the end is known and was not told yet.
    #[cfg_attr(not(feature = "memcache-aio"), allow(dead_code, reason = "readiness needs it"))]
    pub(in crate::memcached) fn has_room(&self) -> bool {
        self.had_room && !self.is_closed
    }

    pub(in crate::memcached) fn send(
        &mut self,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), ChannelError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // It takes no more at once than is sensible to hold.
            let count = self.session.writer().write(rest)?;
            rest = &rest[count..];
            self.encrypt()?;
            self.channel.send(&self.records[self.sent..], deadline)?;
            self.forget_records();
        }
        if bytes.len() > BYTES_A_TURN {
            // It took time, perhaps, and only a send that goes in pieces sees to that itself.
            self.channel.tighten(deadline)?;
        }
        Ok(())
    }

    pub(in crate::memcached) fn begin_to_wait(&mut self, deadline: Deadline) -> io::Result<()> {
        self.channel.begin_to_wait(deadline)
    }

    /// As with a channel; false also if what arrived was TLS's own affair, or a part of a record.
    pub(in crate::memcached) fn receive(
        &mut self,
        missing: usize,
        deadline: Deadline,
    ) -> io::Result<bool> {
        self.prepare(missing)?;
        let has_arrived = self.channel.receive(missing.min(BYTES_A_TURN), deadline)?;
        Ok(has_arrived && self.decrypt()? > 0)
    }

    pub(in crate::memcached) fn tighten(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        self.channel.tighten(deadline)
    }

    pub(in crate::memcached) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if !self.is_flushed() {
            return Ok(0);
        }
        let count = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    pub(in crate::memcached) fn try_receive(&mut self, missing: usize) -> io::Result<usize> {
        self.prepare(missing)?;
        let mut seen = 0;
        while seen < BYTES_A_TURN {
            let count = self.channel.try_receive(missing.min(BYTES_A_TURN))?;
            self.had_room = self.channel.has_room();
            if count == 0 {
                return Ok(0);
            }
            seen += count;
            match self.decrypt()? {
                0 if self.is_closed => return Err(end_of_stream()),
                // A ticket for a later session, or a part of a record.
                0 => {}
                count => return Ok(count),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "TLS without anything in it"))
    }

    /// What comes before each attempt to receive.
    fn prepare(&mut self, missing: usize) -> io::Result<()> {
        if self.is_closed {
            return Err(end_of_stream());
        }
        self.flush()?;
        self.arrived.reserve(missing);
        Ok(())
    }

    /// Has TLS read what has arrived on the channel. Returns how many bytes were in it for us.
    fn decrypt(&mut self) -> io::Result<usize> {
        let mut total = 0;
        while !self.channel.arrived().is_empty() && !self.is_closed {
            let mut bytes = self.channel.arrived();
            let count = self.session.read_tls(&mut bytes)?;
            self.channel.take(count);
            let state = match self.session.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The node is told why, if that goes.
                    let _ = self.flush();
                    return Err(broken(error));
                }
            };
            total += state.plaintext_bytes_to_read();
            self.is_closed = state.peer_has_closed();
            let mut reader = self.session.reader();
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let chunk = reader.fill_buf()?;
                let count = chunk.len();
                self.arrived.append(chunk);
                reader.consume(count);
                left -= count;
            }
        }
        Ok(total)
    }

    /// Writes as many records as go without waiting.
    fn flush(&mut self) -> io::Result<()> {
        self.encrypt()?;
        while self.sent < self.records.len() {
            match self.channel.try_send(&self.records[self.sent..])? {
                0 => return Ok(()),
                count => self.sent += count,
            }
        }
        self.forget_records();
        Ok(())
    }

    /// Puts what TLS wants to send to the records.
    fn encrypt(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.records)?;
        }
        Ok(())
    }

    fn forget_records(&mut self) {
        self.records.clear();
        self.sent = 0;
    }
}

impl AsFd for TlsChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Drop for TlsChannel {
    /// Says that nothing more comes, if that goes without waiting.
    fn drop(&mut self) {
        if !self.session.is_handshaking() {
            self.session.send_close_notify();
            let _ = self.flush();
        }
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
