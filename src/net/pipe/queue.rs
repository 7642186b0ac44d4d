//! What is to be written, and who waits for what.

use std::future::poll_fn;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Entry;
use super::PipeFailure;
use super::Reason;

/// Requests that have not been written.
pub(super) struct Queue<E: Entry> {
    inner: Mutex<Inner<E>>,
    is_full: AtomicBool,
}

struct Inner<E: Entry> {
    bytes: Vec<u8>,
    entries: Vec<E>,
    /// When the first of those who wait must be told.
    earliest: Option<Instant>,
    driver: Option<Waker>,
    /// Tasks that wait for room.
    outside: Vec<Waker>,
    /// Why nothing is taken any more.
    closed: Option<E::Error>,
}

impl<E: Entry> Default for Queue<E> {
    fn default() -> Self {
        let inner = Inner {
            bytes: Vec::new(),
            entries: Vec::new(),
            earliest: None,
            driver: None,
            outside: Vec::new(),
            closed: None,
        };
        Self { inner: Mutex::new(inner), is_full: AtomicBool::new(false) }
    }
}

impl<E: Entry> Inner<E> {
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

/// Tells whoever waits if the time for it is over. Says whether it is.
pub(super) fn expire<E: Entry<Error: Reason>>(entry: &mut E, now: Instant) -> bool {
    let is_over = entry.until().is_some_and(|until| until <= now);
    if is_over {
        entry.fail(PipeFailure::Lost(E::Error::deadline()));
    }
    is_over
}

/// From here on tasks wait before they add to what is to be written.
const FULL: usize = 1 << 20;

impl<E: Entry<Error: Reason>> Queue<E> {
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

    /// Adds a request, and who waits for it, whom `write` returns.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub(super) fn push(&self, write: impl FnOnce(&mut Vec<u8>) -> E) -> Result<(), E::Error> {
        let mut inner = self.inner.lock();
        if let Some(reason) = &inner.closed {
            return Err(reason.copied());
        }
        let entry = write(&mut inner.bytes);
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
        entries: &mut Vec<E>,
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
            expire(entry, now);
        }
        inner.earliest = inner.entries.iter().filter_map(E::until).min();
        inner.earliest
    }

    /// Takes no more requests, and gives out those that were not written.
    pub(super) fn close(&self, reason: E::Error) -> Vec<E> {
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
