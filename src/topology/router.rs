//! From a key to the node that owns it.

use std::sync::Arc;

use super::Topology;
use crate::distribution::NodeSet;
use crate::distribution::Ring;
use crate::distribution::RingNode;
use crate::distribution::reroute;
use crate::hash::HashFn;
use crate::health::EjectMode;
use crate::key::HashTag;
use crate::node::Node;
use crate::node::NodeId;

/// Tells which node owns a key: the hash tag, the hash and the ring in one.
///
/// It is immutable and cheap to share. The one of a live client ([`ShardedClient::router`]) knows
/// which nodes were ejected at the moment it was taken.
///
/// [`ShardedClient::router`]: crate::ShardedClient::router
#[derive(Clone, Debug)]
pub struct Router {
    topology: Arc<Topology>,
    /// By id.
    nodes: Arc<[Node]>,
    hash: Arc<dyn HashFn>,
    hash_tag: Option<HashTag>,
    /// Over all nodes, whatever is ejected.
    full_ring: Arc<dyn Ring>,
    /// What is asked; none if every node is ejected.
    ring: Option<Arc<dyn Ring>>,
    /// Whether `ring` is asked for the key itself.
    picks_by_key: bool,
    /// Nodes that get no requests.
    ejected: NodeSet,
    /// Ejected nodes that still own keys, if there are any.
    refused: Option<NodeSet>,
}

/// Why a key has no node at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unroutable {
    Ejected(NodeId),
    NoLiveNode,
}

impl Router {
    pub(super) fn new(topology: Topology) -> Self {
        let nodes: Arc<[Node]> =
            topology.numbering().into_iter().map(|place| topology.nodes()[place].clone()).collect();
        let full_ring = topology.distribution().build(&ring_nodes(&nodes));
        Self {
            hash: Arc::clone(topology.shared_hash()),
            hash_tag: topology.hash_tag(),
            topology: Arc::new(topology),
            nodes,
            picks_by_key: full_ring.picks_by_key(),
            ring: Some(Arc::clone(&full_ring)),
            full_ring,
            ejected: NodeSet::new(),
            refused: None,
        }
    }

    /// The same nodes with those in `ejected` out, as the ejection mode has it.
    pub(crate) fn with_ejected(&self, ejected: &NodeSet) -> Self {
        let mut router = self.clone();
        router.ejected = ejected.clone();
        router.refused = None;
        router.ring = Some(Arc::clone(&self.full_ring));
        router.picks_by_key = self.full_ring.picks_by_key();
        if ejected.is_empty() {
            return router;
        }
        match self.topology.eject_policy().mode() {
            EjectMode::Off => router.ejected = NodeSet::new(),
            EjectMode::FailFast => router.refused = Some(ejected.clone()),
            _ if ejected.len() >= self.nodes.len() => router.ring = None,
            EjectMode::Rebuild => {
                let nodes = ring_nodes(&self.nodes);
                router.ring = Some(self.topology.distribution().rebuild(&nodes, ejected));
            }
            EjectMode::Successor => {
                let ids: Vec<_> = ids(&self.nodes).collect();
                router.ring = Some(reroute(&self.full_ring, &ids, ejected));
            }
        }
        router.picks_by_key = router.ring.as_ref().is_some_and(|ring| ring.picks_by_key());
        router
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this id.
    ///
    /// # Panics
    ///
    /// If `id` is of another topology with more nodes.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The id of the node with this name.
    pub fn id_of(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name() == name).and_then(NodeId::new)
    }

    /// The description the router was made from.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The ring, or `None` if every node is ejected.
    pub fn ring(&self) -> Option<&Arc<dyn Ring>> {
        self.ring.as_ref()
    }

    /// The nodes that are ejected.
    pub fn ejected(&self) -> &NodeSet {
        &self.ejected
    }

    /// The ids of the nodes that are not ejected.
    pub fn live_nodes(&self) -> impl Iterator<Item = NodeId> {
        ids(&self.nodes).filter(|id| !self.ejected.contains(*id))
    }

    /// The node that requests for `key` go to, or `None` if it has none at the moment: its node is
    /// ejected and its keys stay (`fail_fast`), or every node is ejected.
    pub fn node_for_key(&self, key: &[u8]) -> Option<NodeId> {
        self.route(key).ok()
    }

    /// The hash of `key`: of what its hash tag encloses if it has one, and 0 if nothing is left to
    /// hash (nutcracker 0.5.0 `nc_server.c` `server_pool_hash`).
    ///
    /// A ring that [picks by key](Ring::picks_by_key) does not look at it.
    pub fn hash_of_key(&self, key: &[u8]) -> u32 {
        match self.hashed_part(key) {
            [] => 0,
            part => self.hash.hash(part),
        }
    }

    #[inline]
    fn hashed_part<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        match self.hash_tag {
            Some(tag) => tag.hashed_part(key),
            None => key,
        }
    }

    /// The node for `key`. A pool of one node hashes nothing.
    #[inline]
    pub(crate) fn route(&self, key: &[u8]) -> Result<NodeId, Unroutable> {
        if self.picks_by_key {
            return self.route_by_key(key);
        }
        let hash = if self.nodes.len() == 1 { 0 } else { self.hash_of_key(key) };
        self.route_hash(hash)
    }

    fn route_by_key(&self, key: &[u8]) -> Result<NodeId, Unroutable> {
        let ring = self.ring.as_ref().ok_or(Unroutable::NoLiveNode)?;
        self.admit(ring.pick_key(self.hashed_part(key)))
    }

    #[inline]
    fn route_hash(&self, hash: u32) -> Result<NodeId, Unroutable> {
        let ring = self.ring.as_ref().ok_or(Unroutable::NoLiveNode)?;
        self.admit(ring.pick(hash))
    }

    /// Routes many keys, four hashes at a time.
    pub(crate) fn route_many<'k>(
        &self,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        mut each: impl FnMut(usize, Result<NodeId, Unroutable>),
    ) {
        if self.picks_by_key {
            return keys.enumerate().for_each(|(index, key)| each(index, self.route_by_key(key)));
        }
        let count = keys.len();
        let mut keys = keys.map(|key| self.hashed_part(key));
        let mut index = 0;
        while count - index >= 4 {
            let four = [(); 4].map(|()| keys.next().unwrap_or_default());
            let mut hashes = self.hash.hash_four(four);
            for (hash, key) in hashes.iter_mut().zip(four) {
                if key.is_empty() {
                    *hash = 0;
                }
                each(index, self.route_hash(*hash));
                index += 1;
            }
        }
        for key in keys {
            let hash = if key.is_empty() { 0 } else { self.hash.hash(key) };
            each(index, self.route_hash(hash));
            index += 1;
        }
    }

    #[inline]
    fn admit(&self, node: NodeId) -> Result<NodeId, Unroutable> {
        if self.is_refused(node) { Err(Unroutable::Ejected(node)) } else { Ok(node) }
    }

    /// Whether `node` is ejected and keeps its keys.
    #[inline]
    pub(crate) fn is_refused(&self, node: NodeId) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.contains(node))
    }

    /// Owner of a hash while every node is live.
    pub(super) fn owner(&self, hash: u32) -> NodeId {
        self.full_ring.pick(hash)
    }

    /// Owner of a key while every node is live.
    pub(super) fn owner_of_key(&self, key: &[u8]) -> NodeId {
        if self.full_ring.picks_by_key() {
            self.full_ring.pick_key(self.hashed_part(key))
        } else {
            self.owner(self.hash_of_key(key))
        }
    }

    pub(super) fn full_ring(&self) -> &dyn Ring {
        &*self.full_ring
    }
}

fn ids(nodes: &[Node]) -> impl Iterator<Item = NodeId> {
    (0..nodes.len()).filter_map(NodeId::new)
}

fn ring_nodes(nodes: &[Node]) -> Vec<RingNode> {
    ids(nodes).zip(nodes).map(|(id, node)| RingNode::new(id, node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::DistributionKind;
    use crate::health::EjectPolicy;

    fn router(count: usize) -> Router {
        let nodes = (0..count).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
        Topology::new(nodes).unwrap().with_hash_tag(HashTag::new(b'{', b'}')).router()
    }

    #[test]
    fn the_tag_is_hashed_and_an_empty_key_hashes_to_zero() {
        let router = router(4);
        assert_eq!(router.hash_of_key(b"a{b}c"), router.hash_of_key(b"b"));
        assert_eq!(router.hash_of_key(b""), 0);
    }

    #[test]
    fn each_mode_does_with_an_ejected_node_what_it_says() {
        let keys: Vec<_> = (0..1000).map(|number| format!("{number}:key").into_bytes()).collect();
        let full = router(5);
        let out = NodeId::new(2).unwrap();
        let ejected: NodeSet = [out].into_iter().collect();
        for (mode, survivors_stay) in
            [(EjectMode::Off, true), (EjectMode::Successor, true), (EjectMode::FailFast, true)]
        {
            let topology = full.topology().clone().with_eject_policy(EjectPolicy::new(mode));
            let router = topology.router().with_ejected(&ejected);
            for key in &keys {
                let (was, is) = (full.route(key).unwrap(), router.route(key));
                if was != out {
                    assert_eq!(survivors_stay, is == Ok(was));
                    continue;
                }
                match mode {
                    EjectMode::Off => assert_eq!(is, Ok(out)),
                    EjectMode::FailFast => assert_eq!(is, Err(Unroutable::Ejected(out))),
                    _ => assert!(is.is_ok_and(|is| is != out)),
                }
            }
            assert_eq!(router.with_ejected(&NodeSet::new()).route(b"k"), full.route(b"k"));
        }
    }

    #[test]
    fn a_rebuilt_ring_is_that_of_the_live_nodes_alone() {
        let weighted =
            (0..7).map(|index| format!("10.0.0.{index}:6379:{}", 1 + index % 3).parse().unwrap());
        let topology = Topology::new(weighted).unwrap().with_eject_policy(EjectPolicy::rebuild());
        for kind in [DistributionKind::Ketama, DistributionKind::Modula] {
            let full = topology.clone().with_distribution(kind).router();
            let ejected: NodeSet = [1, 4].into_iter().filter_map(NodeId::new).collect();
            let router = full.with_ejected(&ejected);
            let live: Vec<_> = full
                .nodes()
                .iter()
                .zip(ids(full.nodes()))
                .filter(|(_, id)| !ejected.contains(*id))
                .map(|(node, _)| node.clone())
                .collect();
            let alone = full.topology().clone().with_nodes(live).unwrap().router();
            for number in 0..5000u32 {
                let key = number.wrapping_mul(0x9e37_79b9).to_string();
                let name = |router: &Router| {
                    router.node(router.route(key.as_bytes()).unwrap()).name().to_owned()
                };
                assert_eq!(name(&router), name(&alone), "{kind}: {key}");
            }
        }
    }

    #[test]
    fn without_a_live_node_nothing_is_routed() {
        let topology = router(2).topology().clone().with_eject_policy(EjectPolicy::rebuild());
        let all: NodeSet = (0..2).filter_map(NodeId::new).collect();
        let router = topology.router().with_ejected(&all);
        assert_eq!(router.route(b"a"), Err(Unroutable::NoLiveNode));
        assert!(router.ring().is_none());
    }

    proptest::proptest! {
        #[test]
        fn many_keys_are_routed_like_one(
            keys: Vec<Vec<u8>>,
            count in 1usize..8,
            kind in 0usize..5,
            tagged: bool,
        ) {
            let kind = DistributionKind::ALL[kind];
            proptest::prop_assume!(kind != DistributionKind::Random);
            let mut topology = router(count).topology().clone().with_distribution(kind);
            if tagged {
                topology = topology.with_hash_tag(HashTag::new(b'a', b'b'));
            }
            let router = topology.router();
            let mut routed = vec![None; keys.len()];
            router.route_many(keys.iter().map(Vec::as_slice), |index, node| {
                routed[index] = Some(node);
            });
            let alone: Vec<_> = keys.iter().map(|key| Some(router.route(key))).collect();
            proptest::prop_assert_eq!(routed, alone);
        }
    }
}
