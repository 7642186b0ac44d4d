//! One connection to one node, which many tasks share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

use redis::Cmd;
use redis::Pipeline;
use redis::RedisError;
use redis::Value;
use redis::aio::MultiplexedConnection;

use super::direct::Pipe;
use super::runtime::within;
use crate::client::atomic::executed;
use crate::client::atomic::was_queued;
use crate::client::endpoint::Endpoint;
use crate::client::pubsub::Subscriptions;
use crate::client::transaction::is_end_of_exec;
use crate::client::wire::WireError;
use crate::topology::Member;

/// A connection to a node. Clones share it; it is closed with the last of them.
#[derive(Clone)]
pub(super) struct Link {
    transport: Arc<Transport>,
    pub(super) state: Arc<LinkState>,
}

/// Whose connection it is.
pub(super) enum Transport {
    Direct(Pipe),
    Delegate {
        connection: MultiplexedConnection,
        /// Whether requests wait for their turn, which redis-rs does not bound.
        has_turns: bool,
    },
}

/// Why there is no reply.
#[derive(Debug)]
#[cfg_attr(not(feature = "tokio-comp"), allow(dead_code, reason = "redis-rs does not tell all"))]
pub(super) enum LinkError {
    /// The connection was closed before the request could be sent: on another it may be, in what is left of
    /// its time.
    Unsent {
        reason: WireError,
        left: Option<Duration>,
    },
    Wire(WireError),
    /// redis-rs says so.
    Redis(RedisError),
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
    /// What is listened to on it.
    pub(super) told: futures_util::lock::Mutex<Subscriptions>,
}

impl LinkState {
    pub(super) fn new(member: &Arc<Member<Endpoint>>) -> Arc<Self> {
        Arc::new(Self {
            member: Arc::clone(member),
            is_closed: AtomicBool::new(false),
            is_blamed: AtomicBool::new(false),
            session: AtomicU64::new(0),
            is_counted: AtomicBool::new(false),
            told: futures_util::lock::Mutex::default(),
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

    /// Notes that the connection is gone.
    #[cfg_attr(not(feature = "tokio-comp"), allow(dead_code, reason = "redis-rs does not tell"))]
    pub(super) fn end(&self) {
        self.close();
        if self.is_counted.swap(false, Relaxed) {
            self.member.counters().shared().disconnected();
        }
    }

    /// Counts it among the node's connections until it ends or is dropped.
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
    pub(super) fn new(transport: Transport, state: Arc<LinkState>) -> Self {
        Self { transport: Arc::new(transport), state }
    }

    /// Sends a command and waits for its reply, for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the connection breaks, or no reply comes in time.
    #[inline]
    pub(super) async fn ask(
        &self,
        command: &Cmd,
        limit: Option<Duration>,
    ) -> Result<Value, LinkError> {
        match &*self.transport {
            Transport::Direct(pipe) => pipe.ask(command, limit).await,
            Transport::Delegate { connection, has_turns } => {
                let mut connection = bounded(connection, limit);
                let limit = limit.filter(|_| *has_turns);
                let reply = within(limit, connection.send_packed_command(command)).await;
                reply.ok_or(LinkError::Wire(WireError::Deadline))?.map_err(LinkError::Redis)
            }
        }
    }

    /// Sends the commands of a pipeline and waits for the `count` replies behind the first `offset`.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask); and if one of the skipped replies is an error, as redis-rs has it.
    pub(super) async fn ask_many(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
        limit: Option<Duration>,
    ) -> Result<Vec<Value>, LinkError> {
        match &*self.transport {
            Transport::Direct(pipe) => {
                let all = pipeline.len() + if pipeline.is_transaction() { 2 } else { 0 };
                let replies = pipe.ask_many(pipeline, all, limit).await;
                let replies = replies?;
                if pipeline.is_transaction() {
                    was_queued(&replies, offset).map_err(LinkError::Redis)?;
                    return executed(replies, offset).map_err(LinkError::Redis);
                }
                Ok(replies.into_iter().skip(offset).take(count).collect())
            }
            Transport::Delegate { connection, has_turns } => {
                let mut connection = bounded(connection, limit);
                let limit = limit.filter(|_| *has_turns);
                let replies = connection.send_packed_commands(pipeline, offset, count);
                let replies = within(limit, replies).await;
                let replies = replies.ok_or(LinkError::Wire(WireError::Deadline))?;
                if pipeline.is_transaction()
                    && replies
                        .as_ref()
                        .is_ok_and(|replies| !replies.last().is_some_and(is_end_of_exec))
                {
                    // It may be open still, and what others send would be queued.
                    self.state.close();
                }
                replies.map_err(LinkError::Redis)
            }
        }
    }

    /// redis-rs's connection, if it is.
    pub(super) fn delegate(&self) -> Option<&MultiplexedConnection> {
        match &*self.transport {
            Transport::Delegate { connection, .. } => Some(connection),
            Transport::Direct(_) => None,
        }
    }

    /// Whether requests may be sent that belong to this version of the session.
    #[inline]
    pub(super) fn is_usable(&self, session: u64) -> bool {
        !self.state.is_closed.load(Acquire) && self.has_heard(session)
    }

    /// Whether this version of the session was said on it.
    #[inline]
    pub(super) fn has_heard(&self, session: u64) -> bool {
        self.state.session.load(Acquire) == session
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

/// Another handle, whose next request is bounded. It was made without a bound.
fn bounded(connection: &MultiplexedConnection, limit: Option<Duration>) -> MultiplexedConnection {
    let mut connection = connection.clone();
    if let Some(limit) = limit {
        connection.set_response_timeout(limit);
    }
    connection
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("node", self.state.member.name()).finish_non_exhaustive()
    }
}
