//! What arrives at a worker's sockets is handed to the engine.

use std::io;

use super::READ;
use super::Worker;
use crate::proxy::core::Closed;
use crate::proxy::core::Link;
use crate::proxy::core::Passage;
use crate::proxy::core::Reading;

/// Reads of one connection in a turn, so that the others have theirs.
const READS: usize = 3;
/// Pieces of a large value in a turn: values that go to several clients come to their ends at one pace.
const PIECES: usize = 1;
/// As many times as many of one that is not read again.
const DRAINED: usize = 32;

impl Worker {
    /// Reads what has arrived.
    pub(super) fn read(&mut self, link: Link) {
        if !self.is_secured(link) {
            return;
        }
        for turn in 0.. {
            let reading = self.core.reading(link);
            if reading == Reading::Not || !self.is_readable(link) {
                return;
            }
            let most = if matches!(reading, Reading::Passage(_)) { PIECES } else { READS };
            if turn >= most {
                return self.sockets.resumed.push(link);
            }
            match self.read_once(link, reading) {
                Ok(count) if count > 0 => {}
                read => {
                    if self.end_of_read(link, read) {
                        return;
                    }
                }
            }
        }
    }

    /// Reads all that has arrived, within reason.
    pub(super) fn read_on(&mut self, link: Link) {
        for _ in 0..DRAINED {
            self.read(link);
            if self.sockets.resumed.pop_if(|last| *last == link).is_none() {
                return;
            }
        }
    }

    #[inline]
    fn is_readable(&mut self, link: Link) -> bool {
        let connection = self.sockets.connection(link);
        connection.is_some_and(|connection| connection.is_readable && !connection.is_connecting)
    }

    /// Reads to where the bytes are wanted, and answers how many they are.
    #[inline]
    fn read_once(&mut self, link: Link, reading: Reading) -> io::Result<usize> {
        let read = match (reading, link) {
            (Reading::Bytes(most), _) => return self.read_to_buffer(link, most),
            (Reading::Room, Link::Session(key)) => self.fill(key),
            (Reading::Pipe(room), Link::Session(key)) => self.pipe(key, room),
            (Reading::Passage(passage), Link::Backend(key)) => self.pass(key, passage),
            _ => None,
        };
        match read {
            Some(read) => read,
            None => self.read_to_buffer(link, usize::MAX),
        }
    }

    #[inline]
    fn read_to_buffer(&mut self, link: Link, most: usize) -> io::Result<usize> {
        let Some(connection) = self.sockets.connection(link) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        // What TLS has decrypted may be more.
        let wanted = if connection.stream.has_tls() { READ } else { READ.min(most) };
        let buffer = &mut self.buffer[self.start..self.start + wanted];
        let count = connection.stream.read(&mut self.scratch, buffer)?;
        if count == 0 {
            return Ok(0);
        }
        // A short read was all there is: what comes later is told.
        connection.is_readable =
            count == wanted || connection.is_read_closed || connection.stream.may_hold_more();
        let bytes = &self.buffer[self.start..self.start + count];
        match link {
            Link::Session(key) => self.core.session_input(&mut self.sockets, key, bytes),
            Link::Backend(key) => self.core.backend_input(&mut self.sockets, key, bytes),
        }
        Ok(count)
    }

    /// Has what is missing of a large request go into a pipe, if there is one. Answers how many bytes that were.
    #[inline]
    fn pipe(&mut self, key: usize, room: usize) -> Option<io::Result<usize>> {
        let piped = self.sockets.pipe(key, room);
        match piped {
            None => self.core.session_unpiped(&mut self.sockets, key),
            Some(Ok(count @ 1..)) => self.core.session_piped(key, count),
            Some(_) => {}
        }
        piped
    }

    /// Reads what is missing of a large request to where it is kept, if there is one.
    #[inline]
    fn fill(&mut self, key: usize) -> Option<io::Result<usize>> {
        let connection = self.sockets.connection(Link::Session(key))?;
        // What TLS has decrypted may be more than there is room for.
        if connection.stream.has_tls() {
            return None;
        }
        let room = self.core.session_room(key)?;
        let wanted = room.len();
        let read = connection.stream.read(&mut self.scratch, room);
        if let Ok(count @ 1..) = read {
            connection.is_readable = count == wanted || connection.is_read_closed;
            self.core.session_filled(&mut self.sockets, key, count);
        }
        Some(read)
    }

    /// Has what a node sends go to a client from socket to socket, if it can. Answers how many bytes have come.
    #[inline]
    fn pass(&mut self, key: usize, passage: Passage) -> Option<io::Result<usize>> {
        let passed = match self.sockets.pass(key, passage)? {
            Ok(passed) => passed,
            Err(error) => return Some(Err(error)),
        };
        let count = passed.count;
        if count > 0 {
            self.core.passed(&mut self.sockets, key, passage, passed);
        }
        Some(Ok(count))
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
