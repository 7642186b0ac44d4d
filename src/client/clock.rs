//! The clock, deadlines on it, and how long a request may take.

use std::time::Duration;
use std::time::Instant;

use crate::command::Waiting;

/// Reads the clock. All of this room reads it here.
#[expect(clippy::disallowed_methods, reason = "the front end is where time enters")]
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// When a request must be over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    limit: Option<Duration>,
}

impl Deadline {
    /// No deadline.
    pub(crate) const NEVER: Self = Self { at: None, limit: None };

    /// `limit` from `start` on, or never.
    #[inline]
    pub(crate) fn after(start: Instant, limit: Option<Duration>) -> Self {
        Self { at: limit.and_then(|limit| start.checked_add(limit)), limit }
    }

    /// The earlier of both.
    pub(crate) fn or_earlier(self, other: Self) -> Self {
        match (self.at, other.at) {
            (Some(at), Some(earlier)) if earlier < at => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }

    pub(crate) fn at(self) -> Option<Instant> {
        self.at
    }

    /// How long it was when it began.
    pub(crate) fn limit(self) -> Option<Duration> {
        self.limit
    }

    /// The time that is left; `None` without a deadline, zero behind it.
    pub(crate) fn left(self, now: Instant) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(now))
    }

    /// The patience that is left, with a node that answers at once.
    pub(crate) fn patience(self, now: Instant) -> Patience {
        Patience { limit: self.left(now), is_blocking: false }
    }

    pub(crate) fn has_passed(self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

/// How long a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) limit: Option<Duration>,
    /// The server itself may wait: running out of time says nothing about the node.
    pub(crate) is_blocking: bool,
}

impl Patience {
    /// What is asked may wait on the server besides: that time comes on top of ours.
    pub(crate) fn and_waiting(self, waiting: Waiting) -> Self {
        match waiting {
            Waiting::None => self,
            Waiting::ForEver => Self { limit: None, is_blocking: true },
            Waiting::For(time) => {
                let limit = self.limit.map(|limit| limit.saturating_add(time));
                Self { limit, is_blocking: true }
            }
        }
    }
}
