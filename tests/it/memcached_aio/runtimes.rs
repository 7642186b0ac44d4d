//! Runtimes that stall.

use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardedAsyncMemcache;
use tokio::task::yield_now;

use super::alone;
use crate::memcached::builder;
use crate::support::memcached::Memcached;

/// What a request may take.
const LIMIT: Duration = Duration::from_millis(500);

/// A client whose nodes are ejected for one failure.
fn strict(servers: &[Memcached]) -> ShardedAsyncMemcache {
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    builder(servers).timeout(LIMIT).eject(policy).build_async().unwrap()
}

fn is_live(cache: &ShardedAsyncMemcache) -> bool {
    cache.node_states().iter().all(|(_, state)| *state == NodeState::Live)
}

#[test]
fn replies_that_came_while_the_thread_was_blocked_are_in_time() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let cache = strict(&servers);
    alone().block_on(async {
        // More than are handed out in one turn, and more bytes than are read in one.
        cache.set("key", "x".repeat(4 << 10).as_str(), 0).await.unwrap();
        let asking = join_all((0..300).map(|_| cache.get::<String>("key")));
        let blocking = async {
            for _ in 0..10 {
                // The driver writes what was asked.
                yield_now().await;
            }
            thread::sleep(2 * LIMIT);
        };
        let (found, ()) = tokio::join!(asking, blocking);
        let in_time = found.iter().filter(|found| found.is_ok()).count();
        assert_eq!(in_time, found.len());
        assert!(is_live(&cache));
    });
}
