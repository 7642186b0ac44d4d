//! RESP on a pipe.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::entry::Entry;
use super::entry::Taken;
use crate::client::aio::link::LinkState;
use crate::client::wire::Direct;
use crate::client::wire::WireError;
use crate::net::pipe;
use crate::net::pipe::Reason;
use crate::net::pipe::Wire;

/// A socket that has shaken hands, and who hears when it is closed.
pub(super) struct RespWire {
    pub(super) direct: Direct,
    pub(super) state: Arc<LinkState>,
}

impl Wire for RespWire {
    type Entry = Entry;
    type Error = WireError;

    fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.direct.try_send(bytes)
    }

    fn try_receive(&mut self) -> Result<usize, WireError> {
        self.direct.try_receive()
    }

    fn has_room(&self) -> bool {
        self.direct.has_room()
    }

    fn expect(&mut self, entry: &Entry) {
        self.direct.owe(entry.missing());
    }

    fn next_reply(&mut self, first: Option<&mut Entry>) -> Result<pipe::Taken, WireError> {
        let Some((reply, _)) = self.direct.next_reply(&mut |_push| {})? else {
            return Ok(pipe::Taken::Nothing);
        };
        // A reply that nobody is owed was an error already.
        match first.map(|entry| entry.take(reply)) {
            Some(Taken::Some) | None => Ok(pipe::Taken::Some),
            Some(Taken::All) => Ok(pipe::Taken::All),
            Some(Taken::Doubtful) => {
                let why = "EXEC was refused, and its transaction may be open";
                Err(WireError::Broken(why.into()))
            }
        }
    }

    fn close(&self) {
        self.state.close();
    }

    fn end(&self) {
        self.state.end();
    }
}

impl AsRawFd for RespWire {
    fn as_raw_fd(&self) -> RawFd {
        self.direct.as_raw_fd()
    }
}

impl Reason for WireError {
    fn deadline() -> Self {
        Self::Deadline
    }

    fn copied(&self) -> Self {
        WireError::copied(self)
    }
}
