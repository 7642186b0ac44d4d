//! How long a request may take.

use std::time::Duration;
use std::time::Instant;

use crate::command::Waiting;
use crate::net::clock::Deadline;

/// How long a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) limit: Option<Duration>,
    /// The server itself may wait: running out of time says nothing about the node.
    pub(crate) is_blocking: bool,
}

impl Patience {
    /// What is left until `deadline`, with a node that answers at once.
    pub(crate) fn until(deadline: Deadline, now: Instant) -> Self {
        Self { limit: deadline.left(now), is_blocking: false }
    }

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
