//! `ShardedMemcache` against real memcacheds.

use std::time::Duration;

use shardwright::Address;
use shardwright::MemcacheProtocol;
use shardwright::Node;
use shardwright::ShardedMemcache;
use shardwright::ShardedMemcacheBuilder;

use crate::support::memcached::Memcached;

mod many;
mod opening;
mod requests;

/// A deadline that no healthy server misses.
const PATIENT: Duration = Duration::from_secs(10);

fn builder(servers: &[Memcached]) -> ShardedMemcacheBuilder {
    let node = |server: &Memcached| Node::new(Address::tcp("127.0.0.1", server.port()));
    let builder = ShardedMemcache::builder().timeout(PATIENT);
    servers.iter().map(node).fold(builder, ShardedMemcacheBuilder::node)
}

/// A client for each of the two protocols.
fn clients(servers: &[Memcached]) -> [ShardedMemcache; 2] {
    [MemcacheProtocol::Auto, MemcacheProtocol::Ascii]
        .map(|protocol| builder(servers).protocol(protocol).build().unwrap())
}
