//! What a client can be opened with: URLs, lists, pools. No server is needed.

use redis::ConnectionAddr;
use redis::IntoConnectionInfo;
use redis::RedisResult;
use shardwright::EjectMode;
use shardwright::IntoTopology;
use shardwright::NodeConfig;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

/// Name and weight of each node, and how redis-rs connects to it.
fn nodes(from: impl IntoTopology) -> Vec<String> {
    let builder = from.into_builder().unwrap();
    let infos = builder.configured_nodes().iter();
    let topology = builder.to_topology().unwrap();
    let line = |(node, info): (&shardwright::Node, &NodeConfig)| {
        let info = info.connection_info();
        let settings = info.redis_settings();
        let user = settings.username().unwrap_or("-");
        let has_password = if settings.password().is_some() { "password" } else { "-" };
        let (name, weight) = (node.name(), node.weight());
        format!("{name}*{weight} {} {user} {has_password} {}", info.addr(), settings.db())
    };
    topology.nodes().iter().zip(infos).map(line).collect()
}

fn refusal<T>(result: RedisResult<T>) -> String {
    let Err(error) = result else { panic!("it was accepted") };
    assert_eq!(error.kind(), redis::ErrorKind::InvalidClientConfig);
    error.to_string()
}

#[test]
fn whatever_redis_rs_takes_is_a_node() {
    let one = ["a:7*1 a:7 - - 0"];
    assert_eq!(nodes("redis://a:7"), one);
    assert_eq!(nodes(String::from("redis://a:7")), one);
    assert_eq!(nodes(("a", 7)), one);
    assert_eq!(nodes(ConnectionAddr::Tcp("a".into(), 7)), one);
    assert_eq!(nodes("redis://a:7".into_connection_info().unwrap()), one);
    assert_eq!(nodes(redis::parse_redis_url("redis://a:7").unwrap()), one);
    assert_eq!(nodes("unix:///run/a.sock?db=2"), ["/run/a.sock:*1 /run/a.sock - - 2"]);
}

#[test]
fn lists_are_nodes_each_with_its_own_credentials() {
    let two = ["a:7*1 a:7 u password 2", "b:6379*1 b:6379 - - 0"];
    assert_eq!(nodes("redis://u:p@a:7/2,redis://b"), two);
    assert_eq!(nodes(["redis://u:p@a:7/2", "redis://b"]), two);
    assert_eq!(nodes(vec!["redis://u:p@a:7/2".to_owned(), "redis://b".to_owned()]), two);
    assert_eq!(nodes(&["redis://u:p@a:7/2", "redis://b"][..]), two);
    assert_eq!(nodes(vec![("a", 7), ("b", 8)]), ["a:7*1 a:7 - - 0", "b:8*1 b:8 - - 0"]);
    let comma = nodes(["redis://u:with,comma@a:7"]);
    assert_eq!(comma, ["a:7*1 a:7 u password 0"], "in a list a comma is nothing special");
}

#[test]
fn one_url_says_it_all() {
    let url = "redis+shard://u:p@a:7*2=first,b/3?hash=murmur&hash_tag={}&distribution=modula\
               &eject=successor&timeout=400ms";
    assert_eq!(nodes(url), ["first*2 a:7 u password 3", "b:6379*1 b:6379 u password 3"]);
    let topology = url.into_builder().unwrap().to_topology().unwrap();
    assert_eq!(topology.hash().name(), "murmur");
    assert_eq!(topology.distribution().name(), "modula");
    assert_eq!(topology.eject_policy().mode(), EjectMode::Successor);
    let router = topology.router();
    assert_eq!(router.node_for_key(b"a{x}b"), router.node_for_key(b"x"));
}

#[test]
fn what_is_wrong_is_said_without_the_password() {
    for (url, reason) in [
        ("", "node 1"),
        ("redis://a:x", "port"),
        ("redis://u:secret@a:1,redis://u:secret@b:x", "node 2"),
        ("http://a", "http"),
        ("redis+shard://a?nonsense=1", "nonsense"),
        ("redis+shard://a,a", "two nodes have the name 'a:6379'"),
        ("redis+shard://u:secret@a*0", "weight"),
    ] {
        let message = refusal(ShardedClient::open(url));
        assert!(message.contains(reason), "{url}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let none: Vec<String> = Vec::new();
    assert!(refusal(ShardedClient::open(none)).contains("no node"));
    assert!(refusal(ShardedClient::builder().build()).contains("no node"));
    let error = ShardedClient::builder().build().unwrap_err();
    assert_eq!(ShardError::of(&error).unwrap().kind(), ShardErrorKind::Configuration);
}

#[test]
fn nothing_shows_a_password() {
    let client = ShardedClient::open("redis+shard://user:hunter2@a,b").unwrap();
    let builder = client.to_builder();
    let connection = client.get_connection_info();
    for text in [format!("{client:?}"), format!("{builder:?}"), format!("{connection:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[cfg(feature = "config")]
mod pools {
    use shardwright::NutcrackerConfig;

    use super::*;

    const POOLS: &str = "\
cache:
  listen: 127.0.0.1:22121
  redis: true
  redis_auth: hunter2
  redis_db: 3
  hash: murmur
  hash_tag: \"{}\"
  distribution: ketama
  timeout: 400
  auto_eject_hosts: true
  server_failure_limit: 5
  servers:
   - 10.0.0.2:6379:2 b
   - 10.0.0.1:6379:1
memcached:
  listen: 127.0.0.1:22122
  servers:
   - 10.0.0.1:11211:1
";

    #[test]
    fn a_pool_of_a_nutcracker_yml_is_a_client() {
        let config = NutcrackerConfig::parse(POOLS).unwrap();
        let pool = config.pool("cache").unwrap();
        assert_eq!(
            nodes(pool),
            ["b*2 10.0.0.2:6379 - password 3", "10.0.0.1:6379*1 10.0.0.1:6379 - password 3"]
        );
        let client = ShardedClient::open(pool).unwrap();
        let key = b"user:{42}:name";
        let node = client.node_for_key(key).unwrap();
        let router = pool.topology().unwrap().router();
        assert_eq!(router.node(router.node_for_key(key).unwrap()), &node);
        let mode = client.router().topology().eject_policy().mode();
        assert_eq!(mode, EjectMode::Rebuild);
        assert!(!format!("{client:?}").contains("hunter2"));
    }

    #[test]
    fn a_pool_of_memcached_servers_is_refused() {
        let config = NutcrackerConfig::parse(POOLS).unwrap();
        let message = refusal(ShardedClient::open(config.pool("memcached").unwrap()));
        assert!(message.contains("'memcached'") && message.contains("redis: true"), "{message}");
    }
}
