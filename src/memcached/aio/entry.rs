//! Who waits for which replies.

use std::vec::IntoIter;

use tokio::sync::oneshot::Sender;
use tokio::time::Instant;

use crate::memcached::ask::Ask;
use crate::memcached::ask::Expected;
use crate::memcached::ask::Next;
use crate::memcached::ask::Outcome;
use crate::memcached::lines::Line;
use crate::memcached::lines::place_of;
use crate::memcached::lines::wants_cas;
use crate::memcached::wire_error::WireError;
use crate::net::pipe;
use crate::net::pipe::PipeFailure;
use crate::net::pipe::Taken;
use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::Dialect;
use crate::protocol::memcache::Found;
use crate::protocol::memcache::Kind;
use crate::protocol::memcache::ProgressOf;
use crate::protocol::memcache::read_found;

/// What came of all that was asked at once.
#[derive(Debug)]
pub(super) struct Answered {
    /// All but the last.
    pub(super) before: Vec<Option<Outcome>>,
    pub(super) last: Outcome,
    /// Bytes.
    pub(super) received: usize,
}

/// What came of it until it failed, if anything did; of the first of it.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) before: Vec<Option<Outcome>>,
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
    others: IntoIter<Owed>,
    outcomes: Vec<Option<Outcome>>,
    received: usize,
}

/// The reply that is owed for one line.
pub(super) struct Owed {
    replies: Replies,
    /// How long the line is on the wire, with its value.
    pub(super) length: usize,
}

enum Replies {
    One(Expected<Box<[u8]>>),
    /// Of a line with several keys.
    Found(Box<Finds>),
}

/// What a line with several keys has found so far.
struct Finds {
    keys: Vec<Box<[u8]>>,
    with_cas: bool,
    outcomes: Vec<Option<Outcome>>,
    /// Which key is expected next.
    place: usize,
}

/// What came of reading.
pub(super) enum Read {
    /// At least so many bytes are missing.
    Missing(usize),
    /// So many bytes were read.
    Taken { taken: Taken, length: usize, is_in_step: bool },
}

impl Entry {
    /// `lines`, the first of which has this opaque.
    pub(super) fn new<'s>(
        sender: Sender<Answer>,
        until: Option<Instant>,
        (first, others): (Line<'s>, impl Iterator<Item = Line<'s>>),
        opaque: u32,
        dialect: Dialect,
    ) -> Self {
        let others: Vec<_> = others.map(|line| Owed::new(line, dialect)).collect();
        Self {
            sender: Some(sender),
            until,
            next: Owed::new(first, dialect),
            opaque,
            others: others.into_iter(),
            outcomes: Vec::new(),
            received: 0,
        }
    }

    /// All that is owed, in order.
    pub(super) fn owed(&self) -> impl Iterator<Item = &Owed> {
        std::iter::once(&self.next).chain(self.others.as_slice())
    }

    pub(super) fn owed_mut(&mut self) -> impl Iterator<Item = &mut Owed> {
        std::iter::once(&mut self.next).chain(self.others.as_mut_slice())
    }

    /// Reads the next reply, or the next value of one, at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// If what is there is not that.
    pub(super) fn read(&mut self, bytes: &[u8], dialect: Dialect) -> Result<Read, BrokenReply> {
        let (taken, length, is_in_step) = match &mut self.next.replies {
            Replies::One(expected) => match expected.read(bytes, dialect, self.opaque)? {
                Next::Missing(count) => return Ok(Read::Missing(count)),
                Next::Arrived { outcome, length, is_in_step } => {
                    self.received += length;
                    (self.take(outcome), length, is_in_step)
                }
            },
            Replies::Found(finds) => match read_found(bytes, finds.with_cas)? {
                ProgressOf::Missing(count) => return Ok(Read::Missing(count)),
                ProgressOf::Whole(Ok(Some(found)), length) => {
                    finds.accept(found)?;
                    self.received += length;
                    (Taken::Some, length, true)
                }
                ProgressOf::Whole(end, length) => {
                    let kind = Kind::Get { with_cas: finds.with_cas };
                    let (rest, is_in_step) = match end {
                        Ok(_) => (Outcome::Miss, true),
                        Err(error) => {
                            let is_in_step = error.leaves_in_step(kind);
                            (Outcome::Refused(error.into()), is_in_step)
                        }
                    };
                    let (mut before, last) = finds.end(&rest);
                    self.outcomes.append(&mut before);
                    self.received += length;
                    (self.take(last), length, is_in_step)
                }
            },
        };
        Ok(Read::Taken { taken, length, is_in_step })
    }

    /// Takes the last outcome of the line that is answered now.
    fn take(&mut self, outcome: Outcome) -> Taken {
        if let Some(next) = self.others.next() {
            self.next = next;
            self.opaque = self.opaque.wrapping_add(1);
            self.outcomes.push(Some(outcome));
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

impl pipe::Entry for Entry {
    type Error = WireError;

    fn until(&self) -> Option<Instant> {
        self.sender.as_ref().and(self.until)
    }

    fn fail(&mut self, failure: PipeFailure<WireError>) {
        let mut before = std::mem::take(&mut self.outcomes);
        if let Replies::Found(finds) = &mut self.next.replies {
            // What comes still is read as before, for nobody.
            before.extend(finds.outcomes.iter_mut().map(Option::take));
        }
        self.tell(Err(Unanswered { before, failure }));
    }
}

impl Owed {
    fn new(line: Line<'_>, dialect: Dialect) -> Self {
        let (first, with) = line;
        let replies = match wants_cas(line) {
            Some(with_cas) => {
                let keys = std::iter::once(first).chain(with).map(|ask| ask.key().into());
                Replies::Found(Box::new(Finds::new(keys.collect(), with_cas)))
            }
            None => Replies::One(owned(first, dialect)),
        };
        Self { replies, length: 0 }
    }
}

/// What is to be known of a request to read its reply. A meta reply shows by its opaque what it belongs to:
/// no key is copied for it.
fn owned(ask: &Ask<'_>, dialect: Dialect) -> Expected<Box<[u8]>> {
    match (ask.expected(), dialect) {
        (Expected::Key { kind, .. }, Dialect::Meta) => Expected::Key { key: Box::default(), kind },
        (Expected::Key { key, kind }, Dialect::Classic) => Expected::Key { key: key.into(), kind },
        (Expected::Version, _) => Expected::Version,
        (Expected::Flush, _) => Expected::Flush,
        (Expected::Stats, _) => Expected::Stats,
    }
}

impl Finds {
    fn new(keys: Vec<Box<[u8]>>, with_cas: bool) -> Self {
        let outcomes = keys.iter().map(|_| None).collect();
        Self { keys, with_cas, outcomes, place: 0 }
    }

    /// Takes the next value.
    ///
    /// # Errors
    ///
    /// If it is of none of the keys that have none yet.
    fn accept(&mut self, found: Found<'_>) -> Result<(), BrokenReply> {
        let Found { key, data, flags, cas } = found;
        let is_it = |&index: &usize| self.outcomes[index].is_none() && *self.keys[index] == *key;
        let place = place_of(self.keys.len(), self.place, is_it).ok_or(BrokenReply::Key)?;
        self.outcomes[place] = Some(Outcome::Value { data: data.to_vec(), flags, cas });
        self.place = place + 1;
        Ok(())
    }

    /// What came of all keys but the last, and of that: no more values come, and of the keys without one it is
    /// `rest`.
    fn end(&mut self, rest: &Outcome) -> (Vec<Option<Outcome>>, Outcome) {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        let last = outcomes.pop().flatten();
        for outcome in &mut outcomes {
            outcome.get_or_insert_with(|| rest.clone());
        }
        (outcomes, last.unwrap_or_else(|| rest.clone()))
    }
}
