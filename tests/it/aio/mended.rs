//! What a strict reviewer found.

use std::time::Duration;

use redis::AsyncCommands;
use redis::RedisResult;
use redis::Value;
use shardwright::NodeConfig;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedMultiplexedConnection;
use tokio::time::timeout;

use super::pool;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::fake_node::reply;
use crate::support::redis_server::RedisServer;

/// Two keys on different nodes.
fn two_keys(client: &ShardedClient) -> (String, String) {
    let key = |number| format!("{number}:key");
    let first = client.node_for_key(key(0));
    let other = (1..).map(key).find(|key| client.node_for_key(key) != first);
    (key(0), other.unwrap())
}

async fn set_atomically(
    connection: &mut ShardedMultiplexedConnection,
    key: &str,
) -> RedisResult<()> {
    redis::pipe().atomic().set(key, 2).ignore().query_async(connection).await
}

#[tokio::test]
async fn an_exec_is_refused_when_a_clone_has_taken_its_watch() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let client = builder.build()?;
    let (here, there) = two_keys(&client);
    let mut one = client.get_multiplexed_async_connection().await?;
    let () = redis::cmd("WATCH").arg(&here).query_async(&mut one).await?;
    let mut other = one.clone();
    let crossed = redis::cmd("WATCH").arg(&there).exec_async(&mut other).await.unwrap_err();
    assert_eq!(ShardError::of(&crossed).unwrap().kind(), ShardErrorKind::CrossShard);
    redis::Commands::set::<_, _, ()>(&mut client.get_connection()?, &here, 100)?;
    let lost = set_atomically(&mut one, &here).await.unwrap_err();
    assert_eq!(ShardError::of(&lost).unwrap().kind(), ShardErrorKind::TransactionLost);
    assert_eq!(one.get::<_, i64>(&here).await?, 100);
    // That was an EXEC: nothing is watched behind it.
    set_atomically(&mut one, &here).await
}

#[tokio::test]
async fn an_exec_is_refused_behind_a_watch_that_was_dropped() -> RedisResult<()> {
    let Some((servers, builder)) = pool(1) else { return Ok(()) };
    let client = builder.build()?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    servers[0].process().stop();
    let watch = redis::cmd("WATCH").arg("key").exec_async(&mut connection).await;
    drop(watch);
    let dropped = timeout(Duration::from_millis(30), async {
        redis::cmd("WATCH").arg("key").exec_async(&mut connection).await
    });
    assert!(dropped.await.is_err());
    servers[0].process().resume();
    let lost = set_atomically(&mut connection, "key").await.unwrap_err();
    assert_eq!(ShardError::of(&lost).unwrap().kind(), ShardErrorKind::TransactionLost);
    Ok(())
}

#[tokio::test]
async fn wait_speaks_of_what_was_written_on_the_connection() -> RedisResult<()> {
    let Some((servers, builder)) = pool(1) else { return Ok(()) };
    let Some(replica) = RedisServer::start() else { return Ok(()) };
    let client = builder.timeout(Duration::from_secs(10)).build()?;
    let mut plain = redis::Client::open(replica.url())?.get_connection()?;
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(servers[0].port()).exec(&mut plain)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let wait = |limit: u64| redis::cmd("WAIT").arg(1).arg(limit).to_owned();
    let () = connection.set("key", 1).await?;
    let heard: i64 = wait(20_000).query_async(&mut connection).await?;
    assert_eq!(heard, 1, "the replica follows");
    replica.process().stop();
    for _ in 0..3 {
        let () = connection.set("key", 2).await?;
        let heard: i64 = wait(100).query_async(&mut connection).await?;
        assert_eq!(heard, 0, "a replica that is stopped has heard nothing");
    }
    replica.process().resume();
    Ok(())
}

#[test]
fn a_connection_that_hangs_is_replaced_though_nobody_waits_long_enough() {
    let node = FakeNode::start(|request| match (request.is_greeting(), request.connection) {
        (true, _) => reply("+OK\r\n"),
        (false, 0) => vec![Step::Hang],
        _ => reply(bulk("value")),
    });
    let client = ShardedClient::builder().nodes(node.url()).unwrap();
    let client = client.timeout(Duration::from_millis(300)).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut tries = 0;
        while timeout(Duration::from_millis(40), connection.get::<_, String>("key")).await.is_err()
        {
            tries += 1;
            assert!(tries < 200, "it is used for ever");
        }
    });
    assert_eq!(client.metrics()[0].in_flight, 0);
}

#[test]
fn what_rested_on_a_runtime_that_did_not_run_is_looked_at_first() {
    let Some((servers, builder)) = pool(1) else { return };
    let client = builder.build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let () = runtime.block_on(connection.set("key", 1)).unwrap();
    let mut plain = redis::Client::open(servers[0].url()).unwrap().get_connection().unwrap();
    for _ in 0..5 {
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut plain).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(runtime.block_on(connection.get::<_, i64>("key")), Ok(1));
    }
    let node = &client.metrics()[0];
    assert_eq!((node.failures, node.in_flight, node.connections), (0, 0, 1));
}

#[test]
fn a_connection_outlives_the_runtime_it_was_opened_on() {
    let Some((_servers, builder)) = pool(2) else { return };
    let client = builder.timeout(Duration::from_secs(5)).build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime().block_on(client.get_multiplexed_async_connection()).unwrap();
    for turn in 0..4 {
        let runtime = runtime();
        for number in 0..10 {
            let key = format!("{number}:key");
            let () = runtime.block_on(connection.set(&key, turn)).unwrap();
            assert_eq!(runtime.block_on(connection.get::<_, i64>(&key)), Ok(turn));
        }
    }
}

#[test]
fn a_runtime_that_nobody_drives_holds_nobody_up() {
    let Some((_servers, builder)) = pool(1) else { return };
    let deadline = Duration::from_millis(200);
    let client = builder.timeout(deadline).build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let resting = runtime();
    let mut connection = resting.block_on(client.get_multiplexed_async_connection()).unwrap();
    let other = runtime();
    let late = other.block_on(connection.get::<_, ()>("key")).unwrap_err();
    assert_eq!(ShardError::of(&late).unwrap().kind(), ShardErrorKind::Deadline);
    // The next one has a connection on a runtime that runs.
    let () = other.block_on(connection.set("key", 1)).unwrap();
    drop(resting);
}

#[test]
fn a_connection_is_used_outside_of_its_runtime_too() {
    let Some((_servers, builder)) = pool(1) else { return };
    let client = builder.build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let () = smol::block_on(connection.set("key", 1)).unwrap();
    assert_eq!(smol::block_on(connection.get::<_, i64>("key")), Ok(1));
}

#[tokio::test]
async fn no_timeout_is_too_long() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(2) else { return Ok(()) };
    let mut connection = builder
        .timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .build()?
        .get_multiplexed_async_connection()
        .await?;
    connection.set_response_timeout(Duration::MAX);
    let () = connection.mset(&[("a", 1), ("b", 2), ("c", 3)]).await?;
    assert_eq!(connection.mget::<_, Vec<i64>>(&["c", "b", "a"]).await?, [3, 2, 1]);
    Ok(())
}

#[tokio::test]
async fn reset_sends_nobody_to_another_database() -> RedisResult<()> {
    let Some(server) = RedisServer::start() else { return Ok(()) };
    let node = NodeConfig::new(format!("{}5", server.url()))?;
    let client = ShardedClient::builder().node(node).build()?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let () = connection.set("key", 1).await?;
    for _ in 0..50 {
        let mut clone = connection.clone();
        let reset = async {
            let reply: String = redis::cmd("RESET").query_async(&mut clone).await?;
            RedisResult::Ok(reply)
        };
        let (value, reset) = tokio::join!(connection.get::<_, Option<i64>>("key"), reset);
        assert_eq!((value?, reset?), (Some(1), "RESET".into()));
    }
    Ok(())
}

#[tokio::test]
async fn what_a_refused_exec_left_queued_is_nobodys_reply() -> RedisResult<()> {
    // As Redis did before 6.2, it keeps the transaction open.
    let node = FakeNode::start(|request| match request.line().as_str() {
        _ if request.is_greeting() => reply("+OK\r\n"),
        "MULTI" => reply("+OK\r\n"),
        "EXEC" => reply("-NOPERM this user has no permissions to run 'exec'\r\n"),
        _ if request.connection == 0 => reply("+QUEUED\r\n"),
        _ => reply(bulk("value")),
    });
    let client = ShardedClient::open(node.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut other = connection.clone();
    let pipe = redis::pipe().atomic().set("key", 1).to_owned();
    let (refused, value) =
        tokio::join!(pipe.query_async::<Value>(&mut connection), other.get::<_, String>("other"));
    refused.unwrap_err();
    if let Ok(value) = value {
        assert_eq!(value, "value");
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_the_server_aborts_costs_no_connection() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(1) else { return Ok(()) };
    let mut connection = builder.build()?.get_multiplexed_async_connection().await?;
    let id = redis::cmd("CLIENT").arg("LIST").to_owned();
    let before: Value = id.query_async(&mut connection).await?;
    for _ in 0..5 {
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("GET").arg("key").arg("more").ignore();
        let aborted = pipe.query_async::<Value>(&mut connection).await.unwrap_err();
        assert_eq!(aborted.code(), Some("EXECABORT"), "{aborted}");
    }
    let after: Value = id.query_async(&mut connection).await?;
    let clients = |value: &Value| format!("{value:?}").matches("addr=").count();
    assert_eq!(clients(&before), clients(&after));
    Ok(())
}
