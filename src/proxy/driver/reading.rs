//! What arrives at a worker's sockets is handed to the engine.

use std::io;

use super::READ;
use super::Worker;
use crate::proxy::core::Closed;
use crate::proxy::core::Link;

/// Reads of one connection in a turn, so that the others have theirs.
const READS: usize = 2;

impl Worker {
    /// Reads what has arrived.
    pub(super) fn read(&mut self, link: Link) {
        if !self.is_secured(link) {
            return;
        }
        for turn in 0.. {
            if !self.core.wants_input(link) {
                return;
            }
            let Some(connection) = self.sockets.connection(link) else {
                return;
            };
            if !connection.is_readable || connection.is_connecting {
                return;
            }
            if turn == READS {
                return self.sockets.resumed.push(link);
            }
            let room = match link {
                // What TLS has decrypted may be more than there is room for.
                Link::Session(key) if !connection.stream.has_tls() => self.core.session_room(key),
                _ => None,
            };
            if let Some(room) = room {
                let wanted = room.len();
                match connection.stream.read(&mut self.scratch, room) {
                    Ok(count) if count > 0 => {
                        connection.is_readable = count == wanted || connection.is_read_closed;
                        if let Link::Session(key) = link {
                            self.core.session_filled(&mut self.sockets, key, count);
                        }
                        continue;
                    }
                    read => {
                        if self.end_of_read(link, read) {
                            return;
                        }
                        continue;
                    }
                }
            }
            let buffer = &mut self.buffer[self.start..self.start + READ];
            match connection.stream.read(&mut self.scratch, buffer) {
                Ok(count) if count > 0 => {
                    // A short read was all there is: what comes later is told.
                    connection.is_readable = count == READ
                        || connection.is_read_closed
                        || connection.stream.may_hold_more();
                    let bytes = &self.buffer[self.start..self.start + count];
                    match link {
                        Link::Session(key) => {
                            self.core.session_input(&mut self.sockets, key, bytes);
                        }
                        Link::Backend(key) => {
                            self.core.backend_input(&mut self.sockets, key, bytes);
                        }
                    }
                }
                read => {
                    if self.end_of_read(link, read) {
                        return;
                    }
                }
            }
        }
    }

    /// A read gave no bytes: says whether there is nothing more to read.
    fn end_of_read(&mut self, link: Link, read: io::Result<usize>) -> bool {
        if let Err(error) = &read
            && error.kind() == io::ErrorKind::Interrupted
        {
            return false;
        }
        if let Some(connection) = self.sockets.connection(link) {
            connection.is_readable = false;
        }
        match (read, link) {
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
            (Ok(_), Link::Session(key)) => self.core.session_ended(&mut self.sockets, key),
            (Ok(_), Link::Backend(key)) => {
                self.core.backend_closed(&mut self.sockets, key, Closed::Eof);
            }
            (Err(error), _) => self.broken(link, error),
        }
        true
    }

    /// Reads what was not read before.
    pub(super) fn read_resumed(&mut self) {
        for link in std::mem::take(&mut self.sockets.resumed) {
            self.read(link);
        }
    }
}
