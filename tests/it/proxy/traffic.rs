//! Nodes that are killed, stopped, slow and started again, while several clients go on: every request is
//! answered in time, and no reply is another one's.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use super::support::Memcacheds;
use super::support::Redis;
use super::support::key_on;
use crate::support::eventually;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::requests;
use crate::support::stopwatch::pause;
use crate::support::stopwatch::timed;

const TIMEOUT: Duration = Duration::from_millis(400);
/// A request of two fragments may wait for a connection first; and then there is the machine.
const SLACK: Duration = Duration::from_millis(1500);

/// Clients that ask all the time.
struct Traffic {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(
        clients: usize,
        work: impl Fn(usize, &mut Client, usize) -> bool + Send + Sync + 'static,
        port: u16,
    ) -> Self {
        let work = Arc::new(work);
        let is_over = Arc::new(AtomicBool::new(false));
        let (answered, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let thread = |number| {
            let (work, is_over) = (Arc::clone(&work), Arc::clone(&is_over));
            let (answered, failed) = (Arc::clone(&answered), Arc::clone(&failed));
            thread::spawn(move || {
                let mut client = Client::connect(port);
                for round in 0.. {
                    if is_over.load(SeqCst) {
                        return;
                    }
                    let count = if work(number, &mut client, round) { &answered } else { &failed };
                    count.fetch_add(1, SeqCst);
                }
            })
        };
        let threads = (0..clients).map(thread).collect();
        Self { is_over, answered, failed, threads }
    }

    fn answered(&self) -> usize {
        self.answered.load(SeqCst)
    }

    /// Waits until so many more rounds went well.
    fn goes_on(&self, what: &str) {
        let before = self.answered();
        eventually(what, || {
            assert!(self.threads.iter().all(|thread| !thread.is_finished()), "a client failed");
            self.answered() > before + 50
        });
    }

    fn end(self) -> (usize, usize) {
        self.is_over.store(true, SeqCst);
        for thread in self.threads {
            thread.join().expect("the client saw nothing wrong");
        }
        (self.answered.load(SeqCst), self.failed.load(SeqCst))
    }
}

/// What a client of redis does again and again. False if there was an error.
fn ask_redis(number: usize, client: &mut Client, round: usize) -> bool {
    let keys = [0, 1, 2].map(|node| key_on(3, node, &format!("client{number}-{}-", round % 7)));
    let lines = [
        format!("SET {} {}", keys[round % 3], keys[round % 3]),
        format!("GET {}", keys[(round + 1) % 3]),
        format!("MGET {}", keys.join(" ")),
        "PING".to_owned(),
        format!("EXISTS {}", keys[round % 3]),
        format!("ECHO {number}-{round}"),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let (replies, took) = timed(|| {
        client.send(requests(&lines));
        lines.iter().map(|_| client.reply()).collect::<Vec<_>>()
    });
    // The later ones wait for those before, of which each has its own time.
    let late = took.excess(4 * TIMEOUT);
    assert!(late < SLACK, "{late:?} too late: {took:?}");
    let is_error = |reply: &String| reply.starts_with("-ERR ");
    let value = |key: &str| [bulk(key), "$-1\r\n".to_owned()];
    assert!(replies[0] == "+OK\r\n" || is_error(&replies[0]), "{replies:?}");
    assert!(
        value(&keys[(round + 1) % 3]).contains(&replies[1]) || is_error(&replies[1]),
        "{replies:?}"
    );
    let mget = replies[2].strip_prefix("*3\r\n");
    let mut rest = mget.unwrap_or_default();
    if mget.is_some() {
        for key in &keys {
            let found = value(key).into_iter().find_map(|value| rest.strip_prefix(value.as_str()));
            rest = found.unwrap_or_else(|| panic!("{replies:?}"));
        }
    }
    assert!(rest.is_empty() && (mget.is_some() || is_error(&replies[2])), "{replies:?}");
    assert_eq!(replies[3], "+PONG\r\n");
    assert!(
        [":0\r\n", ":1\r\n"].contains(&replies[4].as_str()) || is_error(&replies[4]),
        "{replies:?}"
    );
    assert_eq!(replies[5], bulk(&format!("{number}-{round}")));
    !replies.iter().any(is_error)
}

/// Failures through which `cycle` takes a node while traffic goes on.
fn through_failures(settings: &[&str], cycle: impl Fn(&Redis, usize)) {
    through_failures_with(settings, &[], cycle);
}

/// The same of a proxy with further arguments.
fn through_failures_with(settings: &[&str], arguments: &[&str], cycle: impl Fn(&Redis, usize)) {
    let Some(redis) = Redis::start(3) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let timeout = format!("timeout: {}", TIMEOUT.as_millis());
    let pool = redis.pool(&[&[timeout.as_str()], settings].concat());
    let proxy = Proxy::start_with(Program::Ours, &[pool], arguments);
    let traffic = Traffic::start(6, ask_redis, proxy.port());
    traffic.goes_on("it begins");
    for round in 0..4 {
        cycle(&redis, round % 3);
        traffic.goes_on("it goes on when the node is back");
    }
    let (answered, failed) = traffic.end();
    assert!(answered > 200, "{answered} rounds went well, {failed} not");
    // All is well again, on a new connection too.
    let mut client = proxy.client();
    for node in 0..3 {
        let key = redis.key(node, "key");
        eventually("every node answers", || client.ask(&format!("SET {key} v")) == "+OK\r\n");
    }
}

#[test]
fn killed_nodes_under_traffic() {
    through_failures(&[], |redis, node| {
        redis.kill(node);
        pause(Duration::from_millis(200));
        redis.restart(node);
    });
}

#[test]
fn killed_and_stopped_nodes_under_traffic_without_io_uring() {
    through_failures_with(&[], &["--io-uring=off"], |redis, node| {
        redis.kill(node);
        pause(Duration::from_millis(200));
        redis.restart(node);
        redis.stop(node);
        pause(TIMEOUT + Duration::from_millis(300));
        redis.resume(node);
    });
}

#[test]
fn stopped_nodes_under_traffic() {
    through_failures(&[], |redis, node| {
        redis.stop(node);
        pause(TIMEOUT + Duration::from_millis(300));
        redis.resume(node);
    });
}

#[test]
fn slow_nodes_under_traffic() {
    through_failures(&[], |redis, node| {
        let mut direct = redis.direct(node);
        // Longer than the timeout: what was asked is answered when nobody waits for it any more.
        let sleep = TIMEOUT.as_secs_f32() * 1.5;
        assert_eq!(direct.ask(&format!("DEBUG SLEEP {sleep}")), "+OK\r\n");
    });
}

#[test]
fn killed_nodes_that_are_ejected_under_traffic() {
    let settings =
        ["auto_eject_hosts: true", "server_failure_limit: 2", "server_retry_timeout: 300"];
    through_failures(&settings, |redis, node| {
        redis.kill(node);
        pause(Duration::from_millis(600));
        redis.restart(node);
    });
}

#[test]
fn stopped_nodes_with_several_connections_under_traffic() {
    through_failures(&["server_connections: 3"], |redis, node| {
        redis.stop(node);
        pause(TIMEOUT + Duration::from_millis(300));
        redis.resume(node);
    });
}

#[test]
fn memcacheds_killed_and_stopped_under_traffic() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let timeout = format!("timeout: {}", TIMEOUT.as_millis());
    let proxy = Proxy::start(Program::Ours, &[memcacheds.pool(&[&timeout])]);
    let work = |number: usize, client: &mut Client, round: usize| {
        let keys = [0, 1, 2].map(|node| key_on(3, node, &format!("client{number}-{}-", round % 7)));
        let key = &keys[round % 3];
        client.send(format!(
            "set {key} 0 0 {}\r\n{key}\r\nget {}\r\nget {}\r\nset {key} 0 0 {} noreply\r\n{key}\r\nget {key}\r\n",
            key.len(),
            keys[(round + 1) % 3],
            keys.join(" "),
            key.len(),
        ));
        let (replies, took) = timed(|| [(); 4].map(|()| client.memcached_reply()));
        let late = took.excess(4 * TIMEOUT);
        assert!(late < SLACK, "{late:?} too late: {took:?}");
        assert!(
            replies[0] == "STORED\r\n" || replies[0].starts_with("SERVER_ERROR "),
            "{replies:?}"
        );
        for reply in &replies[1..] {
            let mut lines = reply.split("\r\n");
            while let Some(line) = lines.next() {
                if let Some(head) = line.strip_prefix("VALUE ") {
                    let key = head.split(' ').next();
                    assert_eq!(lines.next(), key, "{replies:?}");
                    assert!(keys.iter().any(|mine| Some(mine.as_str()) == key), "{replies:?}");
                }
            }
        }
        !replies.iter().any(|reply| reply.starts_with("SERVER_ERROR "))
    };
    let traffic = Traffic::start(6, work, proxy.port());
    traffic.goes_on("it begins");
    for node in 0..3 {
        memcacheds.kill(node);
        pause(Duration::from_millis(200));
        memcacheds.restart(node);
        traffic.goes_on("it goes on after the kill");
        memcacheds.stop(node);
        pause(TIMEOUT + Duration::from_millis(300));
        memcacheds.resume(node);
        traffic.goes_on("it goes on after the stop");
    }
    traffic.end();
}

/// Issue: a timeout answers that request, and what is behind it is not failed for its sake.
#[test]
fn a_request_that_waits_is_answered_at_its_deadline() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    if !Program::Ours.is_chosen() {
        return;
    }
    let proxy = Proxy::start(Program::Ours, &[redis.pool(&["timeout: 400"])]);
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    assert_eq!(clients[0].ask(&format!("SET {a} v")), "+OK\r\n");
    redis.stop(0);
    let mut starts = Vec::new();
    for client in &mut clients {
        starts.push(Instant::now());
        client.send(request(&format!("GET {a}")));
        assert_eq!(proxy.client().ask(&format!("GET {b}")), "$-1\r\n");
        pause(Duration::from_millis(30));
    }
    for (client, start) in clients.iter_mut().zip(starts) {
        assert_eq!(client.reply(), "-ERR Connection timed out\r\n");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(395), "after {took:?} already");
    }
    redis.resume(0);
    eventually("it answers again", || clients[0].ask(&format!("GET {a}")) == bulk("v"));
}
