//! Backends: the connections of this worker to the nodes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::buffers::Outgoing;
use super::memcache::Asked;
use super::memcache::AskedKeys;
use crate::protocol::resp::Scanner;
use crate::proxy::settings::Endpoint;
use crate::topology::Member;

/// A connection whose oldest request has waited for so many timeouts without a byte from the node is given up.
const TIMEOUTS: u64 = 3;

/// What is said of more values than were asked for.
const TOO_MANY: &str = "it sent more values than it was asked for";

/// A place for a connection to a node. It outlives the connections that are made in it.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) pool: usize,
    /// The node.
    pub(super) member: Arc<Member<Endpoint>>,
    /// Place of its counters.
    pub(super) counters: usize,
    pub(super) stage: Stage,
    pub(super) is_resp3: bool,
    /// The session that has it for itself, and its serial number.
    pub(super) owner: Option<(usize, u32)>,
    /// Whether its node is gone from the topology: it ends when it is answered.
    pub(super) is_retired: bool,
    pub(super) is_dirty: bool,
    /// Whether the client whose reply is arriving does not take it.
    pub(super) is_paused: bool,
    /// Since when, in the worker's milliseconds.
    pub(super) paused_at: u64,
    /// Whether requests have more time than others behind them.
    pub(super) has_excused: bool,
    pub(super) out: Outgoing,
    /// Requests under way, in the order in which the node answers.
    pub(super) queue: VecDeque<Pending>,
    /// The keys of those that ask for one value.
    pub(super) asked_keys: AskedKeys,
    /// What has arrived of a reply that is not complete.
    pub(super) rest: Vec<u8>,
    pub(super) scanner: Scan,
    /// A reply that is passed on as it comes.
    pub(super) stream: Option<Stream>,
    /// Whether the last reply was a large one.
    pub(super) is_large: bool,
    /// The epoch of the node's health when the connection was opened.
    pub(super) epoch: u64,
    /// When the last failure was counted; what was asked before is no other failure.
    pub(super) failed_at: u64,
    /// When something last arrived.
    pub(super) heard_at: u64,
    /// Failures to connect in a row.
    pub(super) failures: u32,
    /// What to say until then, in the worker's milliseconds.
    pub(super) refused_until: u64,
    pub(super) refusal: Vec<u8>,
    /// Sessions that wait until it has sent more.
    pub(super) waiting: Vec<(usize, u32)>,
    /// Since when it owes the confirmation of a subscription, in the worker's microseconds.
    pub(super) unconfirmed_since: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Closed,
    /// Connecting, and being looked up before.
    Opening,
    /// So many replies to the greeting are missing; nothing else is sent before.
    Greeting(u8),
    Ready,
}

/// How the end of a reply is found.
#[derive(Debug)]
pub(super) enum Scan {
    Redis(Scanner),
    Memcache(Box<super::memcache::ReplyEnd>),
}

/// A request that a node has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// The session, its serial number, and the number of its ticket.
    pub(super) session: u32,
    pub(super) serial: u32,
    pub(super) ticket: u32,
    pub(super) purpose: Purpose,
    /// In the worker's microseconds.
    pub(super) at: u64,
    /// Of the request.
    pub(super) bytes: u32,
    /// What memcached was asked.
    pub(super) asked: Asked,
}

/// What a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is the reply to the ticket.
    Whole,
    /// It is this part of it.
    Part(u16),
    /// It is thrown away: nobody waits for it, or nobody does any more.
    Nothing,
    /// Of the greeting.
    Greeting,
    /// Of a `MULTI` that the client was told is carried out.
    Begin,
    /// It is the reply to the ticket, a `MULTI`: what the client sent behind it waits for it.
    Multi,
    /// Of a probe.
    Probe,
    /// Of a `SCAN`, whose cursor is the node's.
    Cursor,
    /// Of a `SCAN` whose next cursor would be one of other nodes.
    Outdated,
    /// It ends what the session has the connection for.
    Release,
    /// A confirmation of a subscription, and whatever comes unasked.
    Subscription,
}

/// A reply that is passed on as it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// Of what has passed.
    pub(super) length: usize,
}

impl Scan {
    /// Finds the end of the reply that `bytes` begin with.
    #[inline]
    pub(super) fn scan(&mut self, bytes: &[u8], asked: Asked) -> Result<Option<usize>, String> {
        match self {
            Self::Redis(scanner) => scanner.scan(bytes).map_err(|error| error.to_string()),
            Self::Memcache(scanner) => {
                let length =
                    scanner.scan(asked.expected(), bytes).map_err(|error| error.to_string())?;
                // An endless reply never shows its end.
                let values = match length {
                    Some(_) => scanner.last_values(),
                    None => scanner.values(),
                };
                match asked {
                    Asked::Value(_) if values > 1 => Err(TOO_MANY.into()),
                    Asked::Values(most) if values > most => Err(TOO_MANY.into()),
                    _ => Ok(length),
                }
            }
        }
    }

    /// How many of the bytes that were scanned belong to the reply in any case.
    pub(super) fn known(&self, bytes: &[u8]) -> usize {
        match self {
            Self::Redis(scanner) => scanner.known(bytes),
            Self::Memcache(scanner) => scanner.known(bytes),
        }
    }

    /// As [`known`](Self::known), and they are forgotten.
    pub(super) fn take_known(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Redis(scanner) => {
                let known = scanner.known(bytes);
                scanner.take(known);
                known
            }
            Self::Memcache(scanner) => {
                let known = scanner.known(bytes);
                scanner.take(known);
                known
            }
        }
    }

    /// How many of the bytes that come next are of a string, if none are there that are [known](Self::known).
    #[inline]
    pub(super) fn left_of_string(&self) -> usize {
        match self {
            Self::Redis(scanner) => scanner.left_of_string(),
            Self::Memcache(scanner) => scanner.left_of_value(),
        }
    }

    /// Passes over bytes of a string that it is not shown.
    pub(super) fn skip(&mut self, count: usize) {
        match self {
            Self::Redis(scanner) => scanner.take(count),
            Self::Memcache(scanner) => scanner.take(count),
        }
    }

    /// How many bytes are missing at least of the reply that begins `bytes`, which were scanned.
    pub(super) fn missing(&self, bytes: &[u8], asked: Asked) -> usize {
        match self {
            Self::Redis(scanner) => scanner.missing(bytes),
            Self::Memcache(scanner) => scanner.missing(asked.expected(), bytes),
        }
    }

    /// Begins with the next reply.
    pub(super) fn reset(&mut self) {
        match self {
            Self::Redis(scanner) => *scanner = Scanner::default(),
            Self::Memcache(scanner) => **scanner = super::memcache::ReplyEnd::default(),
        }
    }
}

impl Pending {
    /// The reply that nobody waits for.
    pub(super) fn of_nobody(purpose: Purpose, at: u64) -> Self {
        Self { session: u32::MAX, serial: 0, ticket: 0, purpose, at, bytes: 0, asked: Asked::Line }
    }
}

impl Backend {
    pub(super) fn new(
        pool: usize,
        member: Arc<Member<Endpoint>>,
        counters: usize,
        is_resp3: bool,
        scanner: Scan,
    ) -> Self {
        Self {
            pool,
            member,
            counters,
            stage: Stage::Closed,
            is_resp3,
            owner: None,
            is_retired: false,
            is_dirty: false,
            is_paused: false,
            paused_at: 0,
            has_excused: false,
            out: Outgoing::default(),
            queue: VecDeque::new(),
            asked_keys: AskedKeys::default(),
            rest: Vec::new(),
            scanner,
            stream: None,
            is_large: false,
            epoch: 0,
            failed_at: 0,
            heard_at: 0,
            failures: 0,
            refused_until: 0,
            refusal: Vec::new(),
            waiting: Vec::new(),
            unconfirmed_since: None,
        }
    }

    /// The oldest request is answered.
    #[inline]
    pub(super) fn pop(&mut self) {
        if let Some(Pending { asked: Asked::Value(length), .. }) = self.queue.pop_front() {
            self.asked_keys.pop(length);
        }
    }

    /// Whether what begins like this may be the reply to the oldest request.
    #[inline]
    pub(super) fn may_be_answered_with(&self, asked: Asked, reply: &[u8]) -> bool {
        match asked {
            Asked::Value(length) => self.asked_keys.may_be_answered_with(length, reply),
            _ => true,
        }
    }

    /// Whether requests may be sent now, not only queued.
    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// When the oldest request must be answered.
    pub(super) fn deadline(&self, timeout: Duration) -> Option<u64> {
        let timeout = timeout.as_micros() as u64;
        let taker = self.taker();
        let has_time = |pending: &&Pending| pending.is_awaited() && Some(pending.client()) != taker;
        let mut awaited = self.queue.iter().filter(has_time).map(|pending| pending.at);
        let oldest = if self.has_excused { awaited.min() } else { awaited.next() };
        match oldest {
            Some(at) => Some(at.saturating_add(timeout)),
            // Nobody waits for a reply, but somebody may wait for room, or for the connection.
            None => self.silent_from(timeout),
        }
    }

    /// The client that does not take its reply: it waits as long as it likes.
    pub(super) fn taker(&self) -> Option<(u32, u32)> {
        self.queue.front().filter(|_| self.is_paused).map(Pending::client)
    }

    /// Reading goes on: the time in which the client did not take its replies is not the node's, nor that of what the
    /// client has asked besides.
    pub(super) fn excuse(&mut self, now: u64) {
        let Some(client) = self.taker() else {
            return;
        };
        let pause = now.saturating_sub(self.paused_at * 1000);
        self.heard_at = now;
        self.has_excused = true;
        let is_own = |pending: &&mut Pending| pending.client() == client;
        for pending in self.queue.iter_mut().filter(is_own) {
            pending.at = pending.at.saturating_add(pause).min(now);
        }
    }

    /// When the node is taken for gone if nothing is heard of it: on a connection that is only listened to, nobody
    /// waits for anything but confirmations.
    pub(super) fn silent_from(&self, timeout: u64) -> Option<u64> {
        let oldest = self.queue.front()?;
        let since = self.heard_at.max(oldest.at);
        if matches!(self.stage, Stage::Opening | Stage::Greeting(_)) {
            return Some(since.saturating_add(timeout));
        }
        let since = match oldest.purpose {
            Purpose::Subscription => since.max(self.unconfirmed_since?),
            _ => since,
        };
        (!self.is_paused).then(|| since.saturating_add(TIMEOUTS.saturating_mul(timeout)))
    }

    /// How long to refuse requests after so many failures to connect in a row: the first is tried again at
    /// once, later ones after up to a second.
    pub(super) fn back_off(&self) -> u64 {
        match self.failures {
            0 | 1 => 0,
            failures => (25 << failures.min(6)).min(1000),
        }
    }
}

impl Pending {
    /// The session and its serial number.
    fn client(&self) -> (u32, u32) {
        (self.session, self.serial)
    }

    /// Whether somebody waits for the reply.
    pub(super) fn is_awaited(&self) -> bool {
        !matches!(self.purpose, Purpose::Nothing | Purpose::Subscription)
    }
}
