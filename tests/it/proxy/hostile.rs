//! One hostile node, or one hostile client, while another pool goes on.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::support::Memcacheds;
use super::support::Redis;
use super::support::line;
use super::support::pool;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";

/// Row 81 and issue: what a node may send that is no honest reply.
#[test]
fn a_hostile_node_harms_only_those_who_ask_it() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let nested = "*1\r\n".repeat(100_000);
    let scripts: Vec<(&str, Vec<Step>)> = vec![
        ("a flood of replies", vec![Step::Flood(b"+OK\r\n".repeat(1000))]),
        ("a flood without an end of line", vec![Step::Flood(vec![b'x'; 10_000])]),
        (
            "a simple string without an end",
            vec![Step::Send(b"+".to_vec()), Step::Flood(vec![b'x'; 10_000])],
        ),
        ("nested arrays", reply(nested)),
        ("a flood of nested arrays", vec![Step::Flood(b"*1\r\n".repeat(1000))]),
        ("a huge bulk string", reply("$99999999999999\r\nx")),
        ("a huge array", reply("*2147483647\r\n")),
        (
            "an endless array",
            vec![Step::Send(b"*2147483647\r\n".to_vec()), Step::Flood(b":1\r\n".repeat(1000))],
        ),
        ("a huge number", reply(":99999999999999999999999999\r\n")),
        ("a negative length", reply("$-7\r\n")),
        ("nothing", vec![Step::Hang]),
        ("half a reply", vec![Step::Send(b"$10\r\nabc".to_vec()), Step::Hang]),
        ("two replies", reply("+OK\r\n+OK\r\n")),
        ("zeros", reply([0; 1000])),
        ("a push", reply(">2\r\n+invalidate\r\n+k\r\n+OK\r\n")),
    ];
    for (what, steps) in scripts {
        let node = FakeNode::start(move |_| steps.clone());
        let hostile = pool(&["redis: true", "timeout: 300"], &[line(0, node.port())]);
        let proxy = Proxy::start(Program::Ours, &[hostile, redis.pool(&["timeout: 5000"])]);
        let mut good = Client::connect(proxy.ports()[1]);
        assert_eq!(good.ask("SET k v"), OK);
        let before = proxy.memory();
        let victims: Vec<_> = (0..3)
            .map(|number| {
                let mut client = proxy.client();
                let line = ["GET k", "MGET k l", "DEL k l"][number];
                std::thread::spawn(move || {
                    client.send(requests(&[line, "PING"]));
                    // An error, or something that is a reply; anyway an end.
                    let replies = [(); 2].map(|()| client.try_reply());
                    replies.map(|reply| reply.unwrap_or_default())
                })
            })
            .collect();
        for _ in 0..50 {
            assert_eq!(good.ask("GET k"), bulk("v"), "beside {what}");
        }
        for victim in victims {
            let replies = victim.join().unwrap();
            // What has no end is passed on until it is too long, and then only the end of the connection is left.
            let is_cut = what == "an endless array";
            assert!(!replies[0].is_empty() || is_cut, "{what}: no reply");
            assert!(
                replies[1] == "+PONG\r\n" || !replies[0].starts_with('-'),
                "{what}: {replies:?}"
            );
        }
        let grown = proxy.memory().saturating_sub(before);
        assert!(grown < 64 << 10, "{what}: {grown} KB");
        assert_eq!(good.ask("GET k"), bulk("v"), "after {what}");
    }
}

#[test]
fn a_hostile_memcached_harms_only_those_who_ask_it() {
    let Some(memcacheds) = Memcacheds::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let scripts: Vec<(&str, Vec<Step>)> = vec![
        ("a flood of values", vec![Step::Flood(b"VALUE k 0 1\r\nv\r\n".repeat(1000))]),
        ("a line without an end", vec![Step::Flood(vec![b'x'; 10_000])]),
        ("a huge value", reply("VALUE k 0 99999999999999\r\nv")),
        ("a negative length", reply("VALUE k 0 -1\r\nv\r\nEND\r\n")),
        ("another key", reply("VALUE other 0 1\r\nv\r\nEND\r\n")),
        ("a line that is not whole", reply("VALUE k\r\nEND\r\n")),
        ("a value of the wrong length", reply("VALUE k 0 1\r\nvalue\r\nEND\r\n")),
        ("two replies", reply("END\r\nEND\r\n")),
        ("nothing", vec![Step::Hang]),
        ("half a reply", vec![Step::Send(b"VALUE k 0 10\r\nabc".to_vec()), Step::Hang]),
    ];
    for (what, steps) in scripts {
        let node = FakeNode::start_memcached(move |_| steps.clone());
        let hostile = pool(&["redis: false", "timeout: 300"], &[line(0, node.port())]);
        let proxy = Proxy::start(Program::Ours, &[hostile, memcacheds.pool(&["timeout: 5000"])]);
        let mut good = Client::connect(proxy.ports()[1]);
        assert_eq!(good.ask_memcached("set k 0 0 1\r\nv"), "STORED\r\n");
        let value = "VALUE k 0 1\r\nv\r\nEND\r\n";
        let before = proxy.memory();
        let victims: Vec<_> = ["get k\r\n", "get k l\r\n", "gets l k\r\n"]
            .map(|line| {
                let mut client = proxy.client();
                std::thread::spawn(move || {
                    client.send(line);
                    client.try_memcached_reply().is_ok()
                })
            })
            .into_iter()
            .collect();
        for _ in 0..50 {
            assert_eq!(good.ask_memcached("get k"), value, "beside {what}");
        }
        let answered = victims.into_iter().map(|victim| victim.join().unwrap());
        // Of a flood of values the client may have got some before the end.
        let answered: Vec<_> = answered.collect();
        assert!(
            answered.iter().all(|answered| *answered)
                || what.contains("flood")
                || what.contains("half"),
            "{what}: {answered:?}"
        );
        let grown = proxy.memory().saturating_sub(before);
        assert!(grown < 64 << 10, "{what}: {grown} KB");
        assert_eq!(good.ask_memcached("get k"), value, "after {what}");
    }
}

/// Issue: what a client may send.
#[test]
fn a_hostile_client_harms_nobody_else() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let proxy = Proxy::start(Program::Ours, &[redis.pool(&[]), redis.pool(&[])]);
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    let mut good = Client::connect(proxy.ports()[1]);
    assert_eq!(good.ask(&format!("MSET {a} v {b} v")), OK);
    let before = proxy.memory();
    let junk: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let attacks: Vec<(&str, Vec<u8>)> = vec![
        ("a huge count", b"*1000000000\r\n".to_vec()),
        ("a huge length", b"*2\r\n$3\r\nGET\r\n$500000000\r\n".to_vec()),
        ("many huge lengths", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n".to_vec()),
        ("a line without an end", vec![b'a'; 1_000_000]),
        ("a head without an end", [b"*".as_slice(), &vec![b'1'; 1_000_000]].concat()),
        ("junk", junk),
        ("zeros", vec![0; 100_000]),
        (
            "a million arguments",
            [b"*1000000\r\n".as_slice(), &b"$1\r\nx\r\n".repeat(1_000_000)].concat(),
        ),
        ("empty requests", b"*0\r\n".repeat(200_000)),
        ("a request for HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("nothing", Vec::new()),
    ];
    let mut kept = Vec::new();
    for (what, bytes) in attacks {
        let port = proxy.port();
        let attacker = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            // It may be closed before everything is sent.
            let _ = stream.write_all(&bytes);
            stream
        });
        for _ in 0..20 {
            let reply = good.ask(&format!("MGET {a} {b}"));
            assert_eq!(reply, "*2\r\n$1\r\nv\r\n$1\r\nv\r\n", "beside {what}");
        }
        // Half-open from here on.
        kept.push(attacker.join().unwrap());
        assert_eq!(proxy.client().ask("PING"), "+PONG\r\n", "after {what}");
    }
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < 96 << 10, "{grown} KB");
    drop(kept);
    eventually("the memory is given back", || proxy.memory() < before + (8 << 10));
}

/// Many that come, say half a word and stay, or leave at once.
#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
    let mut good = proxy.client();
    let keys = [0, 1].map(|node| redis.key(node, "key"));
    let get = requests(&[&format!("MGET {}", keys.join(" "))]);
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", proxy.process().id())).unwrap().count();
    good.send(&get);
    assert_eq!(good.reply(), "*2\r\n$-1\r\n$-1\r\n");
    eventually("we are alone", || proxy.pool_stat("client_connections") == 1);
    let before = (descriptors(), proxy.memory());
    for round in 0..300 {
        let mut client = proxy.client();
        match round % 5 {
            0 => client.send(&get[..get.len() / 2]),
            1 => client.send(get.repeat(20)),
            2 => client.send(request("BLPOP list 0")),
            3 => client.send(request("SUBSCRIBE channel")),
            _ => (),
        }
    }
    good.send(&get);
    assert_eq!(good.reply(), "*2\r\n$-1\r\n$-1\r\n");
    eventually("all are gone", || {
        proxy.pool_stat("client_connections") == 1 && descriptors() <= before.0 + 2
    });
    assert!(proxy.memory() < before.1 + (8 << 10), "{} KB, {} before", proxy.memory(), before.1);
}

#[test]
fn a_memcached_that_answers_with_another_key_is_not_believed() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let node = FakeNode::start_memcached(|request| match request.key().as_str() {
        "wrong" => reply("VALUE wrong2 0 1\r\nv\r\nEND\r\n"),
        key => reply(format!("VALUE {key} 0 1\r\nv\r\nEND\r\n")),
    });
    let proxy = Proxy::start(Program::Ours, &[pool(&["redis: false"], &[line(0, node.port())])]);
    let mut client = proxy.client();
    let value = "VALUE right 0 1\r\nv\r\nEND\r\n";
    for command in ["get", "gets"] {
        assert_eq!(client.ask_memcached("get right"), value);
        let before = node.connections();
        let answer = client.ask_memcached(format!("{command} wrong"));
        assert_eq!(answer, "SERVER_ERROR Invalid argument\r\n");
        assert_eq!(client.ask_memcached("get right"), value);
        assert_eq!(node.connections(), before + 1, "the connection is not used any more");
    }
}
