//! What is to be written, and who waits for what.

use std::future::poll_fn;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use parking_lot::Mutex;
use redis::Value;
use tokio::sync::oneshot::Sender;
use tokio::time::Instant;

use crate::client::aio::link::LinkError;
use crate::client::transaction::is_end_of_exec;
use crate::client::wire::WireError;

/// The replies to a request.
pub(super) enum Replies {
    One(Value),
    Many(Vec<Value>),
}

pub(super) type Answer = Result<Replies, LinkError>;

/// What became of an entry with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There are more to come.
    Some,
    All,
    /// All; but the `EXEC` was refused, and what comes next may be the reply to a command that was queued.
    Doubtful,
}

/// A request without its reply.
pub(super) struct Entry {
    /// Whoever waits, unless it was told already that it takes too long.
    sender: Option<Sender<Answer>>,
    until: Option<Instant>,
    /// How many replies are owed.
    missing: usize,
    /// Those that have come, if there are to be several.
    replies: Option<Vec<Value>>,
    is_transaction: bool,
}

impl Entry {
    pub(super) fn one(sender: Sender<Answer>, until: Option<Instant>) -> Self {
        Self { sender: Some(sender), until, missing: 1, replies: None, is_transaction: false }
    }

    pub(super) fn many(sender: Sender<Answer>, count: usize, until: Option<Instant>) -> Self {
        let replies = Some(Vec::with_capacity(count));
        Self { sender: Some(sender), until, missing: count, replies, is_transaction: false }
    }

    /// The same for a transaction, the last of whose replies is that to `EXEC`.
    pub(super) fn transaction(
        sender: Sender<Answer>,
        count: usize,
        until: Option<Instant>,
    ) -> Self {
        Self { is_transaction: true, ..Self::many(sender, count, until) }
    }

    /// A request whose reply nobody wants.
    pub(super) fn unattended() -> Self {
        Self { sender: None, until: None, missing: 1, replies: None, is_transaction: false }
    }

    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// When whoever waits must be told, if somebody does.
    pub(super) fn until(&self) -> Option<Instant> {
        self.sender.as_ref().and(self.until)
    }

    /// Takes the next reply.
    pub(super) fn take(&mut self, reply: Value) -> Taken {
        self.missing = self.missing.saturating_sub(1);
        if self.missing > 0 {
            self.replies.get_or_insert_default().push(reply);
            return Taken::Some;
        }
        let is_doubtful = self.is_transaction && !is_end_of_exec(&reply);
        match self.replies.take() {
            Some(mut replies) => {
                replies.push(reply);
                self.tell(Ok(Replies::Many(replies)));
            }
            None => self.tell(Ok(Replies::One(reply))),
        }
        if is_doubtful { Taken::Doubtful } else { Taken::All }
    }

    /// Tells whoever waits if the time for it is over. Says whether it is.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let is_over = self.until().is_some_and(|until| until <= now);
        if is_over {
            self.tell(Err(LinkError::Wire(WireError::Deadline)));
        }
        is_over
    }

    /// Tells whoever waits that nothing was sent, and how much time there is left to do so.
    pub(super) fn give_back(&mut self, reason: WireError, now: Instant) {
        let left = self.until.map(|until| until.saturating_duration_since(now));
        self.tell(Err(LinkError::Unsent { reason, left }));
    }

    /// Tells whoever waits. If nobody does any more, that is all the same.
    pub(super) fn tell(&mut self, answer: Answer) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(answer);
        }
    }
}

/// Requests that have not been written.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    is_full: AtomicBool,
}

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// When the first of those who wait must be told.
    earliest: Option<Instant>,
    driver: Option<Waker>,
    /// Tasks that wait for room.
    outside: Vec<Waker>,
    /// Why nothing is taken any more.
    closed: Option<WireError>,
}

impl Inner {
    fn wake_with(&mut self, context: &mut Context<'_>) {
        if self.driver.is_none() {
            self.driver = Some(context.waker().clone());
        }
    }
}

pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// From here on tasks wait before they add to what is to be written.
const FULL: usize = 1 << 20;

impl Queue {
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    /// Waits for room, or for the end.
    pub(super) async fn room(&self) {
        poll_fn(|context| {
            let mut inner = self.inner.lock();
            if inner.bytes.len() < FULL || inner.closed.is_some() {
                return Poll::Ready(());
            }
            if !inner.outside.iter().any(|other| other.will_wake(context.waker())) {
                inner.outside.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Adds a request.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub(super) fn push(
        &self,
        entry: Entry,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), WireError> {
        let mut inner = self.inner.lock();
        if let Some(reason) = &inner.closed {
            return Err(reason.copied());
        }
        write(&mut inner.bytes);
        if inner.bytes.len() >= FULL {
            self.is_full.store(true, Relaxed);
        }
        inner.earliest = earlier(inner.earliest, entry.until());
        inner.entries.push(entry);
        let driver = inner.driver.take();
        drop(inner);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(())
    }

    /// Moves what is to be written to `bytes`, which is empty, and who waits for it to `entries`, and has the
    /// driver woken when there is more.
    pub(super) fn take(
        &self,
        bytes: &mut Vec<u8>,
        entries: &mut Vec<Entry>,
        context: &mut Context<'_>,
    ) {
        let mut inner = self.inner.lock();
        std::mem::swap(&mut inner.bytes, bytes);
        std::mem::swap(&mut inner.entries, entries);
        inner.earliest = None;
        inner.wake_with(context);
        self.is_full.store(false, Relaxed);
        let outside = std::mem::take(&mut inner.outside);
        drop(inner);
        outside.into_iter().for_each(Waker::wake);
    }

    /// When the first of those must be told who wait here, while nothing can be written; the driver is woken
    /// when there is one more.
    pub(super) fn watch(&self, context: &mut Context<'_>) -> Option<Instant> {
        let mut inner = self.inner.lock();
        inner.wake_with(context);
        inner.earliest
    }

    /// Tells those whose time is over, and when the next one's will be.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.inner.lock();
        for entry in &mut inner.entries {
            entry.expire(now);
        }
        inner.earliest = inner.entries.iter().filter_map(Entry::until).min();
        inner.earliest
    }

    /// Takes no more requests, and gives out those that were not written.
    pub(super) fn close(&self, reason: WireError) -> Vec<Entry> {
        let mut inner = self.inner.lock();
        inner.closed = Some(reason);
        inner.bytes = Vec::new();
        self.is_full.store(false, Relaxed);
        let outside = std::mem::take(&mut inner.outside);
        let entries = std::mem::take(&mut inner.entries);
        drop(inner);
        outside.into_iter().for_each(Waker::wake);
        entries
    }
}
