//! What is bounded: clients, connections, and the memory of those who do not read.

use std::process::Command;
use std::time::Duration;

use super::support::Memcacheds;
use super::support::Redis;
use super::support::Sides;
use super::support::assert_fits;
use crate::support::eventually;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;
use crate::support::within;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

/// Row 69.
#[test]
fn one_client_too_many_is_told_so() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::start(&redis, &["client_connections: 3"]).each(|proxy| {
        eventually("we are alone", || proxy.pool_stat("client_connections") == 0);
        let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
        for client in &mut clients {
            assert_eq!(client.ask("PING"), PONG);
        }
        let mut fourth = proxy.client();
        if proxy.is_ours() {
            assert_eq!(fourth.rest(), "-ERR max number of clients reached\r\n");
            assert_eq!(clients[0].ask("SET k v"), OK);
            // When one has left another may come.
            clients.pop();
            eventually("it is noticed", || proxy.pool_stat("client_connections") == 2);
            assert_eq!(proxy.client().ask("PING"), PONG);
        } else {
            assert_eq!(fourth.ask("PING"), PONG);
        }
    });
}

/// Row 69.
#[test]
fn one_client_of_memcached_too_many_is_told_so() {
    let Some(memcacheds) = Memcacheds::start(1) else { return };
    Sides::ours(&memcacheds, &["client_connections: 1"]).each(|proxy| {
        eventually("we are alone", || proxy.pool_stat("client_connections") == 0);
        let mut client = proxy.client();
        assert_eq!(client.ask_memcached("get k"), "END\r\n");
        assert_fits(&proxy.client().rest(), "SERVER_ERROR max number of clients reached\r\n");
        assert_eq!(client.ask_memcached("get k"), "END\r\n");
    });
}

#[test]
fn a_limit_that_leaves_nothing_for_clients_is_told() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    for (limit, is_told) in [(64, true), (256, false)] {
        let proxy = Proxy::start_in(Program::Ours, &[redis.pool(&[])], |program| {
            let mut program = limited(limit, program);
            program.arg("--workers=3");
            program
        });
        let reply = proxy.client().ask("PING");
        let told = "-ERR max number of clients reached\r\n";
        assert_eq!(reply, if is_told { told } else { PONG });
        let text = "the limit of descriptors leaves none for clients";
        eventually("it is told once", || {
            proxy.process().log().matches(text).count() == usize::from(is_told)
        });
    }
}

/// A program that may have so many descriptors.
fn limited(descriptors: u32, program: Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")]);
    command.arg(program.get_program()).args(program.get_args());
    command
}

/// Row 69 and section 8.2: without descriptors there are no more clients, and those there are go on.
#[test]
fn without_descriptors_the_clients_there_are_go_on() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let pools = [redis.pool(&[])];
    let proxy = Proxy::start_in(Program::Ours, &pools, |program| limited(64, program));
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    let mut first = proxy.client();
    assert_eq!(first.ask(&format!("SET {a} v")), OK);
    let others: Vec<_> = (0..100).map(|_| proxy.client()).collect();
    for _ in 0..50 {
        // The second node was not connected to before.
        assert_eq!(first.ask(&format!("GET {a}")), "$1\r\nv\r\n");
        let reply = first.ask(&format!("GET {b}"));
        assert!(reply == "$-1\r\n" || reply.starts_with("-ERR "), "{reply}");
    }
    drop(others);
    eventually("it is as before", || {
        let mut client = proxy.client();
        client.send(request("PING"));
        client.try_reply().is_ok_and(|reply| reply == PONG)
    });
    eventually("so are the nodes", || first.ask(&format!("GET {b}")) == "$-1\r\n");
}

/// Row 79: thirty replies of ten megabytes that nobody reads.
#[test]
fn who_does_not_read_does_not_fill_the_memory() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask_with(&[b"SET", b"big", &vec![b'x'; 10_000_000]]), OK);
        assert_eq!(client.ask("SET small v"), OK);
        let before = proxy.memory();
        let mut lazy = proxy.client();
        lazy.send(request("GET big").repeat(30));
        let mut most = 0;
        for _ in 0..100 {
            most = most.max(proxy.memory());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(most < 64 << 10, "{most} KB, {before} before");
        // And when it does read, everything is there.
        for _ in 0..30 {
            let reply = lazy.reply();
            assert!(reply.starts_with("$10000000\r\nxxx") && reply.len() == 10_000_013);
        }
        // Who waits behind it does not wait for ever: it is closed then, after a second.
        lazy.send(request("GET big").repeat(30));
        for _ in 0..10 {
            assert_eq!(client.ask("GET small"), "$1\r\nv\r\n");
            most = most.max(proxy.memory());
        }
        assert!(most < 64 << 10, "{most} KB, {before} before");
        drop(lazy);
        within(Duration::from_secs(20), "the memory is given back", || {
            proxy.memory() < before + (8 << 10)
        });
    });
}

/// Row 79: requests that no node takes.
#[test]
fn a_node_that_does_not_read_does_not_fill_the_memory() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut other = proxy.client();
        assert_eq!(other.ask(&format!("SET {b} v")), OK);
        assert_eq!(other.ask(&format!("SET {a} v")), OK);
        let before = proxy.memory();
        redis.stop(0);
        let set = request_of(&[b"SET", a.as_bytes(), &vec![b'x'; 1_000_000]]);
        let port = proxy.port();
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let set = set.clone();
                std::thread::spawn(move || {
                    let mut client = Client::connect(port);
                    // It takes as long as the node stands still.
                    client.send(set.repeat(50));
                    (0..50).all(|_| client.reply() == OK)
                })
            })
            .collect();
        let mut most = 0;
        for _ in 0..100 {
            assert_eq!(other.ask(&format!("GET {b}")), "$1\r\nv\r\n");
            most = most.max(proxy.memory());
            std::thread::sleep(Duration::from_millis(5));
        }
        redis.resume(0);
        for writer in writers {
            assert!(writer.join().unwrap());
        }
        assert!(most < before + (64 << 10), "{most} KB, {before} before");
    });
}

/// Row 70 and 1.2: connections are made when they are needed.
#[test]
fn connections_to_nodes_are_made_when_they_are_needed() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::start(&redis, &[]).each(|proxy| {
        let connections =
            || [0, 1].map(|node| proxy.node_stat(&format!("node{node}"), "server_connections"));
        assert_eq!(connections(), [0, 0]);
        proxy.client().ask(&format!("GET {}", redis.key(1, "key")));
        eventually("there is one", || connections() == [0, 1]);
    });
    Sides::start(&redis, &["preconnect: true"]).each(|proxy| {
        let connections =
            || [0, 1].map(|node| proxy.node_stat(&format!("node{node}"), "server_connections"));
        eventually("there are two", || connections() == [1, 1]);
    });
}
