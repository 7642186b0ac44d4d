//! Replies that come too late, twice, or unasked: none of them answers another request.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use redis::Commands;
use redis::ConnectionLike;
use redis::Value;
use shardwright::ShardErrorKind;

use super::DEADLINE;
use super::builder;
use super::failure;
use super::failure_kind;
use super::key_of;
use super::keys_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::stopwatch::pause;

const SHORT: Duration = Duration::from_millis(2);
/// Long enough for what was sent to have arrived.
const REST: Duration = Duration::from_millis(30);

/// The reply that tells which request it answers: the last argument.
fn echo(request: &Request) -> Vec<u8> {
    bulk(request.args.last().unwrap())
}

fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

#[test]
fn a_late_reply_is_not_the_next_ones() {
    let node = FakeNode::start(|request| match request.line().contains("late") {
        true => vec![Step::Wait(DEADLINE * 4 / 3), send(echo(request))],
        false => vec![send(echo(request))],
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    for _ in 0..3 {
        assert_eq!(failure_kind(connection.get::<_, ()>("late")), ShardErrorKind::Deadline);
        for key in ["a", "b", "c"] {
            assert_eq!(connection.get::<_, String>(key).unwrap(), key);
            pause(REST);
        }
    }
}

#[test]
fn late_replies_of_a_fragment_or_a_pipeline_are_not_the_next_ones() {
    // What is in time is so on a busy machine, too.
    let limit = 3 * DEADLINE;
    let late = move |request: &Request| {
        let key = request.args.last().unwrap().clone();
        let value = match request.args[0].as_slice() {
            b"MGET" => [b"*1\r\n", bulk(&key).as_slice()].concat(),
            _ => bulk(&key),
        };
        let wait = if request.connection == 0 { 2 * limit } else { Duration::ZERO };
        vec![Step::Wait(wait), send(value)]
    };
    let node = FakeNode::start(late);
    let other = FakeNode::start(move |request| late(&Request { connection: 1, ..request.clone() }));
    let client = builder([node.url(), other.url()]).timeout(limit).build().unwrap();
    let keys = [key_of(&client, "n1"), key_of(&client, "n0")];
    let mut connection = client.get_connection().unwrap();
    assert_eq!(failure(connection.mget::<_, ()>(&keys)).node(), Some("n0"));
    assert_eq!(connection.mget::<_, Vec<String>>(&keys).unwrap(), keys);
    pause(REST);
    assert_eq!(connection.mget::<_, Vec<String>>(&keys).unwrap(), keys);
    let pipeline = redis::pipe().get(&keys[0]).get(&keys[1]).to_owned();
    assert_eq!(pipeline.query::<Vec<String>>(&mut connection).unwrap(), keys);
}

#[test]
fn a_second_reply_to_one_request_is_not_the_next_ones() {
    for rest in [Duration::ZERO, SHORT] {
        let node = FakeNode::start(move |request| {
            let twice = [echo(request), bulk("stray")].concat();
            match rest.is_zero() {
                true => vec![send(twice)],
                false => vec![send(echo(request)), Step::Wait(rest), send(bulk("stray"))],
            }
        });
        let client = builder([node.url()]).build().unwrap();
        let mut connection = client.get_connection().unwrap();
        for key in ["a", "b", "c", "d"] {
            assert_eq!(connection.get::<_, String>(key).unwrap(), key);
            // What comes in one piece with the reply is seen at once.
            pause(2 * rest);
            let both = redis::pipe().get(key).get("other").to_owned();
            let replies: Vec<String> = both.query(&mut connection).unwrap();
            // A stray between its replies can only be told by who knows them.
            assert_eq!(replies[0], key);
            pause(2 * SHORT);
        }
    }
}

#[test]
fn what_a_node_says_unasked_is_no_reply() {
    // A message before it is none either, and must not hide it.
    for stray in ["$5\r\nstray\r\n", ">2\r\n+message\r\n:1\r\n$5\r\nstray\r\n", ">2\r\n+mes"] {
        let is_message = stray.starts_with(">2\r\n+mes") && !stray.contains("stray");
        let node = FakeNode::start(move |request| {
            let ours = [b"sage\r\n:1\r\n".to_vec(), echo(request)].concat();
            let reply = if is_message && request.number > 0 { ours } else { echo(request) };
            vec![send(reply), Step::Wait(SHORT), send(stray)]
        });
        let client = builder([node.url()]).build().unwrap();
        let mut connection = client.get_connection().unwrap();
        for key in ["a", "b", "c"] {
            assert_eq!(connection.get::<_, String>(key).unwrap(), key, "{stray:?}");
            pause(REST);
        }
        let connections = if is_message { 1 } else { 3 };
        assert_eq!(node.connections(), connections, "{stray:?}");
    }
}

#[test]
fn the_reply_to_a_request_that_wants_none_is_not_the_next_ones() {
    let node = FakeNode::start(|request| match request.args[0].as_slice() {
        b"SET" => vec![Step::Wait(SHORT), send("+OK\r\n")],
        _ => vec![send(echo(request))],
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    for key in ["a", "b", "c"] {
        let mut set = redis::cmd("SET").arg(key).arg("x").to_owned();
        set.set_no_response(true).exec(&mut connection).unwrap();
        assert_eq!(connection.get::<_, String>(key).unwrap(), key);
        connection.on_node("n0", |node| set.exec(node)).unwrap();
        assert_eq!(connection.get::<_, String>(key).unwrap(), key);
    }
    assert_eq!(node.lines().iter().filter(|line| line.starts_with("SET")).count(), 6);
}

#[test]
fn a_fetched_reply_is_that_of_its_request_although_the_link_was_replaced() {
    // The first connection is lost after the first request; later ones work.
    let node = FakeNode::start(|request| match request.connection {
        0 => vec![Step::Close],
        _ => vec![send(echo(request))],
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys: Vec<String> = keys_of(&client, "n0").take(20).collect();
    for key in &keys {
        let get = redis::cmd("GET").arg(key).get_packed_command();
        connection.send_packed_command(&get).unwrap();
        pause(SHORT);
    }
    let mut answered = 0;
    for key in &keys {
        match connection.recv_response() {
            Ok(reply) => {
                assert_eq!(reply, Value::BulkString(key.clone().into_bytes()));
                answered += 1;
            }
            Err(error) => assert!(error.is_io_error(), "{error}"),
        }
    }
    assert!(answered > 10, "{answered}");
    assert!(connection.recv_response().is_err(), "no reply is owed");
    assert_eq!(client.metrics()[0].in_flight, 0);
}

#[test]
fn a_rested_link_is_looked_at_before_a_request_is_sent_on_it() {
    let node = FakeNode::start(|request| vec![send(echo(request))]);
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    for key in ["a", "b", "c"] {
        let get = redis::cmd("GET").arg(key).get_packed_command();
        connection.send_packed_command(&get).unwrap();
        assert_eq!(connection.recv_response().unwrap(), Value::BulkString(key.into()));
        node.hang_up();
        pause(REST);
    }
    assert_eq!((node.connections(), client.metrics()[0].failures), (3, 0));
}

#[test]
fn a_client_used_as_a_connection_never_meets_another_requests_reply() {
    let count = Arc::new(AtomicUsize::new(0));
    let node = FakeNode::start({
        let count = Arc::clone(&count);
        move |request| {
            let late = count.fetch_add(1, SeqCst).is_multiple_of(2);
            vec![Step::Wait(if late { DEADLINE * 4 / 3 } else { SHORT }), send(echo(request))]
        }
    });
    let mut client = builder([node.url()]).build().unwrap();
    for number in 0..6 {
        let key = format!("key:{number}");
        match client.req_command(redis::cmd("GET").arg(&key)) {
            Ok(reply) => assert_eq!(reply, Value::BulkString(key.into_bytes())),
            Err(error) => assert!(error.is_timeout(), "{error}"),
        }
    }
    assert_eq!(node.connections(), 6);
}
