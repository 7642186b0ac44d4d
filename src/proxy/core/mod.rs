//! The engine without its sockets: clients' bytes in, nodes' bytes out, and back.
//!
//! ```text
//!   client ──bytes──► Session ──request──► plan ──► Backend ──bytes──► node
//!          ◄─bytes───   ▲ tickets,                    │ pendings,
//!                       │ in the client's order       │ in the node's order
//!                       └──────────── reply ──────────┘
//! ```
//!
//! A [`Core`] is one worker's. It is told what has arrived and what time it is, and tells a [`Sockets`] what to
//! send, to open and to close; it has no socket and no clock, so that whole sessions are tested in memory.
//!
//! What makes it fast: a request is parsed where it was read, and its bytes go to the node's buffer as they are; one
//! write a connection at the end of a turn; no allocation and no look at the clock for a request of one node; a
//! large value goes from the read buffer to the socket of the other side.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use slab::Slab;

use super::settings::Endpoint;
use crate::command::CommandTable;
use crate::node::NodeId;
use crate::plan::Room;
use crate::topology::Member;

mod answers;
mod backend;
mod backends;
mod buffers;
mod closing;
mod draining;
mod flushing;
mod large;
mod memcache;
mod passage;
mod piped;
mod pool;
mod probes;
mod reading;
mod redis;
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) mod rehearsal;
mod replies;
mod report;
mod session;
mod sessions;
mod ticket;
mod timers;
mod topology;

use backend::Backend;
use buffers::Buffers;
pub(super) use closing::Closed;
use memcache::Retrieval;
pub(super) use passage::Passage;
pub(super) use passage::Passed;
use pool::NodeCounters;
use pool::Pool;
pub(super) use reading::Reading;
use session::Session;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    Session(usize),
    Backend(usize),
}

/// What the core needs of a worker's sockets.
pub(super) trait Sockets {
    /// Begins to connect a backend. [`Core::backend_opened`] or [`Core::backend_closed`] follows, not before this
    /// has returned.
    fn open(&mut self, backend: usize, member: &Arc<Member<Endpoint>>) -> io::Result<()>;

    /// Sends what the socket takes at the moment, which may be nothing. What it has not taken is what it is given
    /// first the next time: some of it may be on its way.
    fn send(&mut self, link: Link, bytes: &[u8]) -> io::Result<usize>;

    /// Sends to many sockets at once what they take at the moment, as [`send`](Self::send) does it one by one, where the
    /// system can: what came of it is in `sent`, in the order of `links`. Whoever has no bytes is sent none; whoever has,
    /// may be sent none. Where the system cannot, `sent` is empty.
    fn send_ahead<'a>(
        &mut self,
        links: &[Link],
        bytes: impl Fn(Link) -> &'a [u8],
        sent: &mut Vec<io::Result<usize>>,
    );

    /// Sends what the socket of a backend takes of what is in a session's pipe, and answers how much is left in it.
    fn pour(&mut self, session: usize, backend: usize) -> io::Result<usize>;

    /// Reads what is in a session's pipe, which fills the room.
    fn take_back(&mut self, session: usize, room: &mut [u8]) -> io::Result<()>;

    /// Throws away what is in a session's pipe.
    fn discard(&mut self, session: usize);

    /// Whether something of a client's has arrived that cannot be read before more comes.
    fn holds_part(&self, session: usize) -> bool;

    /// Closes it; nothing is heard of it any more.
    fn close(&mut self, link: Link);

    /// The same, of a client that has been sent all that it is owed: not before it has it. If it `is_quiet` nothing
    /// has been read of it for a while.
    fn close_behind(&mut self, session: usize, is_quiet: bool);

    /// Reads again what was not read because of [`Reading::Not`].
    fn resume(&mut self, link: Link);
}

/// Something to tell those who run the proxy.
#[derive(Clone, Debug)]
pub(super) struct Note {
    /// nutcracker's level: 4 is a warning, 5 a notice, 6 information.
    pub(super) level: u8,
    pub(super) text: String,
}

/// The engine of one worker.
#[derive(Debug)]
pub(super) struct Core {
    table: CommandTable,
    pools: Slab<Pool>,
    sessions: Slab<Session>,
    backends: Slab<Backend>,
    /// Of the nodes of all pools.
    counters: Slab<NodeCounters>,
    buffers: Buffers,
    origin: Instant,
    now: Instant,
    /// Microseconds since the origin.
    micros: u64,
    /// The origin, in microseconds since 1970.
    wall_origin: u64,
    /// What has something to send at the end of the turn.
    dirty: Vec<Link>,
    /// Room for what came of it.
    sent: Vec<io::Result<usize>>,
    /// Sessions that may go on with requests they have sent, and their serial numbers.
    woken: Vec<(usize, u32)>,
    next_serial: u32,
    /// Room for the arguments of a request.
    args: Vec<&'static [u8]>,
    /// Room for requests that go to several nodes, and for their backends.
    room: Room,
    /// So much of a value goes from socket to socket.
    passed_from: usize,
    /// And of a request, if so much of it is missing.
    piped_from: usize,
    split_backends: Vec<usize>,
    #[expect(clippy::vec_box, reason = "a request has its box as long as it is under way")]
    retrievals: Vec<Box<Retrieval>>,
    /// When the next deadline may pass, in microseconds.
    next_deadline: u64,
    /// When to look next for what is done now and then, in microseconds.
    next_chores: u64,
    /// When to look next for memory that is not used, in microseconds.
    next_release: u64,
    notes: Vec<Note>,
    /// Pools whose keys have moved.
    moved: Vec<usize>,
    /// Nodes, of a pool and as a session of this serial number and protocol asks them, that have sent replies of
    /// another type than they should.
    distrusted: Vec<(usize, NodeId, u32, bool)>,
    total_connections: u64,
    is_draining: bool,
    /// Since when it ends, in milliseconds.
    drained_from: u64,
    /// When clients are closed that have not taken what they are owed, in microseconds.
    drained_by: u64,
    /// Which worker this is, for the numbers of clients.
    worker: u32,
}

/// How often chores are done: probes, idle clients, clients that do not read.
const CHORES: Duration = Duration::from_millis(50);

/// How long memory is kept that is not used.
const RELEASE: Duration = Duration::from_secs(1);

impl Core {
    /// `wall` is the time of day at `now`, in microseconds since 1970.
    pub(super) fn new(worker: u32, now: Instant, wall: u64) -> Self {
        Self {
            table: CommandTable::new(),
            pools: Slab::new(),
            sessions: Slab::new(),
            backends: Slab::new(),
            counters: Slab::new(),
            buffers: Buffers::default(),
            origin: now,
            now,
            micros: 0,
            wall_origin: wall,
            dirty: Vec::new(),
            sent: Vec::new(),
            woken: Vec::new(),
            next_serial: 0,
            args: Vec::new(),
            room: Room::default(),
            passed_from: passage::LEAST,
            piped_from: piped::LEAST,
            split_backends: Vec::new(),
            retrievals: Vec::new(),
            next_deadline: u64::MAX,
            next_chores: 0,
            next_release: 0,
            notes: Vec::new(),
            moved: Vec::new(),
            distrusted: Vec::new(),
            total_connections: 0,
            is_draining: false,
            drained_from: 0,
            drained_by: 0,
            worker,
        }
    }

    /// A turn begins: the time is `now` until the next one.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        self.micros = now.saturating_duration_since(self.origin).as_micros() as u64;
        self.refresh_pools();
    }

    /// The turn ends: what was answered and asked in it is sent.
    pub(super) fn end_turn(&mut self, sockets: &mut impl Sockets) {
        if self.micros >= self.next_deadline.min(self.next_chores) {
            // What sockets take by now is not held against anybody.
            self.flush(sockets);
        }
        if self.micros >= self.next_deadline {
            self.expire(sockets);
        }
        if self.micros >= self.next_chores {
            self.do_chores(sockets);
            if self.micros >= self.next_release {
                self.buffers.release_blocks();
                self.room = Room::default();
                self.retrievals = Vec::new();
                self.sent = Vec::new();
                self.dirty.shrink_to_fit();
                self.next_release = self.micros + RELEASE.as_micros() as u64;
            }
            self.next_chores = match self.is_draining {
                true => self.next_look(),
                false => self.micros + CHORES.as_micros() as u64,
            };
        }
        self.close_distrusted(sockets);
        for pool in std::mem::take(&mut self.moved) {
            if self.pools.contains(pool) {
                self.end_misplaced(sockets, pool);
            }
        }
        // Sending may wake sessions, and what they ask is to be sent.
        loop {
            self.go_on(sockets);
            if self.dirty.is_empty() && self.woken.is_empty() {
                break;
            }
            self.flush(sockets);
        }
    }

    /// Closes connections whose replies were found broken when they were put together. The nodes have the numbers
    /// that they had then.
    fn close_distrusted(&mut self, sockets: &mut impl Sockets) {
        for (pool, node, serial, is_resp3) in std::mem::take(&mut self.distrusted) {
            if self.pools.get(pool).is_some_and(|pool| node.index() < pool.nodes.len()) {
                let backend = self.shared_backend(pool, node, serial, is_resp3);
                let what = "an element of its reply is no value".into();
                self.backend_closed(sockets, backend, Closed::Broken(what));
            }
        }
    }

    /// How long nothing has to be done if nothing arrives.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.origin).as_micros() as u64;
        let next = if self.has_chores() {
            self.next_deadline.min(self.next_chores)
        } else {
            self.next_deadline
        };
        Duration::from_micros(next.saturating_sub(elapsed)).min(Duration::from_secs(1))
    }

    /// Takes what there is to tell.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Which of the workers it is.
    pub(super) fn worker(&self) -> u32 {
        self.worker
    }

    /// Whether every client is gone.
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn millis(&self) -> u64 {
        self.micros / 1000
    }

    fn note(&mut self, level: u8, text: impl Into<String>) {
        self.notes.push(Note { level, text: text.into() });
    }

    #[inline]
    fn mark_dirty(&mut self, link: Link) {
        let is_dirty = match link {
            Link::Session(key) => &mut self.sessions[key].is_dirty,
            Link::Backend(key) => &mut self.backends[key].is_dirty,
        };
        if !*is_dirty {
            *is_dirty = true;
            self.dirty.push(link);
        }
    }

    /// Requests that had to wait.
    fn go_on(&mut self, sockets: &mut impl Sockets) {
        // Not more than once a session: what it sends may not keep others waiting for ever.
        let woken = std::mem::take(&mut self.woken);
        for (key, serial) in woken {
            if self.sessions.get(key).is_some_and(|session| session.serial == serial) {
                self.resume_session(sockets, key);
            }
        }
    }
}

/// Empties a vector of references, to be filled with others.
fn recycle<'a>(mut args: Vec<&[u8]>) -> Vec<&'a [u8]> {
    args.clear();
    // The standard library collects in place, so that the room stays.
    args.into_iter().map(|_| -> &'a [u8] { &[] }).collect()
}

#[cfg(test)]
mod tests;
