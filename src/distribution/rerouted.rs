//! Successors for rings that have none of their own.

use std::sync::Arc;

use super::NodeSet;
use super::Ring;
use super::mix::mix;
use crate::node::NodeId;

/// `ring` without the nodes in `ejected`, moving no hash of another node. `nodes` are all nodes of
/// the ring, and at least one of them is not in `ejected`.
pub(crate) fn reroute(ring: &Arc<dyn Ring>, nodes: &[NodeId], ejected: &NodeSet) -> Arc<dyn Ring> {
    ring.without(ejected).unwrap_or_else(|| {
        let live: Vec<_> = nodes.iter().copied().filter(|&node| !ejected.contains(node)).collect();
        Arc::new(Rerouted { ring: Arc::clone(ring), ejected: ejected.clone(), live })
    })
}

/// Asks the ring again with another hash while it answers an ejected node.
#[derive(Debug)]
struct Rerouted {
    ring: Arc<dyn Ring>,
    ejected: NodeSet,
    live: Vec<NodeId>,
}

/// With half of the nodes out, one hash in 4 billion is still without a live node after this many.
const ATTEMPTS: u64 = 32;

impl Ring for Rerouted {
    fn pick(&self, hash: u32) -> NodeId {
        let own = self.ring.pick(hash);
        if !self.ejected.contains(own) {
            return own;
        }
        let mixed = |attempt: u64| mix(u64::from(hash) | attempt << 32);
        (1..=ATTEMPTS)
            .map(|attempt| self.ring.pick(mixed(attempt) as u32))
            .find(|&node| !self.ejected.contains(node))
            .unwrap_or_else(|| self.live[(mixed(0) % self.live.len() as u64) as usize])
    }

    fn picks_by_key(&self) -> bool {
        self.ring.picks_by_key()
    }

    /// As `pick`, with other keys in place of other hashes.
    fn pick_key(&self, key: &[u8]) -> NodeId {
        let own = self.ring.pick_key(key);
        if !self.ejected.contains(own) {
            return own;
        }
        let mut other = key.to_vec();
        let mut ask = |attempt: u64| {
            other.truncate(key.len());
            other.extend_from_slice(&mix(attempt).to_le_bytes());
            self.ring.pick_key(&other)
        };
        (1..=ATTEMPTS).map(&mut ask).find(|&node| !self.ejected.contains(node)).unwrap_or_else(
            || {
                let sum = key.iter().fold(0, |sum, &byte| mix(sum ^ u64::from(byte)));
                self.live[(sum % self.live.len() as u64) as usize]
            },
        )
    }
}
