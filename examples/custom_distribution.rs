//! A distribution of your own. No server is needed.
//!
//! ```text
//! cargo run --example custom_distribution
//! ```

use std::sync::Arc;

use shardwright::Distribution;
use shardwright::Node;
use shardwright::NodeId;
use shardwright::Result;
use shardwright::Ring;
use shardwright::RingNode;
use shardwright::Topology;

/// The hashes cut into equal ranges, one a node: neighbours in hash are neighbours in place.
#[derive(Debug)]
struct Ranges;

#[derive(Debug)]
struct RangesRing {
    nodes: Vec<NodeId>,
}

impl Distribution for Ranges {
    fn build(&self, nodes: &[RingNode]) -> Arc<dyn Ring> {
        Arc::new(RangesRing { nodes: nodes.iter().map(RingNode::id).collect() })
    }

    fn name(&self) -> &str {
        "ranges"
    }
}

impl Ring for RangesRing {
    fn pick(&self, hash: u32) -> NodeId {
        let place = (u64::from(hash) * self.nodes.len() as u64) >> 32;
        self.nodes[place as usize]
    }
}

fn main() -> Result<()> {
    let topology = |count: u16| {
        let nodes = (1..=count).map(|number| format!("10.0.0.{number}:6379:1 n{number}").parse());
        Ok(Topology::new(nodes.collect::<Result<Vec<Node>>>()?)?.with_distribution(Ranges))
    };
    let (three, four): (Topology, Topology) = (topology(3)?, topology(4)?);
    for key in ["apple", "pear", "plum"] {
        let router = three.router();
        let node = router.node_for_key(key.as_bytes()).expect("every node is live");
        println!("{key:6} {}", router.node(node));
    }
    println!("\nfrom three nodes to four, {}", three.movement_to(&four));
    Ok(())
}
