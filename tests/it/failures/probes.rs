//! How an ejected node is probed, and comes back.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use redis::Commands;
use shardwright::EjectPolicy;
use shardwright::Event;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::builder;
use super::failure_kind;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::fake_node::reply;
use crate::support::stopwatch::pause;

const LIMIT: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_millis(40);
const LONGEST: Duration = Duration::from_millis(160);

type Events = Arc<Mutex<Vec<Event>>>;

/// A client of one node that is ejected by its first failure.
fn client_of(node: &FakeNode) -> (ShardedClient, Events) {
    let events = Events::default();
    let listening = Arc::clone(&events);
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let policy = policy.retry_timeout(RETRY).max_retry_timeout(LONGEST);
    let client = builder([node.url()])
        .timeout(LIMIT)
        .eject(policy)
        .listener(move |event| listening.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    (client, events)
}

fn is_live(client: &ShardedClient) -> bool {
    client.node_states()[0].1 == NodeState::Live
}

fn is_ping(request: &Request) -> bool {
    request.line() == "PING"
}

#[test]
fn one_probe_at_a_time_and_each_failure_doubles_the_wait() {
    const PROBES: usize = 5;
    let pings: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let node = FakeNode::start({
        let pings = Arc::clone(&pings);
        move |request| {
            if !is_ping(request) {
                return vec![Step::Hang];
            }
            let mut pings = pings.lock().unwrap();
            pings.push(Instant::now());
            if pings.len() < PROBES { vec![Step::Hang] } else { reply("+PONG\r\n") }
        }
    });
    let (client, events) = client_of(&node);
    let mut connection = client.get_connection().unwrap();
    assert_eq!(failure_kind(connection.get::<_, ()>("key")), ShardErrorKind::Deadline);
    // Those who want something of it meanwhile are many, and none of them goes there.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut own = client.clone();
                while pings.lock().unwrap().len() < PROBES - 1 {
                    assert_eq!(failure_kind(own.get::<_, ()>("key")), ShardErrorKind::Ejected);
                    pause(Duration::from_millis(1));
                }
            });
        }
    });
    eventually("the node is back", || is_live(&client));
    assert_eq!(node.lines(), [&["GET key"][..], &["PING"; PROBES]].concat());
    assert_eq!(node.connections(), 1 + PROBES, "one for each probe");

    let mut waits = Vec::new();
    for event in events.lock().unwrap().iter() {
        match event {
            Event::Ejected { retry_in, .. } | Event::ProbeFailed { retry_in, .. } => {
                waits.push(*retry_in);
            }
            _ => {}
        }
    }
    assert_eq!(waits.len(), PROBES, "one before each probe: {events:?}");
    for (wait, factor) in waits.iter().zip([1, 2, 4, 4, 4]) {
        let least = RETRY * factor;
        assert!((least..least * 5 / 4).contains(wait), "{waits:?}");
    }
    let pings = pings.lock().unwrap();
    for (pair, wait) in pings.windows(2).zip(&waits[1..]) {
        // The next one is not sent before this one has failed.
        assert!(pair[1] - pair[0] >= *wait, "{pings:?} {waits:?}");
    }
    let failures = client.metrics()[0].failures;
    assert_eq!((failures, client.metrics()[0].ejections), (1, 1), "a probe is no request");
}

#[test]
fn a_node_that_cannot_serve_yet_stays_out() {
    for answer in [
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-MASTERDOWN Link with MASTER is down\r\n",
        "-BUSY Redis is busy running a script\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        let is_ready = Arc::new(AtomicBool::new(false));
        let node = FakeNode::start({
            let is_ready = Arc::clone(&is_ready);
            move |request| match is_ready.load(SeqCst) {
                true if is_ping(request) => reply("+PONG\r\n"),
                true => reply(bulk("value")),
                false if is_ping(request) => reply(answer),
                false => vec![Step::Close],
            }
        });
        let (client, events) = client_of(&node);
        let mut connection = client.get_connection().unwrap();
        assert_eq!(failure_kind(connection.get::<_, ()>("key")), ShardErrorKind::Node);
        let failed = |event: &&Event| matches!(event, Event::ProbeFailed { .. });
        eventually("two probes have failed", || {
            events.lock().unwrap().iter().filter(failed).count() == 2
        });
        assert_eq!(failure_kind(connection.get::<_, ()>("key")), ShardErrorKind::Ejected);
        is_ready.store(true, SeqCst);
        eventually("the node is back", || is_live(&client));
        assert_eq!(connection.get::<_, String>("key").unwrap(), "value", "{answer}");
    }
}

#[test]
fn a_node_that_says_no_to_a_ping_is_there() {
    let node = FakeNode::start(|request| match is_ping(request) {
        true => reply("-NOPERM this user has no permissions to run the 'ping' command\r\n"),
        false if request.connection == 0 => vec![Step::Close],
        false => reply(bulk("value")),
    });
    let (client, events) = client_of(&node);
    let mut connection = client.get_connection().unwrap();
    assert_eq!(failure_kind(connection.get::<_, ()>("key")), ShardErrorKind::Node);
    eventually("the node is back", || is_live(&client));
    assert_eq!(connection.get::<_, String>("key").unwrap(), "value");
    let events = events.lock().unwrap();
    let [Event::Ejected { .. }, Event::Probing { .. }, Event::Reinstated { after, .. }] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    assert!(*after >= RETRY, "{after:?}");
}

#[test]
fn a_node_that_refuses_the_password_stays_out() {
    let is_wrong = Arc::new(AtomicBool::new(true));
    let node = FakeNode::start_rude({
        let is_wrong = Arc::clone(&is_wrong);
        move |request| {
            let is_refused = request.line().starts_with("AUTH") && is_wrong.load(SeqCst);
            reply(if is_refused { "-WRONGPASS no\r\n" } else { "+OK\r\n" })
        }
    });
    let url = node.url().replace("redis://", "redis://:secret@");
    let policy = EjectPolicy::fail_fast().failure_limit(2).retry_timeout(RETRY);
    let client = builder([url]).eject(policy).build().unwrap();
    let mut own = client.clone();
    for _ in 0..2 {
        assert_eq!(failure_kind(own.get::<_, ()>("key")), ShardErrorKind::Handshake);
    }
    pause(3 * RETRY);
    assert_eq!(failure_kind(own.get::<_, ()>("key")), ShardErrorKind::Ejected);
    assert_eq!(node.lines(), [""; 0], "nothing is said to a node that does not know us");
    is_wrong.store(false, SeqCst);
    eventually("the node is back", || is_live(&client));
}
