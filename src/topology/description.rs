//! What the user describes: nodes, hash, distribution, tag and ejection policy.

use std::fmt;
use std::sync::Arc;

use fnv::FnvHashMap;

use super::Movement;
use super::Router;
use crate::distribution::Distribution;
use crate::distribution::DistributionKind;
use crate::distribution::NodeOrder;
use crate::error::Result;
use crate::error::ShardError;
use crate::hash::HashFn;
use crate::hash::HashKind;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::node::Node;
use crate::node::NodeId;

/// The nodes that share the keys, and the rules by which they do.
///
/// The defaults are nutcracker's: hash `fnv1a_64`, distribution `ketama`, no hash tag, no ejection,
/// nodes numbered by name.
///
/// # Examples
///
/// Where a key lives needs no server:
///
/// ```
/// use shardwright::{DistributionKind, HashKind, Node, Topology};
///
/// let nodes = ["10.0.0.1:6379:1 server1", "10.0.0.2:6379:1 server2"];
/// let nodes = nodes.iter().map(|line| line.parse()).collect::<Result<Vec<Node>, _>>()?;
/// let topology = Topology::new(nodes)?
///     .with_hash(HashKind::Murmur)
///     .with_distribution(DistributionKind::Ketama)
///     .with_hash_tag("{}".parse()?);
///
/// let router = topology.router();
/// assert_eq!(router.node_for_key(b"user:{42}:name"), router.node_for_key(b"42"));
/// # Ok::<(), shardwright::ShardError>(())
/// ```
#[derive(Clone)]
pub struct Topology {
    listed: Vec<Node>,
    hash: Arc<dyn HashFn>,
    distribution: Arc<dyn Distribution>,
    hash_tag: Option<HashTag>,
    node_order: Option<NodeOrder>,
    eject: EjectPolicy,
}

impl Topology {
    /// A topology of `nodes`, with nutcracker's defaults for the rest.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) if there is no node, if there are more
    /// than [`NodeId::LIMIT`], if two have the same name, or if the weights sum up to 2^32 or more.
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Result<Self> {
        let listed: Vec<_> = nodes.into_iter().collect();
        check(&listed)?;
        Ok(Self {
            listed,
            hash: Arc::new(HashKind::default()),
            distribution: Arc::new(DistributionKind::default()),
            hash_tag: None,
            node_order: None,
            eject: EjectPolicy::default(),
        })
    }

    /// The same topology with another hash function. Keys move.
    pub fn with_hash(self, hash: impl HashFn + 'static) -> Self {
        self.with_shared_hash(Arc::new(hash))
    }

    pub(crate) fn with_shared_hash(self, hash: Arc<dyn HashFn>) -> Self {
        Self { hash, ..self }
    }

    /// The same topology with another distribution. Keys move.
    pub fn with_distribution(self, distribution: impl Distribution + 'static) -> Self {
        self.with_shared_distribution(Arc::new(distribution))
    }

    pub(crate) fn with_shared_distribution(self, distribution: Arc<dyn Distribution>) -> Self {
        Self { distribution, ..self }
    }

    /// The same topology with a hash tag. Keys that hold one move.
    pub fn with_hash_tag(self, tag: HashTag) -> Self {
        Self { hash_tag: Some(tag), ..self }
    }

    /// The same topology with its nodes numbered in this order, instead of as the distribution wants
    /// it ([`Distribution::node_order`]). With `modula` and `jump` keys move; with `ketama` those few do
    /// for which two nodes have the same point.
    pub fn with_node_order(self, order: NodeOrder) -> Self {
        Self { node_order: Some(order), ..self }
    }

    /// The same topology with another ejection policy.
    pub fn with_eject_policy(self, policy: EjectPolicy) -> Self {
        Self { eject: policy, ..self }
    }

    /// The same rules over other nodes.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_nodes(self, nodes: impl IntoIterator<Item = Node>) -> Result<Self> {
        let listed: Vec<_> = nodes.into_iter().collect();
        check(&listed)?;
        Ok(Self { listed, ..self })
    }

    /// The nodes in the order they were listed.
    pub fn nodes(&self) -> &[Node] {
        &self.listed
    }

    /// The hash function.
    pub fn hash(&self) -> &dyn HashFn {
        &*self.hash
    }

    /// The distribution.
    pub fn distribution(&self) -> &dyn Distribution {
        &*self.distribution
    }

    /// The hash tag, if there is one.
    pub fn hash_tag(&self) -> Option<HashTag> {
        self.hash_tag
    }

    /// The order in which the nodes are numbered, if it is not the distribution's own.
    pub fn node_order(&self) -> Option<NodeOrder> {
        self.node_order
    }

    /// The ejection policy.
    pub fn eject_policy(&self) -> &EjectPolicy {
        &self.eject
    }

    /// Builds the ring over all nodes. This costs about a millisecond for a hundred nodes; a router
    /// is built once and asked often.
    pub fn router(&self) -> Router {
        Router::new(self.clone())
    }

    /// Which share of the hash space moves, and from where to where, when `self` becomes `next`.
    ///
    /// For two ketama rings that hash alike it is exact; otherwise 65,536 evenly spread samples are
    /// counted.
    pub fn movement_to(&self, next: &Self) -> Movement {
        Movement::between(&self.router(), &next.router())
    }

    /// For each id in order, which of the listed nodes it is.
    pub(crate) fn numbering(&self) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.listed.len()).collect();
        match self.node_order.unwrap_or_else(|| self.distribution.node_order()) {
            NodeOrder::AsListed => {}
            NodeOrder::ByName => places.sort_by_key(|&place| {
                let name = self.listed[place].name();
                (name.len(), name)
            }),
        }
        places
    }

    /// Whether keys hash alike in both. Names of hashes are for people, so they are asked.
    pub(crate) fn hashes_like(&self, other: &Self) -> bool {
        let keys = (0..=u8::MAX).map(|byte| [byte, b':', byte.wrapping_mul(7)]);
        let is_same = Arc::ptr_eq(&self.hash, &other.hash)
            || keys.into_iter().all(|key| self.hash.hash(&key) == other.hash.hash(&key));
        is_same && self.hash_tag == other.hash_tag
    }

    pub(crate) fn shared_hash(&self) -> &Arc<dyn HashFn> {
        &self.hash
    }

    pub(crate) fn shared_distribution(&self) -> &Arc<dyn Distribution> {
        &self.distribution
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("nodes", &self.listed)
            .field("hash", &self.hash)
            .field("distribution", &self.distribution)
            .field("hash_tag", &self.hash_tag)
            .field("eject", &self.eject)
            .finish()
    }
}

fn check(nodes: &[Node]) -> Result<()> {
    if nodes.is_empty() {
        return Err(ShardError::configuration("there is no node"));
    }
    if nodes.len() > NodeId::LIMIT {
        return Err(ShardError::configuration(format!(
            "there are {} nodes, more than the {} that are possible",
            nodes.len(),
            NodeId::LIMIT
        )));
    }
    let mut seen: FnvHashMap<&str, &Node> = FnvHashMap::default();
    for node in nodes {
        if let Some(first) = seen.insert(node.name(), node) {
            return Err(ShardError::configuration(format!(
                "two nodes have the name '{}': {} and {}",
                node.name(),
                first.address(),
                node.address()
            )));
        }
    }
    let total: u64 = nodes.iter().map(|node| u64::from(node.weight().as_u32())).sum();
    if u32::try_from(total).is_err() {
        return Err(ShardError::configuration(format!(
            "the weights sum up to {total}, more than the {} that are possible",
            u32::MAX
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(lines: &[&str]) -> Vec<Node> {
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn a_bad_list_of_nodes_is_refused_with_the_reason() {
        for (lines, reason) in [
            (vec![], "no node"),
            (vec!["a:1:1 x", "b:1:1 x"], "two nodes have the name 'x': a:1 and b:1"),
            (vec!["a:1:1", "b:1:1 a:1"], "two nodes have the name 'a:1'"),
            (vec!["a:1:2147483647", "b:1:2147483647", "c:1:2"], "sum up to 4294967296"),
        ] {
            let error = Topology::new(nodes(&lines)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn nodes_are_numbered_by_length_and_bytes_of_their_names() {
        let topology =
            Topology::new(nodes(&["h:1:1 ccc", "h:2:1 bb", "h:3:1 ba", "h:4:1 d"])).unwrap();
        assert_eq!(topology.numbering(), [3, 2, 1, 0]);
        assert_eq!(topology.clone().with_node_order(NodeOrder::AsListed).numbering(), [0, 1, 2, 3]);
        assert_eq!(topology.with_distribution(DistributionKind::Jump).numbering(), [0, 1, 2, 3]);
    }
}
