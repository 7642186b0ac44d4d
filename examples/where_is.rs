//! Where keys live, and what a change of nodes would move. No server is needed.
//!
//! ```text
//! cargo run --example where_is -- "10.0.0.1:6379:1 a,10.0.0.2:6379:1 b" user:1 user:2
//! ```
//!
//! The nodes are lines of a nutcracker `servers:` list, `host:port:weight [name]`.

use shardwright::Node;
use shardwright::Result;
use shardwright::Topology;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let lines = args
        .next()
        .unwrap_or_else(|| "10.0.0.1:6379:1 a,10.0.0.2:6379:1 b,10.0.0.3:6379:2 c".to_owned());
    let mut keys: Vec<String> = args.collect();
    if keys.is_empty() {
        keys = ["user:{42}:name", "user:{42}:mail", "apple", ""].map(String::from).into();
    }

    let nodes = lines.split(',').map(str::parse).collect::<Result<Vec<Node>>>()?;
    let topology = Topology::new(nodes)?.with_hash_tag("{}".parse()?);
    let router = topology.router();
    for key in &keys {
        let hash = router.hash_of_key(key.as_bytes());
        match router.node_for_key(key.as_bytes()) {
            Some(node) => println!("{key:20} hash {hash:10}  {}", router.node(node)),
            None => println!("{key:20} hash {hash:10}  no live node"),
        }
    }

    let mut more = topology.nodes().to_vec();
    more.push("10.0.0.99:6379:1 another".parse()?);
    println!("\nwith another node, {}", topology.movement_to(&topology.clone().with_nodes(more)?));
    Ok(())
}
