//! One application, compiled twice: with redis-rs on one server, and with this crate on four. What it
//! prints is the same.
//!
//! The application names the crate `redis` as every user of redis-rs does; what stands behind the name is
//! redis-rs itself, or redis-rs with our `Client`, `Connection` and `PubSub` in place of its own.

mod with_redis;
mod with_shards;

use shardwright::NodeConfig;
use shardwright::ShardedClient;

use crate::support::redis_server::RedisServer;

const PASSWORD: &str = "s3cret:/?#@";
/// In a URL.
const ESCAPED: &str = "s3cret%3A%2F%3F%23%40";

fn start() -> Option<RedisServer> {
    RedisServer::start_with(&["--requirepass", PASSWORD])
}

fn url(server: &RedisServer, options: &str) -> String {
    format!("redis://:{ESCAPED}@127.0.0.1:{}/3{options}", server.port())
}

/// Runs the application on one server, and on `count` nodes.
fn compare(count: usize, options: &str) {
    let Some(one) = start() else { return };
    let Some(many) = (0..count).map(|_| start()).collect::<Option<Vec<_>>>() else { return };
    let client = redis::Client::open(url(&one, options)).unwrap();
    let theirs = with_redis::app::run(&client);

    // The names place the keys, so that each run tests the same.
    let nodes = many.iter().zip(["a", "b", "c", "d"]);
    let nodes =
        nodes.map(|(server, name)| NodeConfig::new(url(server, options)).unwrap().name(name));
    let builder = nodes.fold(ShardedClient::builder(), |builder, node| builder.node(node));
    let client = builder.hash_tag("{}".parse().unwrap()).build().unwrap();
    let ours = with_shards::app::run(&client);

    let pairs = theirs.iter().zip(&ours).filter(|(theirs, ours)| theirs != ours);
    let different: String =
        pairs.map(|(theirs, ours)| format!("\nredis-rs: {theirs}\n  shards: {ours}\n")).collect();
    assert!(different.is_empty(), "{different}");
    assert_eq!(theirs.len(), ours.len());
    assert!(theirs.len() > 400, "only {} lines", theirs.len());
}

#[test]
fn an_application_prints_the_same_on_one_server_and_on_four_nodes() {
    compare(4, "");
}

#[test]
fn an_application_prints_the_same_on_a_pool_of_one() {
    compare(1, "");
}

#[test]
fn an_application_prints_the_same_over_resp3() {
    compare(4, "?protocol=resp3");
}
