//! One connection to one node, which many tasks share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;

use redis::aio::MultiplexedConnection;

use crate::client::endpoint::Endpoint;
use crate::topology::Member;

/// redis-rs's connection to a node. Clones share it; it is closed with the last of them.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    pub(super) state: Arc<LinkState>,
}

/// What is known of a connection besides.
pub(super) struct LinkState {
    member: Arc<Member<Endpoint>>,
    is_closed: AtomicBool,
    /// Whether its node was held to account for that.
    is_blamed: AtomicBool,
    /// The version of the session that was said on it.
    session: AtomicU64,
    is_counted: AtomicBool,
}

impl LinkState {
    pub(super) fn new(member: &Arc<Member<Endpoint>>) -> Arc<Self> {
        Arc::new(Self {
            member: Arc::clone(member),
            is_closed: AtomicBool::new(false),
            is_blamed: AtomicBool::new(false),
            session: AtomicU64::new(0),
            is_counted: AtomicBool::new(false),
        })
    }

    /// Notes that the connection is of no use any more. True for the first who says so: a connection that
    /// breaks is one failure of its node, however many requests go down with it (as in nutcracker 0.5.0,
    /// `nc_server.c` `server_close`).
    pub(super) fn break_once(&self) -> bool {
        self.close();
        !self.is_blamed.swap(true, Relaxed)
    }

    /// Notes that the connection was lost while nothing was under way, which is no failure: a server may
    /// close connections that rest.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Release);
    }

    /// Notes which version of the session holds on it.
    pub(super) fn set_session(&self, version: u64) {
        self.session.store(version, Release);
    }

    /// Counts it among the node's connections until it is dropped.
    pub(super) fn count(&self) {
        if !self.is_counted.swap(true, Relaxed) {
            self.member.counters().shared().connected();
        }
    }
}

impl Drop for LinkState {
    fn drop(&mut self) {
        if *self.is_counted.get_mut() {
            self.member.counters().shared().disconnected();
        }
    }
}

impl Link {
    /// Whether requests may be sent that belong to this version of the session.
    #[inline]
    pub(super) fn is_usable(&self, session: u64) -> bool {
        !self.state.is_closed.load(Acquire) && self.state.session.load(Acquire) == session
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("node", self.state.member.name()).finish_non_exhaustive()
    }
}
