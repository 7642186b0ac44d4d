//! The failures of `tests/it/failures`, seen by tasks that share an asynchronous connection: no reply
//! answers another request, no value is wrong, no call takes longer than its deadline and a little, and
//! nothing is left behind.

mod broken_replies;
mod counting;
mod deadlines;
mod dropped;
mod leaks;
mod sessions;
#[cfg(feature = "smol-comp")]
mod smol_runtime;
mod stopped;
mod swaps;
mod timing;
mod traffic;
mod watches;

use redis::Cmd;
use redis::Value;
use shardwright::ShardedClient;
use shardwright::ShardedMultiplexedConnection;

use crate::support::redis_server::RedisServer;

/// A connection to the nodes of `client`.
async fn connect(client: &ShardedClient) -> ShardedMultiplexedConnection {
    client.get_multiplexed_async_connection().await.unwrap()
}

/// redis-rs's own connection to a server, to look past the library.
fn direct(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

/// How many connections a server has, but for the one that asks.
fn clients_of(direct: &mut redis::Connection) -> usize {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(direct).unwrap();
    list.lines().count() - 1
}

/// Requests that were sent and not answered, over all nodes.
fn in_flight(client: &ShardedClient) -> u64 {
    client.metrics().iter().map(|node| node.in_flight).sum()
}

/// Failed requests, over all nodes.
fn failures(client: &ShardedClient) -> u64 {
    client.metrics().iter().map(|node| node.failures).sum()
}

fn get(key: &str) -> Cmd {
    redis::cmd("GET").arg(key).to_owned()
}

fn bulk_value(text: &str) -> Value {
    Value::BulkString(text.into())
}
