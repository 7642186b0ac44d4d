//! `ShardedAsyncMemcache` against real memcacheds.

mod broken_replies;
mod dropped;
mod failures;
mod requests;
mod runtimes;
mod sharing;
#[cfg(feature = "memcache-tls")]
mod tls;
#[cfg(feature = "memcache-tls")]
mod tls_failures;

use std::future::Future;
use std::time::Duration;
use std::time::Instant;

use shardwright::ShardedAsyncMemcache;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::support::memcached::Memcached;

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// A runtime that does everything on the thread that waits: what a task asks in one go is asked before anything
/// is sent.
fn alone() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a test on a runtime of its own.
fn run<F: Future>(test: F) -> F::Output {
    runtime().block_on(test)
}

/// Waits until `check` is true.
async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A key of the node that listens at `address`.
fn key_of(cache: &ShardedAsyncMemcache, address: &str) -> String {
    let is_there = |key: &String| cache.node_for_key(key).unwrap().name() == address;
    (0..).map(|number| format!("key:{number}")).find(is_there).unwrap()
}

/// Stops a server, whose threads go on for a moment after the signal was sent, and may answer.
async fn stop(server: &Memcached, cache: &ShardedAsyncMemcache, key: &str) {
    server.process().stop();
    while timeout(Duration::from_millis(20), cache.get::<Vec<u8>>(key)).await.is_ok() {}
}

/// Requests that were sent and not answered, over all nodes.
fn in_flight(cache: &ShardedAsyncMemcache) -> u64 {
    cache.metrics().iter().map(|node| node.in_flight).sum()
}

fn connections(cache: &ShardedAsyncMemcache) -> Vec<u64> {
    cache.metrics().iter().map(|node| node.connections).collect()
}
