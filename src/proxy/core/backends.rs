//! Backends: how they are opened, take requests and replies, and end.

use std::io;
use std::sync::Arc;

use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Backend;
use super::backend::Pending;
use super::backend::Purpose;
use super::backend::Scan;
use super::backend::Stage;
use super::memcache::Asked;
use super::memcache::ReplyEnd;
use super::session::BUFFERED;
use super::sessions::Ending;
use crate::health::Incident;
use crate::node::NodeId;
use crate::protocol::resp::Scanner;
use crate::proxy::reply;
use crate::proxy::settings::Protocol;

/// A request of at least so many bytes is sent from where it was read.
const SENT_AT_ONCE: usize = 16 << 10;
/// Bytes of requests that may wait for a node.
const QUEUED: usize = 8 << 20;
/// Room is made at once for what is missing of a reply up to this.
const LARGE_REPLY: usize = 16 << 20;
/// Free backends of a node that were some client's own.
const IDLE: usize = 16;

/// Why a connection to a node ended.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The node closed it.
    Eof,
    Io(io::Error),
    /// The name of the node's host has no address.
    Unresolved,
    /// What it sent is no reply.
    Broken(String),
    /// It refused the greeting, in these words.
    Refused(String),
    /// It has not answered for too long.
    Silent,
    /// We do not need it any more.
    Unneeded,
}

impl Core {
    /// The backend that sessions share, or would share: it is made when it is first needed.
    #[inline]
    pub(super) fn shared_backend(
        &mut self,
        pool: usize,
        node: NodeId,
        serial: u32,
        is_resp3: bool,
    ) -> usize {
        let view = &self.pools[pool];
        let place = view.place(serial, is_resp3);
        match view.nodes[node.index()].shared.get(place) {
            Some(&Some(backend)) => backend,
            _ => self.new_shared_backend(pool, node, place, is_resp3),
        }
    }

    #[cold]
    fn new_shared_backend(
        &mut self,
        pool: usize,
        node: NodeId,
        place: usize,
        is_resp3: bool,
    ) -> usize {
        let key = self.new_backend(pool, node, is_resp3);
        let shared = &mut self.pools[pool].nodes[node.index()].shared;
        if shared.len() <= place {
            shared.resize(place + 1, None);
        }
        shared[place] = Some(key);
        key
    }

    pub(super) fn new_backend(&mut self, pool: usize, node: NodeId, is_resp3: bool) -> usize {
        let view = &self.pools[pool].nodes[node.index()];
        let scanner = match self.pools[pool].settings.protocol {
            Protocol::Redis => Scan::Redis(Scanner::default()),
            Protocol::Memcache => Scan::Memcache(Box::new(ReplyEnd::default())),
        };
        let member = Arc::clone(&view.member);
        let backend = Backend::new(pool, member, view.counters, is_resp3, scanner);
        self.backends.insert(backend)
    }

    /// A backend for one session alone.
    pub(super) fn own_backend(&mut self, pool: usize, node: NodeId, session: usize) -> usize {
        let serial = self.sessions[session].serial;
        let is_resp3 = self.sessions[session].is_resp3;
        let idle = &mut self.pools[pool].nodes[node.index()].idle;
        let found = idle.iter().rposition(|&key| self.backends[key].is_resp3 == is_resp3);
        let key = match found {
            Some(place) => idle.swap_remove(place),
            None => self.new_backend(pool, node, is_resp3),
        };
        self.backends[key].owner = Some((session, serial));
        key
    }

    /// Nobody has the backend for itself any more.
    pub(super) fn release_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        let backend = &mut self.backends[key];
        backend.owner = None;
        let member = backend.member.id();
        let may_stay = backend.is_ready() && backend.queue.is_empty() && !backend.is_retired;
        let nodes = &mut self.pools[backend.pool].nodes;
        match nodes.iter_mut().find(|node| node.member.id() == member) {
            Some(node) if may_stay && node.idle.len() < IDLE => node.idle.push(key),
            _ => self.drop_backend(sockets, key),
        }
    }

    /// Makes sure that the backend takes requests.
    ///
    /// # Errors
    ///
    /// What to answer instead.
    #[inline]
    pub(super) fn admit(&mut self, sockets: &mut impl Sockets, key: usize) -> Result<(), Vec<u8>> {
        if self.backends[key].stage != Stage::Closed {
            return Ok(());
        }
        self.open_backend(sockets, key)
    }

    /// Whether so much waits for the node that no more may be added; the session then waits for it.
    #[inline]
    pub(super) fn is_full(&mut self, key: usize, session: usize) -> bool {
        let backend = &mut self.backends[key];
        if backend.out.len() < QUEUED {
            return false;
        }
        backend.waiting.push((session, self.sessions[session].serial));
        true
    }

    #[cold]
    fn open_backend(&mut self, sockets: &mut impl Sockets, key: usize) -> Result<(), Vec<u8>> {
        let now = self.millis();
        let backend = &mut self.backends[key];
        if now < backend.refused_until {
            return Err(backend.refusal.clone());
        }
        let member = Arc::clone(&backend.member);
        backend.stage = Stage::Opening;
        backend.epoch = member.epoch();
        backend.heard_at = self.micros;
        self.total_connections += 1;
        match sockets.open(key, &member) {
            Ok(()) => {
                self.counters[self.backends[key].counters].server_connections += 1;
                Ok(())
            }
            Err(error) => {
                let text = reply::of_io(&error);
                self.count_failure(key, &Closed::Io(error));
                self.backends[key].stage = Stage::Closed;
                Err(text.into_bytes())
            }
        }
    }

    /// Puts a request into the queue of a backend that was admitted.
    #[inline]
    pub(super) fn ask(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        request: &[u8],
        pending: Pending,
    ) {
        self.expect(key, pending);
        let backend = &mut self.backends[key];
        if request.len() >= SENT_AT_ONCE && backend.is_ready() {
            return self.send_to_backend(sockets, key, request);
        }
        backend.out.tail(&mut self.buffers).extend_from_slice(request);
        self.mark_dirty(Link::Backend(key));
    }

    /// Takes note of a request whose bytes are, or will be, in the backend's buffer.
    #[inline]
    pub(super) fn expect(&mut self, key: usize, pending: Pending) {
        let backend = &self.backends[key];
        // Behind one that is awaited there is no earlier deadline; but what was given up has none.
        if backend.queue.back().is_none_or(|last| !last.is_awaited()) {
            self.limit(backend.pool, pending.at);
        }
        let backend = &mut self.backends[key];
        backend.queue.push_back(pending);
        let counters = &mut self.counters[backend.counters];
        counters.requests += 1;
        counters.request_bytes += u64::from(pending.bytes);
    }

    /// What was asked at `at` has its time.
    #[inline]
    fn limit(&mut self, pool: usize, at: u64) {
        if let Some(timeout) = self.pools[pool].settings.timeout {
            let deadline = at.saturating_add(timeout.as_micros() as u64);
            self.next_deadline = self.next_deadline.min(deadline);
        }
    }

    fn send_to_backend(&mut self, sockets: &mut impl Sockets, key: usize, bytes: &[u8]) {
        let backend = &mut self.backends[key];
        let link = Link::Backend(key);
        let mut sent = Ok(0);
        if !backend.out.is_empty() {
            match sockets.send(link, backend.out.unsent()) {
                Ok(count) => backend.out.advance(count, &mut self.buffers),
                Err(error) => sent = Err(error),
            }
        }
        if sent.is_ok() && backend.out.is_empty() {
            sent = sockets.send(link, bytes);
        }
        match sent {
            Ok(sent) if sent < bytes.len() => {
                backend.out.tail(&mut self.buffers).extend_from_slice(&bytes[sent..]);
            }
            Ok(_) => {}
            // The next read says what became of it, and until then what is queued stays in order.
            Err(_) => backend.out.tail(&mut self.buffers).extend_from_slice(bytes),
        }
        self.wake_waiting_for_room(key);
    }

    pub(super) fn flush_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        let backend = &mut self.backends[key];
        if !backend.is_ready() {
            return;
        }
        if !backend.out.is_empty() {
            match sockets.send(Link::Backend(key), backend.out.unsent()) {
                Ok(sent) => backend.out.advance(sent, &mut self.buffers),
                Err(error) => return self.backend_closed(sockets, key, Closed::Io(error)),
            }
        }
        self.wake_waiting_for_room(key);
    }

    fn wake_waiting_for_room(&mut self, key: usize) {
        let backend = &self.backends[key];
        if !backend.waiting.is_empty() && backend.out.len() < QUEUED / 2 {
            self.wake_waiting(key);
        }
    }

    /// Sessions that waited for room may go on.
    fn wake_waiting(&mut self, key: usize) {
        for (session, serial) in std::mem::take(&mut self.backends[key].waiting) {
            if self.session_of(session, serial).is_some() {
                self.wake(session);
            }
        }
    }

    /// The connection is made.
    pub(crate) fn backend_opened(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let greeting = reply::greeting(backend.member.endpoint(), backend.is_resp3);
        let Some((bytes, replies)) = greeting else {
            self.backends[key].stage = Stage::Ready;
            return self.flush_backend(sockets, key);
        };
        let backend = &mut self.backends[key];
        backend.stage = Stage::Greeting(replies);
        // What waits behind it may not wait longer for its sake.
        let at = backend.queue.front().map_or(self.micros, |first| first.at.min(self.micros));
        for _ in 0..replies {
            backend.queue.push_front(Pending::of_nobody(Purpose::Greeting, at));
        }
        let pool = backend.pool;
        self.limit(pool, at);
        // A new connection takes that little.
        match sockets.send(Link::Backend(key), &bytes) {
            Ok(sent) if sent == bytes.len() => {}
            Ok(_) => {
                let error = io::Error::other("the greeting could not be sent");
                self.backend_closed(sockets, key, Closed::Io(error));
            }
            Err(error) => self.backend_closed(sockets, key, Closed::Io(error)),
        }
    }

    /// A node has sent `bytes`.
    pub(crate) fn backend_input(&mut self, sockets: &mut impl Sockets, key: usize, bytes: &[u8]) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.heard_at = self.micros;
        self.counters[backend.counters].response_bytes += bytes.len() as u64;
        let mut rest = std::mem::take(&mut backend.rest);
        let mut used = 0;
        let outcome = if rest.is_empty() {
            let outcome = self.take_replies(sockets, key, bytes, &mut used);
            if used < bytes.len() {
                rest = self.buffers.take();
                rest.reserve_exact(self.room_for_rest(key, &bytes[used..]));
                rest.extend_from_slice(&bytes[used..]);
            }
            outcome
        } else {
            rest.extend_from_slice(bytes);
            let outcome = self.take_replies(sockets, key, &rest, &mut used);
            rest.drain(..used);
            outcome
        };
        if let Err(closed) = outcome {
            return self.backend_closed(sockets, key, closed);
        }
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if rest.is_empty() {
            self.buffers.give(rest);
        } else {
            backend.rest = rest;
        }
        if used > 0 {
            backend.failures = 0;
            self.observe(key, Incident::Reply);
        }
        self.pause_if_not_taken(key);
        let backend = &self.backends[key];
        if backend.is_retired && backend.queue.is_empty() {
            self.drop_backend(sockets, key);
        }
    }

    /// Room for what there is of a reply, and for what is missing of it, up to a limit.
    fn room_for_rest(&self, key: usize, rest: &[u8]) -> usize {
        let Some(backend) = self.backends.get(key) else {
            return rest.len();
        };
        let asked = backend.queue.front().map_or(Asked::Line, |pending| pending.asked);
        rest.len() + backend.scanner.missing(rest, asked).min(LARGE_REPLY)
    }

    /// Takes the replies that `bytes` hold, as far as they are complete; `used` is how far that is.
    fn take_replies(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        bytes: &[u8],
        used: &mut usize,
    ) -> Result<(), Closed> {
        while *used < bytes.len() {
            let Some(backend) = self.backends.get_mut(key) else {
                // It was released, and is closed: whatever this is, it is nobody's.
                *used = bytes.len();
                return Ok(());
            };
            if backend.stage == Stage::Closed {
                // It broke when something was sent.
                *used = bytes.len();
                return Ok(());
            }
            let rest = &bytes[*used..];
            let Some(&pending) = backend.queue.front() else {
                return Err(Closed::Broken("it sent a reply that nobody asked for".into()));
            };
            let is_stream = backend.stream.is_some();
            if !is_stream && !backend.is_resp3 && is_of_resp3(backend, rest) {
                return Err(Closed::Broken(
                    "it sent a reply of RESP3, which nobody asked for".into(),
                ));
            }
            let length = backend.scanner.scan(rest, pending.asked).map_err(Closed::Broken)?;
            match length {
                Some(length) => {
                    *used += length;
                    if is_stream {
                        self.end_stream(sockets, key, pending, &rest[..length])?;
                    } else {
                        self.take_reply(sockets, key, pending, &rest[..length])?;
                    }
                }
                None => {
                    if is_stream || self.begin_stream(key, pending, rest)? {
                        let known = self.backends[key].scanner.take_known(rest);
                        *used += known;
                        self.pass_on(sockets, key, pending, &rest[..known])?;
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes one complete reply.
    #[inline]
    fn take_reply(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        pending: Pending,
        reply: &[u8],
    ) -> Result<(), Closed> {
        let is_push = reply.first() == Some(&b'>');
        if pending.purpose == Purpose::Subscription || is_push {
            return self.take_message(key, reply);
        }
        let backend = &mut self.backends[key];
        backend.queue.pop_front();
        let counters = &mut self.counters[backend.counters];
        counters.responses += 1;
        match pending.purpose {
            Purpose::Greeting => self.take_greeting(sockets, key, reply),
            Purpose::Probe => {
                self.end_probe(sockets, key, !super::sessions::is_error(reply));
                Ok(())
            }
            Purpose::Nothing => Ok(()),
            _ => {
                let time = self.micros.saturating_sub(pending.at);
                counters.latency.record(std::time::Duration::from_micros(time));
                self.answer(sockets, key, pending, reply)
            }
        }
    }

    fn take_greeting(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        reply: &[u8],
    ) -> Result<(), Closed> {
        if super::sessions::is_error(reply) {
            // The text may quote what was said; the first word does not.
            let credentials = self.backends[key].member.endpoint().credentials.as_ref();
            let text = String::from_utf8_lossy(&reply[1..]);
            let text = text.trim_end();
            let is_quoted = credentials.is_some_and(|known| {
                text.contains(&known.password)
                    || known.user.as_ref().is_some_and(|user| text.contains(user.as_str()))
            });
            let word = text.split(' ').next().unwrap_or_default();
            return Err(Closed::Refused(if is_quoted { word } else { text }.to_string()));
        }
        let backend = &mut self.backends[key];
        let Stage::Greeting(left) = backend.stage else {
            return Ok(());
        };
        if left > 1 {
            backend.stage = Stage::Greeting(left - 1);
        } else {
            backend.stage = Stage::Ready;
            self.flush_backend(sockets, key);
        }
        Ok(())
    }

    /// The connection is gone, or is to be: what waits for it is answered, and the next request opens another.
    pub(crate) fn backend_closed(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        closed: Closed,
    ) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        sockets.close(Link::Backend(key));
        let was_open = backend.stage != Stage::Closed;
        backend.stage = Stage::Closed;
        backend.stream = None;
        backend.is_paused = false;
        backend.out.clear(&mut self.buffers);
        backend.rest = Vec::new();
        backend.scanner.reset();
        if was_open {
            let counters = &mut self.counters[backend.counters];
            counters.server_connections = counters.server_connections.saturating_sub(1);
        }
        let queue = std::mem::take(&mut backend.queue);
        let owner = backend.owner.take();
        let is_probe = queue.iter().any(|pending| pending.purpose == Purpose::Probe);
        if !matches!(closed, Closed::Unneeded)
            && (!queue.is_empty() || was_opening(&closed))
            && !is_probe
        {
            self.count_failure(key, &closed);
        } else if matches!(closed, Closed::Eof) {
            self.counters[self.backends[key].counters].server_eof += 1;
        }
        let text = reply::of_closed(&closed);
        for pending in queue {
            match pending.purpose {
                Purpose::Nothing | Purpose::Greeting | Purpose::Subscription => {}
                Purpose::Probe => self.end_probe(sockets, key, false),
                _ => self.fail(sockets, pending, text.as_bytes()),
            }
        }
        self.wake_waiting_of_closed(key);
        if let Some((session, serial)) = owner {
            self.own_backend_lost(sockets, session, serial, key);
        }
        if owner.is_some() || self.backends.get(key).is_some_and(|backend| backend.is_retired) {
            self.forget_backend(key);
        }
    }

    fn wake_waiting_of_closed(&mut self, key: usize) {
        if self.backends.contains(key) {
            self.wake_waiting(key);
        }
    }

    /// Closes a backend for which nobody waits.
    pub(super) fn drop_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        if self.backends.contains(key) {
            self.backends[key].is_retired = true;
            self.backend_closed(sockets, key, Closed::Unneeded);
        }
    }

    /// The place of a backend is free.
    fn forget_backend(&mut self, key: usize) {
        let Some(backend) = self.backends.try_remove(key) else {
            return;
        };
        self.retire_counters(backend.counters);
        if let Some(pool) = self.pools.get_mut(backend.pool) {
            for node in &mut pool.nodes {
                node.idle.retain(|&idle| idle != key);
                node.probe = node.probe.filter(|&probe| probe != key);
                for shared in &mut node.shared {
                    *shared = shared.filter(|&shared| shared != key);
                }
            }
        }
    }

    /// A connection failed with requests under way, or could not be made: one failure of the node, however many
    /// requests that were (as in nutcracker 0.5.0 `nc_server.c` `server_close`).
    fn count_failure(&mut self, key: usize, closed: &Closed) {
        let now = self.millis();
        let backend = &mut self.backends[key];
        let counters = &mut self.counters[backend.counters];
        match closed {
            Closed::Eof => counters.server_eof += 1,
            Closed::Silent => {}
            _ => counters.server_err += 1,
        }
        backend.failures = backend.failures.saturating_add(1);
        backend.refused_until = now + backend.back_off();
        backend.refusal = reply::of_closed(closed).into_bytes();
        let is_first = backend.failures == 1;
        let pool = &self.pools[backend.pool].settings.name;
        let node = backend.member.name();
        let text = format!("pool '{pool}': node '{node}': {}", reply::describe(closed));
        self.note(if is_first { 4 } else { 6 }, text);
        let incident = match closed {
            Closed::Broken(_) => Incident::BrokenReply,
            Closed::Refused(_) => Incident::Handshake,
            Closed::Io(error) if reply::is_ours(error) => Incident::NoResources,
            _ => Incident::Io,
        };
        let backend = &mut self.backends[key];
        // A silence was counted with the requests whose time was over.
        let is_counted = matches!(closed, Closed::Silent) && backend.failed_at == self.micros;
        backend.failed_at = self.micros;
        if !is_counted {
            self.observe(key, incident);
        }
    }

    /// Stops reading a node while the client does not take what it sends.
    fn pause_if_not_taken(&mut self, key: usize) {
        let now = self.millis();
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let is_arriving = !backend.rest.is_empty() || backend.stream.is_some();
        let Some(pending) = backend.queue.front().filter(|pending| match pending.purpose {
            Purpose::Subscription => true,
            Purpose::Nothing => false,
            _ => is_arriving,
        }) else {
            return;
        };
        let is_message = pending.purpose == Purpose::Subscription;
        let (session, serial, ticket) = (pending.session as usize, pending.serial, pending.ticket);
        let session = self.sessions.get_mut(session).filter(|session| session.serial == serial);
        let Some(session) = session else {
            return;
        };
        let buffered = if is_message {
            session.buffered() + session.mode.as_ref().map_or(0, |mode| mode.held())
        } else if session.place_of(ticket) == 0 {
            // The others may wait for this one, and then it must come.
            session.out.len()
        } else {
            session.buffered()
        };
        if buffered >= BUFFERED && !backend.is_paused {
            backend.is_paused = true;
            backend.paused_at = now;
            session.paused.get_or_insert_default().push(key);
        }
    }

    /// Reads a node again.
    pub(super) fn resume_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        if let Some(backend) = self.backends.get_mut(key)
            && backend.is_paused
        {
            backend.is_paused = false;
            sockets.resume(Link::Backend(key));
        }
    }

    /// Ends sessions that keep others waiting because they do not read.
    pub(super) fn end_stalling(&mut self, sockets: &mut impl Sockets, session: usize) {
        let name = self.pools[self.sessions[session].pool].settings.name.clone();
        self.note(4, format!("pool '{name}': a client that does not read was closed"));
        self.end_session(sockets, session, Ending::Error);
    }
}

/// Whether a reply begins that RESP2 does not have: a client of RESP2 would not understand it.
#[inline]
fn is_of_resp3(backend: &Backend, rest: &[u8]) -> bool {
    let is_of_resp2 = |kind: &u8| matches!(kind, b'$' | b'+' | b':' | b'*' | b'-');
    matches!(backend.scanner, Scan::Redis(_)) && !rest.first().is_some_and(is_of_resp2)
}

/// Whether no connection came about.
fn was_opening(closed: &Closed) -> bool {
    matches!(closed, Closed::Unresolved | Closed::Refused(_) | Closed::Broken(_))
}
