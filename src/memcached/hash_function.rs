//! The hash function of `memcache::ClientBuilder`.

use std::fmt;
use std::sync::Arc;

use crate::distribution::Distribution;
use crate::distribution::NodeOrder;
use crate::distribution::Ring;
use crate::distribution::RingNode;
use crate::node::NodeId;

/// The node at `hash(key) % nodes`, in the order they were listed (memcache 0.21.0 `client.rs`
/// `get_connection`). All 64 bits count, so the ring is given the key. Weights do not.
pub(super) struct HashFunction(pub(super) fn(&str) -> u64);

struct HashFunctionRing {
    function: fn(&str) -> u64,
    nodes: Vec<NodeId>,
}

impl Distribution for HashFunction {
    fn build(&self, nodes: &[RingNode]) -> Arc<dyn Ring> {
        let nodes = nodes.iter().map(RingNode::id).collect();
        Arc::new(HashFunctionRing { function: self.0, nodes })
    }

    fn name(&self) -> &str {
        "hash function"
    }

    fn node_order(&self) -> NodeOrder {
        NodeOrder::AsListed
    }
}

impl Ring for HashFunctionRing {
    fn pick(&self, hash: u32) -> NodeId {
        self.nodes[hash as usize % self.nodes.len()]
    }

    fn picks_by_key(&self) -> bool {
        true
    }

    fn pick_key(&self, key: &[u8]) -> NodeId {
        // A part that a hash tag cuts out of text may be none.
        let hash = (self.function)(&String::from_utf8_lossy(key));
        self.nodes[hash as usize % self.nodes.len()]
    }
}

impl fmt::Debug for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashFunction")
    }
}

impl fmt::Debug for HashFunctionRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashFunctionRing").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::memcached::ShardedMemcache;
    use crate::node::Node;

    #[test]
    fn all_64_bits_decide_in_the_order_of_the_list() {
        let nodes: Vec<Node> =
            ["b:1:1", "a:1:1", "c:1:1"].iter().map(|line| line.parse().unwrap()).collect();
        let builder = ShardedMemcache::builder()
            .with_hash_function(|key| (1 << 32) + key.parse::<u64>().unwrap());
        let builder = nodes.iter().cloned().fold(builder, |builder, node| builder.node(node));
        let cache = builder.build().unwrap();
        for number in 0..9_u64 {
            let expected = &nodes[(((1 << 32) + number) % 3) as usize];
            assert_eq!(cache.node_for_key(&number.to_string()).as_ref(), Some(expected));
        }
    }
}
