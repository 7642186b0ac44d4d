//! The asynchronous twin, on tokio: one connection a node, which the tasks of a runtime share.
//!
//! ```text
//!   ShardedAsyncMemcache ── ShardedMemcache     the same nodes, health, options, listener
//!        │
//!    commands, many, servers
//!        │
//!     asking ──► Slot ──► Link ── net::pipe     one a node and runtime; opened by the first who needs it
//!                 opening
//! ```
//!
//! What is not I/O is that of the synchronous client: keys are scattered, replies read and outcomes judged
//! by the same code. So is TLS, which waits for nothing: the driver of the pipe reads and writes through it
//! when the socket is ready.

mod asking;
mod commands;
mod entry;
mod link;
mod many;
mod opening;
mod pieces;
mod servers;
mod slot;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memcache::MemcacheError;

pub(super) use self::slot::Slot;

use super::ShardedMemcache;
use super::ShardedMemcacheBuilder;
use super::Shared;
use super::into_builder::IntoMemcacheTopology;
use crate::distribution::Ring;
use crate::health::NodeState;
use crate::node::Node;
use crate::topology::Movement;
use crate::topology::NodeMetrics;
use crate::topology::Router;

/// The asynchronous [`ShardedMemcache`], on tokio: the same methods, placement, errors and policies, over
/// one connection to each node that all tasks share.
///
/// What tasks ask at the same time goes out in one write, and each reply is checked to be that of its
/// request. A connection is opened when it is needed, by one task for all, and replaced after any I/O error
/// or timeout. Each runtime has a connection of its own to each node. A node that hangs, or is being
/// connected to, delays nobody who asks another one. A request has one deadline, connecting included (1 s
/// unless another is set). A future that is dropped counts neither as a success nor as a failure, and its
/// reply answers nothing else.
///
/// It is `Send` and `Sync`, clones share everything, and so do it and the synchronous client it was made of
/// ([`ShardedMemcache::aio`]): nodes, health, settings and metrics. Of the settings,
/// [`max_connections`](ShardedMemcacheBuilder::max_connections) is for threads only.
///
/// # Panics
///
/// Its futures, like all of tokio's, if they are polled on a runtime that was built without I/O or timers
/// (`enable_all`).
///
/// # Examples
///
/// ```no_run
/// use shardwright::ShardedAsyncMemcache;
///
/// # async fn example() -> Result<(), memcache::MemcacheError> {
/// let cache = ShardedAsyncMemcache::connect("memcache://10.0.0.1:11211,memcache://10.0.0.2:11211")?;
/// cache.set("greeting", "hello", 60).await?;
/// let greeting: Option<String> = cache.get("greeting").await?;
/// assert_eq!(greeting.as_deref(), Some("hello"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ShardedAsyncMemcache {
    cache: ShardedMemcache,
}

impl ShardedAsyncMemcache {
    /// Makes a client of what describes its nodes, as [`ShardedMemcache::connect`] does. No node is connected
    /// to, and no runtime is needed.
    ///
    /// # Errors
    ///
    /// `BadURL` if it describes no nodes.
    pub fn connect<T: IntoMemcacheTopology>(nodes: T) -> Result<Self, MemcacheError> {
        nodes.into_builder()?.build_async()
    }

    /// A builder, for everything that a URL cannot say;
    /// [`build_async`](ShardedMemcacheBuilder::build_async) ends it.
    pub fn builder() -> ShardedMemcacheBuilder {
        ShardedMemcacheBuilder::new()
    }

    /// The synchronous client of the same nodes, which shares everything but connections.
    pub fn as_sync(&self) -> &ShardedMemcache {
        &self.cache
    }

    /// As [`ShardedMemcache::set_read_timeout`], for both clients.
    ///
    /// # Errors
    ///
    /// A timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<(), MemcacheError> {
        self.cache.set_read_timeout(timeout)
    }

    /// As [`ShardedMemcache::set_write_timeout`], for both clients.
    ///
    /// # Errors
    ///
    /// A timeout of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<(), MemcacheError> {
        self.cache.set_write_timeout(timeout)
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> Vec<Node> {
        self.cache.nodes()
    }

    /// The nodes with their states.
    pub fn node_states(&self) -> Vec<(Node, NodeState)> {
        self.cache.node_states()
    }

    /// Which node owns which key, as of now.
    pub fn router(&self) -> Router {
        self.cache.router()
    }

    /// The ring that keys are looked up on now, or `None` if every node is ejected.
    pub fn ring(&self) -> Option<Arc<dyn Ring>> {
        self.cache.ring()
    }

    /// As [`ShardedMemcache::node_for_key`].
    pub fn node_for_key(&self, key: &str) -> Option<Node> {
        self.cache.node_for_key(key)
    }

    /// What each node was asked and answered by all clones of this client, and by the synchronous one.
    pub fn metrics(&self) -> Vec<NodeMetrics> {
        self.cache.metrics()
    }

    /// What the client was built from, nodes as of now.
    pub fn to_builder(&self) -> ShardedMemcacheBuilder {
        self.cache.to_builder()
    }

    /// Puts other nodes, or other rules, in place of the present ones, as
    /// [`ShardedMemcache::set_topology`] does, and for both clients. It waits for nothing.
    ///
    /// # Errors
    ///
    /// `BadURL`, saying what is wrong.
    pub fn set_topology(&self, builder: ShardedMemcacheBuilder) -> Result<Movement, MemcacheError> {
        self.cache.set_topology(builder)
    }

    /// As [`ShardedMemcache::set_nodes`].
    ///
    /// # Errors
    ///
    /// `BadURL`, saying what is wrong.
    pub fn set_nodes<T: IntoMemcacheTopology>(&self, nodes: T) -> Result<Movement, MemcacheError> {
        self.cache.set_nodes(nodes)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.cache.shared
    }
}

impl ShardedMemcache {
    /// The asynchronous client of the same nodes. Both share everything but connections: a node that one of
    /// them has ejected is ejected for the other.
    pub fn aio(&self) -> ShardedAsyncMemcache {
        ShardedAsyncMemcache { cache: self.clone() }
    }
}

impl ShardedMemcacheBuilder {
    /// Builds the asynchronous client. No node is connected to, and no runtime is needed.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_async(self) -> Result<ShardedAsyncMemcache, MemcacheError> {
        Ok(self.build()?.aio())
    }
}

impl From<ShardedMemcache> for ShardedAsyncMemcache {
    fn from(cache: ShardedMemcache) -> Self {
        Self { cache }
    }
}

impl fmt::Debug for ShardedAsyncMemcache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        f.debug_struct("ShardedAsyncMemcache").field("shared", shared).finish_non_exhaustive()
    }
}
