//! A hash function of your own. No server is needed.
//!
//! ```text
//! cargo run --example custom_hash
//! ```

use shardwright::DistributionKind;
use shardwright::HashFn;
use shardwright::Node;
use shardwright::Result;
use shardwright::Topology;

/// Hashes the number at the end of a key, so that `order:7` and `invoice:7` share a node.
#[derive(Debug)]
struct TrailingNumber;

impl HashFn for TrailingNumber {
    fn hash(&self, key: &[u8]) -> u32 {
        let digits = key.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let number = &key[key.len() - digits..];
        number
            .iter()
            .fold(0, |sum: u32, digit| sum.wrapping_mul(10).wrapping_add(u32::from(digit - b'0')))
    }

    fn name(&self) -> &str {
        "trailing_number"
    }
}

fn main() -> Result<()> {
    let nodes = ["10.0.0.1:6379:1 a", "10.0.0.2:6379:1 b", "10.0.0.3:6379:1 c"];
    let nodes = nodes.iter().map(|line| line.parse()).collect::<Result<Vec<Node>>>()?;
    let router = Topology::new(nodes)?
        .with_hash(TrailingNumber)
        .with_distribution(DistributionKind::Modula)
        .router();
    for key in ["order:7", "invoice:7", "order:8", "order:9", "no number"] {
        let node = router.node_for_key(key.as_bytes()).expect("every node is live");
        println!("{key:10} hash {:3}  {}", router.hash_of_key(key.as_bytes()), router.node(node));
    }
    Ok(())
}
