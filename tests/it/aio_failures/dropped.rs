//! Futures that are dropped before they are ready, at every stage: nothing of them is left behind, and a
//! reply that nobody waits for any more answers no other request.

use std::time::Duration;

use redis::AsyncCommands;
use redis::RedisResult;
use redis::Value;
use redis::aio::ConnectionLike;
use shardwright::ConnectMode;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardedClient;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bulk_value;
use super::clients_of;
use super::connect;
use super::direct;
use super::failures;
use super::get;
use super::in_flight;
use super::timing::eventually;
use super::timing::run;
use crate::failures::builder;
use crate::failures::key_of;
use crate::failures::keys_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::redis_server::RedisServer;

/// As nothing here may run out of time.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

fn are_live(client: &ShardedClient) -> bool {
    client.node_states().iter().all(|(_, state)| *state == NodeState::Live)
}

#[test]
fn a_request_that_is_dropped_before_it_begins_is_not_made() {
    let node = FakeNode::start(|_| vec![Step::Hang]);
    let client = builder([node.url()]).connect_mode(ConnectMode::Lazy).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        drop(connection.req_packed_command(&get("key")));
        drop(connection.mget::<_, ()>(&["a", "b"]));
        tokio::time::sleep(SHORT).await;
    });
    assert_eq!((node.connections(), in_flight(&client)), (0, 0));
}

#[test]
fn connecting_ends_in_its_time_when_the_last_one_who_waits_is_dropped() {
    let node = FakeNode::start_rude(|_| vec![Step::Hang]);
    let client = builder([node.url()]).timeout(LONG).connect_timeout(LONG / 4);
    let client = client.connect_mode(ConnectMode::Lazy).build().unwrap();
    run(async {
        let connection = connect(&client).await;
        let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for _ in 0..3 {
            let mut waiting = JoinSet::new();
            for number in 0..100 {
                let mut connection = connection.clone();
                waiting.spawn(async move {
                    let get = connection.get::<_, ()>("key");
                    assert!(timeout(SHORT + SHORT * number / 100, get).await.is_err());
                });
            }
            while let Some(ended) = waiting.join_next().await {
                ended.unwrap();
            }
        }
        // The driver of redis-rs's half-open connection is a task as well.
        let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        eventually("no task is left", || alive() == before).await;
    });
    assert_eq!(node.connections(), 1, "those who wait wait for the same");
    assert_eq!((in_flight(&client), failures(&client)), (0, 0));
}

#[test]
fn a_connection_is_opened_however_little_time_each_request_has() {
    // The handshake takes longer than anybody waits.
    let node = FakeNode::start_rude(|request| match request.is_greeting() {
        true => vec![Step::Wait(SHORT), Step::Send(b"+OK\r\n".to_vec())],
        false => vec![Step::Send(bulk(request.args.last().unwrap()))],
    });
    let client = builder([node.url()]).timeout(LONG).connect_mode(ConnectMode::Lazy);
    let client = client.build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let mut tries = 0;
        while timeout(SHORT / 2, connection.get::<_, String>("key")).await.is_err() {
            tries += 1;
            assert!(tries < 500, "nobody ever gets a connection");
        }
        assert_eq!(connection.get::<_, String>("key").await.unwrap(), "key");
    });
    assert_eq!(node.connections(), 1);
}

#[test]
fn who_waits_for_a_connection_is_not_held_up_by_one_who_was_dropped() {
    // The first one begins to connect, and is gone before it is done.
    let node = FakeNode::start_rude(|request| match request.is_greeting() {
        true => vec![Step::Wait(SHORT), Step::Send(b"+OK\r\n".to_vec())],
        false => vec![Step::Send(bulk(request.args.last().unwrap()))],
    });
    let client = builder([node.url()]).timeout(LONG).connect_mode(ConnectMode::Lazy);
    let client = client.build().unwrap();
    run(async {
        let (mut first, mut second) = (connect(&client).await, connect(&client).await);
        second = {
            drop(second);
            first.clone()
        };
        let first = timeout(SHORT / 2, first.get::<_, ()>("first"));
        let second = timeout(LONG / 2, second.get::<_, String>("second"));
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!(second.expect("it does not hang").unwrap(), "second");
    });
    assert_eq!(node.connections(), 1);
}

#[test]
fn a_reply_that_nobody_waits_for_answers_no_other_request() {
    let node = FakeNode::start(|request| {
        let answer = Step::Send(bulk(request.args.last().unwrap()));
        match request.line().contains("slow") {
            true => vec![Step::Wait(SHORT), answer],
            false => vec![answer],
        }
    });
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let client = builder([node.url()]).timeout(LONG).eject(policy).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let mut dropped = 0;
        for number in 0..20 {
            let slow = format!("slow:{number}");
            let get = timeout(SHORT / 4, connection.get::<_, Value>(&slow)).await;
            dropped += usize::from(get.is_err());
            let mut pipeline = redis::pipe();
            pipeline.get(&slow).get("other");
            let pipeline = timeout(SHORT / 4, pipeline.exec_async(&mut connection));
            dropped += usize::from(pipeline.await.is_err());
            let key = format!("key:{number}");
            assert_eq!(connection.get::<_, String>(&key).await.unwrap(), key);
        }
        // The machine may sleep through the time between.
        assert!(dropped > 20, "only {dropped} of 40 were dropped");
    });
    assert_eq!(node.connections(), 1, "one that was dropped does not break it");
    assert_eq!((in_flight(&client), failures(&client)), (0, 0));
}

/// Requests of all kinds that are dropped at random moments, under load.
#[test]
fn requests_dropped_at_any_moment_leave_nothing_behind() {
    const TASKS: u64 = 200;
    const ROUNDS: u64 = 40;
    let Some(servers) = RedisServer::start_many(3) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let client = builder(servers.iter().map(RedisServer::url))
        .hash_tag("{}".parse().unwrap())
        .timeout(LONG)
        .eject(policy)
        .build()
        .unwrap();
    run(async {
        let connection = connect(&client).await;
        // All that will be open at the end, and only that.
        let mut own = connection.clone();
        let () = redis::cmd("PING").exec_async(&mut own).await.unwrap();
        for node in ["n0", "n1", "n2"] {
            let _: Option<String> = own.get(key_of(&client, node)).await.unwrap();
        }
        let mut watchers: Vec<_> = servers.iter().map(direct).collect();
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let mut connection = connection.clone();
            tasks.spawn(async move {
                let mut dropped = 0;
                for round in 0..ROUNDS {
                    let limit = Duration::from_micros((task * 37 + round * 101) % 4000);
                    let keys = ["a", "b", "c"].map(|part| format!("{part}:{task}:{round}"));
                    dropped += usize::from(ask(&mut connection, &keys, round, limit).await);
                    // Whatever is asked next has its own reply.
                    let pairs: Vec<_> = keys.iter().map(|key| (key, key)).collect();
                    let () = connection.mset(&pairs).await.unwrap();
                    let values: Vec<String> = connection.mget(&keys).await.unwrap();
                    assert_eq!(values, keys);
                    let reply = connection.req_packed_command(&get(&keys[0])).await.unwrap();
                    assert_eq!(reply, bulk_value(&keys[0]));
                }
                dropped
            });
        }
        let dropped: usize = tasks.join_all().await.into_iter().sum();
        println!("{dropped} of {} were dropped", TASKS * ROUNDS);
        assert!(dropped > 500, "only {dropped} were dropped");
        assert_eq!((in_flight(&client), failures(&client)), (0, 0));
        assert!(are_live(&client));
        // One a node for all, and those that rest for requests that want one for themselves.
        for (watcher, node) in watchers.iter_mut().zip(client.metrics()) {
            eventually("the rest is closed", || clients_of(watcher) as u64 == node.connections)
                .await;
            assert!(node.connections <= 1 + 16, "{node:?}");
        }
        drop((connection, own));
        for watcher in &mut watchers {
            eventually("all are closed", || clients_of(watcher) == 0).await;
        }
        assert!(client.metrics().iter().all(|node| node.connections == 0));
    });
}

/// Makes a request and drops it after `limit`; whether it was not over by then.
async fn ask(
    connection: &mut shardwright::ShardedMultiplexedConnection,
    keys: &[String; 3],
    kind: u64,
    limit: Duration,
) -> bool {
    let request = async {
        match kind % 8 {
            0 => connection.get::<_, Value>(&keys[0]).await,
            1 => connection.mget(keys).await,
            2 => redis::pipe().get(&keys[0]).get(&keys[1]).query_async(connection).await,
            3 => redis::pipe().cmd("SCAN").arg(0).get(&keys[1]).query_async(connection).await,
            4 => redis::pipe().atomic().set(&keys[0], "?").query_async(connection).await,
            5 => connection.blpop(format!("list:{}", keys[0]), 0.001).await,
            6 => watch_and_write(connection, &keys[0]).await,
            _ => redis::cmd("DBSIZE").query_async(connection).await,
        }
    };
    match timeout(limit, request).await {
        Ok(reply) => {
            reply.unwrap();
            false
        }
        Err(_) => true,
    }
}

async fn watch_and_write(
    connection: &mut shardwright::ShardedMultiplexedConnection,
    key: &str,
) -> RedisResult<Value> {
    // What is watched is that of one clone.
    let mut own = connection.clone();
    let () = redis::cmd("WATCH").arg(key).query_async(&mut own).await?;
    let _: Value = own.get(key).await?;
    redis::pipe().atomic().set(key, "!").query_async(&mut own).await
}

#[test]
fn a_blocking_command_that_is_dropped_closes_its_connection() {
    let Some(server) = RedisServer::start() else { return };
    let client = builder([server.url()]).timeout(LONG).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let mut watcher = direct(&server);
        for _ in 0..20 {
            let waiting = timeout(SHORT, connection.blpop::<_, ()>("list", 0.0)).await;
            assert!(waiting.is_err());
        }
        eventually("they are closed", || clients_of(&mut watcher) == 1).await;
        // What is pushed now goes to nobody who is gone.
        let () = connection.rpush("list", "x").await.unwrap();
        assert_eq!(connection.lpop::<_, String>("list", None).await.unwrap(), "x");
    });
    assert_eq!((in_flight(&client), failures(&client)), (0, 0));
}

#[test]
fn a_watch_whose_transaction_is_dropped_is_not_the_next_ones() {
    let Some(server) = RedisServer::start() else { return };
    let client = builder([server.url()]).timeout(LONG).build().unwrap();
    let keys: Vec<_> = keys_of(&client, "n0").take(2).collect();
    run(async {
        let mut connection = connect(&client).await;
        let mut other = direct(&server);
        for round in 0..20 {
            let () = redis::cmd("WATCH").arg(&keys[0]).query_async(&mut connection).await.unwrap();
            let mut pipeline = redis::pipe();
            pipeline.atomic().set(&keys[1], round).ignore().get(&keys[1]);
            let limit = Duration::from_micros(20 * round);
            let dropped = timeout(limit, pipeline.exec_async(&mut connection)).await.is_err();
            // Now it changes. What follows does not watch it, unless nothing has begun.
            let () = redis::cmd("SET").arg(&keys[0]).arg(round).query(&mut other).unwrap();
            let reply: Option<(u64,)> = pipeline.query_async(&mut connection).await.unwrap();
            assert!(reply == Some((round,)) || dropped && round == 0, "{round}: {reply:?}");
        }
        assert_eq!((in_flight(&client), failures(&client)), (0, 0));
    });
}
