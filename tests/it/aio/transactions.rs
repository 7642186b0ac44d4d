//! Transactions in many tasks at the same time.

use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::RedisResult;
use redis::aio::transaction_async;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedMultiplexedConnection;

use super::pool;

async fn add_one(connection: ShardedMultiplexedConnection, key: &str) -> RedisResult<i64> {
    let (number,): (i64,) =
        transaction_async(connection, &[key], |mut connection, mut pipe| async move {
            let number: Option<i64> = connection.get(key).await?;
            tokio::task::yield_now().await;
            pipe.set(key, number.unwrap_or(0) + 1).ignore().get(key);
            pipe.query_async(&mut connection).await
        })
        .await?;
    Ok(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost_between_tasks_that_watch() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(2) else { return Ok(()) };
    let client = builder.build()?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let tasks = (0..8).map(|_| {
        let connection = connection.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                add_one(connection.clone(), "counter").await?;
            }
            RedisResult::Ok(())
        })
    });
    for task in join_all(tasks).await {
        task.unwrap()?;
    }
    assert_eq!(connection.get::<_, i64>("counter").await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_transaction_on_two_nodes_is_refused_and_one_that_lost_its_watch_too() -> RedisResult<()>
{
    let Some((_servers, builder)) = pool(4) else { return Ok(()) };
    let client = builder.build()?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut pipe = redis::pipe();
    pipe.atomic();
    for number in 0..20 {
        pipe.set(format!("{number}:key"), 1);
    }
    let error = pipe.exec_async(&mut connection).await.unwrap_err();
    assert_eq!(ShardError::of(&error).unwrap().kind(), ShardErrorKind::CrossShard);
    assert!(!connection.exists::<_, bool>("3:key").await?);

    let () = redis::cmd("WATCH").arg("key").query_async(&mut connection).await?;
    let node = client.node_for_key("key").unwrap();
    let mut plain = client.node_client(node.name()).unwrap().get_connection()?;
    let killed: i64 =
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query(&mut plain)?;
    assert!(killed > 0);
    let mut pipe = redis::pipe();
    pipe.atomic().set("key", 1);
    let error = pipe.exec_async(&mut connection).await.unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    assert!(!redis::Commands::exists::<_, bool>(&mut plain, "key")?);
    // The connection that tasks share was killed too.
    let _ = connection.get::<_, Option<i64>>("key").await;
    let () = pipe.query_async(&mut connection).await?;
    assert_eq!(connection.get::<_, i64>("key").await?, 1);
    Ok(())
}
