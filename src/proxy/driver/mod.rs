//! A worker: one thread, one poll, its own sockets, and an engine.
//!
//! Nothing is shared with other workers but the health of the nodes. Orders come over a channel, and a waker tells of
//! them.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use mio::Events;
use mio::Poll;
use mio::Registry;
use mio::Waker;

use super::core::Closed;
use super::core::Core;
use super::core::Link;
use super::core::Note;
use super::settings::PoolSettings;
use super::stats::Stats;

mod accepting;
mod handshakes;
mod lingering;
mod listener;
mod pipe;
mod pipes;
mod policy;
mod reading;
mod resolver;
mod ring;
mod socket;
mod sockets;
mod stream;

pub(super) use listener::Listening;

use handshakes::Handshakes;
use listener::Listener;
use policy::Policy;
use resolver::Resolver;
use ring::Ring;
use sockets::Source;
use sockets::WorkerSockets;

/// What a worker is told.
pub(super) enum Order {
    /// These pools instead of those there are, and where their clients come in. Listeners of pools that have none
    /// here stay as they are. `done` is dropped when they are in force.
    Pools {
        pools: Vec<Arc<PoolSettings>>,
        listeners: Vec<Option<ListenerOrder>>,
        done: Sender<Infallible>,
    },
    /// What has been counted?
    Stats(Sender<Stats>),
    /// Take no more clients, answer what is owed, and end.
    Drain,
    /// The addresses of a node's host.
    Resolved {
        backend: usize,
        attempt: u64,
        addresses: std::collections::VecDeque<std::net::SocketAddr>,
    },
}

/// A socket on which a pool listens.
pub(super) struct ListenerOrder {
    pub(super) listening: Listening,
    pub(super) keepalive: bool,
}

/// What a worker tells whoever started it.
pub(super) type Notes = Arc<dyn Fn(&Note) + Send + Sync>;

/// Bytes that are read at a time: large enough that a large value takes few calls, small enough to stay in the
/// cache.
const READ: usize = 256 << 10;
/// A block of memory that begins elsewhere costs the system three times as much to copy into (spec/performance.md:
/// blocks of 128 KiB and more begin at 16 bytes into a page).
const ALIGNMENT: usize = 64;
const EVENTS: usize = 1024;

/// A worker, before it runs.
pub(super) struct Worker {
    poll: Poll,
    core: Core,
    sockets: WorkerSockets,
    orders: Receiver<Order>,
    listeners: Vec<Option<Listener>>,
    /// The listeners'.
    registry: Arc<Registry>,
    buffer: Vec<u8>,
    /// Where the aligned part of the buffer begins.
    start: usize,
    /// For records of TLS; empty as long as there are none.
    scratch: Vec<u8>,
    handshakes: Handshakes,
    notes: Notes,
    /// Held so that clients can be told that there are no descriptors left.
    spare: Option<File>,
    accept_again: Option<Instant>,
    is_draining: bool,
    /// How many workers share the descriptors of the process.
    workers: usize,
    /// So many clients leave enough descriptors for the nodes.
    room: usize,
    /// Whether it sends through io_uring, if it can.
    uses_io_uring: bool,
}

/// How to reach a worker.
#[derive(Clone)]
pub(super) struct Handle {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Says something to the worker; false if it has ended.
    pub(super) fn tell(&self, order: Order) -> bool {
        self.orders.send(order).is_ok() && self.waker.wake().is_ok()
    }
}

impl Worker {
    /// A worker, and how to reach it. With `uses_io_uring` it sends through io_uring, if it can.
    ///
    /// # Errors
    ///
    /// If the system has no poll.
    pub(super) fn new(
        number: u32,
        workers: usize,
        uses_io_uring: bool,
        notes: Notes,
    ) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Source::Waker.token())?);
        let (sender, orders) = std::sync::mpsc::channel();
        let resolver = Resolver::new(sender.clone(), Arc::clone(&waker));
        let sockets = WorkerSockets::new(poll.registry().try_clone()?, resolver);
        let registry = Arc::new(sockets.registry().try_clone()?);
        let buffer = vec![0; READ + ALIGNMENT];
        let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let core = Core::new(number, now(), wall().as_micros() as u64);
        let worker = Self {
            poll,
            core,
            sockets,
            orders,
            listeners: Vec::new(),
            registry,
            buffer,
            start,
            scratch: Vec::new(),
            handshakes: Handshakes::default(),
            notes,
            spare: spare_descriptor(),
            accept_again: None,
            is_draining: false,
            workers,
            room: usize::MAX,
            uses_io_uring,
        };
        Ok((worker, Handle { orders: sender, waker }))
    }

    /// Works until it is told to end and has nothing left to do.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut policy = Policy::of_this_thread(now());
        if self.uses_io_uring {
            self.set_up_ring();
        }
        loop {
            let wait = self.patience();
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                self.note(1, format!("the worker ends: {error}"));
                return;
            }
            let time = now();
            self.core.begin_turn(time);
            let mut is_ordered = false;
            let mut count = 0;
            for event in &events {
                count += 1;
                match Source::of(event.token()) {
                    Source::Waker => is_ordered = true,
                    Source::Listener(key) => self.accept(key),
                    Source::Link(link) => {
                        let is_closed = event.is_read_closed() || event.is_error();
                        if let Some(connection) = self.sockets.connection(link) {
                            connection.is_readable |= event.is_readable() || is_closed;
                            connection.is_read_closed |= is_closed;
                        }
                        if event.is_writable() || event.is_error() {
                            self.writable(link);
                        }
                        self.read(link);
                        if is_closed && let Link::Session(key) = link {
                            self.core.session_hung_up(&mut self.sockets, key);
                        }
                    }
                }
            }
            policy.count(count, time, || self.core.waiting_sessions());
            if is_ordered {
                self.take_orders();
            }
            self.accept_late();
            self.read_resumed();
            self.end_handshakes(time);
            self.core.end_turn(&mut self.sockets);
            if let Some(error) = self.sockets.ring_failure.take() {
                self.note(4, format!("io_uring is not used any more: {error}"));
            }
            for note in self.core.take_notes() {
                (self.notes)(&note);
            }
            self.sockets.lingering.look(time, &mut self.buffer);
            if self.is_draining && self.core.is_empty() && self.sockets.lingering.len() == 0 {
                return;
            }
        }
    }

    /// A ring is its thread's. Without one each send is a call of its own.
    fn set_up_ring(&mut self) {
        let error = match Ring::new() {
            Ok(ring) => return self.sockets.ring = Some(ring),
            Err(error) => error,
        };
        // What the system refuses to one it refuses to all.
        let is_refused = matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported
                | io::ErrorKind::InvalidInput
        );
        if !is_refused || self.core.worker() == 0 {
            let text = "io_uring is not available, which costs some processor time";
            self.note(5, format!("{text}: {error}"));
        }
    }

    fn note(&self, level: u8, text: String) {
        (self.notes)(&Note { level, text });
    }

    /// How long to wait for something to happen.
    fn patience(&self) -> Duration {
        if !self.sockets.resumed.is_empty() {
            return Duration::ZERO;
        }
        let now = now();
        let whens = [self.handshakes.next(), self.sockets.lingering.next_look(), self.accept_again];
        let patiences = whens.into_iter().flatten().map(|when| when.saturating_duration_since(now));
        patiences.fold(self.core.patience(now), Duration::min)
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Pools { pools, listeners, done } => {
                    self.take_pools(&pools, listeners);
                    drop(done);
                }
                Order::Stats(asker) => {
                    // Whoever asked may have lost patience.
                    let _ = asker.send(self.core.stats());
                }
                Order::Drain => self.drain(),
                Order::Resolved { backend, attempt, addresses } => {
                    self.resolved(backend, attempt, addresses);
                }
            }
        }
    }

    fn take_pools(&mut self, pools: &[Arc<PoolSettings>], listeners: Vec<Option<ListenerOrder>>) {
        let places = self.core.set_pools(&mut self.sockets, pools);
        self.room = self.room_for_clients(pools);
        if self.room == 0 && self.core.worker() == 0 {
            self.note(4, "the limit of descriptors leaves none for clients".to_owned());
        }
        // Listeners of pools that are gone.
        for listener in &mut self.listeners {
            if listener.as_ref().is_some_and(|listener| !places.contains(&listener.pool)) {
                *listener = None;
            }
        }
        for (&place, listener) in places.iter().zip(listeners) {
            let Some(ListenerOrder { listening, keepalive }) = listener else {
                continue;
            };
            for old in &mut self.listeners {
                if old.as_ref().is_some_and(|old| old.pool == place) {
                    *old = None;
                }
            }
            let key = self.listeners.iter().position(Option::is_none).unwrap_or_else(|| {
                self.listeners.push(None);
                self.listeners.len() - 1
            });
            let token = Source::Listener(key).token();
            match Listener::new(listening, place, keepalive, &self.registry, token) {
                Ok(listener) => self.listeners[key] = Some(listener),
                Err(error) => self.note(1, format!("a listener failed: {error}")),
            }
        }
        // Clients that come from now on are spoken to like this, on whatever listener.
        for listener in self.listeners.iter_mut().flatten() {
            let settings = places.iter().zip(pools).find(|(place, _)| **place == listener.pool);
            if let Some((_, settings)) = settings {
                listener.tls = settings.listen_tls.clone();
            }
        }
        self.core.preconnect(&mut self.sockets);
    }

    fn drain(&mut self) {
        self.is_draining = true;
        self.listeners.clear();
        // What clients have sent until now is answered.
        for key in 0..self.sockets.sessions.len() {
            if let Some(connection) = self.sockets.connection(Link::Session(key)) {
                connection.is_readable = true;
                self.read_on(Link::Session(key));
            }
        }
        self.core.drain(&mut self.sockets);
    }

    fn resolved(
        &mut self,
        backend: usize,
        attempt: u64,
        addresses: std::collections::VecDeque<std::net::SocketAddr>,
    ) {
        let place = self.sockets.backends.get(backend);
        if place.is_none_or(|place| place.attempt != attempt) {
            return;
        }
        if addresses.is_empty() {
            return self.core.backend_closed(&mut self.sockets, backend, Closed::Unresolved);
        }
        if let Err(error) = self.sockets.connect_again(backend, addresses) {
            self.core.backend_closed(&mut self.sockets, backend, Closed::Io(error));
        }
    }

    fn writable(&mut self, link: Link) {
        let Some(connection) = self.sockets.connection(link) else {
            return;
        };
        if connection.is_connecting
            && let Link::Backend(key) = link
        {
            return self.finish_connecting(key);
        }
        if let Err(error) = connection.stream.flush() {
            return self.broken(link, error);
        }
        self.core.writable(link);
    }

    fn finish_connecting(&mut self, key: usize) {
        let Some(connection) = self.sockets.connection(Link::Backend(key)) else {
            return;
        };
        match connection.stream.finish_connecting() {
            // An event of the connection that was here before.
            Ok(()) if !connection.stream.is_connected() => {}
            Ok(()) => self.secure(key),
            Err(error) => {
                let others = std::mem::take(&mut self.sockets.backends[key].others);
                if others.is_empty() || self.sockets.connect(key, others).is_err() {
                    self.core.backend_closed(&mut self.sockets, key, Closed::Io(error));
                }
            }
        }
    }

    /// Tells the core that a connection is broken.
    fn broken(&mut self, link: Link, error: io::Error) {
        match link {
            Link::Session(key) => self.core.session_broken(&mut self.sockets, key),
            Link::Backend(key) => {
                self.core.backend_closed(&mut self.sockets, key, Closed::Io(error));
            }
        }
    }
}

fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

#[expect(clippy::disallowed_methods, reason = "the driver is where time enters the engine")]
fn now() -> Instant {
    Instant::now()
}

/// The time of day: since 1970.
#[expect(clippy::disallowed_methods, reason = "the driver is where time enters the engine")]
fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
