//! Clients that are closed have what they are owed, though they said something that nobody read any more.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use super::support::Redis;
use super::support::line;
use super::support::pool;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::stopwatch::pause;

/// More than the client's socket has room for, and less than the proxy's has: what is left of it the system has.
const LENGTH: usize = 1 << 20;

/// Longer than the proxy takes on loopback for anything here. What is asserted holds in any case.
const A_WHILE: Duration = Duration::from_millis(300);

/// A client that has asked for a large value, and reads nothing of it.
fn asker(redis: &Redis, port: u16) -> (Client, String) {
    let value = "v".repeat(LENGTH);
    let key = redis.key(0, "large");
    let mut client = Client::connect(port);
    assert_eq!(client.ask_with(&[b"SET", key.as_bytes(), value.as_bytes()]), "+OK\r\n");
    client.send(request(&format!("GET {key}")));
    (client, bulk(&value))
}

/// What is left is this, and then the connection is closed.
fn has(client: &mut Client, expected: &str) -> bool {
    let rest = client.rest();
    if rest != expected {
        let end: String = rest.chars().skip(LENGTH).take(100).collect();
        eprintln!("{} bytes instead of {}, at the end '{end}'", rest.len(), expected.len());
    }
    rest == expected
}

#[test]
fn who_speaks_while_the_proxy_drains_gets_the_reply_before() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let mut proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
    let mut clients: Vec<_> = (0..3).map(|_| asker(&redis, proxy.port())).collect();
    pause(A_WHILE);
    proxy.process().signal(Signal::TERM);
    pause(A_WHILE);
    for (client, _) in &mut clients {
        client.send(request("PING"));
    }
    pause(A_WHILE);
    for (client, reply) in &mut clients {
        assert!(has(client, reply));
        client.send(request("PING"));
    }
    eventually("it ends", || proxy.process_mut().has_ended());
}

#[test]
fn who_is_closed_by_a_reload_gets_the_reply_before() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let pools = [redis.pool(&[]), redis.pool(&[])];
    let proxy = Proxy::start(Program::Ours, &pools);
    let (mut client, reply) = asker(&redis, proxy.ports()[1]);
    pause(A_WHILE);
    proxy.rewrite(&pools[..1]);
    proxy.process().signal(Signal::USR1);
    pause(A_WHILE);
    client.send(request("PING"));
    pause(A_WHILE);
    assert!(has(&mut client, &reply));
}

#[test]
fn who_says_more_behind_its_last_word_gets_the_replies_and_the_reason() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
    let broken = "-ERR Protocol error: invalid multibulk length\r\n";
    for (last, answer) in [(&request("QUIT")[..], "+OK\r\n"), (b"*x\r\n", broken)] {
        let (mut client, reply) = asker(&redis, proxy.port());
        pause(A_WHILE);
        client.send(last);
        pause(A_WHILE);
        client.send(request("PING"));
        pause(A_WHILE);
        assert!(has(&mut client, &format!("{reply}{answer}")), "{}", last.escape_ascii());
    }
}

/// It was not read for more than a second by then, and yet has spoken.
#[test]
fn who_speaks_while_its_node_takes_its_time_is_not_cut_off() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let node = FakeNode::start(|request| {
        let reply = bulk(&request.key()).into_bytes();
        vec![Step::Wait(Duration::from_millis(1500)), Step::Send(reply)]
    });
    let lines = pool(&["redis: true", "timeout: 10000"], &[line(0, node.port())]);
    let mut proxy = Proxy::start(Program::Ours, &[lines]);
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(&request("GET slow")).unwrap();
    eventually("the node has it", || node.lines().len() == 1);
    proxy.process().signal(Signal::TERM);
    pause(A_WHILE);
    client.write_all(&request("PING")).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("it ends as it should");
    assert_eq!(rest, bulk("slow"));
    drop(client);
    eventually("it ends", || proxy.process_mut().has_ended());
}
