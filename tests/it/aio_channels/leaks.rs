//! Nothing is left open or running behind subscriptions and monitors, however they end.

use std::fs;
use std::time::Duration;

use futures_util::StreamExt;
use redis::Commands;
use redis::RedisResult;
use shardwright::ShardedClient;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::client::pool::Pool;
use crate::client::pool::clients;
use crate::client::pool::direct;
use crate::support::eventually;
use crate::support::own_process::alone;
use crate::support::redis_server::RedisServer;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn connections(servers: &[RedisServer]) -> usize {
    // Without the one that asks.
    servers.iter().map(|server| clients(&mut direct(server)) - 1).sum()
}

fn tasks(runtime: &Runtime) -> usize {
    runtime.metrics().num_alive_tasks()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Listens to much, and ends in one of several ways.
async fn listen(client: ShardedClient, round: usize) -> RedisResult<()> {
    let mut pubsub = client.get_async_pubsub().await?;
    pubsub.psubscribe("*").await?;
    pubsub.subscribe(&["a", "b", "c", "d", "e"]).await?;
    let mut monitor = client.get_async_monitor().await?;
    match round % 4 {
        0 => drop(pubsub),
        1 => {
            let (mut sink, stream) = pubsub.split();
            drop(stream);
            sink.subscribe("f").await.unwrap_err();
            // A monitor goes on without anybody who takes its lines.
        }
        2 => {
            let (sink, mut stream) = pubsub.split();
            drop(sink);
            stream.next().await;
        }
        _ => {
            monitor.on_message::<String>().next().await;
            pubsub.unsubscribe(&[] as &[&str]).await?;
            pubsub.punsubscribe("*").await?;
        }
    }
    Ok(())
}

#[test]
fn all_connections_and_tasks_end() {
    alone("aio_channels::leaks::all_connections_and_tasks_end", || {
        let Some(pool) = Pool::start(3) else { return };
        let runtime = runtime();
        // What the runtime opens for itself.
        runtime
            .block_on(async {
                timeout(Duration::from_millis(1), std::future::pending::<()>()).await
            })
            .unwrap_err();
        let before = (descriptors(), connections(&pool.servers));
        let mut publisher = pool.connection();
        for round in 0..20 {
            let client = pool.client.clone();
            let listening = runtime.spawn(listen(client, round));
            // Messages for those who wait for one.
            eventually("it ends", || {
                let () = publisher.publish("a", "x").unwrap();
                listening.is_finished()
            });
            runtime.block_on(listening).unwrap().unwrap();
        }
        drop(publisher);
        eventually("everything is closed", || {
            tasks(&runtime) == 0 && (descriptors(), connections(&pool.servers)) == before
        });
        // Counting counts.
        let pubsub = runtime.block_on(async {
            let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
            pubsub.psubscribe("*").await.unwrap();
            pubsub
        });
        // The driver, and for each node a station and redis-rs's own task.
        assert_eq!(tasks(&runtime), 7);
        assert_eq!((descriptors(), connections(&pool.servers)), (before.0 + 3, before.1 + 3));
        // Dropped where there is no runtime.
        drop(pubsub);
        eventually("everything is closed", || {
            tasks(&runtime) == 0 && (descriptors(), connections(&pool.servers)) == before
        });
    });
}

#[test]
fn what_is_dropped_in_the_middle_leaves_nothing() {
    alone("aio_channels::leaks::what_is_dropped_in_the_middle_leaves_nothing", || {
        let Some(mut pool) = Pool::start(3) else { return };
        let runtime = runtime();
        let before = descriptors();
        for round in 0..24 {
            match round % 3 {
                0 => pool.servers[1].kill(),
                1 => pool.servers[1].process().stop(),
                _ => {}
            }
            // At some moment between connecting, confirming and listening.
            let moment = Duration::from_micros(1 << (round % 12 + 6));
            let listening = listen(pool.client.clone(), round);
            let given_up = runtime.spawn(async move { timeout(moment, listening).await });
            let _ = runtime.block_on(given_up).unwrap();
            match round % 3 {
                0 => pool.servers[1].restart(),
                1 => pool.servers[1].process().resume(),
                _ => {}
            }
        }
        eventually("everything is closed", || {
            tasks(&runtime) == 0 && descriptors() == before && connections(&pool.servers) == 0
        });
    });
}

#[test]
fn while_nothing_happens_nearly_nothing_is_done() {
    alone("aio_channels::leaks::while_nothing_happens_nearly_nothing_is_done", || {
        let Some(mut pool) = Pool::start(2) else { return };
        let runtime = runtime();
        let channels = pool.keys();
        let idle = Duration::from_secs(1);
        let (pubsub, monitor) = runtime.block_on(async {
            let mut pubsub = pool.client.get_async_pubsub().await.unwrap();
            pubsub.subscribe(&channels).await.unwrap();
            (pubsub, pool.client.get_async_monitor().await.unwrap())
        });
        // Also while a node is out that refuses connections at once.
        pool.servers[1].kill();
        let polls = || -> u64 {
            let metrics = runtime.metrics();
            (0..metrics.num_workers()).map(|worker| metrics.worker_park_count(worker)).sum()
        };
        let before = polls();
        std::thread::sleep(idle);
        let wakes = polls() - before;
        // Ten glances each, some attempts to connect; a busy loop would make many thousands.
        assert!(wakes < 400, "{wakes}");
        drop((pubsub, monitor));
    });
}
