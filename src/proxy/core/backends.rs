//! Backends: how they are opened and take requests.

use std::io;
use std::sync::Arc;

use super::Closed;
use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Backend;
use super::backend::Pending;
use super::backend::Purpose;
use super::backend::Scan;
use super::backend::Stage;
use super::memcache::ReplyEnd;
use crate::node::NodeId;
use crate::protocol::resp::Scanner;
use crate::proxy::reply;
use crate::proxy::settings::Protocol;

/// A request of at least so many bytes is sent from where it was read.
const SENT_AT_ONCE: usize = 16 << 10;
/// Bytes of requests that may wait for a node.
const QUEUED: usize = 8 << 20;
/// Free backends of a node that were some client's own.
const IDLE: usize = 16;

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
            Protocol::Memcache => Scan::Memcache(Box::<ReplyEnd>::default()),
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
        let pool = self.backends[key].pool;
        if let Some(timeout) = self.pools[pool].settings.timeout {
            let deadline = self.micros.saturating_add(timeout.as_micros() as u64);
            self.next_deadline = self.next_deadline.min(deadline);
        }
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
        // Behind one that is awaited there is no earlier deadline; but what was given up has none, nor has a client that
        // does not take its reply.
        if backend.is_paused || backend.queue.back().is_none_or(|last| !last.is_awaited()) {
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
    pub(super) fn limit(&mut self, pool: usize, at: u64) {
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
                backend.out.append(&bytes[sent..], &mut self.buffers);
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
    pub(super) fn wake_waiting(&mut self, key: usize) {
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
}
