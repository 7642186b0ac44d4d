//! Memcached's protocols on a pipe.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::entry::Entry;
use super::entry::Read;
use super::link::LinkState;
use super::pieces::Pieces;
use crate::memcached::transport::Transport;
use crate::memcached::wire_error::WireError;
use crate::net::copy_of;
use crate::net::pipe::Reason;
use crate::net::pipe::Taken;
use crate::net::pipe::Wire;
use crate::protocol::memcache::Dialect;

/// A socket that has shaken hands, and who hears when it is closed.
pub(super) struct MemcacheWire {
    transport: Transport,
    dialect: Dialect,
    state: Arc<LinkState>,
    /// How much is missing of the next reply at least.
    missing: usize,
    /// In which pieces requests go, if that matters.
    pieces: Option<Pieces>,
}

impl MemcacheWire {
    pub(super) fn new(transport: Transport, dialect: Dialect, state: Arc<LinkState>) -> Self {
        let pieces = transport.piece().map(Pieces::new);
        Self { transport, dialect, state, missing: 1, pieces }
    }
}

impl Wire for MemcacheWire {
    type Entry = Entry;
    type Error = WireError;

    fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(pieces) = &mut self.pieces else {
            return self.transport.try_send(bytes);
        };
        let piece = &bytes[..pieces.next().min(bytes.len())];
        let count = self.transport.try_send(piece)?;
        pieces.sent(count);
        Ok(count)
    }

    fn is_flushed(&self) -> bool {
        self.transport.is_flushed()
    }

    fn try_receive(&mut self) -> Result<usize, WireError> {
        Ok(self.transport.try_receive(self.missing)?)
    }

    fn has_room(&self) -> bool {
        self.transport.has_room()
    }

    /// A reply is read by who waits for it: only where its request ends may have to be noted.
    fn expect(&mut self, entry: &Entry) {
        if let Some(pieces) = &mut self.pieces {
            entry.owed().for_each(|owed| pieces.add(owed.length));
        }
    }

    fn next_reply(&mut self, first: Option<&mut Entry>) -> Result<Taken, WireError> {
        let bytes = self.transport.arrived();
        self.missing = 1;
        if bytes.is_empty() {
            return Ok(Taken::Nothing);
        }
        let Some(entry) = first else {
            return Err(WireError::Broken("a reply that nobody asked for".into()));
        };
        match entry.read(bytes, self.dialect)? {
            Read::Missing(count) => {
                self.missing = count;
                Ok(Taken::Nothing)
            }
            Read::Taken { taken, length, is_in_step } => {
                self.transport.take(length);
                if is_in_step {
                    return Ok(taken);
                }
                // That was an answer, and no failure of the node; but nobody else can be answered.
                self.state.excuse();
                Err(WireError::OutOfStep)
            }
        }
    }

    fn close(&self) {
        self.state.close();
    }

    fn excuse(&self) {
        self.state.excuse();
    }

    fn end(&self) {
        self.state.end();
    }
}

impl AsRawFd for MemcacheWire {
    fn as_raw_fd(&self) -> RawFd {
        self.transport.as_fd().as_raw_fd()
    }
}

impl Reason for WireError {
    fn deadline() -> Self {
        Self::Deadline
    }

    fn copied(&self) -> Self {
        match self {
            Self::Io(error) => Self::Io(copy_of(error)),
            Self::Deadline => Self::Deadline,
            Self::Broken(why) => Self::Broken(why.clone()),
            Self::OutOfStep => Self::OutOfStep,
            Self::Refused(reason) => Self::Refused(reason.clone()),
            Self::Unsent => Self::Unsent,
            Self::Busy(count) => Self::Busy(*count),
        }
    }
}
