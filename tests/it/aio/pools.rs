//! Pools of asynchronous connections.

use std::time::Duration;

use deadpool::managed::Pool as Deadpool;
use redis::AsyncCommands;
use redis::RedisResult;
use redis::aio::ConnectionLike;
use shardwright::DeadpoolManager;
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

/// How many connections and commands the server has seen.
fn seen(server: &RedisServer) -> (u64, u64) {
    let mut plain = redis::Client::open(server.url()).unwrap();
    let info: redis::InfoDict = redis::cmd("INFO").arg("stats").query(&mut plain).unwrap();
    let number = |name| info.get(name).unwrap();
    (number("total_connections_received"), number("total_commands_processed"))
}

/// Stores a key on every node.
async fn use_all(connection: &mut impl AsyncConnection) -> RedisResult<()> {
    let pairs: Vec<_> = (0..30).map(|number| (format!("{number}:key"), number)).collect();
    connection.mset(&pairs).await
}

trait AsyncConnection: ConnectionLike + Send + Sync {}

impl<T: ConnectionLike + Send + Sync> AsyncConnection for T {}

#[tokio::test]
async fn a_checkout_from_bb8_asks_no_node_and_a_dead_node_costs_no_connection() -> RedisResult<()> {
    let Some(mut servers) = RedisServer::start_many(3) else { return Ok(()) };
    let pool = bb8::Pool::builder().max_size(SIZE).build(client(&servers)).await?;
    let mut held = Vec::new();
    for _ in 0..SIZE {
        held.push(pool.get_owned().await.unwrap());
    }
    for connection in &mut held {
        use_all(&mut **connection).await?;
    }
    drop(held);
    let before = seen(&servers[0]);
    let looked = seen(&servers[0]);
    for _ in 0..50 {
        drop(pool.get().await.unwrap());
    }
    let after = seen(&servers[0]);
    let one_look = (looked.0 - before.0, looked.1 - before.1);
    assert_eq!((after.0 - looked.0, after.1 - looked.1), one_look, "only the looks are counted");

    servers[2].kill();
    for turn in 0..30 {
        let _: RedisResult<()> = pool.get().await.unwrap().set(format!("{turn}:key"), turn).await;
    }
    for turn in 0..30 {
        let () = pool.get().await.unwrap().set(format!("{turn}:key"), turn).await?;
    }
    let (connections, _) = seen(&servers[0]);
    assert_eq!(connections - after.0, 1, "no connection to a healthy node was made again");
    assert_eq!(pool.state().statistics.connections_closed_broken, 0);
    assert_eq!(pool.state().statistics.connections_closed_invalid, 0);
    Ok(())
}

#[tokio::test]
async fn deadpool_keeps_its_connections_until_no_node_is_left() -> RedisResult<()> {
    let Some(mut servers) = RedisServer::start_many(2) else { return Ok(()) };
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(Duration::from_secs(60));
    let client = client(&servers).to_builder().eject(policy).build()?;
    let pool: Deadpool<DeadpoolManager> =
        Deadpool::builder(DeadpoolManager::new(client.clone())).max_size(1).build().unwrap();
    use_all(&mut *pool.get().await.unwrap()).await?;
    servers[1].kill();
    for turn in 0..30 {
        let _: RedisResult<()> = pool.get().await.unwrap().set(format!("{turn}:key"), turn).await;
    }
    let looked = seen(&servers[0]);
    drop(pool.get().await.unwrap());
    assert_eq!(seen(&servers[0]).0, looked.0 + 1);
    servers[0].kill();
    for turn in 0..30 {
        let Ok(mut connection) = pool.get().await else { break };
        let _: RedisResult<()> = connection.set(format!("{turn}:key"), turn).await;
    }
    let Err(deadpool::managed::PoolError::Backend(error)) = pool.get().await else {
        panic!("a connection to no node");
    };
    assert_eq!(ShardError::of(&error).unwrap().kind(), ShardErrorKind::NoLiveNode);
    Ok(())
}
