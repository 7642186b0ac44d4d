//! Distributions: the rule from a hash to the node that owns it.
//!
//! A [`Distribution`] builds a [`Ring`] from nodes; the ring picks a node for a hash, many times. The
//! built-in ones are listed by [`DistributionKind`]. `ketama`, `modula` and `random` are nutcracker's
//! to the bit; `rendezvous` and `jump` are ours. Those of memcached clients besides are had through a
//! [`Preset`](crate::Preset).
//!
//! Not here: bytes to a hash ([`HashFn`](crate::HashFn)), and which nodes are live.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Result;
use crate::error::ShardError;
use crate::node::Node;
use crate::node::NodeId;
use crate::node::Weight;

mod buckets;
mod clients;
mod dalli;
mod jump;
mod ketama;
mod mix;
mod modula;
mod node_set;
mod pymemcache;
mod random;
mod rendezvous;
mod rerouted;

pub(crate) use clients::ClientDistribution;
pub use node_set::NodeSet;
pub(crate) use rerouted::reroute;

/// Builds rings.
///
/// Placement is decided here: the same nodes in the same order must always give the same ring, on
/// every machine and in every version.
///
/// # Examples
///
/// A distribution that always picks the first node:
///
/// ```
/// use std::sync::Arc;
///
/// use shardwright::{Distribution, NodeId, Ring, RingNode};
///
/// #[derive(Debug)]
/// struct First;
///
/// #[derive(Debug)]
/// struct FirstRing(NodeId);
///
/// impl Distribution for First {
///     fn build(&self, nodes: &[RingNode]) -> Arc<dyn Ring> {
///         Arc::new(FirstRing(nodes[0].id()))
///     }
///
///     fn name(&self) -> &str {
///         "first"
///     }
/// }
///
/// impl Ring for FirstRing {
///     fn pick(&self, _hash: u32) -> NodeId {
///         self.0
///     }
/// }
/// ```
pub trait Distribution: fmt::Debug + Send + Sync {
    /// Builds the ring over `nodes`, which are never empty and in the order of their ids.
    fn build(&self, nodes: &[RingNode]) -> Arc<dyn Ring>;

    /// The name for people: in `Debug` output and in messages.
    fn name(&self) -> &str;

    /// Builds the ring over `nodes` without those in `ejected`, as the ejection mode `rebuild` has it; at
    /// least one is left.
    ///
    /// Override it where the ejected nodes still say what kind of ring it is.
    fn rebuild(&self, nodes: &[RingNode], ejected: &NodeSet) -> Arc<dyn Ring> {
        self.build(&live(nodes, ejected))
    }

    /// How nodes are numbered for this distribution, unless the topology says otherwise.
    fn node_order(&self) -> NodeOrder {
        NodeOrder::ByName
    }
}

impl<T: Distribution + ?Sized> Distribution for Arc<T> {
    fn build(&self, nodes: &[RingNode]) -> Arc<dyn Ring> {
        (**self).build(nodes)
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn rebuild(&self, nodes: &[RingNode], ejected: &NodeSet) -> Arc<dyn Ring> {
        (**self).rebuild(nodes, ejected)
    }

    fn node_order(&self) -> NodeOrder {
        (**self).node_order()
    }
}

/// Picks the node that owns a hash. Built once, asked on every request.
pub trait Ring: fmt::Debug + Send + Sync {
    /// The node that owns `hash`: the id of one of the nodes the ring was built from.
    ///
    /// It is called on every request, from many threads, and must not panic.
    fn pick(&self, hash: u32) -> NodeId;

    /// Whether the ring looks at the key and not at its hash: then
    /// [`pick_key`](Self::pick_key) is asked instead of [`pick`](Self::pick), and the key is not hashed.
    ///
    /// It is asked once a ring.
    fn picks_by_key(&self) -> bool {
        false
    }

    /// The node that owns `key`, of which only what counts is given: the part in its hash tag if it
    /// has one. Asked only of a ring that [picks by key](Self::picks_by_key), and then as `pick` is.
    fn pick_key(&self, key: &[u8]) -> NodeId {
        let _ = key;
        self.pick(0)
    }

    /// The same ring without the nodes in `ejected`: each hash of theirs goes to the node that
    /// follows it in this ring's own sense, and no other hash moves.
    ///
    /// `None` if the ring has no such sense; then the hash is changed and asked again until a live
    /// node answers, which moves no other hash either. At least one node stays.
    fn without(&self, ejected: &NodeSet) -> Option<Arc<dyn Ring>> {
        let _ = ejected;
        None
    }

    /// The points of a ring that has points, in ascending order: the owner of a hash is the node of
    /// the first point not below it, and of the first point of all behind the last. Empty for a ring
    /// of another kind.
    fn points(&self) -> &[Point] {
        &[]
    }

    /// Whether any node may be asked for any key, as in `random`: then no key has a place that could
    /// change.
    fn serves_all_keys(&self) -> bool {
        false
    }
}

/// A (hash, node) pair on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    hash: u32,
    node: NodeId,
}

impl Point {
    /// A point.
    pub const fn new(hash: u32, node: NodeId) -> Self {
        Self { hash, node }
    }

    /// Where the point lies.
    pub const fn hash(self) -> u32 {
        self.hash
    }

    /// Whose point it is.
    pub const fn node(self) -> NodeId {
        self.node
    }
}

/// What a distribution may know of a node: not its address, so that moving a server moves no key.
#[derive(Clone, Debug)]
pub struct RingNode {
    id: NodeId,
    name: Arc<str>,
    weight: Weight,
}

impl RingNode {
    /// The node as the ring sees it, under its id in the topology.
    pub fn new(id: NodeId, node: &Node) -> Self {
        Self { id, name: node.shared_name().clone(), weight: node.weight() }
    }

    /// The id that [`Ring::pick`] answers.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The ring name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The weight.
    pub fn weight(&self) -> Weight {
        self.weight
    }
}

fn live(nodes: &[RingNode], ejected: &NodeSet) -> Vec<RingNode> {
    nodes.iter().filter(|node| !ejected.contains(node.id())).cloned().collect()
}

/// How the nodes of a topology are numbered. It matters to `modula` and `jump`, and to `ketama` only
/// where two points are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeOrder {
    /// By ring name, shorter names first, then bytewise; nutcracker's order (0.5.0 `nc_conf.c`
    /// `conf_validate_server` sorts with `string_compare`).
    ByName,
    /// As they were listed; libmemcached's order.
    AsListed,
}

/// One list is the enum, the names in configuration files and the documentation.
macro_rules! distribution_kinds {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// The built-in distributions.
        ///
        /// # Examples
        ///
        /// ```
        /// use shardwright::DistributionKind;
        ///
        /// assert_eq!(DistributionKind::default(), DistributionKind::Ketama);
        /// assert_eq!("jump".parse::<DistributionKind>()?, DistributionKind::Jump);
        /// # Ok::<(), shardwright::ShardError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DistributionKind {
            $($(#[$doc])+ $variant,)+
        }

        impl DistributionKind {
            /// All of them.
            pub const ALL: [Self; 5] = [$(Self::$variant),+];

            /// The name in configuration files and URLs.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

distribution_kinds! {
    /// Consistent hashing with about 160 points a node, nutcracker's default: nutcracker's ring to
    /// the bit (0.5.0 `nc_ketama.c` `ketama_update`), and libmemcached's weighted one.
    ///
    /// A node has `floor(weight / sum of weights * 160 / 4 * nodes + 1e-10)` MD5 digests, computed in
    /// single precision, of `name-0`, `name-1` …, and each gives four points, little-endian. A hash belongs
    /// to the first point not below it. A lookup costs one memory access or two up to some 3,000 nodes,
    /// and a search among a few points beyond.
    #[default]
    Ketama = "ketama",
    /// The hash modulo the sum of the weights (nutcracker 0.5.0 `nc_modula.c`): the nodes in order, each
    /// as often as its weight. Even, but nearly every key moves when a node comes or goes.
    Modula = "modula",
    /// A random node for every request, weights ignored (nutcracker 0.5.0 `nc_random.c`): for nodes that
    /// all hold the same. Each key of a request draws a node of its own, so a command with several keys
    /// that cannot be split is refused now and then.
    Random = "random",
    /// Highest random weight (Thaler and Ravishankar 1998): even at any number of nodes, weights to the
    /// point, and only keys of a node that comes or goes move.
    ///
    /// A node's seed is the first 64 bits of the MD5 digest of its name, little-endian. It draws `u =
    /// mix(seed ^ mix(hash))`, `mix` being SplitMix64's; the greatest draw owns the hash, and with unequal
    /// weights the greatest `-weight / ln u`, `u` taken as a number between 0 and 1. A lookup looks at
    /// every node.
    Rendezvous = "rendezvous",
    /// Jump consistent hash (Lamping and Veach 2014) of the 32-bit hash, over as many slots as the weights
    /// sum up to: even, no memory, but nodes may only be added and removed at the end of the list.
    Jump = "jump",
}

impl fmt::Display for DistributionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DistributionKind {
    type Err = ShardError;

    /// Reads a name, in lower case.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) for any other text.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            ShardError::configuration(format!(
                "\"{name}\" is not a valid distribution; one of {} is",
                Self::ALL.map(Self::as_str).join(", ")
            ))
        })
    }
}

impl Distribution for DistributionKind {
    fn build(&self, nodes: &[RingNode]) -> Arc<dyn Ring> {
        match self {
            Self::Ketama => Arc::new(ketama::KetamaRing::new(nodes)),
            Self::Modula => Arc::new(modula::ModulaRing::new(nodes)),
            Self::Random => Arc::new(random::RandomRing::new(nodes)),
            Self::Rendezvous => Arc::new(rendezvous::RendezvousRing::new(nodes)),
            Self::Jump => Arc::new(jump::JumpRing::new(nodes)),
        }
    }

    fn name(&self) -> &str {
        self.as_str()
    }

    fn node_order(&self) -> NodeOrder {
        match self {
            Self::Jump => NodeOrder::AsListed,
            _ => NodeOrder::ByName,
        }
    }
}

#[cfg(test)]
mod tests;
