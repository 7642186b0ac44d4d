//! The thread of the control plane: one loop over its sockets, its orders and its clock.
//!
//! Nobody who connects is waited for. What the loop does wait for is the workers: up to a second for what they
//! have counted, and as long as a reload takes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Poll;
use mio::Token;
use slab::Slab;

use super::Common;
use super::ExitReason;
use super::Signal;
use super::clock;
use super::connection::Connection;
use super::level;
use super::listener::Listener;
use super::reload::ConfigFile;
use super::reports::Reports;

/// The one of the waker; then come the doors, then the connections.
pub(super) const WAKER: Token = Token(0);
const FIRST_DOOR: usize = 1;

/// The most connections at a time. Whoever comes when there are as many takes the place of the one that would
/// be given up first.
const MAX_CONNECTIONS: usize = 32;

/// The longest turn without a look at the workers, and the same while they drain.
const TURN: Duration = Duration::from_secs(1);
const DRAINING_TURN: Duration = Duration::from_millis(20);

/// How long to wait before accepting again, if that failed for lack of something.
const RETRY: Duration = Duration::from_millis(100);

/// What comes in at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Everyone gets nutcracker's report.
    Stats,
    Http,
}

impl Service {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stats => "stats",
            Self::Http => "HTTP",
        }
    }
}

pub(super) struct Door {
    pub(super) listener: Listener,
    pub(super) service: Service,
    /// When to accept although the system reports nothing.
    pub(super) retry: Option<Instant>,
}

pub(super) enum Order {
    Signal(Signal),
    Stop,
}

pub(super) struct Desk {
    pub(super) common: Arc<Common>,
    pub(super) poll: Poll,
    pub(super) orders: Receiver<Order>,
    /// None of them is there while the workers drain.
    pub(super) doors: Vec<Option<Door>>,
    pub(super) connections: Slab<Connection>,
    pub(super) reports: Reports,
    pub(super) file: ConfigFile,
    pub(super) is_watching: bool,
}

impl Desk {
    /// Works until there is nothing left to do, and answers why.
    pub(super) fn run(mut self) -> ExitReason {
        let mut events = Events::with_capacity(64);
        loop {
            if let Err(error) = self.poll.poll(&mut events, Some(self.patience())) {
                // A signal may have come to this thread.
                if error.kind() != io::ErrorKind::Interrupted {
                    return ExitReason::Failed(error);
                }
            }
            self.reports.begin_turn();
            if let Some(reason) = self.obey() {
                return reason;
            }
            for event in &events {
                let first = FIRST_DOOR + self.doors.len();
                match event.token() {
                    WAKER => {}
                    Token(place) if place < first => self.accept(place - FIRST_DOOR),
                    Token(place) => self.advance(place - first),
                }
            }
            self.tidy();
            // In this order: they end only after it is known that they drain.
            let (is_finished, has_lost_one) =
                (self.common.workers.is_finished(), self.common.workers.has_lost_one());
            let is_draining = self.common.is_draining.load(Ordering::SeqCst);
            if is_finished && is_draining {
                return ExitReason::Drained;
            }
            if has_lost_one && !is_draining {
                return ExitReason::WorkersEnded;
            }
        }
    }

    /// Does what was ordered meanwhile.
    fn obey(&mut self) -> Option<ExitReason> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Stop => return Some(ExitReason::Stopped),
                Order::Signal(Signal::Hangup) => (self.common.reopen_log)(),
                Order::Signal(Signal::LogMore) => (self.common.change_level)(1),
                Order::Signal(Signal::LogLess) => (self.common.change_level)(-1),
                Order::Signal(Signal::Reload) if self.common.is_draining.load(Ordering::SeqCst) => {
                    (self.common.log)(level::WARN, "conf: not reloaded, this process is draining");
                }
                Order::Signal(Signal::Reload) => {
                    self.file.reload(&*self.common.workers, &self.common.log);
                }
                Order::Signal(Signal::Nothing) => {}
                // The workers know since it was heard.
                Order::Signal(Signal::Interrupt | Signal::Terminate) => self.give_up(),
            }
        }
        None
    }

    /// A process that follows this one may be started before this one has ended: what it needs is free. Who has
    /// connected until now is answered still.
    fn give_up(&mut self) {
        for door in 0..self.doors.len() {
            self.accept(door);
            self.doors[door] = None;
        }
        self.common.files.lock().clear();
        (self.common.give_up)();
    }

    fn accept(&mut self, door: usize) {
        let now = clock::now();
        // As many as there is room for, so that a crowd cannot keep the loop here.
        for _ in 0..MAX_CONNECTIONS {
            let Some(Door { listener, service, retry }) = &mut self.doors[door] else { return };
            let was_waiting = retry.take().is_some();
            let socket = match listener.accept() {
                Ok(socket) => socket,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                    _ => {
                        *retry = Some(now + RETRY);
                        if !was_waiting {
                            let text = format!("accept for {} failed: {error}", service.name());
                            (self.common.log)(level::ERROR, &text);
                        }
                        return;
                    }
                },
            };
            let connection = match service {
                Service::Http => Connection::asking(socket, now),
                Service::Stats => {
                    Connection::replying(socket, self.reports.json().into_bytes(), clock::now())
                }
            };
            self.admit(connection);
        }
        if let Some(door) = &mut self.doors[door] {
            door.retry = Some(now);
        }
    }

    fn admit(&mut self, connection: Connection) {
        if self.connections.len() >= MAX_CONNECTIONS {
            let oldest =
                self.connections.iter().min_by_key(|(_, connection)| connection.deadline());
            if let Some(key) = oldest.map(|(key, _)| key) {
                self.connections.remove(key);
            }
        }
        let first = FIRST_DOOR + self.doors.len();
        let key = self.connections.insert(connection);
        let socket = self.connections[key].socket();
        match socket.register(self.poll.registry(), Token(first + key)) {
            // What came before this is not reported.
            Ok(()) => self.advance(key),
            Err(_) => drop(self.connections.remove(key)),
        }
    }

    /// The key may be that of a connection that is over, or of another that has taken its place; both are fine.
    fn advance(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (reports, common) = (&mut self.reports, &self.common);
        let is_over = connection.advance(clock::now(), |asked| {
            reports.reply(asked, common.is_draining.load(Ordering::SeqCst))
        });
        if is_over {
            self.connections.remove(key);
        }
    }

    /// Does what it is time for.
    fn tidy(&mut self) {
        let now = clock::now();
        self.connections.retain(|_, connection| connection.deadline() > now);
        for door in 0..self.doors.len() {
            let retry = self.doors[door].as_ref().and_then(|door| door.retry);
            if retry.is_some_and(|at| at <= now) {
                self.accept(door);
            }
        }
        if self.is_watching && !self.common.is_draining.load(Ordering::SeqCst) {
            self.file.look(&*self.common.workers, &self.common.log, now);
        }
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Duration {
        let is_draining = self.common.is_draining.load(Ordering::SeqCst);
        let now = clock::now();
        let connections = self.connections.iter().map(|(_, connection)| connection.deadline());
        let doors = self.doors.iter().flatten().filter_map(|door| door.retry);
        let file = (self.is_watching && !is_draining).then(|| self.file.next_look());
        let first = connections.chain(doors).chain(file).min();
        let turn = if is_draining { DRAINING_TURN } else { TURN };
        first.map_or(turn, |first| first.saturating_duration_since(now).min(turn))
    }
}

/// The token of the listener that stands at `place` among the doors.
pub(super) fn door(place: usize) -> Token {
    Token(FIRST_DOOR + place)
}
