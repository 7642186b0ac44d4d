//! Pools of connections.

use std::collections::BTreeSet;
use std::time::Duration;

use r2d2::ManageConnection;
use r2d2::Pool;
use redis::Commands;
use shardwright::EjectPolicy;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use crate::support::redis_server::RedisServer;

const SIZE: u32 = 3;

fn client(servers: &[RedisServer]) -> ShardedClient {
    ShardedClient::builder()
        .nodes(servers.iter().map(RedisServer::url).collect::<Vec<_>>())
        .unwrap()
        .timeout(Duration::from_millis(500))
        .eject(EjectPolicy::successor().retry_timeout(Duration::from_secs(60)))
        .build()
        .unwrap()
}

fn pool(client: ShardedClient) -> Pool<ShardedClient> {
    Pool::builder()
        .max_size(SIZE)
        .connection_timeout(Duration::from_secs(10))
        .build(client)
        .unwrap()
}

fn commands_processed(server: &RedisServer) -> u64 {
    let mut plain = redis::Client::open(server.url()).unwrap();
    let info: redis::InfoDict = redis::cmd("INFO").arg("stats").query(&mut plain).unwrap();
    info.get("total_commands_processed").unwrap()
}

/// The ids that the node `name` gave to the connections of the pool.
fn ids(pool: &Pool<ShardedClient>, name: &str) -> BTreeSet<i64> {
    let mut held: Vec<_> = (0..SIZE).map(|_| pool.get().unwrap()).collect();
    let id = |connection: &mut shardwright::ShardedConnection| {
        connection.on_node(name, |node| redis::cmd("CLIENT").arg("ID").query(node)).unwrap()
    };
    held.iter_mut().map(|connection| id(connection)).collect()
}

#[test]
fn a_checkout_asks_no_node() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let pool = pool(client(&servers));
    ids(&pool, &servers[0].address());
    ids(&pool, &servers[1].address());
    let commands = || servers.iter().map(commands_processed).collect::<Vec<_>>();
    let before = commands();
    let idle: Vec<_> = commands().iter().zip(before).map(|(now, before)| now - before).collect();
    let before = commands();
    for _ in 0..50 {
        drop(pool.get().unwrap());
    }
    let busy: Vec<_> = commands().iter().zip(before).map(|(now, before)| now - before).collect();
    assert_eq!(busy, idle, "only the questions themselves are counted");
}

#[test]
fn a_dead_node_costs_a_pool_no_connection() {
    let Some(mut servers) = RedisServer::start_many(3) else { return };
    let pool = pool(client(&servers));
    let live = servers[0].address();
    let before = ids(&pool, &live);
    assert_eq!(before.len(), SIZE as usize);
    servers[2].kill();
    for turn in 0..30 {
        let _: Result<(), _> = pool.get().unwrap().set(format!("{turn}:key"), turn);
    }
    assert_eq!(ids(&pool, &live), before);
    let mut connection = pool.get().unwrap();
    for turn in 0..30 {
        let () = connection.set(format!("{turn}:key"), turn).unwrap();
    }
}

#[test]
fn a_pool_refuses_connections_only_when_every_node_is_ejected() {
    let Some(mut servers) = RedisServer::start_many(1) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(Duration::from_secs(60));
    let client = client(&servers).to_builder().eject(policy).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    assert!(client.is_valid(&mut connection).is_ok() && !client.has_broken(&mut connection));
    servers[0].kill();
    connection.get::<_, ()>("key").unwrap_err();
    let error = client.is_valid(&mut connection).unwrap_err();
    assert_eq!(ShardError::of(&error).unwrap().kind(), ShardErrorKind::NoLiveNode);
    assert!(client.has_broken(&mut connection));
}
