//! The asynchronous connection on healthy servers.

#[cfg(feature = "cache-aio")]
mod caching;
mod listening;
#[cfg(feature = "connection-manager")]
mod manager;
mod mended;
#[cfg(all(feature = "bb8", feature = "deadpool"))]
mod pools;
mod requests;
mod sharing;
mod transactions;

use shardwright::NodeConfig;
use shardwright::ShardedClient;
use shardwright::ShardedClientBuilder;

use crate::support::redis_server::RedisServer;

/// Servers, and a builder of a client over them. Their names place the keys, so that each run tests the
/// same.
fn pool(count: usize) -> Option<(Vec<RedisServer>, ShardedClientBuilder)> {
    let servers: Vec<_> = (0..count).map(|_| RedisServer::start()).collect::<Option<_>>()?;
    let nodes = servers.iter().zip(["a", "b", "c", "d"]);
    let nodes = nodes.map(|(server, name)| NodeConfig::new(server.url()).unwrap().name(name));
    let builder = nodes.fold(ShardedClient::builder(), ShardedClientBuilder::node);
    Some((servers, builder.hash_tag("{}".parse().unwrap())))
}
