//! Handshakes of TLS that have to come to an end.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::proxy::core::Link;

/// How long a handshake may take. That of a node is also part of what its request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Those that have begun, the oldest first; they may be over, and their connections too.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    begun: VecDeque<(Instant, Link)>,
}

impl Handshakes {
    /// Notes that one begins; answers when it has to be over.
    pub(super) fn begin(&mut self, link: Link, now: Instant) -> Instant {
        let until = now + LIMIT;
        self.begun.push_back((until, link));
        until
    }

    pub(super) fn first(&self) -> Option<(Instant, Link)> {
        self.begun.front().copied()
    }

    pub(super) fn forget_first(&mut self) {
        self.begun.pop_front();
    }

    /// When to look at the first.
    pub(super) fn next(&self) -> Option<Instant> {
        self.first().map(|(until, _)| until)
    }
}
