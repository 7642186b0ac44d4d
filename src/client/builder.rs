//! How a client comes to be.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;

use super::ShardedClient;
use super::endpoint::Endpoint;
use super::into_builder::IntoTopology;
use super::node_config::NodeConfig;
use super::options::ConnectMode;
use super::options::Options;
use super::options::PartialFailure;
use crate::command::CommandTable;
use crate::distribution::Distribution;
use crate::distribution::DistributionKind;
use crate::distribution::NodeOrder;
use crate::error::Result;
use crate::hash::HashFn;
use crate::hash::HashKind;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::net::Listener;
use crate::topology::Event;
use crate::topology::Topology;

/// Builds a [`ShardedClient`] setting by setting.
///
/// Without a setting it is as in nutcracker: `ketama` over `fnv1a_64`, no hash tag, no ejection, no
/// timeout.
///
/// # Examples
///
/// A cache: bounded requests, keys of a dead node go to its neighbours, and what cannot be read is a miss.
///
/// ```
/// use std::time::Duration;
///
/// use shardwright::{EjectPolicy, PartialFailure, ShardedClient};
///
/// let client = ShardedClient::builder()
///     .nodes("redis://10.0.0.1,redis://10.0.0.2,redis://10.0.0.3")?
///     .hash_tag("{}".parse()?)
///     .timeout(Duration::from_millis(200))
///     .eject(EjectPolicy::successor().retry_timeout(Duration::from_secs(5)))
///     .partial_failure(PartialFailure::NilForReads)
///     .listener(|event| eprintln!("{event}"))
///     .build()?;
/// # Ok::<(), redis::RedisError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct ShardedClientBuilder {
    nodes: Vec<NodeConfig>,
    hash: Arc<dyn HashFn>,
    distribution: Arc<dyn Distribution>,
    hash_tag: Option<HashTag>,
    node_order: Option<NodeOrder>,
    eject: EjectPolicy,
    options: Options,
    listener: Option<Listener>,
}

impl Default for ShardedClientBuilder {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            hash: Arc::new(HashKind::default()),
            distribution: Arc::new(DistributionKind::default()),
            hash_tag: None,
            node_order: None,
            eject: EjectPolicy::default(),
            options: Options::default(),
            listener: None,
        }
    }
}

impl ShardedClientBuilder {
    /// A builder without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node.
    pub fn node(mut self, node: NodeConfig) -> Self {
        self.nodes.push(node);
        self
    }

    /// Adds the nodes that `nodes` describes, as [`ShardedClient::open`] reads it.
    ///
    /// # Errors
    ///
    /// If it describes none.
    pub fn nodes(mut self, nodes: impl IntoTopology) -> RedisResult<Self> {
        self.nodes.extend(nodes.into_builder()?.nodes);
        Ok(self)
    }

    /// Takes the nodes away that were added.
    pub fn clear_nodes(mut self) -> Self {
        self.nodes.clear();
        self
    }

    /// The nodes that were added.
    pub fn configured_nodes(&self) -> &[NodeConfig] {
        &self.nodes
    }

    /// Hash, distribution, hash tag, order and ejection policy of `topology`; of its nodes nothing.
    pub fn rules_of(self, topology: &Topology) -> Self {
        Self {
            hash: Arc::clone(topology.shared_hash()),
            distribution: Arc::clone(topology.shared_distribution()),
            hash_tag: topology.hash_tag(),
            node_order: topology.node_order(),
            eject: topology.eject_policy().clone(),
            ..self
        }
    }

    /// How keys are hashed (`fnv1a_64`).
    pub fn hash(self, hash: impl HashFn + 'static) -> Self {
        Self { hash: Arc::new(hash), ..self }
    }

    /// Which node a hash belongs to (`ketama`).
    pub fn distribution(self, distribution: impl Distribution + 'static) -> Self {
        Self { distribution: Arc::new(distribution), ..self }
    }

    /// The two characters around the part of a key that is hashed (none).
    pub fn hash_tag(self, tag: HashTag) -> Self {
        Self { hash_tag: Some(tag), ..self }
    }

    /// How nodes are numbered (as the distribution wants it).
    pub fn node_order(self, order: NodeOrder) -> Self {
        Self { node_order: Some(order), ..self }
    }

    /// When a node is ejected and what becomes of its keys (never).
    pub fn eject(self, policy: EjectPolicy) -> Self {
        Self { eject: policy, ..self }
    }

    /// Bounds every request as a whole, from the first connection it needs to its last reply (unbounded,
    /// as in redis-rs). A command that waits on the server gets that time on top.
    ///
    /// Zero is never, as without it. Set it: without it a node that hangs, hangs the application, and is never ejected.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        self
    }

    /// Bounds every new connection, handshake included (as the request that needs it,
    /// and so for zero).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        self
    }

    /// Which nodes must answer before a connection is handed out (one).
    pub fn connect_mode(mut self, mode: ConnectMode) -> Self {
        self.options.connect_mode = mode;
        self
    }

    /// What a caller gets for the part of a request that failed (the whole fails).
    pub fn partial_failure(mut self, policy: PartialFailure) -> Self {
        self.options.partial_failure = policy;
        self
    }

    /// The rules of commands, with those of modules of your own (those of Redis).
    pub fn command_table(mut self, table: CommandTable) -> Self {
        self.options.table = table;
        self
    }

    /// Whom to tell when a node is ejected, probed or reinstated, or the topology changes. It is called
    /// on the thread that noticed, outside of all locks, and should be quick. A panic ends there: the
    /// request goes on as if there had been none.
    pub fn listener(self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Arc::new(listener)), ..self }
    }

    /// Builds the client. No node is connected to.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration), saying which setting is wrong.
    pub fn build(self) -> RedisResult<ShardedClient> {
        let (topology, endpoints) = self.topology()?;
        Ok(ShardedClient::new(self, topology, endpoints)?)
    }

    /// The topology that the settings describe, without a connection to it.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn to_topology(&self) -> RedisResult<Topology> {
        Ok(self.topology()?.0)
    }

    pub(super) fn topology(&self) -> Result<(Topology, Vec<Endpoint>)> {
        let parts = self.nodes.iter().cloned().map(NodeConfig::split);
        let (nodes, endpoints): (Vec<_>, Vec<_>) =
            parts.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let mut topology = Topology::new(nodes)?
            .with_shared_hash(Arc::clone(&self.hash))
            .with_shared_distribution(Arc::clone(&self.distribution))
            .with_eject_policy(self.eject.clone());
        if let Some(tag) = self.hash_tag {
            topology = topology.with_hash_tag(tag);
        }
        if let Some(order) = self.node_order {
            topology = topology.with_node_order(order);
        }
        Ok((topology, endpoints))
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn event_listener(&self) -> Option<Listener> {
        self.listener.clone()
    }

    /// The same nodes and rules with the other settings of `other`.
    pub(super) fn with_options_of(self, other: &Self) -> Self {
        Self { options: other.options.clone(), listener: other.listener.clone(), ..self }
    }

    pub(super) fn set_nodes(&mut self, nodes: Vec<NodeConfig>) {
        self.nodes = nodes;
    }
}

impl std::fmt::Debug for ShardedClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardedClientBuilder")
            .field("nodes", &self.nodes)
            .field("hash", &self.hash)
            .field("distribution", &self.distribution)
            .field("hash_tag", &self.hash_tag)
            .field("eject", &self.eject)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
