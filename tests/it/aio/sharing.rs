//! One socket that many tasks share.

use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::RedisResult;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::pool;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::in_time;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_both_ways_do_not_lock_up() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(2) else { return Ok(()) };
    let client = builder.timeout(Duration::from_secs(60)).build()?;
    let connection = client.get_multiplexed_async_connection().await?;
    let tasks = (0..12u8).map(|number| {
        let mut connection = connection.clone();
        tokio::spawn(async move {
            let key = format!("{number}:large");
            let value = vec![number; 5 << 20];
            for _ in 0..4 {
                let () = connection.set(&key, &value).await?;
                let back: Vec<u8> = connection.get(&key).await?;
                assert!(back == value, "another value of {} bytes", back.len());
            }
            RedisResult::Ok(())
        })
    });
    for task in join_all(tasks).await {
        task.unwrap()?;
    }
    Ok(())
}

#[test]
fn each_waits_as_long_as_it_was_told_to() {
    let node = FakeNode::start(|request| match request.is_greeting() {
        true => reply("+OK\r\n"),
        false => vec![Step::Hang],
    });
    let limits = [400, 100, 250, 50, 300].map(Duration::from_millis);
    block_on(async {
        let client = ShardedClient::open(node.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let calls = limits.map(|limit| {
            let mut connection = connection.clone();
            connection.set_response_timeout(limit);
            async move {
                let start = Instant::now();
                let error = connection.get::<_, ()>("key").await.unwrap_err();
                assert_eq!(ShardError::of(&error).unwrap().kind(), ShardErrorKind::Deadline);
                start.elapsed()
            }
        });
        let took = join_all(calls).await;
        for (took, limit) in took.into_iter().zip(limits) {
            assert!(took >= limit, "{took:?} of {limit:?}");
        }
    });
    let longest = Duration::from_millis(400);
    in_time(longest * 2, || {
        block_on(async {
            let client = ShardedClient::builder().nodes(node.url()).unwrap().timeout(longest);
            let client = client.build().unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            connection.get::<_, ()>("key").await.unwrap_err();
        });
    });
}

#[test]
fn what_does_not_fit_into_the_socket_of_a_stopped_node_ends_in_time_too() {
    let Some(server) = RedisServer::start() else { return };
    let deadline = Duration::from_millis(400);
    let client = ShardedClient::builder().nodes(server.url()).unwrap().timeout(deadline);
    let client = client.build().unwrap();
    // One thread, so that what the machine takes from it is known.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let () = runtime.block_on(connection.set("key", 1)).unwrap();
    server.process().stop();
    let value = vec![b'v'; 256 << 10];
    in_time(deadline, || {
        runtime.block_on(async {
            let calls = (0..60).map(|number| {
                let (mut connection, value) = (connection.clone(), value.clone());
                tokio::spawn(async move {
                    connection.set::<_, _, ()>(format!("{number}:key"), value).await.unwrap_err()
                })
            });
            for error in join_all(calls.collect::<Vec<_>>()).await {
                let error = error.unwrap();
                assert!(error.is_timeout(), "{error}");
            }
        });
    });
    server.process().resume();
    let mut answered = Err(());
    for _ in 0..50 {
        answered = runtime.block_on(connection.get::<_, i64>("key")).map_err(drop);
        if answered.is_ok() {
            break;
        }
    }
    assert_eq!(answered, Ok(1));
    drop(runtime);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_it_rested_costs_no_request() -> RedisResult<()> {
    let Some((servers, builder)) = pool(1) else { return Ok(()) };
    let client = builder.build()?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let () = connection.set("key", 1).await?;
    let mut plain = redis::Client::open(servers[0].url())?.get_connection()?;
    for _ in 0..5 {
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut plain)?;
        while client.metrics()[0].connections > 0 {
            // The end of the stream is read when it arrives; nothing has to be asked for that.
            tokio::time::sleep(Duration::from_millis(2)).await;
            if connection.get::<_, i64>("key").await? == 1 {
                break;
            }
        }
    }
    assert_eq!(client.metrics()[0].failures, 0);
    Ok(())
}

#[tokio::test]
async fn one_that_wants_no_reply_leaves_the_next_ones_alone() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(1) else { return Ok(()) };
    let mut connection = builder.build()?.get_multiplexed_async_connection().await?;
    let mut silent = redis::cmd("INCR");
    silent.arg("counter").set_no_response(true);
    for number in 1..=50 {
        let () = silent.query_async(&mut connection).await?;
        assert_eq!(connection.get::<_, i64>("counter").await?, number);
    }
    Ok(())
}

#[tokio::test]
async fn a_task_of_its_own_ends_with_the_last_clone() -> RedisResult<()> {
    let Some((_servers, builder)) = pool(3) else { return Ok(()) };
    let client = builder.build()?;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut connection = client.get_multiplexed_async_connection().await?;
    let pairs: Vec<_> = (0..30).map(|number| (format!("{number}:key"), number)).collect();
    let () = connection.mset(&pairs).await?;
    let clone = connection.clone();
    assert_eq!(tasks() - before, 3);
    drop(connection);
    tokio::task::yield_now().await;
    assert_eq!(tasks() - before, 3);
    drop(clone);
    while tasks() > before {
        tokio::task::yield_now().await;
    }
    let connections: u64 = client.metrics().iter().map(|node| node.connections).sum();
    assert_eq!(connections, 0);
    Ok(())
}
