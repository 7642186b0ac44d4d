//! Replies of nodes, and what is said when there is none, on their way to the clients.

use super::Closed;
use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Pending;
use super::backend::Purpose;
use super::backend::Stream;
use super::memcache;
use super::session::BUFFERED;
use super::sessions::Ending;
use super::sessions::is_error;
use super::ticket::Gathering;
use super::ticket::How;
use super::ticket::State;
use super::ticket::Ticket;
use crate::proxy::reply;
use crate::proxy::settings::Protocol;

/// Of a reply that is not complete so much goes to the client at once.
pub(super) const STREAMED: usize = 16 << 10;
/// What follows such a reply may be as large.
const LARGE: usize = 48 << 10;
/// What is said of a value that was not asked for.
pub(super) const OTHER_KEY: &str = "it sent the value of a key that it was not asked for";
/// A reply may be so large: as much as Redis's largest string, and what is around it.
pub(super) const HELD: usize = 513 << 20;
/// As many retrievals that are done with are kept to be used again.
const SPARE: usize = 64;

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
            Purpose::Outdated => {
                self.deliver(&pending, &super::redis::outdated_cursor());
                Ok(())
            }
            Purpose::Multi => {
                if !is_error(reply) && reply != b"+OK\r\n" {
                    self.fail(sockets, pending, b"Invalid argument");
                    return Err(Closed::Broken("its reply is none to a MULTI".into()));
                }
                self.take_multi(&pending, reply);
                self.deliver(&pending, reply);
                Ok(())
            }
            Purpose::Release => {
                self.deliver(&pending, reply);
                // After an error nobody knows what the connection is in the middle of.
                self.backends[backend].is_retired |= is_error(reply);
                self.own_backend_done(sockets, backend, &pending);
                Ok(())
            }
            Purpose::Nothing
            | Purpose::Begin
            | Purpose::Greeting
            | Purpose::Probe
            | Purpose::Subscription => Ok(()),
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
        if pending.purpose == Purpose::Begin {
            let pool = session.pool;
            self.pools[pool].counters.forward_error += 1;
            return self.refuse_to_begin(key, reply::error(Protocol::Redis, text));
        }
        if session.is_streamed && session.place_of(pending.ticket) == 0 {
            // Half of a reply was sent, and nothing can follow it.
            return self.end_session(sockets, key, Ending::Error);
        }
        let pool = session.pool;
        self.pools[pool].counters.forward_error += 1;
        let error = reply::error(self.pools[pool].settings.protocol, text);
        match pending.purpose {
            // The connection is about to be lost, and the transaction with it. After an error the client would be in
            // none, and what it has sent behind its MULTI by now would be carried out one by one.
            Purpose::Multi => self.deliver(&pending, b"+OK\r\n"),
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
        // What is next for the client is put together where it goes.
        let is_next = place == 0;
        let mut out = match is_next {
            true => session.out.take(&mut self.buffers),
            false => self.buffers.take(),
        };
        let start = out.len();
        let broken = match &gathering.how {
            How::Split(_) | How::All(_) | How::Found => {
                super::redis::gather(&gathering, pool, is_resp3, &mut out)
            }
            How::Values(_) | How::Lines | How::Stats => {
                memcache::gather(&gathering, pool, &mut out);
                None
            }
        };
        // It may have another number than when it was asked.
        if let Some(node) = broken.and_then(|node| gathering.node_now(pool, node)) {
            self.distrusted.push((session.pool, node, session.serial, is_resp3));
        }
        let is_error = is_error(&out[start..]);
        if is_next {
            session.learn(out.len() - start);
            session.out.put_back(out);
            session.pop(&mut self.buffers);
        } else {
            session.put(place, &out, &mut self.buffers);
            self.buffers.give(out);
        }
        self.count_answer(key, command, at, is_error);
        for part in gathering.parts.drain(..) {
            if let Some(Ok(bytes) | Err(bytes)) = part.reply {
                self.buffers.give(bytes);
            }
        }
        match gathering.how {
            How::Split(split) => self.room.give(split),
            How::Values(retrieval) if self.retrievals.len() < SPARE => {
                self.retrievals.extend(retrieval.into_cleared());
            }
            _ => {}
        }
        self.answered(key, place);
    }

    /// A reply that is not complete: whether what is there of it goes on at once, to the client or to nobody.
    ///
    /// # Errors
    ///
    /// If it is none that may become complete.
    pub(super) fn begin_stream(
        &mut self,
        key: usize,
        pending: Pending,
        rest: &[u8],
    ) -> Result<bool, Closed> {
        if rest.first() == Some(&b'>') {
            // It is no reply.
            return Ok(false);
        }
        let known = self.backends[key].scanner.known(rest);
        let may_go_on = self.may_go_on(pending);
        let session = self.sessions.get_mut(pending.session as usize);
        let session = session.filter(|session| session.serial == pending.serial);
        let goes_on = match (pending.purpose, session) {
            (Purpose::Nothing, _) => true,
            (Purpose::Whole, Some(session)) => {
                let goes_on = may_go_on && known >= STREAMED;
                if goes_on && !self.backends[key].may_be_answered_with(pending.asked, rest) {
                    return Err(Closed::Broken(OTHER_KEY.into()));
                }
                session.is_streamed |= goes_on;
                goes_on
            }
            (Purpose::Part(part), Some(session)) => {
                let place = session.place_of(pending.ticket);
                if let Some(Ticket { state: State::Gathering(gathering), .. }) =
                    session.queue.get(place)
                    && let Some(what) = broken_start(gathering, part, rest)
                {
                    return Err(Closed::Broken(what.into()));
                }
                false
            }
            (Purpose::Whole | Purpose::Part(_) | Purpose::Cursor | Purpose::Outdated, None) => true,
            _ => false,
        };
        if goes_on {
            self.backends[key].stream = Some(Stream { length: 0 });
        } else if rest.len() > HELD {
            return Err(Closed::Broken("a reply is too large to be held".into()));
        }
        Ok(goes_on)
    }

    /// Whether a reply to this goes on before it is complete, once enough of it is there.
    pub(super) fn may_go_on(&self, pending: Pending) -> bool {
        let session = self.sessions.get(pending.session as usize);
        pending.purpose == Purpose::Whole
            && !pending.asked.may_be_hidden()
            && session.is_some_and(|session| {
                let is_there = session.serial == pending.serial && !session.queue.is_empty();
                is_there && session.place_of(pending.ticket) == 0
            })
    }

    /// Passes on what has come of a reply.
    pub(super) fn pass_on(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        pending: Pending,
        piece: &[u8],
    ) -> Result<(), Closed> {
        if let Some(stream) = &mut self.backends[key].stream {
            stream.length = stream.length.saturating_add(piece.len());
            if stream.length > HELD {
                return Err(Closed::Broken("a reply has no end".into()));
            }
        }
        let session = pending.session as usize;
        let is_awaited = pending.purpose == Purpose::Whole;
        if is_awaited && self.session_of(session, pending.serial).is_some() {
            self.send_to_session(sockets, session, piece);
        }
        Ok(())
    }

    /// Passes on the last piece of a reply.
    pub(super) fn end_stream(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        pending: Pending,
        piece: &[u8],
    ) -> Result<(), Closed> {
        self.pass_on(sockets, key, pending, piece)?;
        let Some(backend) = self.backends.get_mut(key) else {
            return Ok(());
        };
        let length = backend.stream.take().map_or(0, |stream| stream.length);
        backend.is_large = length >= LARGE;
        backend.pop();
        let counters = &mut self.counters[backend.counters];
        counters.responses += 1;
        let time = self.micros.saturating_sub(pending.at);
        counters.latency.record(std::time::Duration::from_micros(time));
        let session_key = pending.session as usize;
        if pending.purpose != Purpose::Whole
            || self.session_of(session_key, pending.serial).is_none()
        {
            return Ok(());
        }
        let session = &mut self.sessions[session_key];
        session.is_streamed = false;
        session.learn(length);
        let ticket = session.queue.front().map(|ticket| (ticket.command, ticket.at));
        session.pop(&mut self.buffers);
        if let Some((command, at)) = ticket {
            self.count_answer(session_key, command, at, false);
        }
        self.answered(session_key, 0);
        self.push_held(sockets, session_key);
        Ok(())
    }

    /// A client has taken what it was sent: nodes that waited for it are read again.
    pub(super) fn resume_paused(&mut self, sockets: &mut impl Sockets, key: usize) {
        let session = &mut self.sessions[key];
        if session.paused.is_none() || session.out.len() >= BUFFERED / 2 {
            return;
        }
        for backend in *session.paused.take().unwrap_or_default() {
            self.resume_backend(sockets, backend);
        }
    }
}

/// What is wrong with the reply of a part, if something is: the node is not to be trusted then.
fn broken_part(gathering: &Gathering, part: u16, reply: &[u8]) -> Option<&'static str> {
    match &gathering.how {
        How::Split(split) => super::redis::broken_fragment(split, usize::from(part), reply),
        How::All(how) => super::redis::broken_reply(*how, reply),
        How::Values(retrieval) => {
            memcache::broken_values(retrieval.keys().get(usize::from(part))?, reply)
        }
        How::Found | How::Lines | How::Stats => None,
    }
}

/// The same, for a reply of which only the start is there.
fn broken_start(gathering: &Gathering, part: u16, start: &[u8]) -> Option<&'static str> {
    match &gathering.how {
        How::Split(split) => super::redis::broken_start(split, usize::from(part), start),
        _ => None,
    }
}
