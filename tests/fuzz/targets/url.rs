//! URLs of a pool.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardwright::ShardedClient;

fuzz_target!(|text: &str| {
    if let Ok(client) = ShardedClient::open(text) {
        assert!(client.node_for_key("key").is_some());
        // It shows everything but passwords, and must be able to.
        assert!(!format!("{client:?}").is_empty());
    }
});
