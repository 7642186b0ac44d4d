//! Presets: the settings with which other clients of memcached place keys.

use core::net::Ipv4Addr;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::Topology;
use crate::distribution::ClientDistribution;
use crate::distribution::Distribution;
use crate::distribution::DistributionKind;
use crate::distribution::NodeOrder;
use crate::error::Result;
use crate::error::ShardError;
use crate::hash::ClientHashKind;
use crate::hash::HashFn;
use crate::hash::HashKind;
use crate::node::Address;
use crate::node::Node;

/// One list is the enum, the names in configuration files and the documentation.
macro_rules! presets {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// A memcached client, or proxy, whose placement is taken over: key hash, distribution, order and
        /// names of the nodes.
        ///
        /// Placements recorded from the real programs hold each of them
        /// (`tests/golden/clients`).
        ///
        /// # Examples
        ///
        /// The node where PHP's memcached has a key, given the list of servers in PHP's order:
        ///
        /// ```
        /// use shardwright::{Node, Preset};
        ///
        /// let nodes = ["10.0.1.1:11211:1", "10.0.1.2:11211:1", "10.0.1.3:11211:1"];
        /// let nodes = nodes.iter().map(|line| line.parse()).collect::<Result<Vec<Node>, _>>()?;
        /// let router = Preset::LibmemcachedModula.topology(nodes)?.router();
        /// let node = router.node_for_key(b"a").map(|id| router.node(id).to_string());
        /// assert_eq!(node.as_deref(), Some("10.0.1.1 (10.0.1.1:11211)"));
        /// # Ok::<(), shardwright::ShardError>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Preset {
            $($(#[$doc])+ $variant,)+
        }

        impl Preset {
            /// All of them.
            pub const ALL: [Self; 9] = [$(Self::$variant),+];

            /// The name in configuration files.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

presets! {
    /// nutcracker (twemproxy) 0.5.0 with its defaults: `fnv1a_64`, `ketama`, nodes in the order of their
    /// names. They are the defaults of a [`Topology`] too.
    Twemproxy = "twemproxy",
    /// libmemcached 1.1.4 with `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`; PHP's memcached with
    /// `OPT_LIBKETAMA_COMPATIBLE`; pylibmc with `ketama_weighted`.
    ///
    /// nutcracker's ring and the hash `md5`, nodes as listed.
    LibmemcachedKetama = "libmemcached_ketama",
    /// libmemcached 1.1.4, PHP's memcached and pylibmc as they are if nothing is set: `MODULA`.
    ///
    /// The hash `one_at_a_time` modulo the number of nodes, nodes as listed, weights ignored.
    LibmemcachedModula = "libmemcached_modula",
    /// libmemcached 1.1.4 with `MEMCACHED_DISTRIBUTION_CONSISTENT` or `CONSISTENT_KETAMA`; PHP's memcached
    /// with `OPT_DISTRIBUTION` set to `DISTRIBUTION_CONSISTENT`.
    ///
    /// The hash `one_at_a_time`, and 100 points a node made with the same hash. If any node has a weight
    /// above 1, the ring is that of `libmemcached_ketama` instead; the hash stays.
    LibmemcachedConsistent = "libmemcached_consistent",
    /// spymemcached 2.12 with its `DefaultConnectionFactory`: `ArrayModNodeLocator` and `NATIVE_HASH`.
    ///
    /// Java's `String.hashCode` modulo the number of nodes, nodes as listed, weights ignored.
    Spymemcached = "spymemcached",
    /// spymemcached 2.12 with its `KetamaConnectionFactory`: `KETAMA_HASH` and the node key format
    /// `SPYMEMCACHED`.
    ///
    /// The hash `md5`, and 160 points a node. If any node has a weight other than 1, all weights count as
    /// given to spymemcached in its map of weights, and points are counted as in nutcracker.
    ///
    /// spymemcached names a node by its resolved address. A node with an IP address is `10.0.1.1:11211`
    /// there; one with a host name is `cache1/10.0.1.1:11211` and has to be given that name
    /// ([`Node::with_name`]), and so has one with an IPv6 address, which versions of Java write in
    /// different ways.
    SpymemcachedKetama = "spymemcached_ketama",
    /// pymemcache 4.0.0's `HashClient`: rendezvous hashing with MurmurHash3 of `host:port-key`.
    ///
    /// Weights are ignored. A key is a Python `str` there, of whose code points the low eight bits count.
    /// One that is not UTF-8 can only be `bytes` in Python, and goes where pymemcache sends those; text
    /// given to pymemcache as `bytes` goes elsewhere than as `str`, and is not found.
    Pymemcache = "pymemcache",
    /// Dalli 3 to 5: 160 points a node of SHA-1, CRC-32, and the last point not above the hash.
    ///
    /// That Dalli tries again with other hashes when a node is down is not taken over.
    Dalli = "dalli",
    /// gomemcache's `ServerList`: the CRC-32 of the first 256 bytes modulo the number of nodes, nodes as
    /// listed, weights ignored.
    Gomemcache = "gomemcache",
}

impl Preset {
    /// A topology of `nodes` that places keys as the client does. Their order is the client's.
    ///
    /// No hash tag is set, and no ejection: [`Topology`] has methods for both.
    ///
    /// # Errors
    ///
    /// As [`Topology::new`]; and if a node of `spymemcached_ketama` has no IPv4 address and no
    /// name of its own.
    pub fn topology(self, nodes: impl IntoIterator<Item = Node>) -> Result<Topology> {
        self.build(nodes, self.hash())
    }

    /// As [`topology`](Self::topology), with another key hash where the client can be told one:
    /// libmemcached's `MEMCACHED_BEHAVIOR_HASH`, spymemcached's `HashAlgorithm`, nutcracker's `hash`.
    ///
    /// What else the client makes with it changes too: the points of `libmemcached_consistent` and, if
    /// the hash is not MD5, of `spymemcached_ketama`.
    ///
    /// # Errors
    ///
    /// As `topology`; and if the client has no such setting (`pymemcache`, `dalli`, `gomemcache`).
    pub fn topology_with_hash(
        self,
        nodes: impl IntoIterator<Item = Node>,
        hash: impl HashFn + 'static,
    ) -> Result<Topology> {
        self.check_hash()?;
        self.build(nodes, Arc::new(hash))
    }

    /// As [`topology`](Self::topology), with `hash` if there is one.
    #[cfg_attr(not(feature = "memcache"), allow(dead_code, reason = "a builder asks"))]
    pub(crate) fn topology_with_shared_hash(
        self,
        nodes: impl IntoIterator<Item = Node>,
        hash: Option<Arc<dyn HashFn>>,
    ) -> Result<Topology> {
        if hash.is_some() {
            self.check_hash()?;
        }
        self.build(nodes, hash.unwrap_or_else(|| self.hash()))
    }

    fn check_hash(self) -> Result<()> {
        match self {
            Self::Pymemcache | Self::Dalli | Self::Gomemcache => {
                Err(ShardError::configuration(format!("{self} has one hash and no other")))
            }
            _ => Ok(()),
        }
    }

    fn build(
        self,
        nodes: impl IntoIterator<Item = Node>,
        hash: Arc<dyn HashFn>,
    ) -> Result<Topology> {
        let nodes: Vec<_> = nodes.into_iter().map(|node| self.named(node)).collect();
        self.check(&nodes)?;
        let distribution = self.distribution_with_hash(Arc::clone(&hash));
        Ok(Topology::new(nodes)?
            .with_shared_hash(hash)
            .with_shared_distribution(distribution)
            .with_node_order(self.node_order()))
    }

    /// The key hash.
    pub fn hash(self) -> Arc<dyn HashFn> {
        match self {
            Self::Twemproxy => Arc::new(HashKind::Fnv1a64),
            Self::LibmemcachedKetama | Self::SpymemcachedKetama => Arc::new(HashKind::Md5),
            Self::LibmemcachedModula | Self::LibmemcachedConsistent => {
                Arc::new(HashKind::OneAtATime)
            }
            Self::Spymemcached => Arc::new(ClientHashKind::JavaString),
            Self::Pymemcache => Arc::new(ClientHashKind::Murmur3),
            Self::Dalli => Arc::new(HashKind::Crc32a),
            Self::Gomemcache => Arc::new(ClientHashKind::Gomemcache),
        }
    }

    /// The distribution that goes with the key hash of the preset.
    pub fn distribution(self) -> Arc<dyn Distribution> {
        self.distribution_with_hash(self.hash())
    }

    /// The distribution that goes with `hash` as the key hash.
    pub fn distribution_with_hash(self, hash: Arc<dyn HashFn>) -> Arc<dyn Distribution> {
        match self {
            Self::Twemproxy | Self::LibmemcachedKetama => Arc::new(DistributionKind::Ketama),
            Self::LibmemcachedModula | Self::Spymemcached | Self::Gomemcache => {
                Arc::new(ClientDistribution::Modula)
            }
            Self::LibmemcachedConsistent => Arc::new(ClientDistribution::Libmemcached(hash)),
            Self::SpymemcachedKetama => Arc::new(ClientDistribution::Spymemcached(hash)),
            Self::Pymemcache => Arc::new(ClientDistribution::Pymemcache),
            Self::Dalli => Arc::new(ClientDistribution::Dalli),
        }
    }

    /// How the nodes are numbered.
    pub fn node_order(self) -> NodeOrder {
        match self {
            Self::Twemproxy => NodeOrder::ByName,
            _ => NodeOrder::AsListed,
        }
    }

    /// The same node under the name the client would give it, unless it has a name of its own: one that
    /// is not its [`Address::ring_name`].
    ///
    /// The names of unix sockets are those in the sources of the clients, and were not compared.
    pub fn named(self, node: Node) -> Node {
        if node.name() != node.address().ring_name() {
            return node;
        }
        match self.name_of(node.address()) {
            Some(name) => node.clone().with_name(name).unwrap_or(node),
            None => node,
        }
    }

    /// Refuses a node of which the client knows more than its name and address tell.
    pub(crate) fn check(self, nodes: &[Node]) -> Result<()> {
        let is_unknown = |node: &&Node| match node.address() {
            // Versions of Java differ in how they write the other kind of addresses.
            Address::Tcp { host, port } => {
                host.parse::<Ipv4Addr>().is_err() && *node.name() == format!("{host}:{port}")
            }
            Address::Unix(_) => false,
        };
        match nodes.iter().find(is_unknown) {
            Some(node) if self == Self::SpymemcachedKetama => {
                Err(ShardError::configuration(format!(
                    "node {node} needs a name: the client places it by its resolved address too, as in \
                     \"cache1/10.0.1.1:11211\""
                )))
            }
            _ => Ok(()),
        }
    }

    /// The name the client gives an address, where it is not the ring name.
    fn name_of(self, address: &Address) -> Option<String> {
        match (self, address) {
            // These write the port always.
            (
                Self::SpymemcachedKetama | Self::Pymemcache | Self::Dalli,
                Address::Tcp { host, port },
            ) => Some(format!("{host}:{port}")),
            (Self::Pymemcache | Self::Dalli, Address::Unix(path)) => Some(path.clone()),
            // libmemcached writes a port of 0.
            (Self::LibmemcachedKetama | Self::LibmemcachedConsistent, Address::Unix(path)) => {
                Some(format!("{path}:0"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Preset {
    type Err = ShardError;

    /// Reads a name, in lower case.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) for any other text.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == name).ok_or_else(|| {
            ShardError::configuration(format!(
                "\"{name}\" is not a valid preset; one of {} is",
                Self::ALL.map(Self::as_str).join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests;
