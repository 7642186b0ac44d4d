//! Requests to one node, to several, and to all.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt;
use redis::AsyncCommands;
use redis::RedisResult;
use redis::Value;
use redis::aio::ConnectionLike;
use shardwright::AsyncConnectionConfig;
use shardwright::ShardError;
use shardwright::ShardErrorKind;

use super::pool;

fn scan(cursor: u64) -> redis::Cmd {
    let mut command = redis::cmd("SCAN");
    command.cursor_arg(cursor);
    command
}

fn assert_shared<T: Clone + Send + Sync + ConnectionLike + 'static>() {}

#[test]
fn the_connection_is_what_redis_rs_wants_of_one() {
    assert_shared::<shardwright::ShardedMultiplexedConnection>();
}

#[tokio::test]
async fn keys_on_several_nodes_are_read_and_written_at_once() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let client = builder.build()?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let pairs: Vec<_> = (0..100).map(|number| (format!("{number}:key"), number)).collect();
    let () = connection.mset(&pairs).await?;
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key).collect();
    let values: Vec<Option<i64>> = connection.mget(&keys).await?;
    assert_eq!(values, (0..100).map(Some).collect::<Vec<_>>());
    for (key, number) in &pairs {
        assert_eq!(connection.get::<_, i64>(key).await?, *number);
    }
    // Where the synchronous client puts them.
    let mut other = client.get_connection()?;
    assert_eq!(
        redis::Commands::mget::<_, Vec<i64>>(&mut other, &keys)?,
        (0..100).collect::<Vec<_>>()
    );
    let size: i64 = redis::cmd("DBSIZE").query_async(&mut connection).await?;
    assert_eq!(size, 100);
    assert_eq!(connection.del::<_, i64>(&keys).await?, 100);
    Ok(())
}

#[tokio::test]
async fn a_pipeline_keeps_its_order() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let mut connection = builder.build()?.get_multiplexed_async_connection().await?;
    let mut pipe = redis::pipe();
    for number in 0..50 {
        pipe.set(format!("{number}:key"), number).ignore();
    }
    pipe.mget(&["7:key", "8:key", "9:key"]).get("3:key").cmd("PING").cmd("DBSIZE");
    pipe.del(&["1:key", "2:key"]).lpush("0:key", 1);
    let error = pipe.query_async::<Value>(&mut connection).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    pipe = redis::pipe();
    pipe.mget(&["7:key", "8:key", "9:key"]).get("3:key").cmd("PING").cmd("DBSIZE");
    let replies: (Vec<i64>, i64, String, i64) = pipe.query_async(&mut connection).await?;
    assert_eq!(replies, (vec![7, 8, 9], 3, "PONG".into(), 48));
    Ok(())
}

#[tokio::test]
async fn a_scan_sees_every_key_of_every_node() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let mut connection = builder.build()?.get_multiplexed_async_connection().await?;
    let pairs: Vec<_> = (0..300).map(|number| (format!("{number}:key"), number)).collect();
    let () = connection.mset(&pairs).await?;
    let keys = connection.scan_match::<_, String>("*:key").await?;
    let seen: BTreeSet<String> = keys.map(Result::unwrap).collect().await;
    assert_eq!(seen.len(), 300);
    let mut pipe = redis::pipe();
    let mut cursor = 0;
    let mut seen = BTreeSet::new();
    loop {
        let (ping, (next, keys)): (String, (u64, Vec<String>)) =
            pipe.cmd("PING").add_command(scan(cursor)).query_async(&mut connection).await?;
        pipe.clear();
        assert_eq!(ping, "PONG");
        seen.extend(keys);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 300);
    Ok(())
}

#[tokio::test]
async fn what_is_set_on_the_connection_holds_for_clones_and_for_new_links() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let client = builder.build()?;
    let config = AsyncConnectionConfig::new().set_connections_per_node(2);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut clone = connection.clone();
    let () = connection.set("before", 0).await?;
    let () = redis::cmd("SELECT").arg(3).query_async(&mut connection).await?;
    let pairs: Vec<_> = (0..40).map(|number| (format!("{number}:key"), number)).collect();
    let () = clone.mset(&pairs).await?;
    let mut other = client.get_connection()?;
    let sizes = [0, 3].map(|database| {
        redis::cmd("SELECT").arg(database).exec(&mut other).unwrap();
        redis::cmd("DBSIZE").query::<i64>(&mut other).unwrap()
    });
    assert_eq!(sizes, [1, 40]);
    let refused = redis::cmd("SELECT").arg(99).exec_async(&mut connection).await.unwrap_err();
    assert!(refused.to_string().contains("out of range"), "{refused}");
    assert_eq!(connection.get::<_, i64>("7:key").await?, 7);
    Ok(())
}

#[tokio::test]
async fn one_that_waits_keeps_nobody_else_waiting() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(1) else { return Ok(()) };
    let client = builder.timeout(Duration::from_secs(5)).build()?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut waiting = connection.clone();
    let waiter = tokio::spawn(async move { waiting.blpop::<_, (String, i64)>("list", 30.0).await });
    let start = Instant::now();
    while redis::cmd("INFO")
        .arg("clients")
        .query_async::<String>(&mut connection)
        .await?
        .contains("blocked_clients:0")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    let () = connection.set("key", 1).await?;
    assert!(!waiter.is_finished());
    let () = connection.rpush("list", 42).await?;
    assert_eq!(waiter.await.unwrap()?, ("list".into(), 42));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_sharded_is_refused_with_its_reason() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let mut connection = builder.build()?.get_multiplexed_async_connection().await?;
    let keys: Vec<_> = (0..20).map(|number| format!("{number}:key")).collect();
    let error = connection.sinter::<_, Value>(&keys).await.unwrap_err();
    assert_eq!(ShardError::of(&error).unwrap().kind(), ShardErrorKind::CrossShard);
    for name in ["MULTI", "EXEC", "DISCARD", "SUBSCRIBE", "MONITOR"] {
        let error = redis::cmd(name).arg("x").exec_async(&mut connection).await.unwrap_err();
        assert_eq!(ShardError::of(&error).unwrap().kind(), ShardErrorKind::Unroutable, "{name}");
    }
    let empty = redis::Cmd::new().exec_async(&mut connection).await.unwrap_err();
    assert!(empty.to_string().contains("empty"), "{empty}");
    Ok(())
}
