//! Nothing is left open or running behind failures, reconnections, ejections and probes.

use std::fs;
use std::time::Duration;

use redis::Commands;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

use super::DeadPort;
use super::builder;
use super::key_of;
use crate::support::eventually;
use crate::support::own_process::alone;
use crate::support::redis_server::RedisServer;
use crate::support::within;

/// Short, because there are many.
const LIMIT: Duration = Duration::from_millis(20);

/// What this process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
struct Holdings {
    descriptors: usize,
    threads: usize,
}

fn holdings() -> Holdings {
    let count = |path| fs::read_dir(path).unwrap().count();
    Holdings { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task") }
}

/// How many threads of the library there are. One that has just begun has no name yet.
fn threads_of_ours() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // A thread may end while we look.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("shardwright")).count()
}

/// Makes a request of each kind, whatever becomes of it.
fn ask_all(client: &ShardedClient, connection: &mut ShardedConnection, keys: &[String; 2]) {
    let _ = connection.get::<_, ()>(&keys[0]);
    let _ = connection.get::<_, ()>(&keys[1]);
    let _ = connection.mget::<_, ()>(keys);
    let _ = redis::pipe().get(&keys[0]).get(&keys[1]).exec(connection);
    let _ = redis::pipe().atomic().get(&keys[0]).exec(connection);
    for key in keys {
        let get = redis::cmd("GET").arg(key).get_packed_command();
        let _ = connection.send_packed_command(&get);
    }
    // One of the two stays on its way.
    let _ = connection.recv_response();
    let _ = client.clone().get::<_, ()>(&keys[0]);
    let mut pubsub = connection.as_pubsub();
    let _ = pubsub.set_read_timeout(Some(LIMIT));
    let _ = pubsub.subscribe(keys);
}

#[test]
fn descriptors_and_threads_are_given_back() {
    alone("failures::leaks::descriptors_and_threads_are_given_back", || {
        let Some(mut servers) = RedisServer::start_many(2) else { return };
        let before = holdings();
        let policy = EjectPolicy::fail_fast().failure_limit(9).retry_timeout(LIMIT);
        let urls =
            servers.iter().map(RedisServer::url).map(|url| url.replace("127.0.0.1", "localhost"));
        let client = builder(urls).timeout(LIMIT).eject(policy).build().unwrap();
        // Both nodes live: later one of them owns no keys.
        let keys = ["n0", "n1"].map(|node| key_of(&client, node));
        let mut old = client.get_connection().unwrap();
        for round in 0..30 {
            match round % 3 {
                0 => servers[1].kill(),
                1 => servers[1].process().stop(),
                _ => {}
            }
            for _ in 0..4 {
                ask_all(&client, &mut old, &keys);
                if let Ok(mut new) = client.get_connection() {
                    ask_all(&client, &mut new, &keys);
                }
            }
            match round % 3 {
                0 => servers[1].restart(),
                1 => servers[1].process().resume(),
                _ => eventually("all are live", || {
                    client.node_states().iter().all(|(_, state)| *state == NodeState::Live)
                }),
            }
            // A socket a node, the probe and its socket, and names that are being resolved.
            let during = holdings();
            assert!(during.descriptors <= before.descriptors + 8, "{before:?} {during:?}");
            assert!(during.threads <= before.threads + 8, "{before:?} {during:?}");
        }
        let metrics = client.metrics();
        assert!(metrics[1].failures > 50 && metrics[1].ejections > 5, "{metrics:?}");
        assert!(holdings().descriptors > before.descriptors, "nothing was counted");
        drop((old, client));
        eventually("everything is given back", || holdings() == before);
    });
}

#[test]
fn a_thread_probes_only_while_a_node_is_out() {
    alone("failures::leaks::a_thread_probes_only_while_a_node_is_out", || {
        let Some(mut servers) = RedisServer::start_many(2) else { return };
        let before = holdings();
        let policy = EjectPolicy::successor().failure_limit(1).retry_timeout(LIMIT);
        let client = builder(servers.iter().map(RedisServer::url)).eject(policy).build().unwrap();
        let mut connection = client.get_connection().unwrap();
        let key = key_of(&client, "n1");
        for _ in 0..5 {
            assert_eq!(threads_of_ours(), 0);
            servers[1].kill();
            connection.get::<_, ()>(&key).unwrap_err();
            eventually("a thread probes", || threads_of_ours() == 1);
            let _: Option<()> = connection.get(&key).unwrap();
            servers[1].restart();
            eventually("the thread has ended", || threads_of_ours() == 0);
            assert_eq!(client.node_states()[1].1, NodeState::Live);
        }
        // Nobody waits for the probe any more, and it does not wait for its turn.
        servers[1].process().stop();
        connection.get::<_, ()>(&key).unwrap_err();
        drop((connection, client));
        within(Duration::from_secs(5), "the thread has ended", || holdings() == before);
    });
}

#[test]
fn a_thread_that_waits_long_to_probe_ends_with_the_client() {
    alone("failures::leaks::a_thread_that_waits_long_to_probe_ends_with_the_client", || {
        let hour = Duration::from_secs(3600);
        for _ in 0..3 {
            let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(hour);
            let ports = [DeadPort::reserve(), DeadPort::reserve()];
            let client = builder(ports.iter().map(DeadPort::url)).eject(policy).build().unwrap();
            for key in ["n0", "n1"].map(|node| key_of(&client, node)) {
                client.clone().get::<_, ()>(key).unwrap_err();
            }
            eventually("threads wait", || threads_of_ours() == 2);
            drop(client);
            within(Duration::from_secs(5), "the threads have ended", || threads_of_ours() == 0);
        }
    });
}

#[test]
fn a_thread_ends_when_its_node_leaves_the_topology() {
    alone("failures::leaks::a_thread_ends_when_its_node_leaves_the_topology", || {
        let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(LIMIT);
        let ports = [DeadPort::reserve(), DeadPort::reserve()];
        let client = builder(ports.iter().map(DeadPort::url)).eject(policy).build().unwrap();
        client.clone().get::<_, ()>(key_of(&client, "n1")).unwrap_err();
        eventually("a thread probes", || threads_of_ours() == 1);
        let _ = client.set_nodes(ports[0].url()).unwrap();
        within(Duration::from_secs(5), "the thread has ended", || threads_of_ours() == 0);
    });
}

#[cfg(any(feature = "tls-native-tls", feature = "tls-rustls"))]
#[test]
fn a_thread_that_dials_ends_although_the_node_hangs() {
    alone("failures::leaks::a_thread_that_dials_ends_although_the_node_hangs", || {
        let Some(server) = RedisServer::start() else { return };
        // Neither says a word: that is not even a server with TLS.
        server.process().stop();
        let before = holdings();
        let url = server.url().replace("redis://", "rediss://");
        let client = builder([url])
            .timeout(LIMIT)
            .connect_mode(shardwright::ConnectMode::Lazy)
            .build()
            .unwrap();
        for _ in 0..10 {
            client.clone().get::<_, ()>("key").unwrap_err();
        }
        assert!(client.metrics()[0].failures == 10);
        drop(client);
        within(Duration::from_secs(5), "the threads have ended", || holdings() == before);
    });
}
