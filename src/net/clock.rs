//! The clock, and deadlines on it.

use std::time::Duration;
use std::time::Instant;

/// Reads the clock. All of the library reads it here.
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

    /// The same, of a request that goes on at `now` only: its limit is what is left.
    #[cfg_attr(not(feature = "memcache"), allow(dead_code, reason = "memcached's pool needs it"))]
    pub(crate) fn from(self, now: Instant) -> Self {
        Self { limit: self.left(now), ..self }
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

    pub(crate) fn has_passed(self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}
