//! TLS of one connection.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;

use rustls::Connection;

use super::arriving::Arriving;
use super::records::RECORD;
use super::records::Records;

/// Records that are encrypted before they are written.
const BATCH: usize = 4;
/// Bytes of records that are read at a time.
const READ: usize = 64 << 10;
/// A record and what is around it.
const OVERHEAD: usize = 2 << 10;

/// What is between the bytes of one connection and its socket. It holds a few records at the most in each direction:
/// what it does not hold is left to the socket, or to whoever writes.
pub(in crate::proxy) struct TlsSession {
    connection: Connection,
    /// Where what is sent has to be cut.
    records: Option<Records>,
    /// Where in a record what has arrived ends.
    arriving: Arriving,
    /// Bytes that are in records and not said to be sent, because not all of the records are written.
    held: usize,
    /// Whether the socket has nothing more at the moment.
    is_drained: bool,
    /// Whether the other side has said that nothing more comes, or nothing more comes.
    is_ended: bool,
    /// To be told when what arrived before it has been read.
    failure: Option<io::Error>,
}

impl TlsSession {
    pub(super) fn new(mut connection: Connection, records: Option<Records>) -> Self {
        // What is given to it is limited here, and a record that it takes only a part of would be cut elsewhere.
        connection.set_buffer_limit(None);
        let arriving = Arriving::default();
        Self {
            connection,
            records,
            arriving,
            held: 0,
            is_drained: false,
            is_ended: false,
            failure: None,
        }
    }

    /// Goes on with the handshake as far as that goes without waiting, and says whether it is over.
    ///
    /// # Errors
    ///
    /// If one end does not want the other.
    pub(in crate::proxy) fn secure(
        &mut self,
        socket: &mut (impl Read + Write),
        scratch: &mut Vec<u8>,
    ) -> io::Result<bool> {
        scratch.resize(READ, 0);
        loop {
            let is_flushed = self.flush(socket)?;
            if !self.connection.is_handshaking() {
                return Ok(is_flushed);
            }
            match socket.read(scratch) {
                Ok(0) => {
                    let text = "the connection was closed during the TLS handshake";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                }
                Ok(count) => {
                    self.take_in(&scratch[..count], &mut []);
                    if let Some(error) = self.failure.take() {
                        // The other side is told why, if that goes.
                        let _ = self.flush(socket);
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what has arrived: at least one byte, or `WouldBlock`, or none at the end. A client's handshake goes on
    /// by the way. The buffer has to have room for a read and a record.
    ///
    /// # Errors
    ///
    /// The socket's, and if what arrives is not TLS as it was agreed upon; the other side has been told so then.
    pub(in crate::proxy) fn read(
        &mut self,
        socket: &mut (impl Read + Write),
        scratch: &mut Vec<u8>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        scratch.resize(READ, 0);
        let mut filled = self.drain(buffer);
        // There is room for what is read, and for what was there of a record before: nothing stays behind.
        while !self.is_ended
            && self.failure.is_none()
            && buffer.len() - filled >= READ + RECORD + OVERHEAD
        {
            self.is_drained = false;
            match socket.read(scratch) {
                Ok(0) => self.is_ended = true,
                Ok(count) => {
                    filled += self.take_in(&scratch[..count], &mut buffer[filled..]);
                    if let Err(error) = self.flush(socket) {
                        self.failure.get_or_insert(error);
                    }
                    // A short read was all there is; but whoever got nothing has to know for certain.
                    if count < READ && filled > 0 {
                        self.is_drained = true;
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_drained = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failure = Some(error),
            }
        }
        if filled > 0 {
            return Ok(filled);
        }
        match self.failure.take() {
            Some(error) => Err(error),
            None if self.is_ended => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes bytes, and says how many were written to the socket. Of those that were not, some may be in records
    /// already: the next write has to begin with the same bytes.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub(in crate::proxy) fn write(
        &mut self,
        socket: &mut impl Write,
        bytes: &[u8],
    ) -> io::Result<usize> {
        if self.connection.is_handshaking() {
            return Ok(0);
        }
        let mut sent = 0;
        while self.flush(socket)? {
            sent += std::mem::take(&mut self.held).min(bytes.len() - sent);
            if sent == bytes.len() {
                break;
            }
            self.encrypt(&bytes[sent..])?;
        }
        Ok(sent)
    }

    /// Writes what rustls has to send, and says whether that was all of it.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub(in crate::proxy) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more comes, if that goes without waiting.
    pub(in crate::proxy) fn close(&mut self, socket: &mut impl Write) {
        if !self.connection.is_handshaking() {
            self.connection.send_close_notify();
            let _ = self.flush(socket);
        }
    }

    pub(in crate::proxy) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether a record, or the handshake, has arrived in part.
    pub(in crate::proxy) fn holds_part(&self) -> bool {
        self.arriving.is_part() || self.is_handshaking()
    }

    /// Whether another read may find something, though the poll tells of nothing new.
    pub(in crate::proxy) fn may_hold_more(&self) -> bool {
        !self.is_drained || self.is_ended || self.failure.is_some()
    }

    /// Gives rustls what has arrived; answers how many bytes were in it for us.
    fn take_in(&mut self, mut arrived: &[u8], buffer: &mut [u8]) -> usize {
        self.arriving.pass(arrived);
        let mut filled = 0;
        while !arrived.is_empty() && !self.is_ended && self.failure.is_none() {
            if let Err(error) = self.connection.read_tls(&mut arrived) {
                self.failure = Some(error);
                break;
            }
            match self.connection.process_new_packets() {
                Ok(state) => self.is_ended = state.peer_has_closed(),
                Err(error) => self.failure = Some(failed(error)),
            }
            filled += self.drain(&mut buffer[filled..]);
        }
        filled
    }

    /// Takes from rustls what it has decrypted.
    fn drain(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.connection.reader().read(&mut buffer[filled..]) {
                // What an end, or nothing yet, means is known elsewhere.
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        filled
    }

    /// Puts the beginning of `bytes` into records.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        for _ in 0..BATCH {
            if rest.is_empty() {
                break;
            }
            let length = match &mut self.records {
                Some(records) => records.next(rest),
                None => rest.len().min(RECORD),
            };
            self.connection.writer().write_all(&rest[..length])?;
            self.held += length;
            rest = &rest[length..];
        }
        Ok(())
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession").field("held", &self.held).finish_non_exhaustive()
    }
}

/// rustls's words name what was wrong, and what the certificate is for, but no keys. A word in capitals in front would be
/// an error code to Redis's clients.
pub(super) fn failed(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot speak TLS: {error}"))
}
