//! Memcached's protocols on a pipe, and who waits for which replies.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::Arc;

use tokio::sync::oneshot::Sender;
use tokio::time::Instant;

use super::link::LinkState;
use super::pieces::Pieces;
use crate::memcached::ask::Ask;
use crate::memcached::ask::Expected;
use crate::memcached::ask::Next;
use crate::memcached::ask::Outcome;
use crate::memcached::transport::Transport;
use crate::memcached::wire_error::WireError;
use crate::net::copy_of;
use crate::net::pipe;
use crate::net::pipe::PipeFailure;
use crate::net::pipe::Reason;
use crate::net::pipe::Taken;
use crate::net::pipe::Wire;
use crate::protocol::memcache::Dialect;

/// A socket that has shaken hands, and who hears when it is closed.
pub(super) struct MemcacheWire {
    transport: Transport,
    dialect: Dialect,
    state: Arc<LinkState>,
    /// How much is missing of the next reply at least.
    missing: usize,
    /// In which pieces requests go, if that matters.
    pieces: Option<Pieces>,
}

/// What came of all that was asked at once.
#[derive(Debug)]
pub(super) struct Answered {
    /// All but the last.
    pub(super) before: Vec<Outcome>,
    pub(super) last: Outcome,
    /// Bytes.
    pub(super) received: usize,
}

/// What came of it until it failed.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) before: Vec<Outcome>,
    pub(super) failure: PipeFailure<WireError>,
}

pub(super) type Answer = Result<Answered, Unanswered>;

/// Requests without their replies, asked at once by one task.
pub(super) struct Entry {
    /// Whoever waits, unless it was told already that it takes too long.
    sender: Option<Sender<Answer>>,
    until: Option<Instant>,
    /// The reply that is owed next, and its opaque.
    next: Owed,
    opaque: u32,
    /// Those that are owed after it. Their opaques follow.
    others: std::vec::IntoIter<Owed>,
    outcomes: Vec<Outcome>,
    received: usize,
}

/// A reply that is to come.
pub(super) struct Owed {
    expected: Expected<Box<[u8]>>,
    /// How long its request is on the wire.
    pub(super) length: usize,
}

impl Entry {
    /// `asks`, the first of which has this opaque; there is one at least.
    pub(super) fn new(
        sender: Sender<Answer>,
        until: Option<Instant>,
        asks: (&Ask<'_>, &[Ask<'_>]),
        opaque: u32,
        dialect: Dialect,
    ) -> Self {
        let (first, others) = asks;
        let others: Vec<_> = others.iter().map(|ask| owned(ask, dialect)).collect();
        Self {
            sender: Some(sender),
            until,
            next: owned(first, dialect),
            opaque,
            outcomes: Vec::with_capacity(others.len()),
            others: others.into_iter(),
            received: 0,
        }
    }

    /// All that is owed, in order.
    pub(super) fn owed_mut(&mut self) -> impl Iterator<Item = &mut Owed> {
        std::iter::once(&mut self.next).chain(self.others.as_mut_slice())
    }

    fn owed(&self) -> impl Iterator<Item = &Owed> {
        std::iter::once(&self.next).chain(self.others.as_slice())
    }

    /// Takes what came of the next request.
    fn take(&mut self, outcome: Outcome, length: usize) -> Taken {
        self.received += length;
        if let Some(next) = self.others.next() {
            self.next = next;
            self.opaque = self.opaque.wrapping_add(1);
            self.outcomes.push(outcome);
            return Taken::Some;
        }
        let before = std::mem::take(&mut self.outcomes);
        self.tell(Ok(Answered { before, last: outcome, received: self.received }));
        Taken::All
    }

    /// Tells whoever waits. If nobody does any more, that is all the same.
    fn tell(&mut self, answer: Answer) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(answer);
        }
    }
}

/// What is to be known of a request. A meta reply shows by its opaque what it belongs to: no key is copied
/// for it.
fn owned(ask: &Ask<'_>, dialect: Dialect) -> Owed {
    let expected = match (ask.expected(), dialect) {
        (Expected::Key { kind, .. }, Dialect::Meta) => Expected::Key { key: Box::default(), kind },
        (Expected::Key { key, kind }, Dialect::Classic) => Expected::Key { key: key.into(), kind },
        (Expected::Version, _) => Expected::Version,
        (Expected::Flush, _) => Expected::Flush,
        (Expected::Stats, _) => Expected::Stats,
    };
    Owed { expected, length: 0 }
}

impl MemcacheWire {
    pub(super) fn new(transport: Transport, dialect: Dialect, state: Arc<LinkState>) -> Self {
        let pieces = transport.piece().map(Pieces::new);
        Self { transport, dialect, state, missing: 1, pieces }
    }
}

impl pipe::Entry for Entry {
    type Error = WireError;

    fn until(&self) -> Option<Instant> {
        self.sender.as_ref().and(self.until)
    }

    fn fail(&mut self, failure: PipeFailure<WireError>) {
        let before = std::mem::take(&mut self.outcomes);
        self.tell(Err(Unanswered { before, failure }));
    }
}

impl Wire for MemcacheWire {
    type Entry = Entry;
    type Error = WireError;

    fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(pieces) = &mut self.pieces else {
            return self.transport.try_send(bytes);
        };
        let piece = &bytes[..pieces.next().min(bytes.len())];
        let count = self.transport.try_send(piece)?;
        pieces.sent(count);
        Ok(count)
    }

    fn is_flushed(&self) -> bool {
        self.transport.is_flushed()
    }

    fn try_receive(&mut self) -> Result<usize, WireError> {
        Ok(self.transport.try_receive(self.missing)?)
    }

    fn has_room(&self) -> bool {
        self.transport.has_room()
    }

    /// A reply is read by who waits for it: only where its request ends may have to be noted.
    fn expect(&mut self, entry: &Entry) {
        if let Some(pieces) = &mut self.pieces {
            entry.owed().for_each(|owed| pieces.add(owed.length));
        }
    }

    fn next_reply(&mut self, first: Option<&mut Entry>) -> Result<Taken, WireError> {
        let bytes = self.transport.arrived();
        self.missing = 1;
        if bytes.is_empty() {
            return Ok(Taken::Nothing);
        }
        let Some(entry) = first else {
            return Err(WireError::Broken("a reply that nobody asked for".into()));
        };
        match entry.next.expected.read(bytes, self.dialect, entry.opaque)? {
            Next::Missing(count) => {
                self.missing = count;
                Ok(Taken::Nothing)
            }
            Next::Arrived { outcome, length, is_in_step } => {
                self.transport.take(length);
                let taken = entry.take(outcome, length);
                if is_in_step {
                    return Ok(taken);
                }
                // That was an answer, and no failure of the node; but nobody else can be answered.
                self.state.excuse();
                Err(WireError::OutOfStep)
            }
        }
    }

    fn close(&self) {
        self.state.close();
    }

    fn excuse(&self) {
        self.state.excuse();
    }

    fn end(&self) {
        self.state.end();
    }
}

impl AsRawFd for MemcacheWire {
    fn as_raw_fd(&self) -> RawFd {
        self.transport.as_fd().as_raw_fd()
    }
}

impl Reason for WireError {
    fn deadline() -> Self {
        Self::Deadline
    }

    fn copied(&self) -> Self {
        match self {
            Self::Io(error) => Self::Io(copy_of(error)),
            Self::Deadline => Self::Deadline,
            Self::Broken(why) => Self::Broken(why.clone()),
            Self::OutOfStep => Self::OutOfStep,
            Self::Refused(reason) => Self::Refused(reason.clone()),
            Self::Busy(count) => Self::Busy(*count),
        }
    }
}
