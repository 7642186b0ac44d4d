//! Sets of nodes.

use std::fmt;

use crate::node::NodeId;

/// A set of nodes of one topology.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NodeSet {
    words: Vec<u64>,
}

impl NodeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// Adds `node`; says whether it was new.
    pub fn insert(&mut self, node: NodeId) -> bool {
        let (word, bit) = position(node);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    /// Whether `node` is in the set.
    pub fn contains(&self, node: NodeId) -> bool {
        let (word, bit) = position(node);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many nodes are in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no node is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The nodes, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .filter_map(move |bit| NodeId::new(index * 64 + bit))
        })
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = Self::new();
        for node in nodes {
            set.insert(node);
        }
        set
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(NodeId::index)).finish()
    }
}

fn position(node: NodeId) -> (usize, u64) {
    (node.index() / 64, 1 << (node.index() % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_inserted() {
        let id = |index| NodeId::new(index).unwrap();
        let mut set = NodeSet::new();
        assert!(set.is_empty());
        assert!(set.insert(id(70)) && set.insert(id(0)) && !set.insert(id(70)));
        assert_eq!(set.len(), 2);
        assert!(set.contains(id(0)) && set.contains(id(70)) && !set.contains(id(64)));
        assert_eq!(set.iter().collect::<Vec<_>>(), [id(0), id(70)]);
    }
}
