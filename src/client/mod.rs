//! The Redis client: `redis::Client`'s twin over many nodes.
//!
//! ```text
//!   ShardedClient ── Shared ── SharedTopology      one a client: nodes, health, options, listener
//!        │             ▲
//!        ▼             │ observe
//!   ShardedConnection ─┤   dispatch, pipeline, transaction: what a command means on several nodes
//!        │             │
//!        ▼             │
//!      Links ──────────┘   one socket a node, opened when needed
//!        │
//!        ▼
//!      wire                bytes out, replies in, several nodes at the same time
//! ```

#[cfg(feature = "_aio")]
mod aio;
mod atomic;
#[cfg(feature = "bb8")]
mod bb8;
mod builder;
mod connection;
#[cfg(feature = "deadpool")]
mod deadpool;
mod dispatch;
mod endpoint;
mod error;
mod failure;
mod flight;
mod into_builder;
mod links;
mod node_config;
mod node_connection;
mod options;
mod partial;
mod patience;
mod pipeline;
mod place;
#[cfg(feature = "config")]
mod pool;
mod pubsub;
#[cfg(feature = "r2d2")]
mod r2d2;
mod resp3;
mod scan;
mod session;
mod shared;
mod slot;
mod special;
#[cfg(any(feature = "tls-native-tls", feature = "tls-rustls"))]
mod tls;
mod transaction;
mod way;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Cmd;
use redis::ConnectionInfo;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;

#[cfg(feature = "_aio")]
pub use aio::AsyncConnectionConfig;
#[cfg(feature = "connection-manager")]
pub use aio::ConnectionManagerConfig;
#[cfg(feature = "_aio")]
pub use aio::ShardedAsyncPubSub;
#[cfg(feature = "connection-manager")]
pub use aio::ShardedConnectionManager;
#[cfg(feature = "_aio")]
pub use aio::ShardedMonitor;
#[cfg(feature = "_aio")]
pub use aio::ShardedMultiplexedConnection;
#[cfg(feature = "_aio")]
pub use aio::ShardedPubSubSink;
#[cfg(feature = "_aio")]
pub use aio::ShardedPubSubStream;
pub use builder::ShardedClientBuilder;
pub use connection::ShardedConnection;
#[cfg(feature = "deadpool")]
pub use deadpool::DeadpoolManager;
pub use into_builder::IntoTopology;
pub use node_config::NodeConfig;
pub use node_connection::NodeConnection;
pub use options::ConnectMode;
pub use options::PartialFailure;
pub use pubsub::ShardedPubSub;
#[cfg(feature = "_fuzz")]
pub(crate) use wire::read_reply;

use self::endpoint::Endpoint;
use self::shared::Shared;
use crate::distribution::Ring;
use crate::error::Result;
use crate::error::ShardError;
use crate::health::NodeState;
use crate::net::clock;
use crate::node::Node;
use crate::topology::Movement;
use crate::topology::NodeMetrics;
use crate::topology::Router;
use crate::topology::Topology;

/// A client of many nodes: [`redis::Client`] with the keys spread.
///
/// It holds the topology and who of the nodes is alive, shared by all its connections and clones; it opens
/// no socket by itself. Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// use redis::Commands;
/// use shardwright::ShardedClient;
///
/// // The one line that changes: `redis::Client::open("redis://10.0.0.1:6379")` before.
/// let client = ShardedClient::open("redis://10.0.0.1:6379,redis://10.0.0.2:6379")?;
/// let mut connection = client.get_connection()?;
/// let _: () = connection.set("key", 42)?;
/// let value: i64 = connection.get("key")?;
/// assert_eq!(value, 42);
/// # Ok::<(), redis::RedisError>(())
/// ```
#[derive(Clone)]
pub struct ShardedClient {
    shared: Arc<Shared>,
    /// What it was built from, and is built from now.
    definition: Arc<Mutex<ShardedClientBuilder>>,
    /// The first node's, which `get_connection_info` lends.
    first: ConnectionInfo,
}

impl ShardedClient {
    fn new(
        definition: ShardedClientBuilder,
        topology: Topology,
        endpoints: Vec<Endpoint>,
    ) -> Result<Self> {
        let first = endpoints.first().map(|endpoint| endpoint.info().clone());
        let first = first.ok_or_else(|| ShardError::configuration("there is no node"))?;
        let options = definition.options().clone();
        let listener = definition.event_listener();
        let shared = Arc::new(Shared::new(topology, endpoints, options, listener));
        Ok(Self { shared, definition: Arc::new(Mutex::new(definition)), first })
    }

    /// Makes a client of what describes its nodes: a URL, a comma list of URLs, a `redis+shard://` URL, a
    /// list of any of what [`redis::Client::open`] takes, or a [`ShardedClientBuilder`]. No node is
    /// connected to.
    ///
    /// # Errors
    ///
    /// If it describes no nodes.
    pub fn open<T: IntoTopology>(nodes: T) -> RedisResult<Self> {
        nodes.into_builder()?.build()
    }

    /// A builder, for everything that a URL cannot say.
    pub fn builder() -> ShardedClientBuilder {
        ShardedClientBuilder::new()
    }

    /// A connection to all nodes. How many of them must answer is for the [`ConnectMode`] to say; by
    /// default one.
    ///
    /// # Errors
    ///
    /// If they do not answer.
    pub fn get_connection(&self) -> RedisResult<ShardedConnection> {
        let options = &self.shared.options;
        let limit = options.connect_timeout.or(options.timeout);
        ShardedConnection::open(Arc::clone(&self.shared), limit)
    }

    /// A connection to all nodes; `timeout` bounds the whole of it. It does not bound later requests.
    ///
    /// # Errors
    ///
    /// If the nodes do not answer in that time.
    pub fn get_connection_with_timeout(&self, timeout: Duration) -> RedisResult<ShardedConnection> {
        ShardedConnection::open(Arc::clone(&self.shared), Some(timeout))
    }

    /// How redis-rs connects to the first node. [`nodes`](Self::nodes) has all of them.
    pub fn get_connection_info(&self) -> &ConnectionInfo {
        &self.first
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
    pub fn node_for_key(&self, key: impl redis::ToRedisArgs) -> Option<Node> {
        let key = key.to_redis_args().concat();
        let snapshot = self.shared.topology.current();
        let router = snapshot.router();
        router.node_for_key(&key).map(|node| router.node(node).clone())
    }

    /// redis-rs's own client of one node, for what one does with one server. Its connections are its own:
    /// their failures do not count.
    pub fn node_client(&self, name: &str) -> Option<redis::Client> {
        let snapshot = self.shared.topology.current();
        let member = snapshot.member(snapshot.router().id_of(name)?);
        redis::Client::open(member.endpoint().info().clone()).ok()
    }

    /// What each node was asked and answered by all connections of this client.
    pub fn metrics(&self) -> Vec<NodeMetrics> {
        self.shared.topology.metrics()
    }

    /// What the client was built from, nodes as of now: change it and give it to
    /// [`set_topology`](Self::set_topology).
    pub fn to_builder(&self) -> ShardedClientBuilder {
        self.definition.lock().clone()
    }

    /// Puts other nodes, or other rules, in place of the present ones, at once for all connections and
    /// clones. Of a builder it takes nodes, hash, distribution, hash tag, order and ejection policy; its
    /// other settings stay as they are.
    ///
    /// Everything is validated first; on an error nothing has changed. Requests under way end as they
    /// began. Connections to nodes that stay (same name, same address and credentials) are kept, with
    /// their counters and their health; connections to nodes that went are closed when their request is
    /// over, and by connections that rest when they are used again.
    ///
    /// It returns which share of the hash space moved, and from where to where. Nothing is copied: the
    /// values under keys that moved are not there.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration), saying what is wrong.
    ///
    /// # Examples
    ///
    /// ```
    /// use shardwright::{NodeConfig, ShardedClient};
    ///
    /// let client = ShardedClient::open("redis://10.0.0.1,redis://10.0.0.2,redis://10.0.0.3")?;
    /// let builder = client.to_builder().node(NodeConfig::new("redis://10.0.0.4")?);
    /// let movement = client.set_topology(builder)?;
    /// println!("{movement}");
    /// assert!(movement.share() < 0.3);
    /// # Ok::<(), redis::RedisError>(())
    /// ```
    pub fn set_topology(&self, builder: ShardedClientBuilder) -> RedisResult<Movement> {
        let (topology, endpoints) = builder.topology()?;
        // Two changes at once must not leave the one's definition with the other's nodes.
        let mut definition = self.definition.lock();
        let builder = builder.with_options_of(&definition);
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
    /// [`Configuration`](crate::ShardErrorKind::Configuration), saying what is wrong.
    pub fn set_nodes<T: IntoTopology>(&self, nodes: T) -> RedisResult<Movement> {
        let nodes = nodes.into_builder()?.configured_nodes().to_vec();
        let mut builder = self.to_builder();
        builder.set_nodes(nodes);
        self.set_topology(builder)
    }
}

impl ShardedClient {
    /// Looks whether a node is live; no request is sent.
    #[cfg_attr(
        not(any(feature = "bb8", feature = "deadpool")),
        allow(dead_code, reason = "pools of connections ask")
    )]
    fn look_for_life(&self) -> RedisResult<()> {
        match self.router().live_nodes().next() {
            Some(_) => Ok(()),
            None => Err(crate::plan::no_live_node().into()),
        }
    }
}

/// As for [`redis::Client`]: a new connection for each request, to the nodes it needs only.
impl ConnectionLike for ShardedClient {
    fn req_packed_command(&mut self, bytes: &[u8]) -> RedisResult<Value> {
        ShardedConnection::unopened(Arc::clone(&self.shared)).req_packed_command(bytes)
    }

    fn req_packed_commands(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        ShardedConnection::unopened(Arc::clone(&self.shared))
            .req_packed_commands(bytes, offset, count)
    }

    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        ShardedConnection::unopened(Arc::clone(&self.shared)).req_command(command)
    }

    fn get_db(&self) -> i64 {
        self.first.redis_settings().db()
    }

    /// Whether a node is live; no request is sent.
    fn check_connection(&mut self) -> bool {
        self.is_open()
    }

    /// Whether a node is live; no request is sent.
    fn is_open(&self) -> bool {
        self.router().live_nodes().next().is_some()
    }
}

impl fmt::Debug for ShardedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedClient").field("shared", &self.shared).finish_non_exhaustive()
    }
}
