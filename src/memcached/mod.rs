//! The memcached client: `memcache::Client`'s twin over many nodes.
//!
//! ```text
//!   ShardedMemcache ── Shared ── SharedTopology        one a client: nodes, health, options, listener
//!        │                │
//!    commands, many,   Endpoint ── Pool ── Link        one a node; a link for each thread that asks
//!    servers              ▲
//!        └── asking ──────┘   exchange                 bytes out, replies in, several nodes at once
//! ```
//!
//! A link sends and receives through its `transport`: a socket, or TLS over one (`tls`).
//!
//! Gets of several keys of one node are one request (`lines`).
//! A request takes a link out of the pool of its node and puts it back when it was answered. A link on
//! which anything went wrong is closed, and never used again.

#[cfg(feature = "memcache-aio")]
mod aio;
mod ask;
mod asking;
mod batch;
mod builder;
mod commands;
mod endpoint;
mod error;
mod exchange;
mod greeting;
mod hash_function;
mod into_builder;
mod lines;
mod link;
mod many;
mod node_config;
mod options;
mod pool;
#[cfg(feature = "config")]
mod pool_config;
mod scattered;
mod servers;
#[cfg(feature = "memcache-tls")]
mod tls;
mod transport;
mod wire_error;
#[cfg(not(feature = "memcache-aio"))]
mod without_aio;
#[cfg(not(feature = "memcache-tls"))]
mod without_tls;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use memcache::MemcacheError;
use parking_lot::Mutex;

#[cfg(feature = "memcache-aio")]
pub use aio::ShardedAsyncMemcache;
pub use builder::ShardedMemcacheBuilder;
pub use into_builder::IntoMemcacheTopology;
pub use node_config::MemcacheNodeConfig;
pub use options::MemcacheProtocol;
#[cfg(feature = "memcache-tls")]
pub use tls::MemcacheTlsOptions;

use self::endpoint::Endpoint;
use self::options::Options;
#[cfg(not(feature = "memcache-aio"))]
use self::without_aio as aio;
#[cfg(not(feature = "memcache-tls"))]
use self::without_tls as tls;
use crate::distribution::Ring;
use crate::health::NodeState;
use crate::net;
use crate::net::clock;
use crate::node::Node;
use crate::topology::Movement;
use crate::topology::NodeMetrics;
use crate::topology::Router;
use crate::topology::Topology;

type Shared = net::Shared<Endpoint, Options>;

/// A client of many memcached servers: [`memcache::Client`] with keys placed as nutcracker and libmemcached
/// place them.
///
/// It has the methods of [`memcache::Client`], with its traits and its error type, on connections of its own:
/// one write and one read a request, one deadline (1 s unless another is set), and a connection on which
/// anything went wrong is never used again. It is `Send` and `Sync`, clones share everything, and threads ask
/// at the same time. No node is connected to before it is needed, and a dead one delays nobody else.
///
/// # Examples
///
/// ```no_run
/// use shardwright::ShardedMemcache;
///
/// // The one line that changes: `memcache::Client::connect(...)` before.
/// let cache = ShardedMemcache::connect(vec!["memcache://10.0.0.1:11211", "memcache://10.0.0.2:11211"])?;
/// cache.set("greeting", "hello", 60)?;
/// let greeting: Option<String> = cache.get("greeting")?;
/// assert_eq!(greeting.as_deref(), Some("hello"));
/// # Ok::<(), memcache::MemcacheError>(())
/// ```
#[derive(Clone)]
pub struct ShardedMemcache {
    shared: Arc<Shared>,
    /// What it was built from, and is built from now.
    definition: Arc<Mutex<ShardedMemcacheBuilder>>,
}

impl ShardedMemcache {
    fn new(
        definition: ShardedMemcacheBuilder,
        topology: Topology,
        endpoints: Vec<Endpoint>,
    ) -> Self {
        let options = definition.options().clone();
        let listener = definition.event_listener();
        let shared = Arc::new(Shared::new(topology, endpoints, options, listener));
        Self { shared, definition: Arc::new(Mutex::new(definition)) }
    }

    /// Makes a client of what describes its nodes: a URL, a comma list of URLs, a `memcache+shard://` URL, a
    /// list of any of what [`memcache::Client::connect`] takes, or a [`ShardedMemcacheBuilder`]. No node is
    /// connected to.
    ///
    /// # Errors
    ///
    /// `BadURL` if it describes no nodes.
    pub fn connect<T: IntoMemcacheTopology>(nodes: T) -> Result<Self, MemcacheError> {
        nodes.into_builder()?.build()
    }

    /// As [`connect`](Self::connect), with at most `size` connections to each node.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn with_pool_size<T: IntoMemcacheTopology>(
        nodes: T,
        size: u32,
    ) -> Result<Self, MemcacheError> {
        nodes.into_builder()?.max_connections(size).build()
    }

    /// A builder, for everything that a URL cannot say.
    pub fn builder() -> ShardedMemcacheBuilder {
        ShardedMemcacheBuilder::new()
    }

    /// Bounds every request from now on, of all clones; `None` is never.
    ///
    /// A request has one deadline: the longer one of this and of
    /// [`set_write_timeout`](Self::set_write_timeout).
    ///
    /// # Errors
    ///
    /// A timeout of zero, which memcache refuses, too; nothing is changed then.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<(), MemcacheError> {
        check_timeout(timeout)?;
        self.shared.options.timeouts.set_read(timeout);
        Ok(())
    }

    /// As [`set_read_timeout`](Self::set_read_timeout): the longer one of the two counts.
    ///
    /// # Errors
    ///
    /// A timeout of zero, which memcache refuses, too; nothing is changed then.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<(), MemcacheError> {
        check_timeout(timeout)?;
        self.shared.options.timeouts.set_write(timeout);
        Ok(())
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> Vec<Node> {
        self.router().nodes().to_vec()
    }

    /// The nodes with their states.
    pub fn node_states(&self) -> Vec<(Node, NodeState)> {
        self.shared.topology.states()
    }

    /// Which node owns which key, as of now.
    pub fn router(&self) -> Router {
        self.shared.topology.current().router().clone()
    }

    /// The ring that keys are looked up on now, or `None` if every node is ejected.
    pub fn ring(&self) -> Option<Arc<dyn Ring>> {
        self.shared.topology.current().router().ring().cloned()
    }

    /// The node that requests for `key` go to now, or `None` if it has none: its node is ejected and keeps
    /// its keys (`fail_fast`), or every node is ejected.
    pub fn node_for_key(&self, key: &str) -> Option<Node> {
        let snapshot = self.shared.topology.current();
        let router = snapshot.router();
        router.node_for_key(key.as_bytes()).map(|node| router.node(node).clone())
    }

    /// What each node was asked and answered by all clones of this client.
    pub fn metrics(&self) -> Vec<NodeMetrics> {
        self.shared.topology.metrics()
    }

    /// What the client was built from, nodes as of now: change it and give it to
    /// [`set_topology`](Self::set_topology).
    pub fn to_builder(&self) -> ShardedMemcacheBuilder {
        self.definition.lock().clone()
    }

    /// Puts other nodes, or other rules, in place of the present ones, at once for all clones. Of a builder
    /// it takes nodes, hash, distribution, hash tag, order and ejection policy; its other settings stay as
    /// they are.
    ///
    /// Everything is validated first; on an error nothing has changed. Requests under way end as they began.
    /// Nodes that stay (same name, same address and credentials) keep their connections, counters and
    /// health. Nothing is copied: the values under keys that moved are misses.
    ///
    /// # Errors
    ///
    /// `BadURL`, saying what is wrong.
    pub fn set_topology(&self, builder: ShardedMemcacheBuilder) -> Result<Movement, MemcacheError> {
        self.change(|_| builder)
    }

    fn change(
        &self,
        of: impl FnOnce(&ShardedMemcacheBuilder) -> ShardedMemcacheBuilder,
    ) -> Result<Movement, MemcacheError> {
        // Two changes at once must not leave the one's definition with the other's nodes.
        let mut definition = self.definition.lock();
        let builder = of(&definition).with_options_of(&definition);
        let (topology, endpoints) = builder.resolve()?;
        let (movement, events) = self.shared.topology.replace(topology, endpoints, clock::now());
        *definition = builder;
        drop(definition);
        events.iter().for_each(|event| self.shared.report(event));
        Ok(movement)
    }

    /// Puts other nodes in place of the present ones; everything else stays. See
    /// [`set_topology`](Self::set_topology).
    ///
    /// # Errors
    ///
    /// `BadURL`, saying what is wrong.
    pub fn set_nodes<T: IntoMemcacheTopology>(&self, nodes: T) -> Result<Movement, MemcacheError> {
        let nodes = nodes.into_builder()?.configured_nodes().to_vec();
        self.change(|definition| {
            let mut builder = definition.clone();
            builder.set_nodes(nodes);
            builder
        })
    }
}

/// As `memcache::Client` (0.21), which hands it to the socket.
fn check_timeout(timeout: Option<Duration>) -> Result<(), MemcacheError> {
    if timeout == Some(Duration::ZERO) {
        let text = "a timeout cannot be 0; None is for ever";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text).into());
    }
    Ok(())
}

impl fmt::Debug for ShardedMemcache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedMemcache").field("shared", &self.shared).finish_non_exhaustive()
    }
}
