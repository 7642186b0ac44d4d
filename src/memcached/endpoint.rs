//! How a node is reached, and the connections to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::aio::Slot;
use super::exchange::Job;
use super::exchange::exchange;
use super::options::MemcacheProtocol;
use super::pool::Pool;
use super::tls::TlsTarget;
use crate::net::Probe;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::Address;

/// A node's address and what a connection to it needs, and the connections there are.
#[derive(Debug)]
pub(super) struct Endpoint {
    target: Target,
    /// For threads.
    pool: Pool,
    /// For tasks.
    #[cfg_attr(not(feature = "memcache-aio"), allow(dead_code, reason = "there are no tasks"))]
    slot: Slot,
}

/// What is connected to, and how.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) tls: Option<Arc<TlsTarget>>,
    pub(super) user: Option<User>,
    pub(super) is_nodelay: bool,
    pub(super) protocol: MemcacheProtocol,
}

/// Who a server that was started with `-Y` is told we are.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
}

impl Endpoint {
    pub(super) fn new(target: Target) -> Self {
        Self { target, pool: Pool::default(), slot: Slot::default() }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    #[cfg_attr(not(feature = "memcache-aio"), allow(dead_code, reason = "there are no tasks"))]
    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }
}

/// Whether connections to the one are as good as connections to the other.
impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}

impl Probe for Endpoint {
    /// Whether a new connection can be made and something is asked over it. Any reply will do, even an
    /// error.
    fn answers(&self, limit: Duration) -> bool {
        let now = clock::now();
        let deadline = Deadline::after(now, Some(limit));
        let mut jobs = [Job::connecting(&self.target, deadline, now, &[super::ask::Ask::Version])];
        exchange(&mut jobs, deadline);
        jobs.into_iter().all(|job| job.into_done().failure.is_none())
    }
}

impl fmt::Debug for Target {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("address", &self.address)
            .field("tls", &self.tls)
            .field("user", &self.user.as_ref().map(|user| &user.name))
            .field("is_nodelay", &self.is_nodelay)
            .field("protocol", &self.protocol)
            .finish()
    }
}
