//! One connection to one node, which many tasks of one runtime share.

use std::fmt;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::entry::Answer;
use super::entry::Entry;
use super::entry::Unanswered;
use super::wire::MemcacheWire;
use crate::memcached::ask::Ask;
use crate::memcached::endpoint::Endpoint;
use crate::memcached::lines;
use crate::memcached::lines::lines;
use crate::memcached::transport::Transport;
use crate::memcached::wire_error::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::net::pipe::Pipe;
use crate::net::pipe::PipeFailure;
use crate::protocol::memcache::Dialect;
use crate::topology::Member;

/// A connection to a node. It is closed when this is dropped.
pub(super) struct Link {
    pipe: Pipe<MemcacheWire>,
    dialect: Dialect,
    /// That of the next request.
    opaque: AtomicU32,
    state: Arc<LinkState>,
    born: Instant,
}

/// What the link and its driver know of each other.
pub(super) struct LinkState {
    /// Weak: the member has the link.
    member: Weak<Member<Endpoint>>,
    is_closed: AtomicBool,
    /// Whether its node was held to account for that, or is not to be.
    is_blamed: AtomicBool,
    is_counted: AtomicBool,
}

impl Link {
    /// Begins to use a socket that has shaken hands.
    ///
    /// # Errors
    ///
    /// If the runtime cannot wait for it.
    pub(super) fn new(
        (transport, dialect): (Transport, Dialect),
        member: &Weak<Member<Endpoint>>,
        now: Instant,
    ) -> Result<Self, WireError> {
        let state = LinkState::new(member);
        let wire = MemcacheWire::new(transport, dialect, Arc::clone(&state));
        Ok(Self { pipe: Pipe::new(wire)?, dialect, opaque: AtomicU32::new(0), state, born: now })
    }

    /// Whether requests may be sent on it: it is not closed as far as one knows, and not too old.
    #[inline]
    pub(super) fn is_usable(&self, now: Instant, max_lifetime: Option<Duration>) -> bool {
        let age = now.saturating_duration_since(self.born);
        !self.state.is_closed.load(Acquire) && max_lifetime.is_none_or(|limit| age < limit)
    }

    /// Notes that it is of no use any more. True if its node is to be held to account, which happens once: a
    /// connection that breaks is one failure, however many requests go down with it (as in nutcracker 0.5.0,
    /// `nc_server.c` `server_close`).
    pub(super) fn break_once(&self) -> bool {
        self.state.close();
        !self.state.is_blamed.swap(true, Relaxed)
    }

    /// Sends what is asked in one piece and waits for the replies; there is one ask at least. Returns how
    /// many bytes were sent, too.
    pub(super) async fn ask(
        &self,
        first: &Ask<'_>,
        others: &[Ask<'_>],
        deadline: Deadline,
    ) -> (Answer, usize) {
        let (sender, receiver) = oneshot::channel();
        let until = deadline.at().map(tokio::time::Instant::from_std);
        // More than there are opaques cannot be under way.
        let opaque = self.opaque.fetch_add(others.len() as u32 + 1, Relaxed);
        let mut entry = Entry::new(sender, until, lines(first, others), opaque, self.dialect);
        if self.pipe.is_full() && !self.has_room(deadline).await {
            return (lost(PipeFailure::Lost(WireError::Deadline)), 0);
        }
        let mut sent = 0;
        let pushed = self.pipe.push(|out| {
            let (first, others) = lines(first, others);
            let lines = std::iter::once(first).chain(others).zip(0..);
            for ((line, place), owed) in lines.zip(entry.owed_mut()) {
                let start = out.len();
                lines::write(out, line, self.dialect, opaque.wrapping_add(place));
                owed.length = out.len() - start;
                sent += owed.length;
            }
            entry
        });
        if let Err(failure) = pushed {
            return (lost(failure), 0);
        }
        match self.pipe.attend(receiver).await {
            Ok(answer) => (answer, sent),
            Err(error) => (lost(PipeFailure::Lost(error)), sent),
        }
    }

    /// Waits until less is to be written; false if that takes too long.
    async fn has_room(&self, deadline: Deadline) -> bool {
        match deadline.left(clock::now()) {
            Some(left) => timeout(left, self.pipe.room()).await.is_ok(),
            None => {
                self.pipe.room().await;
                true
            }
        }
    }
}

fn lost(failure: PipeFailure<WireError>) -> Answer {
    Err(Unanswered { before: Vec::new(), failure })
}

impl LinkState {
    /// That of a connection that is open.
    fn new(member: &Weak<Member<Endpoint>>) -> Arc<Self> {
        if let Some(member) = member.upgrade() {
            member.counters().shared().connected();
        }
        Arc::new(Self {
            member: Weak::clone(member),
            is_closed: AtomicBool::new(false),
            is_blamed: AtomicBool::new(false),
            is_counted: AtomicBool::new(true),
        })
    }

    /// Notes that the connection is to be replaced.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Release);
    }

    /// Notes that the node is not to be held to account for its end.
    pub(super) fn excuse(&self) {
        self.is_blamed.store(true, Relaxed);
    }

    /// Notes that the connection is gone.
    pub(super) fn end(&self) {
        self.close();
        if self.is_counted.swap(false, Relaxed)
            && let Some(member) = self.member.upgrade()
        {
            member.counters().shared().disconnected();
        }
    }
}

impl Drop for LinkState {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}
