//! What counts as a failure of a node, and how often.

use std::time::Duration;

use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::RedisResult;
use redis::Value;
use shardwright::ConnectMode;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::connect;
use super::failures;
use super::in_flight;
use super::timing::eventually;
use super::timing::in_time;
use super::timing::run;
use crate::failures::DEADLINE;
use crate::failures::DeadPort;
use crate::failures::builder;
use crate::failures::failure_kind;
use crate::failures::key_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::redis_server::RedisServer;

const TASKS: usize = 300;

fn state(client: &ShardedClient) -> NodeState {
    client.node_states()[0].1
}

/// Makes as many requests at the same time; all fail.
async fn fail_all(client: &ShardedClient, break_it: impl FnOnce()) -> Vec<ShardErrorKind> {
    let connection = connect(client).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let mut connection = connection.clone();
            tokio::spawn(async move { connection.get::<_, ()>("key").await })
        })
        .collect();
    eventually("all are under way", || in_flight(client) == TASKS as u64).await;
    break_it();
    join_all(tasks).await.into_iter().map(|result| failure_kind(result.unwrap())).collect()
}

#[test]
fn a_link_that_breaks_is_one_failure_however_many_requests_it_had() {
    let node = FakeNode::start(|_| vec![Step::Hang]);
    let policy = EjectPolicy::fail_fast().failure_limit(2);
    let client = builder([node.url()]).timeout(DEADLINE * 20).eject(policy).build().unwrap();
    run(async {
        let kinds = fail_all(&client, || node.hang_up()).await;
        assert_eq!(kinds, [ShardErrorKind::Node; TASKS]);
        // Each is counted, but they are not held against the node each.
        assert_eq!((failures(&client), state(&client)), (TASKS as u64, NodeState::Live));
        let kinds = fail_all(&client, || node.hang_up()).await;
        assert_eq!(kinds, [ShardErrorKind::Node; TASKS]);
        assert_eq!(state(&client), NodeState::Ejected);
    });
}

#[test]
fn a_link_whose_requests_run_out_of_time_is_one_failure() {
    let Some(server) = RedisServer::start() else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(2);
    let limit = DEADLINE * 4;
    let client = builder([server.url()]).timeout(limit).eject(policy).build().unwrap();
    run(async {
        let connection = connect(&client).await;
        server.process().stop();
        let tasks = (0..TASKS).map(|_| {
            let mut connection = connection.clone();
            async move { in_time(limit, connection.get::<_, ()>("key")).await }
        });
        let kinds: Vec<_> = join_all(tasks).await.into_iter().map(failure_kind).collect();
        assert_eq!(kinds, [ShardErrorKind::Deadline; TASKS]);
        assert_eq!((failures(&client), state(&client)), (TASKS as u64, NodeState::Live));
        let mut connection = connection.clone();
        assert_eq!(failure_kind(connection.get::<_, ()>("key").await), ShardErrorKind::Deadline);
        assert_eq!(state(&client), NodeState::Ejected);
        server.process().resume();
    });
}

#[test]
fn connecting_that_fails_is_one_failure_however_many_wait() {
    let mute = FakeNode::start_rude(|_| vec![Step::Hang]);
    let rude = FakeNode::start_rude(|_| vec![Step::Wait(DEADLINE / 3), Step::Close]);
    for node in [mute, rude] {
        let policy = EjectPolicy::fail_fast().failure_limit(2);
        let client = builder([node.url()]).connect_mode(ConnectMode::Lazy).eject(policy);
        let client = client.build().unwrap();
        run(async {
            let connection = connect(&client).await;
            for expected in [NodeState::Live, NodeState::Ejected] {
                let tasks = (0..TASKS).map(|_| {
                    let mut connection = connection.clone();
                    async move { in_time(DEADLINE, connection.get::<_, ()>("key")).await }
                });
                let results = join_all(tasks).await;
                assert!(results.iter().all(Result::is_err));
                assert_eq!(state(&client), expected);
            }
        });
        // One that probes may have come since.
        assert!((2..=3).contains(&node.connections()), "{}", node.connections());
    }
}

type Ask = for<'c> fn(
    &'c mut shardwright::ShardedMultiplexedConnection,
    &'c [String],
) -> redis::RedisFuture<'c, Value>;

#[test]
fn a_request_to_a_dead_node_counts_once_however_many_keys_it_has() {
    const ASKS: [Ask; 4] = [
        |connection, keys| Box::pin(async move { connection.get(&keys[0]).await }),
        |connection, keys| Box::pin(async move { connection.mget(keys).await }),
        |connection, keys| {
            let mut pipeline = redis::pipe();
            for key in keys {
                pipeline.set(key, "x");
            }
            Box::pin(async move { pipeline.query_async(connection).await })
        },
        |connection, _| Box::pin(async move { redis::cmd("DBSIZE").query_async(connection).await }),
    ];
    const LIMIT: u32 = 4;
    let Some(mut servers) = RedisServer::start_many(2) else { return };
    servers[0].kill();
    let policy = EjectPolicy::fail_fast().failure_limit(LIMIT);
    let builder = builder(servers.iter().map(RedisServer::url)).eject(policy);
    for ask in ASKS {
        let client = builder.clone().connect_mode(ConnectMode::Lazy).build().unwrap();
        let keys: Vec<_> = crate::failures::keys_of(&client, "n0")
            .take(50)
            .chain(crate::failures::keys_of(&client, "n1").take(50))
            .collect();
        run(async {
            let mut connection = connect(&client).await;
            for count in 0..LIMIT {
                assert_eq!(state(&client), NodeState::Live);
                let kind = failure_kind(ask(&mut connection, &keys).await);
                assert_eq!(kind, ShardErrorKind::Node);
                assert_eq!(failures(&client), u64::from(count) + 1);
            }
            assert_eq!(state(&client), NodeState::Ejected);
        });
    }
}

#[test]
fn a_port_without_a_listener_is_refused_at_once() {
    let port = DeadPort::reserve();
    let client = builder([port.url()]).connect_mode(ConnectMode::Lazy).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let result: RedisResult<()> = in_time(DEADLINE / 3, connection.get("key")).await;
        assert!(result.as_ref().unwrap_err().is_connection_refusal());
        let error = crate::failures::failure(result);
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n0")));
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
    });
}

#[test]
fn the_waiting_of_a_blocking_command_never_counts() {
    let Some(server) = RedisServer::start() else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(DEADLINE / 3);
    let client = builder([server.url()]).eject(policy).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        let own = Duration::from_millis(300);
        let mut waiting = connection.clone();
        let blpop = tokio::spawn(async move {
            let blpop = waiting.blpop::<_, ()>("list", own.as_secs_f64());
            in_time(DEADLINE + own, blpop).await
        });
        let mut direct = super::direct(&server);
        eventually("it waits", || {
            let info: String = redis::cmd("INFO").arg("clients").query(&mut direct).unwrap();
            info.contains("blocked_clients:1")
        })
        .await;
        server.process().stop();
        assert_eq!(failure_kind(blpop.await.unwrap()), ShardErrorKind::Deadline);
        assert_eq!(state(&client), NodeState::Live, "it may have waited");
        // What does not wait does count.
        assert_eq!(failure_kind(connection.get::<_, ()>("key").await), ShardErrorKind::Deadline);
        assert_eq!(state(&client), NodeState::Ejected);
        server.process().resume();
        eventually("it is back", || state(&client) == NodeState::Live).await;
        assert_eq!(connection.get::<_, Option<String>>("key").await, Ok(None));
    });
}

#[test]
fn an_error_reply_is_no_failure_but_a_sign_of_life() {
    let Some(server) = RedisServer::start() else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let client = builder([server.url()]).eject(policy).build().unwrap();
    let key = key_of(&client, "n0");
    run(async {
        let mut connection = connect(&client).await;
        let () = connection.set(&key, "x").await.unwrap();
        for _ in 0..3 {
            let error = connection.lpush::<_, _, ()>(&key, 1).await.unwrap_err();
            assert_eq!(error.code(), Some("WRONGTYPE"));
            let error = redis::pipe().lpush(&key, 1).exec_async(&mut connection).await;
            assert!(error.unwrap_err().to_string().contains("WRONGTYPE"));
        }
    });
    assert_eq!((failures(&client), state(&client)), (0, NodeState::Live));
}
