//! What becomes of the keys of a dead node, in each ejection mode. No server is needed.
//!
//! ```text
//! cargo run --example ejection
//! ```

use std::time::Duration;

use redis::Commands;
use redis::RedisResult;
use shardwright::ConnectMode;
use shardwright::EjectMode;
use shardwright::EjectPolicy;
use shardwright::ShardError;
use shardwright::ShardedClient;

fn main() -> RedisResult<()> {
    // Nobody listens on these ports: each request is refused.
    let nodes = "redis://127.0.0.1:1,redis://127.0.0.1:2,redis://127.0.0.1:3";
    for mode in [EjectMode::Off, EjectMode::Rebuild, EjectMode::Successor, EjectMode::FailFast] {
        println!("\n{mode}");
        let client = ShardedClient::builder()
            .nodes(nodes)?
            .connect_mode(ConnectMode::Lazy)
            .timeout(Duration::from_millis(100))
            .eject(EjectPolicy::new(mode).failure_limit(2))
            .listener(|event| println!("    event: {event}"))
            .build()?;
        let mut connection = client.get_connection()?;
        for attempt in 1..=4 {
            let result: RedisResult<Option<String>> = connection.get("user:42");
            let error = result.expect_err("nobody listens");
            let error = ShardError::of(&error).expect("a node is to blame");
            println!("  {attempt}. {error}");
        }
        match client.node_for_key("user:42") {
            Some(node) => println!("  the key belongs to {node} now"),
            None => println!("  the key belongs to nobody now"),
        }
    }
    Ok(())
}
