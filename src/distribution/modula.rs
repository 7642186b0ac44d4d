//! Modulo (nutcracker 0.5.0 `nc_modula.c`).

use std::sync::Arc;

use super::NodeSet;
use super::Ring;
use super::RingNode;
use crate::node::NodeId;

/// Each node's id as many times as its weight, in order; `hash % length` is the place in that list.
///
/// The list is kept as the places where each node ends, so that a weight of a million costs nothing.
#[derive(Debug)]
pub(super) struct ModulaRing {
    slots: Slots,
}

impl ModulaRing {
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        Self { slots: Slots::new(nodes) }
    }
}

impl Ring for ModulaRing {
    #[inline]
    fn pick(&self, hash: u32) -> NodeId {
        self.slots.owner(hash % self.slots.count())
    }

    /// A slot of an ejected node goes to the owner of the next slot.
    fn without(&self, ejected: &NodeSet) -> Option<Arc<dyn Ring>> {
        self.slots.without(ejected).map(|slots| Arc::new(Self { slots }) as Arc<dyn Ring>)
    }
}

/// Numbered slots, each owned by a node; a node owns as many as its weight.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    /// For each run of slots of one owner, the first slot behind it.
    ends: Vec<u32>,
    owners: Vec<NodeId>,
}

impl Slots {
    /// `nodes` are not empty, and the sum of their weights fits (a topology sees to both).
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        let mut end: u32 = 0;
        let ends = nodes.iter().map(|node| {
            end = end.saturating_add(node.weight().as_u32());
            end
        });
        Self { ends: ends.collect(), owners: nodes.iter().map(RingNode::id).collect() }
    }

    pub(super) fn count(&self) -> u32 {
        self.ends.last().copied().unwrap_or(1)
    }

    #[inline]
    pub(super) fn owner(&self, slot: u32) -> NodeId {
        let run = self.ends.partition_point(|&end| end <= slot);
        self.owners[run.min(self.owners.len() - 1)]
    }

    /// Each run of an ejected owner goes to the next live one.
    fn without(&self, ejected: &NodeSet) -> Option<Self> {
        let is_live = |owner: &&NodeId| !ejected.contains(**owner);
        let first = *self.owners.iter().find(is_live)?;
        let next_live =
            |run: usize| self.owners[run..].iter().find(is_live).copied().unwrap_or(first);
        let owners = (0..self.owners.len()).map(next_live).collect();
        Some(Self { ends: self.ends.clone(), owners })
    }
}
