//! Nothing is left open or running behind failures, reconnections, ejections and probes.

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use redis::AsyncCommands;
use shardwright::AsyncConnectionConfig;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardedMultiplexedConnection;
use tokio::runtime::Handle;

use super::clients_of;
use super::connect;
use super::direct;
use super::in_flight;
use super::timing::eventually;
use super::timing::in_time;
use super::timing::run;
use super::timing::runtime;
use crate::failures::builder;
use crate::failures::key_of;
use crate::support::own_process::alone;
use crate::support::redis_server::RedisServer;

/// Short, because there are many.
const LIMIT: Duration = Duration::from_millis(20);
const ROUNDS: usize = 30;
const TASKS: usize = 20;

/// What this process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    tasks: usize,
}

fn holdings() -> Holdings {
    let count = |path| fs::read_dir(path).unwrap().count();
    Holdings {
        descriptors: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
        tasks: Handle::current().metrics().num_alive_tasks(),
    }
}

/// Makes a request of each kind, whatever becomes of it; some are dropped.
async fn ask_all(mut connection: ShardedMultiplexedConnection, keys: &[String; 2], number: usize) {
    let _ = connection.get::<_, ()>(&keys[0]).await;
    let _ = connection.get::<_, ()>(&keys[1]).await;
    let _ = connection.mget::<_, ()>(keys).await;
    let _ = redis::pipe().get(&keys[0]).get(&keys[1]).exec_async(&mut connection).await;
    let _ = redis::pipe().atomic().get(&keys[1]).exec_async(&mut connection).await;
    let _ = redis::pipe().cmd("SCAN").arg(0).get(&keys[1]).exec_async(&mut connection).await;
    let _ = redis::cmd("WATCH").arg(&keys[1]).exec_async(&mut connection).await;
    if number.is_multiple_of(2) {
        let _ = redis::pipe().atomic().get(&keys[1]).exec_async(&mut connection).await;
    }
    let _ = connection.blpop::<_, ()>("list", 0.001).await;
    let dropped = connection.mget::<_, ()>(keys);
    let _ = tokio::time::timeout(LIMIT / 4, dropped).await;
}

#[test]
fn descriptors_threads_tasks_and_connections_are_given_back() {
    alone("aio_failures::leaks::descriptors_threads_tasks_and_connections_are_given_back", || {
        let Some(mut servers) = RedisServer::start_many(2) else { return };
        run(async {
            // A thread that resolves names stays for a while.
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            let before = holdings();
            let mut watcher = direct(&servers[0]);
            let policy = EjectPolicy::fail_fast().failure_limit(9).retry_timeout(LIMIT);
            let client = builder(servers.iter().map(RedisServer::url)).timeout(LIMIT).eject(policy);
            let client = client.build().unwrap();
            // Both nodes live: later one of them owns no keys.
            let keys = ["n0", "n1"].map(|node| key_of(&client, node));
            let config = AsyncConnectionConfig::new().set_connections_per_node(2);
            let old = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
            let mut most = before;
            for round in 0..ROUNDS {
                match round % 3 {
                    0 => servers[1].kill(),
                    1 => servers[1].process().stop(),
                    _ => {}
                }
                for _ in 0..2 {
                    let tasks = (0..TASKS).map(|number| ask_all(old.clone(), &keys, number));
                    join_all(tasks).await;
                    if let Ok(new) = client.get_multiplexed_async_connection().await {
                        ask_all(new, &keys, round).await;
                    }
                }
                match round % 3 {
                    0 => servers[1].restart(),
                    1 => servers[1].process().resume(),
                    _ => {
                        eventually("all are live", || {
                            client.node_states().iter().all(|(_, state)| *state == NodeState::Live)
                        })
                        .await
                    }
                }
                let during = holdings();
                most.descriptors = most.descriptors.max(during.descriptors);
                most.tasks = most.tasks.max(during.tasks);
                // Two lanes a node and what rests; the probe.
                let links = 2 * (2 + 16) + 2;
                assert!(during.descriptors <= before.descriptors + links + 4, "{during:?}");
                assert!(during.tasks <= before.tasks + links, "{before:?} {during:?}");
                assert_eq!(in_flight(&client), 0);
            }
            println!("{before:?}, at most {most:?}");
            let metrics = client.metrics();
            println!("{metrics:?}");
            assert!(metrics[1].failures > 50 && metrics[1].ejections > 5, "{metrics:?}");
            assert!(holdings().tasks > before.tasks, "nothing was counted");
            // All of it works without a restart.
            let mut connection = old.clone();
            eventually("all are live", || {
                client.node_states().iter().all(|(_, state)| *state == NodeState::Live)
            })
            .await;
            connection.set_response_timeout(Duration::from_secs(5));
            let _ = connection.mget::<_, Vec<Option<String>>>(&keys).await;
            let values: Vec<Option<String>> = connection.mget(&keys).await.unwrap();
            assert_eq!(values, [None, None]);
            drop((old, connection));
            eventually("all connections are closed", || clients_of(&mut watcher) == 0).await;
            assert!(client.metrics().iter().all(|node| node.connections == 0));
            drop((client, watcher));
            let given_back = || {
                let now = holdings();
                // tokio ends a blocking thread that rests when it likes to.
                now.descriptors == before.descriptors
                    && now.tasks == before.tasks
                    && now.threads <= before.threads
            };
            eventually("everything is given back", given_back).await;
        });
    });
}

#[test]
fn a_connection_outlives_the_runtime_that_it_was_opened_on() {
    for protocol in ["", "?protocol=resp3"] {
        let Some(servers) = RedisServer::start_many(2) else { return };
        let urls = servers.iter().map(|server| server.url() + protocol);
        // Nobody waits for what nobody reads.
        let client = builder(urls).timeout(Duration::from_secs(20)).build().unwrap();
        let keys = ["n0", "n1"].map(|node| key_of(&client, node));
        let first = runtime();
        let mut connection = first.block_on(connect(&client));
        let () = first.block_on(connection.mset(&[(&keys[0], "0"), (&keys[1], "1")])).unwrap();
        drop(first);
        run(in_time(Duration::from_secs(1), async {
            // redis-rs says of its connection that it is lost when the first request is made.
            let _ = connection.mget::<_, Vec<String>>(&keys).await;
            let values: Vec<String> = connection.mget(&keys).await.unwrap();
            assert_eq!(values, ["0", "1"]);
        }));
        assert_eq!(in_flight(&client), 0);
    }
}
