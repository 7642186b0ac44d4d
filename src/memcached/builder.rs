//! How a client comes to be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memcache::MemcacheError;

use super::ShardedMemcache;
use super::endpoint::Endpoint;
use super::hash_function::HashFunction;
use super::into_builder::IntoMemcacheTopology;
use super::node_config::MemcacheNodeConfig;
use super::options::MemcacheProtocol;
use super::options::Options;
use super::tls::TlsConfigs;
use crate::config::FailedReads;
use crate::config::MemcacheUrl;
use crate::config::Rules;
use crate::distribution::Distribution;
use crate::distribution::NodeOrder;
use crate::error::Result;
use crate::hash::HashFn;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::net::Listener;
use crate::topology::Event;
use crate::topology::Preset;
use crate::topology::Topology;

/// Builds a [`ShardedMemcache`] setting by setting.
///
/// Without a setting keys are placed as nutcracker places them (`ketama` over `fnv1a_64`, no hash tag), no
/// node is ejected, and a request may take one second.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use shardwright::{EjectPolicy, FailedReads, ShardedMemcache};
///
/// let cache = ShardedMemcache::builder()
///     .add_server(vec!["memcache://10.0.0.1", "memcache://10.0.0.2", "memcache://10.0.0.3"])?
///     .timeout(Duration::from_millis(200))
///     .eject(EjectPolicy::successor().retry_timeout(Duration::from_secs(5)))
///     .failed_reads(FailedReads::Miss)
///     .listener(|event| eprintln!("{event}"))
///     .build()?;
/// # Ok::<(), memcache::MemcacheError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct ShardedMemcacheBuilder {
    nodes: Vec<MemcacheNodeConfig>,
    /// Whose placement is taken over.
    preset: Preset,
    /// Instead of the preset's.
    hash: Option<Arc<dyn HashFn>>,
    distribution: Option<Arc<dyn Distribution>>,
    hash_tag: Option<HashTag>,
    node_order: Option<NodeOrder>,
    eject: EjectPolicy,
    options: Options,
    listener: Option<Listener>,
}

impl Default for ShardedMemcacheBuilder {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            preset: Preset::Twemproxy,
            hash: None,
            distribution: None,
            hash_tag: None,
            node_order: None,
            eject: EjectPolicy::default(),
            options: Options::default(),
            listener: None,
        }
    }
}

/// What decides where keys go, and what happens to nodes that fail.
impl ShardedMemcacheBuilder {
    /// A builder without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node.
    pub fn node(mut self, node: impl Into<MemcacheNodeConfig>) -> Self {
        self.nodes.push(node.into());
        self
    }

    /// Adds the nodes that `nodes` describes, as [`ShardedMemcache::connect`] reads it, and sets what else a
    /// URL says of the client (timeouts, the protocol).
    ///
    /// # Errors
    ///
    /// `BadURL` if it describes none.
    pub fn add_server<T: IntoMemcacheTopology>(self, nodes: T) -> Result<Self, MemcacheError> {
        nodes.add_to(self)
    }

    /// Takes the nodes away that were added.
    pub fn clear_nodes(mut self) -> Self {
        self.nodes.clear();
        self
    }

    /// The nodes that were added.
    pub fn configured_nodes(&self) -> &[MemcacheNodeConfig] {
        &self.nodes
    }

    /// Hash, distribution, hash tag, order and ejection policy of `topology`; of its nodes nothing.
    pub fn rules_of(self, topology: &Topology) -> Self {
        Self {
            preset: Preset::Twemproxy,
            hash: Some(Arc::clone(topology.shared_hash())),
            distribution: Some(Arc::clone(topology.shared_distribution())),
            hash_tag: topology.hash_tag(),
            node_order: topology.node_order(),
            eject: topology.eject_policy().clone(),
            ..self
        }
    }

    /// Places keys as another client does: its hash, its distribution, its order and names of nodes
    /// (`twemproxy`).
    ///
    /// What [`hash`](Self::hash), [`distribution`](Self::distribution) and [`node_order`](Self::node_order)
    /// set goes before. Nodes that were given names keep them.
    ///
    /// # Examples
    ///
    /// ```
    /// use shardwright::{Preset, ShardedMemcache};
    ///
    /// // Where PHP's memcached puts keys, with OPT_LIBKETAMA_COMPATIBLE.
    /// let cache = ShardedMemcache::builder()
    ///     .add_server(vec!["memcache://10.0.0.1", "memcache://10.0.0.2"])?
    ///     .preset(Preset::LibmemcachedKetama)
    ///     .build()?;
    /// # Ok::<(), memcache::MemcacheError>(())
    /// ```
    pub fn preset(self, preset: Preset) -> Self {
        Self { preset, ..self }
    }

    /// With those of the rules that a URL says; the others stay.
    pub(super) fn said_by(mut self, url: &MemcacheUrl) -> Self {
        let topology = &url.topology;
        if let Rules::Preset(preset) = url.rules {
            self = Self { preset, hash: None, distribution: None, node_order: None, ..self };
        }
        if url.says(&["hash", "char_sign"]) {
            self.hash = Some(Arc::clone(topology.shared_hash()));
        }
        if url.says(&["distribution"]) {
            self.distribution = Some(Arc::clone(topology.shared_distribution()));
        }
        if url.says(&["node_order"]) {
            self.node_order = topology.node_order();
        }
        if url.says(&["hash_tag"]) {
            self.hash_tag = topology.hash_tag();
        }
        if url.says(&EJECTION) {
            self.eject = topology.eject_policy().clone();
        }
        self
    }

    /// How keys are hashed (`fnv1a_64`, or as the preset has it).
    pub fn hash(self, hash: impl HashFn + 'static) -> Self {
        Self { hash: Some(Arc::new(hash)), ..self }
    }

    /// Which node a hash belongs to (`ketama`, or as the preset has it).
    pub fn distribution(self, distribution: impl Distribution + 'static) -> Self {
        Self { distribution: Some(Arc::new(distribution)), ..self }
    }

    /// The two characters around the part of a key that is hashed (none).
    pub fn hash_tag(self, tag: HashTag) -> Self {
        Self { hash_tag: Some(tag), ..self }
    }

    /// How nodes are numbered (as the distribution, or the preset, wants it).
    pub fn node_order(self, order: NodeOrder) -> Self {
        Self { node_order: Some(order), ..self }
    }

    /// When a node is ejected and what becomes of its keys (never).
    pub fn eject(self, policy: EjectPolicy) -> Self {
        Self { eject: policy, ..self }
    }

    /// What a caller gets for keys that cannot be read because their node fails (an error).
    pub fn failed_reads(mut self, policy: FailedReads) -> Self {
        self.options.failed_reads = policy;
        self
    }

    /// Whom to tell when a node is ejected, probed or reinstated, or the topology changes. It is called on
    /// the thread that noticed, outside of all locks, and should be quick. A panic ends there.
    pub fn listener(self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Arc::new(listener)), ..self }
    }
}

/// The options of a URL that make an ejection policy.
const EJECTION: [&str; 5] =
    ["eject", "failure_limit", "retry_timeout", "max_retry_timeout", "max_ejected_share"];

/// Connections.
impl ShardedMemcacheBuilder {
    /// Bounds every request as a whole, from the first connection it needs to its last reply (1 s). Zero is
    /// never: then a node that hangs, hangs the application, and is never ejected.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.options.timeouts.set_read(Some(timeout).filter(|timeout| !timeout.is_zero()));
        self.options.timeouts.set_write(None);
        self
    }

    /// Bounds every new connection, greeting included (as the request that needs it, and so for zero).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        self
    }

    /// The most connections that may be open to one node (32), and so the most threads that can ask it at
    /// the same time; further ones wait. At least one.
    pub fn max_connections(mut self, count: u32) -> Self {
        self.options.max_connections = usize::try_from(count).unwrap_or(usize::MAX).max(1);
        self
    }

    /// How old a connection may become (any age). An older one is closed when it would be used next.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.options.max_lifetime = Some(lifetime);
        self
    }

    /// Which protocol is spoken (what the server has).
    pub fn protocol(mut self, protocol: MemcacheProtocol) -> Self {
        self.options.protocol = protocol;
        self
    }
}

/// The settings of `memcache::ClientBuilder`, under its names.
impl ShardedMemcacheBuilder {
    /// As [`max_connections`](Self::max_connections), which is 1 in memcache.
    pub fn with_max_pool_size(self, max_size: u32) -> Self {
        self.max_connections(max_size)
    }

    /// Changes nothing: connections are opened when they are needed, and stay open.
    pub fn with_min_idle_conns(self, _min_idle: u32) -> Self {
        self
    }

    /// As [`max_lifetime`](Self::max_lifetime).
    pub fn with_max_conn_lifetime(self, max_lifetime: Duration) -> Self {
        self.max_lifetime(max_lifetime)
    }

    /// Bounds every request: the longer one of this and of
    /// [`with_write_timeout`](Self::with_write_timeout).
    pub fn with_read_timeout(self, read_timeout: Duration) -> Self {
        self.options.timeouts.set_read(Some(read_timeout));
        self
    }

    /// Bounds every request: the longer one of this and of
    /// [`with_read_timeout`](Self::with_read_timeout), which is 1 s if it is not set: a shorter one than
    /// that changes nothing by itself.
    pub fn with_write_timeout(self, write_timeout: Duration) -> Self {
        self.options.timeouts.set_write(Some(write_timeout));
        self
    }

    /// Places keys as `memcache::Client` does with this function: on the node at its result modulo the
    /// number of nodes, in the order they were added. Weights do not count.
    ///
    /// # Examples
    ///
    /// The placement of `memcache::Client` without a function of one's own, for as long as the standard
    /// library's hasher stays as it is:
    ///
    /// ```
    /// use std::hash::{DefaultHasher, Hash, Hasher};
    ///
    /// use shardwright::ShardedMemcache;
    ///
    /// fn default_of_memcache(key: &str) -> u64 {
    ///     let mut hasher = DefaultHasher::new();
    ///     key.hash(&mut hasher);
    ///     hasher.finish()
    /// }
    ///
    /// let cache = ShardedMemcache::builder()
    ///     .add_server(vec!["memcache://10.0.0.1", "memcache://10.0.0.2"])?
    ///     .with_hash_function(default_of_memcache)
    ///     .build()?;
    /// # Ok::<(), memcache::MemcacheError>(())
    /// ```
    pub fn with_hash_function(self, hash_function: fn(&str) -> u64) -> Self {
        self.distribution(HashFunction(hash_function))
    }

    /// As [`connect_timeout`](Self::connect_timeout).
    pub fn with_connection_timeout(self, connection_timeout: Duration) -> Self {
        self.connect_timeout(connection_timeout)
    }
}

impl ShardedMemcacheBuilder {
    /// Builds the client. No node is connected to.
    ///
    /// # Errors
    ///
    /// `BadURL`, saying which setting is wrong.
    pub fn build(self) -> Result<ShardedMemcache, MemcacheError> {
        let (topology, endpoints) = self.resolve()?;
        Ok(ShardedMemcache::new(self, topology, endpoints))
    }

    /// The topology that the settings describe, without a connection to it.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn to_topology(&self) -> Result<Topology, MemcacheError> {
        Ok(self.topology()?)
    }

    /// The topology, and how its nodes are reached. Files with certificates are read here.
    pub(super) fn resolve(&self) -> Result<(Topology, Vec<Endpoint>)> {
        let mut configs = TlsConfigs::default();
        let endpoint =
            |node: &MemcacheNodeConfig| node.endpoint(self.options.protocol, &mut configs);
        let endpoints = self.nodes.iter().map(endpoint).collect::<Result<_>>()?;
        Ok((self.topology()?, endpoints))
    }

    fn topology(&self) -> Result<Topology> {
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.node().clone()).collect();
        let mut topology = self
            .preset
            .topology_with_shared_hash(nodes, self.hash.clone())?
            .with_eject_policy(self.eject.clone());
        if let Some(distribution) = &self.distribution {
            // How nodes are numbered goes with it.
            topology = Topology::new(topology.nodes().to_vec())?
                .with_shared_hash(Arc::clone(topology.shared_hash()))
                .with_shared_distribution(Arc::clone(distribution))
                .with_eject_policy(self.eject.clone());
        }
        if let Some(tag) = self.hash_tag {
            topology = topology.with_hash_tag(tag);
        }
        if let Some(order) = self.node_order {
            topology = topology.with_node_order(order);
        }
        Ok(topology)
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn event_listener(&self) -> Option<Listener> {
        self.listener.clone()
    }

    /// With everything that does not concern the topology as in `other`.
    pub(super) fn with_options_of(self, other: &Self) -> Self {
        Self { options: other.options.clone(), listener: other.listener.clone(), ..self }
    }

    pub(super) fn set_nodes(&mut self, nodes: Vec<MemcacheNodeConfig>) {
        self.nodes = nodes;
    }
}

impl fmt::Debug for ShardedMemcacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedMemcacheBuilder")
            .field("nodes", &self.nodes)
            .field("preset", &self.preset)
            .field("hash", &self.hash)
            .field("distribution", &self.distribution)
            .field("hash_tag", &self.hash_tag)
            .field("eject", &self.eject)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
