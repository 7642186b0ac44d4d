//! Replies of nodes, and what is said when there is none, on their way to the clients.

use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Pending;
use super::backend::Purpose;
use super::backend::Scan;
use super::backend::Stream;
use super::backends::Closed;
use super::memcache;
use super::session::BUFFERED;
use super::sessions::Ending;
use super::sessions::is_error;
use super::ticket::Gathering;
use super::ticket::How;
use super::ticket::State;
use crate::protocol::resp::Body;
use crate::protocol::resp::Header;
use crate::proxy::reply;
use crate::proxy::settings::Protocol;

/// A reply larger than this goes to the client as it comes.
const STREAMED: usize = 16 << 10;

impl Core {
    /// A reply has come that a session waits for.
    #[inline]
    pub(super) fn answer(
        &mut self,
        sockets: &mut impl Sockets,
        backend: usize,
        pending: Pending,
        reply: &[u8],
    ) -> Result<(), Closed> {
        match pending.purpose {
            Purpose::Whole => {
                self.deliver(&pending, reply);
                Ok(())
            }
            Purpose::Part(part) => self.take_part(&pending, part, Ok(reply)),
            Purpose::Cursor => match self.translate_cursor(&pending, backend, reply) {
                Ok(reply) => {
                    self.deliver(&pending, &reply);
                    Ok(())
                }
                Err(closed) => {
                    // It is not in the queue any more.
                    self.fail(sockets, pending, b"Invalid argument");
                    Err(closed)
                }
            },
            Purpose::Release => {
                self.deliver(&pending, reply);
                // After an error nobody knows what the connection is in the middle of.
                self.backends[backend].is_retired |= is_error(reply);
                self.own_backend_done(sockets, backend, &pending);
                Ok(())
            }
            Purpose::Nothing | Purpose::Greeting | Purpose::Probe | Purpose::Subscription => Ok(()),
        }
    }

    /// Gives a reply to the ticket that waits for it, if its session is still there.
    #[inline]
    pub(super) fn deliver(&mut self, pending: &Pending, reply: &[u8]) {
        let key = pending.session as usize;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.serial != pending.serial {
            return;
        }
        let place = session.place_of(pending.ticket);
        let Some(ticket) = session.queue.get(place) else {
            return;
        };
        let (command, at) = (ticket.command, ticket.at);
        let reply = match self.pools[session.pool].settings.protocol {
            Protocol::Memcache => memcache::shown(pending.asked, reply),
            Protocol::Redis => reply,
        };
        session.put(place, reply, &mut self.buffers);
        self.count_answer(key, command, at, is_error(reply));
        self.answered(key, place);
    }

    #[inline]
    fn count_answer(&mut self, session: usize, command: u16, at: u32, is_error: bool) {
        let pool = &mut self.pools[self.sessions[session].pool];
        let counters = &mut pool.counters.commands[usize::from(command)];
        counters.requests += 1;
        counters.errors += u64::from(is_error);
        let time = (self.micros as u32).wrapping_sub(at);
        counters.latency.record(std::time::Duration::from_micros(time.into()));
    }

    /// The reply to the ticket at this place is there.
    #[inline]
    fn answered(&mut self, key: usize, place: usize) {
        if place == 0 {
            self.mark_dirty(Link::Session(key));
        }
        let session = &self.sessions[key];
        if session.is_stalled {
            let may_go_on =
                if session.is_barred { session.queue.is_empty() } else { session.has_room() };
            if may_go_on {
                self.wake(key);
            }
        }
    }

    /// There is no reply: `text` says why. The request is answered all the same.
    pub(super) fn fail(&mut self, sockets: &mut impl Sockets, pending: Pending, text: &[u8]) {
        let key = pending.session as usize;
        let Some(session) = self.session_of(key, pending.serial) else {
            return;
        };
        if session.is_streamed && session.place_of(pending.ticket) == 0 {
            // Half of a reply was sent, and nothing can follow it.
            return self.end_session(sockets, key, Ending::Error);
        }
        let pool = session.pool;
        self.pools[pool].counters.forward_error += 1;
        let error = reply::error(self.pools[pool].settings.protocol, text);
        match pending.purpose {
            Purpose::Part(part) => {
                // An error is no broken reply.
                let _ = self.take_part(&pending, part, Err(error));
            }
            _ => self.deliver(&pending, &error),
        }
    }

    /// Takes the reply of one node of several.
    fn take_part(
        &mut self,
        pending: &Pending,
        part: u16,
        reply: Result<&[u8], Vec<u8>>,
    ) -> Result<(), Closed> {
        let key = pending.session as usize;
        let Some(session) = self.sessions.get_mut(key) else {
            return Ok(());
        };
        if session.serial != pending.serial {
            return Ok(());
        }
        let place = session.place_of(pending.ticket);
        let Some(ticket) = session.queue.get_mut(place) else {
            return Ok(());
        };
        let State::Gathering(gathering) = &mut ticket.state else {
            return Ok(());
        };
        let broken = match reply {
            Ok(reply) => {
                let broken = broken_part(gathering, part, reply);
                let taken = match broken {
                    None => {
                        let mut bytes = self.buffers.take();
                        bytes.extend_from_slice(reply);
                        Ok(bytes)
                    }
                    Some(_) => {
                        let protocol = self.pools[session.pool].settings.protocol;
                        Err(reply::error(protocol, b"Invalid argument"))
                    }
                };
                session.held += gathering.take(usize::from(part), taken);
                broken
            }
            Err(error) => {
                session.held += gathering.take(usize::from(part), Err(error));
                None
            }
        };
        if gathering.left == 0 {
            self.finish_gathering(key, place);
        }
        match broken {
            Some(what) => Err(Closed::Broken(what.into())),
            None => Ok(()),
        }
    }

    /// All parts are there.
    fn finish_gathering(&mut self, key: usize, place: usize) {
        let session = &mut self.sessions[key];
        let pool = &self.pools[session.pool];
        let is_resp3 = session.is_resp3;
        let Some(ticket) = session.queue.get_mut(place) else {
            return;
        };
        let State::Gathering(mut gathering) = std::mem::replace(&mut ticket.state, State::Waiting)
        else {
            return;
        };
        let (command, at) = (ticket.command, ticket.at);
        session.held -= gathering.bytes();
        let gathered = match &gathering.how {
            How::Split(_) | How::All(_) | How::Found => {
                super::redis::gather(&gathering, pool, is_resp3, &mut self.buffers)
            }
            How::Values { .. } | How::Lines | How::Stats => {
                memcache::gather(&gathering, pool, &mut self.buffers)
            }
        };
        session.put(place, &gathered, &mut self.buffers);
        self.count_answer(key, command, at, is_error(&gathered));
        self.buffers.give(gathered);
        for part in gathering.parts.drain(..) {
            if let Some(Ok(bytes) | Err(bytes)) = part.reply {
                self.buffers.give(bytes);
            }
        }
        self.answered(key, place);
    }

    /// A reply that is not complete: whether it is one that goes to the client as it comes.
    #[inline]
    pub(super) fn begin_stream(&mut self, key: usize, pending: Pending, rest: &[u8]) -> bool {
        if pending.purpose != Purpose::Whole {
            return false;
        }
        let backend = &mut self.backends[key];
        let (length, tail): (usize, &'static [u8]) = match &backend.scanner {
            Scan::Redis(_) => match Header::read(rest) {
                Ok(Some(Header { length, body: Body::String(string) })) => {
                    (length + string + 2, b"\r\n")
                }
                _ => return false,
            },
            Scan::Memcache(_) => match memcache::only_value(pending.asked, rest) {
                Some(length) => (length, b"\r\nEND\r\n"),
                None => return false,
            },
        };
        if length <= STREAMED || rest.len() >= length {
            return false;
        }
        let session = self.sessions.get_mut(pending.session as usize);
        let Some(session) = session.filter(|session| session.serial == pending.serial) else {
            return false;
        };
        if session.place_of(pending.ticket) != 0 || session.queue.is_empty() {
            return false;
        }
        session.is_streamed = true;
        backend.scanner.reset();
        backend.stream = Some(Stream { left: length, tail, length });
        true
    }

    /// Passes on what has come of a reply, and answers how much that is.
    pub(super) fn take_stream(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        bytes: &[u8],
    ) -> Result<usize, Closed> {
        let backend = &mut self.backends[key];
        let (Some(stream), Some(&pending)) = (&mut backend.stream, backend.queue.front()) else {
            return Ok(bytes.len());
        };
        let count = stream.left.min(bytes.len());
        let piece = &bytes[..count];
        let (before, tail) = (stream.left, stream.tail);
        stream.left -= count;
        let (left, length) = (stream.left, stream.length);
        if !ends_with_part(piece, before, tail) {
            return Err(Closed::Broken("a value does not end where it should".into()));
        }
        if left == 0 {
            backend.stream = None;
            backend.queue.pop_front();
            let counters = &mut self.counters[backend.counters];
            counters.responses += 1;
            let time = self.micros.saturating_sub(pending.at);
            counters.latency.record(std::time::Duration::from_micros(time));
        }
        let session = pending.session as usize;
        if self.session_of(session, pending.serial).is_none() {
            return Ok(count);
        }
        self.send_to_session(sockets, session, piece);
        if left == 0 && self.session_of(session, pending.serial).is_some() {
            let session = &mut self.sessions[session];
            session.is_streamed = false;
            session.learn(length);
            let ticket = session.queue.front().map(|ticket| (ticket.command, ticket.at));
            session.pop_answered(&mut self.buffers);
            if let Some((command, at)) = ticket {
                self.count_answer(pending.session as usize, command, at, false);
            }
            self.answered(pending.session as usize, 0);
            self.push_held(sockets, pending.session as usize);
        }
        Ok(count)
    }

    /// A client has taken what it was sent: nodes that waited for it are read again.
    pub(super) fn resume_paused(&mut self, sockets: &mut impl Sockets, key: usize) {
        let session = &mut self.sessions[key];
        if session.paused.is_empty() || session.buffered() >= BUFFERED / 2 {
            return;
        }
        for backend in std::mem::take(&mut session.paused) {
            self.resume_backend(sockets, backend);
        }
    }
}

/// Whether `piece`, of which `left` bytes and less are missing until the end, has its share of the tail.
fn ends_with_part(piece: &[u8], left: usize, tail: &[u8]) -> bool {
    // Where the tail begins in the piece, if it does; what of it has passed before.
    let start = left.saturating_sub(tail.len());
    let passed = tail.len().saturating_sub(left);
    let Some(part) = piece.get(start..) else {
        return true;
    };
    tail[passed..].starts_with(part)
}

/// What is wrong with the reply of a part, if something is: the node is not to be trusted then.
fn broken_part(gathering: &Gathering, part: u16, reply: &[u8]) -> Option<&'static str> {
    match &gathering.how {
        How::Split(split) => super::redis::broken_fragment(split, usize::from(part), reply),
        How::All(how) => super::redis::broken_reply(*how, reply),
        How::Values { keys, .. } => memcache::broken_values(keys.get(usize::from(part))?, reply),
        How::Found | How::Lines | How::Stats => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_checked_however_it_is_cut() {
        let tail = b"\r\nEND\r\n";
        let whole = b"value\r\nEND\r\n";
        for first in 0..whole.len() {
            for second in first..whole.len() {
                let pieces = [&whole[..first], &whole[first..second], &whole[second..]];
                let mut left = whole.len();
                for piece in pieces {
                    assert!(ends_with_part(piece, left, tail), "{first} {second}");
                    left -= piece.len();
                }
            }
        }
        assert!(!ends_with_part(b"value\r\nEND\rx", 12, tail));
        assert!(!ends_with_part(b"x", 1, tail));
        assert!(!ends_with_part(b"vaXue\r\nENd", 12, tail));
    }
}
