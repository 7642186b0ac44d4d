//! Sessions: how they begin, take bytes in, and end.

use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Purpose;
use super::large::LARGE;
use super::large::Large;
use super::recycle;
use super::session::Session;
use super::ticket::State;
use super::ticket::Ticket;
use crate::proxy::reply;
use crate::proxy::settings::Protocol;

/// A request may be so long: as much as Redis keeps of one (`client-query-buffer-limit`).
const LONGEST: usize = 1 << 30;
/// Room is kept for so many arguments.
const ARGS: usize = 4096;
/// A client that has sent so much at once is answered by itself.
const BULKY: usize = 16 << 10;

/// What became of the bytes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// These many are done with.
    Bytes(usize),
    /// At least so many have to be there.
    Needs(usize),
    /// The request has to wait for others.
    Stalled,
    /// The session reads no more.
    Closed,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client closed its side.
    Eof,
    /// The connection broke, or the client did what it must not.
    Error,
    /// We have sent everything that is owed.
    Settled,
}

impl Core {
    /// A client of the pool at `pool` has connected. `None` if there are too many: it is to be told so and
    /// closed.
    pub(crate) fn session_opened(&mut self, pool: usize) -> Option<usize> {
        self.total_connections += 1;
        let clients: &mut super::pool::Pool = self.pools.get_mut(pool)?;
        let limit = clients.settings.client_connections.filter(|&limit| limit > 0);
        if clients.is_removed || limit.is_some_and(|limit| clients.clients >= limit as usize) {
            clients.counters.clients_refused += 1;
            return None;
        }
        clients.clients += 1;
        clients.counters.clients_accepted += 1;
        let is_authenticated = clients.settings.client_auth.is_none();
        self.next_serial = self.next_serial.wrapping_add(1);
        let session = Session::new(self.next_serial, pool, is_authenticated, self.millis());
        Some(self.sessions.insert(session))
    }

    /// How many clients there are.
    pub(crate) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many of them wait for a reply: looks at each.
    pub(crate) fn waiting_sessions(&self) -> usize {
        self.sessions.iter().filter(|(_, session)| !session.queue.is_empty()).count()
    }

    /// A client of the pool at `pool` was not taken in.
    pub(crate) fn session_refused(&mut self, pool: usize) {
        self.total_connections += 1;
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.counters.clients_refused += 1;
        }
    }

    /// What a client is told that is one too many.
    pub(crate) fn refusal(&self, pool: usize) -> &'static [u8] {
        match self.pools.get(pool).map(|pool| pool.settings.protocol) {
            Some(Protocol::Redis) => b"-ERR max number of clients reached\r\n",
            _ => b"SERVER_ERROR max number of clients reached\r\n",
        }
    }

    /// A client has sent `bytes`.
    pub(crate) fn session_input(&mut self, sockets: &mut impl Sockets, key: usize, bytes: &[u8]) {
        let now = self.millis();
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.active_at = now;
        self.pools[session.pool].counters.client_bytes_in += bytes.len() as u64;
        if session.is_closing {
            return;
        }
        session.is_large &= session.awaits_large();
        session.is_bulky = bytes.len() >= BULKY;
        let mut bytes = bytes;
        // More of a large request may show to be missing when it has come.
        while self.sessions[key].awaits_large() {
            let Some(taken) = self.take_of_large(sockets, key, bytes) else {
                return;
            };
            bytes = &bytes[taken..];
            if bytes.is_empty() {
                return;
            }
        }
        let session = &mut self.sessions[key];
        if session.is_closing {
            return;
        }
        let serial = session.serial;
        if session.rest.is_empty() {
            let used = self.take_requests(sockets, key, bytes);
            if used < bytes.len() && self.session_of(key, serial).is_some_and(|it| !it.is_closing) {
                self.keep(key, &bytes[used..]);
            }
        } else {
            session.rest.extend_from_slice(bytes);
            if !session.is_stalled && session.rest.len() >= session.needed {
                self.take_rest(sockets, key);
            }
        }
    }

    /// Takes what `bytes` hold of a large request, and answers how much that is. `None` if the client is gone.
    fn take_of_large(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        bytes: &[u8],
    ) -> Option<usize> {
        let Some(large) = &mut self.sessions[key].large else {
            return self.end_piped(sockets, key, bytes);
        };
        let taken = large.append(bytes);
        if large.is_complete() {
            self.take_large(sockets, key);
        }
        self.sessions.contains(key).then_some(taken)
    }

    /// Keeps the beginning of a request, or what has to wait.
    fn keep(&mut self, key: usize, bytes: &[u8]) {
        let session = &mut self.sessions[key];
        let missing = session.needed.saturating_sub(bytes.len());
        if missing >= LARGE && !session.is_stalled {
            session.is_large = true;
            let needed = session.needed;
            let piped = self.piped(key, bytes);
            let session = &mut self.sessions[key];
            if piped.is_none() {
                session.large = Some(Box::new(Large::new(bytes, needed, &mut self.buffers)));
            }
            session.piped = piped;
            return;
        }
        let mut rest = self.buffers.take();
        rest.extend_from_slice(bytes);
        session.rest = rest;
    }

    /// Where to read what is missing of a large request, if there is one. [`session_filled`](Self::session_filled)
    /// follows.
    #[inline]
    pub(crate) fn session_room(&mut self, key: usize) -> Option<&mut [u8]> {
        Some(self.sessions.get_mut(key)?.large.as_mut()?.room())
    }

    /// So much was read of a large request.
    pub(crate) fn session_filled(&mut self, sockets: &mut impl Sockets, key: usize, count: usize) {
        let now = self.millis();
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.active_at = now;
        self.pools[session.pool].counters.client_bytes_in += count as u64;
        if let Some(large) = &mut session.large {
            large.fill(count);
            if large.is_complete() {
                self.take_large(sockets, key);
            }
        }
    }

    /// Takes a large request that may be complete now: more of it may show to be missing.
    pub(super) fn take_large(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(large) = self.sessions[key].large.take() else {
            return;
        };
        let serial = self.sessions[key].serial;
        let used = self.take_requests(sockets, key, large.bytes());
        if used < large.bytes().len()
            && self.session_of(key, serial).is_some_and(|session| !session.is_closing)
        {
            self.keep(key, &large.bytes()[used..]);
        }
        self.buffers.give_block(large.into_block());
    }

    /// The session at `key`, if it is still the one with this serial number.
    #[inline]
    pub(super) fn session_of(&mut self, key: usize, serial: u32) -> Option<&mut Session> {
        self.sessions.get_mut(key).filter(|session| session.serial == serial)
    }

    /// Looks at what is there of requests, and keeps what is left.
    fn take_rest(&mut self, sockets: &mut impl Sockets, key: usize) {
        let session = &mut self.sessions[key];
        let serial = session.serial;
        let mut rest = std::mem::take(&mut session.rest);
        let used = self.take_requests(sockets, key, &rest);
        let Some(session) = self.session_of(key, serial) else {
            return;
        };
        if used == rest.len() || session.is_closing {
            self.buffers.give(rest);
            return;
        }
        rest.drain(..used);
        if rest.capacity() > 64 << 10 && rest.len() < rest.capacity() / 4 {
            rest.shrink_to(rest.len());
        }
        session.rest = rest;
    }

    /// Takes the requests that `bytes` hold, as far as may be, and answers how many bytes are done with.
    fn take_requests(&mut self, sockets: &mut impl Sockets, key: usize, bytes: &[u8]) -> usize {
        let serial = self.sessions[key].serial;
        let protocol = self.pools[self.sessions[key].pool].settings.protocol;
        let mut args = recycle(std::mem::take(&mut self.args));
        let mut used = 0;
        while used < bytes.len() {
            let Some(session) = self.session_of(key, serial).filter(|it| !it.is_closing) else {
                used = bytes.len();
                break;
            };
            session.needed = 0;
            if session.swallowed > 0 {
                let count = session.swallowed.min(bytes.len() - used);
                session.swallowed -= count;
                used += count;
                self.finish(key);
                continue;
            }
            let taken = if !session.has_room() || session.is_barred && !session.queue.is_empty() {
                Taken::Stalled
            } else {
                session.is_barred = false;
                let rest = &bytes[used..];
                match protocol {
                    Protocol::Redis => self.take_redis_request(sockets, key, rest, &mut args),
                    Protocol::Memcache => self.take_memcache_request(sockets, key, rest, &mut args),
                }
            };
            match taken {
                Taken::Bytes(count) => {
                    used += count;
                    self.finish(key);
                }
                Taken::Needs(count) if count > LONGEST || bytes.len() - used > LONGEST => {
                    let pool = self.sessions[key].pool;
                    let protocol = self.pools[pool].settings.protocol;
                    let reply = reply::error(protocol, b"Protocol error: a request is too long");
                    let unknown = self.pools[pool].counters.commands.len() - 1;
                    self.close_with(key, unknown as u16, &reply, true);
                    used = bytes.len();
                    break;
                }
                Taken::Needs(count) => {
                    if let Some(session) = self.session_of(key, serial) {
                        session.needed = count;
                    }
                    break;
                }
                Taken::Stalled => {
                    if let Some(session) = self.session_of(key, serial) {
                        session.is_stalled = true;
                    }
                    break;
                }
                Taken::Closed => {
                    used = bytes.len();
                    break;
                }
            }
        }
        if args.capacity() <= ARGS {
            self.args = recycle(args);
        }
        used
    }

    /// A session that had to wait goes on.
    pub(super) fn resume_session(&mut self, sockets: &mut impl Sockets, key: usize) {
        let session = &mut self.sessions[key];
        session.is_woken = false;
        let serial = session.serial;
        if !session.is_stalled {
            return;
        }
        session.is_stalled = false;
        if session.rest.len() >= session.needed && !session.rest.is_empty() {
            self.take_rest(sockets, key);
        }
        if let Some(session) = self.session_of(key, serial)
            && !session.is_stalled
        {
            sockets.resume(Link::Session(key));
            self.close_if_settled(sockets, key);
        }
    }

    /// Has a session that had to wait go on at the end of the turn.
    #[inline]
    pub(super) fn wake(&mut self, key: usize) {
        let session = &mut self.sessions[key];
        if session.is_stalled && !session.is_woken {
            session.is_woken = true;
            self.woken.push((key, session.serial));
        }
    }

    /// The client has closed its side: it gets what it is owed.
    pub(crate) fn session_ended(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.is_ended = true;
        // Who waits for messages, or for somebody else, waits no more.
        if session.waits() {
            return self.end_session(sockets, key, Ending::Eof);
        }
        self.close_if_settled(sockets, key);
    }

    /// The client sends nothing more, though not everything may have been read: who waits for somebody else, and is
    /// not read for that, would never be seen to be gone.
    pub(crate) fn session_hung_up(&mut self, sockets: &mut impl Sockets, key: usize) {
        let session = self.sessions.get(key).filter(|session| session.is_stalled);
        let mode = session.and_then(|session| session.mode.as_deref());
        if mode.is_some_and(super::redis::Mode::waits) {
            self.end_session(sockets, key, Ending::Eof);
        }
    }

    /// The connection broke.
    pub(crate) fn session_broken(&mut self, sockets: &mut impl Sockets, key: usize) {
        if self.sessions.contains(key) {
            self.end_session(sockets, key, Ending::Error);
        }
    }

    /// Sends what the client takes.
    pub(super) fn flush_session(&mut self, sockets: &mut impl Sockets, key: usize) {
        let session = &mut self.sessions[key];
        if !session.out.is_empty() {
            let sent = match sockets.send(Link::Session(key), session.out.unsent()) {
                Ok(sent) => sent,
                Err(_) => return self.end_session(sockets, key, Ending::Error),
            };
            self.pools[session.pool].counters.client_bytes_out += sent as u64;
            session.out.advance(sent, &mut self.buffers);
        }
        let session = &self.sessions[key];
        if session.is_stalled && session.has_room() {
            self.wake(key);
        }
        self.resume_paused(sockets, key);
        self.close_if_settled(sockets, key);
    }

    /// Sends bytes at once that are part of a reply, behind what is on its way.
    pub(super) fn send_to_session(&mut self, sockets: &mut impl Sockets, key: usize, bytes: &[u8]) {
        let session = &mut self.sessions[key];
        let link = Link::Session(key);
        if !session.out.is_empty() {
            match sockets.send(link, session.out.unsent()) {
                Ok(sent) => {
                    self.pools[session.pool].counters.client_bytes_out += sent as u64;
                    session.out.advance(sent, &mut self.buffers);
                }
                Err(_) => return self.end_session(sockets, key, Ending::Error),
            }
        }
        let mut sent = 0;
        if session.out.is_empty() {
            match sockets.send(link, bytes) {
                Ok(count) => sent = count,
                Err(_) => return self.end_session(sockets, key, Ending::Error),
            }
        }
        self.pools[session.pool].counters.client_bytes_out += sent as u64;
        if sent < bytes.len() {
            session.out.append(&bytes[sent..], &mut self.buffers);
        }
    }

    /// Closes a session that reads no more and is owed nothing.
    pub(super) fn close_if_settled(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let is_over = session.is_closing || session.reads_no_more() && !session.is_stalled;
        if is_over && session.is_settled() && !session.is_streamed {
            let ending = if session.is_ended { Ending::Eof } else { Ending::Settled };
            self.end_session(sockets, key, ending);
        }
    }

    /// Ends a session now, whatever it is owed.
    pub(super) fn end_session(&mut self, sockets: &mut impl Sockets, key: usize, ending: Ending) {
        let is_quiet = self.sessions[key].is_quiet(self.millis());
        let mut session = self.sessions.remove(key);
        match ending {
            Ending::Settled => sockets.close_behind(key, is_quiet),
            Ending::Eof | Ending::Error => sockets.close(Link::Session(key)),
        }
        let counters = &mut self.pools[session.pool].counters;
        match ending {
            Ending::Eof => counters.client_eof += 1,
            Ending::Error => counters.client_err += 1,
            Ending::Settled if session.is_refused => counters.client_err += 1,
            Ending::Settled => counters.client_eof += 1,
        }
        self.pools[session.pool].clients -= 1;
        session.drop_buffers(&mut self.buffers);
        if let Some(mode) = session.mode.take() {
            self.end_mode(sockets, *mode);
        }
        for backend in *session.paused.take().unwrap_or_default() {
            self.resume_backend(sockets, backend);
        }
        self.remove_pool_if_empty(sockets, session.pool);
    }

    /// Answers a request itself.
    #[inline]
    pub(super) fn answer_now(&mut self, key: usize, command: u16, reply: &[u8]) {
        let at = self.micros as u32;
        let session = &mut self.sessions[key];
        let is_error = is_error(reply);
        let counters = &mut self.pools[session.pool].counters.commands[usize::from(command)];
        counters.requests += 1;
        counters.errors += u64::from(is_error);
        if session.queue.is_empty() {
            session.out.tail(&mut self.buffers).extend_from_slice(reply);
        } else {
            let number = session.issue(Ticket { state: State::Waiting, command, at });
            session.put(session.place_of(number), reply, &mut self.buffers);
        }
        self.mark_dirty(Link::Session(key));
    }

    /// Answers with a last reply, behind those that are owed, and closes then.
    pub(super) fn close_with(&mut self, key: usize, command: u16, reply: &[u8], is_refused: bool) {
        self.answer_now(key, command, reply);
        let session = &mut self.sessions[key];
        session.is_closing = true;
        session.is_refused |= is_refused;
    }

    /// What a session had for itself is free again, or closed.
    pub(super) fn end_mode(&mut self, sockets: &mut impl Sockets, mode: super::redis::Mode) {
        for backend in mode.backends() {
            if let Some(backend) = self.backends.get_mut(backend) {
                // Whatever is under way there is nobody's.
                backend.owner = None;
                for pending in &mut backend.queue {
                    if pending.purpose != Purpose::Greeting {
                        pending.purpose = Purpose::Nothing;
                    }
                }
            }
            self.drop_backend(sockets, backend);
        }
    }
}

/// Whether a reply says that something went wrong.
#[inline]
pub(super) fn is_error(reply: &[u8]) -> bool {
    match reply {
        [b'-' | b'!', ..] => true,
        [b'E' | b'C' | b'S', ..] => {
            reply.starts_with(b"ERROR")
                || reply.starts_with(b"CLIENT_ERROR")
                || reply.starts_with(b"SERVER_ERROR")
        }
        _ => false,
    }
}
