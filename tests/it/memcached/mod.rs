//! `ShardedMemcache` against real memcacheds, and against nodes that do what no memcached does.

use std::time::Duration;

use memcache::MemcacheError;
use shardwright::Address;
use shardwright::MemcacheProtocol;
use shardwright::Node;
use shardwright::NodeMetrics;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;
use shardwright::ShardedMemcacheBuilder;

use crate::support::memcached::Memcached;

mod broken_replies;
mod busy;
mod calls;
mod concurrent;
mod deadlines;
mod ejection;
mod leaks;
mod many;
mod opening;
mod placement;
pub(crate) mod program;
mod requests;
mod servers;
mod strays;
mod swaps;
#[cfg(feature = "memcache-tls")]
pub(crate) mod tls;
mod traffic;
mod values;

/// A deadline that no healthy server misses.
pub(crate) const PATIENT: Duration = Duration::from_secs(10);
/// The deadline where nodes fail.
const DEADLINE: Duration = Duration::from_millis(150);

pub(crate) fn builder(servers: &[Memcached]) -> ShardedMemcacheBuilder {
    let node = |server: &Memcached| Node::new(Address::tcp("127.0.0.1", server.port()));
    let builder = ShardedMemcache::builder().timeout(PATIENT);
    servers.iter().map(node).fold(builder, ShardedMemcacheBuilder::node)
}

/// A client for each of the two protocols.
fn clients(servers: &[Memcached]) -> [ShardedMemcache; 2] {
    [MemcacheProtocol::Auto, MemcacheProtocol::Ascii]
        .map(|protocol| builder(servers).protocol(protocol).build().unwrap())
}

/// A builder of a client of the nodes at these ports, which are named `n0`, `n1` … so that keys are where
/// they were on the run before.
fn named(ports: impl IntoIterator<Item = u16>) -> ShardedMemcacheBuilder {
    let nodes = ports.into_iter().enumerate().map(|(number, port)| node(number, port));
    nodes.fold(ShardedMemcache::builder(), ShardedMemcacheBuilder::node).timeout(DEADLINE)
}

fn node(number: usize, port: u16) -> Node {
    Node::new(Address::tcp("127.0.0.1", port)).with_name(format!("n{number}")).unwrap()
}

fn ports(servers: &[Memcached]) -> Vec<u16> {
    servers.iter().map(Memcached::port).collect()
}

/// Keys that `node` owns.
fn keys_of<'a>(cache: &ShardedMemcache, node: &'a str) -> impl Iterator<Item = String> + use<'a> {
    let router = cache.router();
    let owner = router.id_of(node).expect("there is such a node");
    (0..)
        .map(|number| format!("key:{number}"))
        .filter(move |key| router.node_for_key(key.as_bytes()) == Some(owner))
}

/// A key that `node` owns.
fn key_of(cache: &ShardedMemcache, node: &str) -> String {
    keys_of(cache, node).next().expect("every node has keys")
}

/// The error of this crate that a request failed with.
fn failure<T: std::fmt::Debug>(result: Result<T, MemcacheError>) -> ShardError {
    let error = result.expect_err("this cannot succeed");
    ShardError::of_memcache(&error).unwrap_or_else(|| panic!("not an error of ours: {error:?}"))
}

fn failure_kind<T: std::fmt::Debug>(result: Result<T, MemcacheError>) -> ShardErrorKind {
    failure(result).kind()
}

fn metrics(cache: &ShardedMemcache, node: &str) -> NodeMetrics {
    let of_node = |metrics: &NodeMetrics| metrics.node.name() == node;
    cache.metrics().into_iter().find(of_node).expect("there is such a node")
}

fn state(cache: &ShardedMemcache, node: &str) -> NodeState {
    metrics(cache, node).state
}
