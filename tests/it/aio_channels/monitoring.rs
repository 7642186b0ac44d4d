//! What several nodes are asked, as they are asked it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::StreamExt;
use redis::Commands;
use shardwright::ConnectMode;
use shardwright::ShardErrorKind;
use shardwright::ShardedClientBuilder;

use super::done;
use crate::client::pool::Pool;
use crate::client::pool::kind;
use crate::client::pool::shard_error;
use crate::support::eventually;

/// The next line that is about `SET`, with its node.
async fn next_set(
    lines: &mut (impl Stream<Item = (Arc<str>, String)> + Unpin),
) -> (String, String) {
    loop {
        let (node, line) = done(lines.next()).await.expect("the stream goes on");
        if line.contains("\"SET\"") {
            return (node.to_string(), line);
        }
    }
}

fn monitors(pool: &Pool, server: usize) -> usize {
    let list = redis::cmd("CLIENT").arg("LIST").query::<String>(&mut pool.direct(server)).unwrap();
    list.lines().filter(|line| line.contains("cmd=monitor")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_tells_its_node() {
    for options in ["", "?protocol=resp3"] {
        let Some(pool) = Pool::start_at(3, options) else { return };
        let mut monitor = pool.client.get_async_monitor().await.unwrap();
        assert_eq!([0, 1, 2].map(|server| monitors(&pool, server)), [1, 1, 1]);
        let mut con = pool.connection();
        {
            let mut lines = monitor.on_node_message::<String>();
            for (server, key) in pool.keys().iter().enumerate() {
                let () = con.set(key, "value").unwrap();
                let (node, line) = next_set(&mut lines).await;
                assert_eq!(node, format!("n{server}"));
                assert!(line.contains(key) && line.contains("value"), "{line}");
            }
        }
        // And without it, as redis-rs has them.
        let key = pool.key_on(1, 0);
        let () = con.set(&key, "again").unwrap();
        let mut lines = monitor.into_on_message::<String>();
        while !done(lines.next()).await.unwrap().contains("again") {}
        drop(lines);
        eventually("nobody listens", || (0..3).all(|server| monitors(&pool, server) == 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fails_leaves_the_others_going_and_is_monitored_again() {
    let Some(mut pool) = Pool::start(3) else { return };
    let keys = pool.keys();
    let monitor = pool.client.get_async_monitor().await.unwrap();
    let mut lines = Box::pin(monitor.into_on_node_message::<String>());
    pool.servers[1].kill();
    for server in [0, 2] {
        let () = pool.direct(server).set(&keys[server], 1).unwrap();
        assert_eq!(next_set(&mut lines).await.0, format!("n{server}"));
    }
    pool.servers[1].restart();
    eventually("it is monitored again", || monitors(&pool, 1) == 1);
    let () = pool.direct(1).set(&keys[1], 1).unwrap();
    assert_eq!(next_set(&mut lines).await.0, "n1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_follows_the_topology() {
    let Some(pool) = Pool::start(3) else { return };
    let nodes = pool.client.to_builder().configured_nodes().to_vec();
    pool.client.set_nodes(nodes[..2].to_vec()).unwrap();
    let monitor = pool.client.get_async_monitor().await.unwrap();
    let monitored = || [0, 1, 2].map(|server| monitors(&pool, server));
    assert_eq!(monitored(), [1, 1, 0]);
    pool.client.set_nodes(nodes[1..].to_vec()).unwrap();
    eventually("others are monitored", || monitored() == [0, 1, 1]);
    let mut lines = Box::pin(monitor.into_on_node_message::<String>());
    let () = pool.direct(2).set("key", 1).unwrap();
    assert_eq!(next_set(&mut lines).await.0, "n2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_nodes_must_answer_as_a_connection_needs() {
    for (mode, mut may_fail) in
        [(ConnectMode::Any, vec![1]), (ConnectMode::All, vec![]), (ConnectMode::Lazy, vec![1, 0])]
    {
        let change = |builder: ShardedClientBuilder| builder.connect_mode(mode);
        let Some(mut pool) = Pool::start_with(2, change) else { return };
        drop(done(pool.client.get_async_monitor()).await.unwrap());
        let mut left: BTreeSet<usize> = [0, 1].into();
        for server in may_fail.drain(..) {
            pool.servers[server].kill();
            left.remove(&server);
            let monitor = done(pool.client.get_async_monitor()).await.unwrap();
            assert!(left.iter().all(|server| monitors(&pool, *server) > 0), "{mode:?}");
            drop(monitor);
        }
        if let Some(server) = left.pop_first() {
            pool.servers[server].kill();
            let error = done(pool.client.get_async_monitor()).await.unwrap_err();
            assert_eq!(shard_error(&error).kind(), ShardErrorKind::Node);
            assert_eq!(kind(redis::RedisResult::<()>::Err(error)), ShardErrorKind::Node);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_something_else_ends_the_stream_as_in_redis_rs() {
    let Some(pool) = Pool::start(2) else { return };
    let alone = redis::Client::open(pool.servers[0].url()).unwrap();
    let theirs = alone.get_async_monitor().await.unwrap();
    let ours = pool.client.get_async_monitor().await.unwrap();
    let mut con = pool.direct(0);
    let () = con.set("key", 1).unwrap();
    assert_eq!(done(theirs.into_on_message::<i64>().next()).await, None);
    assert_eq!(done(ours.into_on_message::<i64>().next()).await, None);
}
