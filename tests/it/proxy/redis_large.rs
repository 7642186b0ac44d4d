//! Values that go from socket to socket: whose they are, and what becomes of them when a side fails or is slow.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use super::support::Redis;
use super::support::Sides;
use super::support::line;
use super::support::pool;
use crate::support::eventually;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::pause;

const OK: &str = "+OK\r\n";
const MIB: usize = 1 << 20;

/// A value that no other client, key or round has: each line of it says whose it is.
fn value(owner: usize, round: usize, size: usize) -> String {
    let line = format!("{owner} in {round} with {size}\n");
    let mut value = line.repeat(size / line.len() + 1);
    value.truncate(size);
    value
}

/// Whether the reply is a value of this owner's, whole.
fn is_of(owner: usize, reply: &str) -> bool {
    let first = reply.split_once("\r\n").and_then(|(_, text)| text.lines().next());
    let words: Vec<_> = first.unwrap_or_default().split(' ').collect();
    let [_, "in", round, "with", size] = words[..] else { return false };
    let [Ok(round), Ok(size)] = [round, size].map(str::parse) else { return false };
    reply == bulk(&value(owner, round, size))
}

/// One round of a client: false if its connection is of no use any more.
fn sets_and_gets(owner: usize, client: &mut Client, round: usize) -> bool {
    let size = [100, 40_000, 70_000, 300_000, 1_200_000][(owner + round) % 5];
    let keys = [0, 1].map(|number| format!("key{owner}-{number}"));
    let value = value(owner, round, size);
    let set = |key: &str| request_of(&[b"SET", key.as_bytes(), value.as_bytes()]);
    client.send([set(&keys[0]), set(&keys[1])].concat());
    client.send(
        [request(&format!("GET {}", keys[0])), request(&format!("GET {}", keys[1]))].concat(),
    );
    for place in 0..4 {
        let Ok(reply) = client.try_reply() else { return false };
        let is_right =
            if place < 2 { reply == OK } else { is_of(owner, &reply) || reply == "$-1\r\n" };
        let start = &reply[..reply.len().min(100)];
        assert!(is_right || reply.starts_with("-ERR "), "{owner} in {round}: {start:?}");
    }
    true
}

#[test]
fn large_values_are_right_while_nodes_are_killed_and_stopped() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let (Some(redis), Some(local)) = (Redis::start(2), RedisServer::start()) else { return };
    let lines = [
        line(0, redis.ports()[0]),
        line(1, redis.ports()[1]),
        format!("{}:1 node2", local.socket().display()),
    ];
    let proxy = Proxy::start(Program::Ours, &[pool(&["redis: true", "timeout: 2000"], &lines)]);
    let (is_over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|owner| {
            let (is_over, rounds) = (Arc::clone(&is_over), Arc::clone(&rounds));
            let port = proxy.port();
            thread::spawn(move || {
                let mut client = Client::connect(port);
                for round in 0.. {
                    if is_over.load(SeqCst) {
                        return;
                    }
                    if !sets_and_gets(owner, &mut client, round) {
                        client = Client::connect(port);
                    }
                    rounds.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    let go_on = || {
        let before = rounds.load(SeqCst);
        eventually("clients go on", || {
            assert!(clients.iter().all(|client| !client.is_finished()), "one saw a wrong value");
            rounds.load(SeqCst) > before + 12
        });
    };
    go_on();
    for _ in 0..3 {
        redis.kill(0);
        go_on();
        redis.restart(0);
        redis.stop(1);
        pause(Duration::from_millis(200));
        redis.resume(1);
        go_on();
    }
    is_over.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().expect("no value was wrong"));
    let mut client = proxy.client();
    eventually("all is as before", || sets_and_gets(9, &mut client, 4));
}

#[test]
fn a_client_that_reads_late_gets_all_and_keeps_nobody_waiting() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut other = proxy.client();
        // All of it together is what the proxy keeps for a client.
        let large = value(1, 1, MIB);
        assert_eq!(other.ask_with(&[b"SET", b"large", large.as_bytes()]), OK);
        let mut late = proxy.client();
        late.send(request("GET large").repeat(6));
        for _ in 0..20 {
            assert_eq!(other.ask("ECHO there"), "$5\r\nthere\r\n");
            assert_eq!(other.ask("GET none"), "$-1\r\n");
        }
        for _ in 0..6 {
            assert!(late.reply() == bulk(&large));
        }
    });
}

#[test]
fn who_sends_slowly_or_leaves_in_the_midst_keeps_nobody_waiting() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let descriptors =
            || std::fs::read_dir(format!("/proc/{}/fd", proxy.process().id())).unwrap().count();
        let mut other = proxy.client();
        let large = value(2, 2, MIB);
        assert_eq!(other.ask("GET slow"), "$-1\r\n");
        let set = |key: &str| request_of(&[b"SET", key.as_bytes(), large.as_bytes()]);
        // More than there are pipes.
        let mut slow: Vec<_> = (0..20).map(|_| proxy.client()).collect();
        let before = descriptors();
        for (number, client) in slow.iter_mut().enumerate() {
            client.send(&set(&format!("slow{number}"))[..700_000]);
        }
        for number in 0..20 {
            assert_eq!(other.ask(&format!("GET slow{number}")), "$-1\r\n");
        }
        assert_eq!(other.ask_with(&[b"SET", b"whole", large.as_bytes()]), OK);
        // Half of them come to the end, in pieces; the others leave.
        for (number, mut client) in slow.into_iter().enumerate() {
            if number % 2 == 0 {
                let set = set(&format!("slow{number}"));
                for piece in set[700_000..].chunks(99_999) {
                    client.send(piece);
                    pause(Duration::from_millis(1));
                }
                assert_eq!(client.reply(), OK);
                assert!(client.ask(&format!("GET slow{number}")) == bulk(&large));
            }
        }
        for number in 0..20 {
            let expected = if number % 2 == 0 { bulk(&large) } else { "$-1\r\n".to_owned() };
            assert!(other.ask(&format!("GET slow{number}")) == expected, "{number}");
        }
        // The pipes stay, to be used again.
        eventually("descriptors are given back", || descriptors() + 20 <= before + 2 * 8 * 4);
        assert!(other.ask("GET whole") == bulk(&large));
    });
}

/// What reads a socket otherwise than by reading stops in front of such a byte.
#[test]
fn urgent_data_in_a_large_request_is_passed_over() {
    let Some(redis) = Redis::start(1) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let large = value(3, 3, 300_000);
        let set = request_of(&[b"SET", b"key", large.as_bytes()]);
        for place in [1000, 60_000, set.len() - 2] {
            let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            let socket = stream.try_clone().unwrap();
            let mut client = Client::new(stream);
            client.send(&set[..place]);
            pause(Duration::from_millis(20));
            socket2::SockRef::from(&socket).send_out_of_band(b"!").unwrap();
            pause(Duration::from_millis(20));
            client.send(&set[place..]);
            assert_eq!(client.reply(), OK, "{place}");
            assert!(client.ask("GET key") == bulk(&large));
        }
    });
}
