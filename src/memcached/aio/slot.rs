//! The place of the link to one node.
//!
//! ```text
//!   empty ──► opening ──► open ──► empty      a task opens it, for all who wait
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::link::Link;
use crate::error::ShardError;
use crate::net::clock::Deadline;
use crate::net::pipe::Task;

/// The link to one node, if there is one.
#[derive(Default)]
pub(in crate::memcached) struct Slot {
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Empty,
    Opening(Opening),
    Open(Arc<Link>),
}

/// A link that is being opened. The task ends with this: nothing is left of a node that is gone.
pub(super) struct Opening {
    pub(super) deadline: Deadline,
    pub(super) opened: Opened,
    pub(super) _task: Task,
}

/// Where those who wait for a link hear what became of it.
pub(super) type Opened = watch::Receiver<Option<Result<Arc<Link>, ShardError>>>;

/// What is to be waited for.
pub(super) enum Joined {
    Open(Arc<Link>),
    Opening(Opened),
}

/// Who opens a link says in time that it was not to be had. If nothing is heard so long after that, the
/// runtime it is opened on does not run.
const GRACE: Duration = Duration::from_millis(200);

impl Slot {
    /// The link, if it is open and may be used.
    #[inline]
    pub(super) fn ready(&self, now: Instant, max_lifetime: Option<Duration>) -> Option<Arc<Link>> {
        match &*self.state.lock() {
            State::Open(link) if link.is_usable(now, max_lifetime) => Some(Arc::clone(link)),
            _ => None,
        }
    }

    /// The link, or its opening, which is begun if none is under way. The lock is not held while it goes on.
    pub(super) fn join(
        &self,
        now: Instant,
        max_lifetime: Option<Duration>,
        begin: impl FnOnce() -> Opening,
    ) -> Joined {
        let mut state = self.state.lock();
        if let State::Opening(opening) = &*state {
            match opening.outcome() {
                Some(link) => *state = State::Open(link),
                None if opening.goes_on(now) => return Joined::Opening(opening.opened.clone()),
                None => {}
            }
        }
        match &*state {
            State::Open(link) if link.is_usable(now, max_lifetime) => {
                Joined::Open(Arc::clone(link))
            }
            _ => {
                let opening = begin();
                let opened = opening.opened.clone();
                *state = State::Opening(opening);
                Joined::Opening(opened)
            }
        }
    }

    /// Takes `link` away, if it is still there.
    pub(super) fn remove(&self, link: &Arc<Link>) {
        let mut state = self.state.lock();
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, link)) {
            *state = State::Empty;
        }
    }
}

impl Opening {
    /// The link, if it has been opened.
    fn outcome(&self) -> Option<Arc<Link>> {
        match &*self.opened.borrow() {
            Some(Ok(link)) => Some(Arc::clone(link)),
            _ => None,
        }
    }

    /// Whether it may become a link yet: it has not failed, and somebody is at it.
    fn goes_on(&self, now: Instant) -> bool {
        let is_late = self.deadline.at().is_some_and(|at| at + GRACE < now);
        self.opened.borrow().is_none() && self.opened.has_changed().is_ok() && !is_late
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.lock() {
            State::Empty => "empty",
            State::Opening(_) => "opening",
            State::Open(_) => "open",
        };
        f.debug_tuple("Slot").field(&state).finish()
    }
}
