//! Large requests whose value never comes to the engine: it waits in a pipe of the system, and goes on from there.
//!
//! Only a command with one key and a large last argument goes this way, from a client that is in no transaction or
//! the like to a node's connection on which nothing waits to be sent. Whenever that does not hold in the end, the
//! value is taken back, and the request is one as any other.

use std::io;

use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Purpose;
use super::closing::Closed;
use super::large::Large;
use super::sessions::Ending;
use crate::command::Blocking;
use crate::command::Found;
use crate::node::NodeId;
use crate::protocol::resp::cut_request;
use crate::proxy::settings::Protocol;

/// If less than this is missing of a value, reading and writing it is as fast.
pub(super) const LEAST: usize = 128 << 10;
/// A pipe holds as much if it comes in large pieces.
const MOST: usize = 2 << 20;
/// What is behind a value.
const END: &[u8] = b"\r\n";

/// A request of which only the ends are here.
#[derive(Debug)]
pub(super) struct Piped {
    /// Its beginning, with the first bytes of the value.
    head: Vec<u8>,
    /// Bytes in the pipe.
    length: usize,
    /// Bytes of the value that have not come.
    missing: usize,
    /// What has come of the end.
    end: Vec<u8>,
}

/// What the beginning of a request tells of it.
struct Way {
    node: NodeId,
    /// Place of the command's counters.
    index: u16,
    /// Of the whole.
    length: usize,
}

impl Piped {
    fn len(&self) -> usize {
        self.head.len() + self.length + self.missing + END.len()
    }

    /// How much of what comes next may go into the pipe.
    pub(super) fn room(&self) -> Option<usize> {
        (self.missing > 0).then_some(self.missing)
    }

    /// Takes the end from the start of `bytes`, as far as it is there, and answers how much that was.
    fn finish(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(END.len() - self.end.len());
        self.end.extend_from_slice(&bytes[..count]);
        count
    }

    fn is_complete(&self) -> bool {
        self.end.len() == END.len()
    }

    pub(super) fn into_head(self) -> Vec<u8> {
        self.head
    }
}

impl Core {
    /// The request that begins with `bytes`, if the rest of it may go into a pipe.
    pub(super) fn piped(&mut self, key: usize, bytes: &[u8]) -> Option<Box<Piped>> {
        let length = self.sessions[key].needed;
        let missing = length.saturating_sub(bytes.len() + END.len());
        if missing < self.piped_from || length > MOST || self.goes_to(key, bytes)?.length != length
        {
            return None;
        }
        let mut head = self.buffers.take();
        head.extend_from_slice(bytes);
        Some(Box::new(Piped { head, length: 0, missing, end: Vec::new() }))
    }

    /// Where a request goes that begins with `head`, if it is one that is forwarded as it is.
    fn goes_to(&self, key: usize, head: &[u8]) -> Option<Way> {
        let session = &self.sessions[key];
        let pool = &self.pools[session.pool];
        if pool.settings.protocol != Protocol::Redis
            || session.mode.is_some()
            || !session.is_authenticated
        {
            return None;
        }
        let mut args = Vec::new();
        let length = cut_request(head, &mut args)?;
        let (found, index) = self.table.find_indexed(args.first()?, || args.get(1).copied());
        let Found::Rule(rule) = found else {
            return None;
        };
        let place = rule.only_key().filter(|place| place + 1 < args.len())?;
        if rule.is_administrative() || rule.blocking_time() != Blocking::No {
            return None;
        }
        let node = pool.snapshot.router().route(args[place]).ok()?;
        if pool.snapshot.member(node).endpoint().tls.is_some() {
            // What is encrypted is copied.
            return None;
        }
        Some(Way { node, index: index as u16, length })
    }

    /// So much has gone into the pipe.
    pub(crate) fn session_piped(&mut self, key: usize, count: usize) {
        let now = self.millis();
        let session = &mut self.sessions[key];
        session.active_at = now;
        self.pools[session.pool].counters.client_bytes_in += count as u64;
        if let Some(piped) = &mut session.piped {
            piped.length += count;
            piped.missing = piped.missing.saturating_sub(count);
        }
    }

    /// There is no pipe, or it takes no more: the request is read as any other.
    pub(crate) fn session_unpiped(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(piped) = self.sessions.get_mut(key).and_then(|session| session.piped.take())
        else {
            return;
        };
        match self.whole(sockets, key, *piped) {
            Ok(large) => self.sessions[key].large = Some(Box::new(large)),
            // Nobody has its bytes any more.
            Err(_) => self.end_session(sockets, key, Ending::Error),
        }
    }

    /// All that has come of a request, in one piece.
    fn whole(&mut self, sockets: &mut impl Sockets, key: usize, piped: Piped) -> io::Result<Large> {
        let mut large = Large::new(&piped.head, piped.len(), &mut self.buffers);
        if piped.length > 0 {
            sockets.take_back(key, &mut large.room()[..piped.length])?;
            large.fill(piped.length);
        } else {
            sockets.discard(key);
        }
        large.append(&piped.end);
        self.buffers.give(piped.head);
        Ok(large)
    }

    /// Takes what has come behind a value in a pipe, and answers how much that was. `None` if the client is gone.
    pub(super) fn end_piped(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        bytes: &[u8],
    ) -> Option<usize> {
        let Some(piped) = &mut self.sessions[key].piped else {
            return Some(0);
        };
        if piped.missing > 0 {
            // The pipe was not asked: what is there of the value came otherwise.
            self.session_unpiped(sockets, key);
            return self.sessions.contains(key).then_some(0);
        }
        let taken = piped.finish(bytes);
        if !piped.is_complete() {
            return Some(taken);
        }
        let serial = self.sessions[key].serial;
        let piped = self.sessions[key].piped.take()?;
        if piped.end == END && self.forward_piped(sockets, key, &piped) {
            self.buffers.give(piped.into_head());
            self.finish(key);
        } else {
            match self.whole(sockets, key, *piped) {
                Ok(large) => {
                    self.sessions[key].large = Some(Box::new(large));
                    self.take_large(sockets, key);
                }
                Err(_) => self.end_session(sockets, key, Ending::Error),
            }
        }
        self.session_of(key, serial).map(|_| taken)
    }

    /// Sends a request to its node from where it is, if that is possible now.
    fn forward_piped(&mut self, sockets: &mut impl Sockets, key: usize, piped: &Piped) -> bool {
        let session = &self.sessions[key];
        if !session.has_room() || session.is_barred && !session.queue.is_empty() {
            return false;
        }
        let (pool, serial, is_resp3) = (session.pool, session.serial, session.is_resp3);
        let Some(way) = self.goes_to(key, &piped.head) else {
            return false;
        };
        let backend = self.shared_backend(pool, way.node, serial, is_resp3);
        if !self.backends[backend].is_ready() || !self.backends[backend].out.is_empty() {
            return false;
        }
        self.sessions[key].is_barred = false;
        let pending = self.issue(key, way.index, Purpose::Whole, way.length);
        self.expect(backend, pending);
        if let Err(error) = self.pour(sockets, key, backend, piped) {
            // Half of a request may have been sent, and nothing can follow it.
            sockets.discard(key);
            self.backend_closed(sockets, backend, Closed::Io(error));
        }
        true
    }

    /// Sends what the node's socket takes, and keeps the rest for later.
    fn pour(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        backend: usize,
        piped: &Piped,
    ) -> io::Result<()> {
        let link = Link::Backend(backend);
        let (mut left, mut end) = (piped.length, END);
        let sent = sockets.send(link, &piped.head)?;
        let head = &piped.head[sent..];
        if head.is_empty() {
            left = sockets.pour(key, backend)?;
        }
        if head.is_empty() && left == 0 {
            end = &END[sockets.send(link, END)?..];
        }
        let length = head.len() + left + end.len();
        if length == 0 {
            return Ok(());
        }
        let mut block = self.buffers.take_block(length);
        block[..head.len()].copy_from_slice(head);
        block[head.len() + left..length].copy_from_slice(end);
        let value = &mut block[head.len()..head.len() + left];
        let taken = if left > 0 { sockets.take_back(key, value) } else { Ok(()) };
        if taken.is_ok() {
            self.backends[backend].out.append(&block[..length], &mut self.buffers);
            self.mark_dirty(link);
        }
        self.buffers.give_block(block);
        taken
    }
}
