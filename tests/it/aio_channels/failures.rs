//! Nodes that fail, hang and go while they are listened to.

use std::time::Duration;
use std::time::Instant;

use redis::Commands;
use shardwright::NodeConfig;
use shardwright::ShardErrorKind;
use shardwright::ShardedAsyncPubSub;

use super::LONG;
use super::SOON;
use super::done;
use super::is_silent;
use super::next_of;
use super::patterns;
use super::patterns_of;
use super::subscribers;
use super::subscribers_of;
use crate::client::pool::Pool;
use crate::client::pool::kind;
use crate::client::pool::shard_error;
use crate::support::eventually;

/// Publishes past the client on each server but `except`, and asserts that it is heard.
async fn all_are_heard(pool: &Pool, pubsub: &mut ShardedAsyncPubSub, except: Option<usize>) {
    for (server, channel) in pool.keys().iter().enumerate() {
        if Some(server) != except {
            let count: i64 = pool.direct(server).publish(channel, "x").unwrap();
            assert_eq!(count, 1, "{channel}");
            assert_eq!(next_of(pubsub).await, format!("{channel} x"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_killed_is_listened_to_again() {
    let Some(mut pool) = Pool::start(4) else { return };
    let channels = pool.keys();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    done(pubsub.subscribe(&channels)).await.unwrap();
    done(pubsub.psubscribe("p*")).await.unwrap();
    for _ in 0..2 {
        pool.servers[1].kill();
        all_are_heard(&pool, &mut pubsub, Some(1)).await;
        // Others are subscribed to as if nothing was.
        done(pubsub.subscribe(pool.key_on(2, 7))).await.unwrap();
        pool.servers[1].restart();
        eventually("it listens again", || {
            subscribers_of(&pool, 1, &channels[1]) == 1 && patterns_of(&pool, 1) == 1
        });
        all_are_heard(&pool, &mut pubsub, None).await;
        assert!(is_silent(&mut pubsub).await);
    }
    assert_eq!(subscribers(&pool, &pool.key_on(2, 7)), [0, 0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_node_closes_is_replaced() {
    let Some(pool) = Pool::start(3) else { return };
    let channels = pool.keys();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    done(pubsub.subscribe(&channels)).await.unwrap();
    for _ in 0..5 {
        let mut direct = pool.direct(1);
        let kill = ["KILL", "TYPE", "pubsub"];
        assert_eq!(redis::cmd("CLIENT").arg(&kill).query::<i64>(&mut direct).unwrap(), 1);
        eventually("it listens again", || subscribers_of(&pool, 1, &channels[1]) == 1);
        all_are_heard(&pool, &mut pubsub, None).await;
    }
    // Once is enough.
    done(pubsub.unsubscribe(&channels[1])).await.unwrap();
    assert_eq!(subscribers(&pool, &channels[1]), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_delays_nobody_else_and_goes_on_afterwards() {
    let timeout = Duration::from_millis(500);
    let Some(pool) = Pool::start_with(3, |builder| builder.timeout(timeout)) else { return };
    let channels = pool.keys();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    done(pubsub.subscribe(&channels)).await.unwrap();
    pool.servers[1].process().stop();
    all_are_heard(&pool, &mut pubsub, Some(1)).await;
    let other = pool.key_on(0, 5);
    done(pubsub.subscribe(&other)).await.unwrap();
    // What it is asked is answered at the timeout, with its name.
    let late = pool.key_on(1, 5);
    let start = Instant::now();
    let error = shard_error(&done(pubsub.subscribe(&[&late, &other])).await.unwrap_err());
    assert!(start.elapsed() >= timeout);
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n1")));
    assert!(error.to_string().contains("no reply"), "{error}");
    all_are_heard(&pool, &mut pubsub, Some(1)).await;
    pool.servers[1].process().resume();
    // It was told, and listens.
    eventually("it listens", || subscribers_of(&pool, 1, &late) == 1);
    all_are_heard(&pool, &mut pubsub, None).await;
    done(pubsub.subscribe(&late)).await.unwrap();
    assert!(is_silent(&mut pubsub).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_is_connected_to_for_a_second() {
    let Some(pool) = Pool::start(2) else { return };
    let channels = pool.keys();
    pool.servers[1].process().stop();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let start = Instant::now();
    let error = shard_error(&done(pubsub.subscribe(&channels)).await.unwrap_err());
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n1")));
    assert!(error.to_string().contains("no connection"), "{error}");
    assert_eq!(pool.direct(0).publish::<_, _, i64>(&channels[0], "x").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{} x", channels[0]));
    pool.servers[1].process().resume();
    eventually("it listens", || subscribers_of(&pool, 1, &channels[1]) == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_a_dead_node_does_not_confirm_fails_and_is_kept() {
    let Some(mut pool) = Pool::start(2) else { return };
    let channels = pool.keys();
    pool.servers[1].kill();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    let error = shard_error(&done(pubsub.subscribe(&channels)).await.unwrap_err());
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n1")));
    let error = done(pubsub.subscribe(&channels[1])).await.unwrap_err();
    assert!(error.is_connection_refusal(), "{error}");
    assert_eq!(kind(done(pubsub.psubscribe("p*")).await), ShardErrorKind::Node);
    // Who has something to say is heard, and what nobody listens to any more is no node's concern.
    done(pubsub.subscribe(&channels[0])).await.unwrap();
    assert_eq!(pool.direct(0).publish::<_, _, i64>(&channels[0], "x").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{} x", channels[0]));
    done(pubsub.punsubscribe("p*")).await.unwrap();
    done(pubsub.ping::<redis::Value>()).await.unwrap();
    done(pubsub.unsubscribe(&channels[0])).await.unwrap();
    pool.servers[0].kill();
    // Nobody answers for a dead node.
    done(async {
        while pubsub.ping::<redis::Value>().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pool.servers[1].restart();
    eventually("it listens", || subscribers_of(&pool, 1, &channels[1]) == 1);
    assert_eq!(patterns_of(&pool, 1), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_follows_the_topology() {
    let Some(pool) = Pool::start(3) else { return };
    let nodes = pool.client.to_builder().configured_nodes().to_vec();
    let channel = pool.key_on(2, 0);
    pool.client.set_nodes(nodes[..2].to_vec()).unwrap();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    done(pubsub.subscribe(&channel)).await.unwrap();
    done(pubsub.psubscribe("p*")).await.unwrap();
    assert_eq!(subscribers(&pool, &channel).iter().sum::<i64>(), 1);
    assert_eq!(patterns(&pool), [1, 1, 0]);
    pool.client.set_nodes(nodes).unwrap();
    eventually("it moved to the new node", || {
        subscribers(&pool, &channel) == [0, 0, 1] && patterns(&pool) == [1, 1, 1]
    });
    assert_eq!(pool.connection().publish::<_, _, i64>(&channel, "moved").unwrap(), 1);
    assert_eq!(next_of(&mut pubsub).await, format!("{channel} moved"));
    // A node that went is not listened to any more.
    let rest: Vec<NodeConfig> = pool.client.to_builder().configured_nodes()[1..].to_vec();
    pool.client.set_nodes(rest).unwrap();
    eventually("its connection is closed", || patterns(&pool) == [0, 1, 1]);
    assert!(is_silent(&mut pubsub).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_lost_while_nodes_come_and_go() {
    let Some(mut pool) = Pool::start(3) else { return };
    let channels = pool.keys();
    let (mut sink, mut stream) = pool.client.get_async_pubsub().await.unwrap().split();
    let heard = tokio::spawn(async move {
        let mut count = 0;
        while super::next(&mut stream).await != "end end" {
            count += 1;
        }
        count
    });
    let mut sent = 0;
    for round in 0..6 {
        let server = round % 3;
        match round % 2 {
            0 => pool.servers[server].kill(),
            _ => pool.servers[server].process().stop(),
        }
        // Whatever comes of it: it must not take for ever.
        let subscribed =
            tokio::time::timeout(Duration::from_millis(300), sink.subscribe(&channels));
        let _ = subscribed.await;
        match round % 2 {
            0 => pool.servers[server].restart(),
            _ => pool.servers[server].process().resume(),
        }
        for (server, channel) in channels.iter().enumerate() {
            eventually("it listens", || subscribers_of(&pool, server, channel) == 1);
            sent += pool.direct(server).publish::<_, _, i64>(channel, "x").unwrap();
        }
    }
    done(sink.subscribe("end")).await.unwrap();
    let () = pool.connection().publish("end", "end").unwrap();
    // Messages of several nodes have no order among them, so the last may come before others.
    let heard = done(heard).await.unwrap();
    assert!(sent == 18 && heard <= sent && heard >= sent - 2, "{heard} of {sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_node_that_goes_waits_for_the_one_that_comes() {
    let Some(pool) = Pool::start_with(2, |builder| builder.connect_timeout(LONG)) else { return };
    let channel = pool.key_on(1, 0);
    let mut nodes = pool.client.to_builder().configured_nodes().to_vec();
    pool.servers.iter().for_each(|server| server.process().stop());
    let (mut sink, _stream) = pool.client.get_async_pubsub().await.unwrap().split();
    let name = channel.clone();
    let waiting = tokio::spawn(async move { sink.subscribe(name).await });
    tokio::time::sleep(SOON).await;
    nodes.remove(1);
    pool.client.set_nodes(nodes).unwrap();
    tokio::time::sleep(2 * SOON).await;
    assert!(!waiting.is_finished());
    pool.servers[0].process().resume();
    done(waiting).await.unwrap().unwrap();
    assert_eq!(subscribers_of(&pool, 0, &channel), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_wait_for_a_node_wait_for_one_attempt() {
    let limit = Duration::from_millis(500);
    let Some(pool) = Pool::start_with(1, |builder| builder.connect_timeout(limit)) else { return };
    pool.servers[0].process().stop();
    let (sink, _stream) = pool.client.get_async_pubsub().await.unwrap().split();
    let start = Instant::now();
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let mut sink = sink.clone();
            tokio::spawn(async move { sink.subscribe(number).await })
        })
        .collect();
    for waiting in waiting {
        assert_eq!(kind(done(waiting).await.unwrap()), ShardErrorKind::Deadline);
    }
    // One that came between two attempts may have waited for the second.
    assert!(start.elapsed() < 3 * limit, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_does_not_wait_for_the_back_off() {
    let Some(mut pool) = Pool::start(1) else { return };
    pool.servers[0].kill();
    let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
    for _ in 0..10 {
        done(pubsub.subscribe("channel")).await.unwrap_err();
    }
    // Two seconds by now.
    pool.servers[0].restart();
    let start = Instant::now();
    done(pubsub.subscribe("channel")).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
