//! The place of the links to one node.
//!
//! ```text
//!   empty ──► opening ──► open ──► empty      a task opens it, for all who wait
//! ```
//!
//! Each runtime has a link of its own: the tasks of a link run where it was opened, and so they run whenever
//! somebody waits for them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Id;
use tokio::sync::watch;

use super::link::Link;
use crate::error::ShardError;
use crate::net::clock::Deadline;
use crate::net::pipe::Task;

/// The links to one node, one a runtime that uses it.
#[derive(Default)]
pub(in crate::memcached) struct Slot {
    states: Mutex<Vec<(Id, State)>>,
}

enum State {
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
    /// The link of this runtime, if it is open and may be used.
    #[inline]
    pub(super) fn ready(
        &self,
        runtime: Id,
        now: Instant,
        max_lifetime: Option<Duration>,
    ) -> Option<Arc<Link>> {
        self.states.lock().iter().find_map(|(id, state)| match state {
            State::Open(link) if *id == runtime && link.is_usable(now, max_lifetime) => {
                Some(Arc::clone(link))
            }
            _ => None,
        })
    }

    /// The link of this runtime, or its opening, which is begun if none is under way. The lock is not held
    /// while it goes on.
    pub(super) fn join(
        &self,
        runtime: Id,
        now: Instant,
        max_lifetime: Option<Duration>,
        begin: impl FnOnce() -> Opening,
    ) -> Joined {
        let mut states = self.states.lock();
        // Those of runtimes that have ended, too.
        states.retain_mut(|(_, state)| state.is_of_use(now, max_lifetime));
        match states.iter().find(|(id, _)| *id == runtime) {
            Some((_, State::Open(link))) => Joined::Open(Arc::clone(link)),
            Some((_, State::Opening(opening))) => Joined::Opening(opening.opened.clone()),
            None => {
                let opening = begin();
                let opened = opening.opened.clone();
                states.push((runtime, State::Opening(opening)));
                Joined::Opening(opened)
            }
        }
    }

    /// Takes `link` away, if it is still there.
    pub(super) fn remove(&self, link: &Arc<Link>) {
        let is_it = |state: &State| matches!(state, State::Open(open) if Arc::ptr_eq(open, link));
        self.states.lock().retain(|(_, state)| !is_it(state));
    }
}

impl State {
    /// Whether it is a link, or may become one. An opening that has ended well is a link from here on.
    fn is_of_use(&mut self, now: Instant, max_lifetime: Option<Duration>) -> bool {
        if let Self::Opening(opening) = self
            && let Some(link) = opening.outcome()
        {
            *self = Self::Open(link);
        }
        match self {
            Self::Open(link) => link.is_usable(now, max_lifetime),
            Self::Opening(opening) => opening.goes_on(now),
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
        let name = |(_, state): &(Id, State)| match state {
            State::Opening(_) => "opening",
            State::Open(_) => "open",
        };
        f.debug_list().entries(self.states.lock().iter().map(name)).finish()
    }
}
