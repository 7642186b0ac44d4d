//! Random (nutcracker 0.5.0 `nc_random.c`).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::NodeSet;
use super::Ring;
use super::RingNode;
use super::mix::mix;
use crate::node::NodeId;

/// Any node for any hash, each as often as the others: weights do not count, as in nutcracker.
#[derive(Debug)]
pub(super) struct RandomRing {
    nodes: Vec<NodeId>,
    picks: AtomicU64,
}

impl RandomRing {
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        Self::from_ids(nodes.iter().map(RingNode::id).collect())
    }

    fn from_ids(nodes: Vec<NodeId>) -> Self {
        // Processes that start together must not all begin with the same node. nutcracker seeds
        // with the time; this is the operating system's randomness.
        let seed = RandomState::new().hash_one(nodes.len());
        Self { nodes, picks: AtomicU64::new(seed) }
    }
}

impl Ring for RandomRing {
    fn pick(&self, _hash: u32) -> NodeId {
        let number = mix(self.picks.fetch_add(1, Ordering::Relaxed));
        self.nodes[(number % self.nodes.len() as u64) as usize]
    }

    fn serves_all_keys(&self) -> bool {
        true
    }

    fn without(&self, ejected: &NodeSet) -> Option<Arc<dyn Ring>> {
        let nodes: Vec<_> =
            self.nodes.iter().copied().filter(|&node| !ejected.contains(node)).collect();
        (!nodes.is_empty()).then(|| Arc::new(Self::from_ids(nodes)) as Arc<dyn Ring>)
    }
}
