//! Replies that come too late, twice, or unasked: none of them answers another request.

use std::time::Duration;

use shardwright::MemcacheProtocol;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;

use super::DEADLINE;
use super::failure_kind;
use super::named;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::stopwatch::pause;

const SHORT: Duration = Duration::from_millis(2);
/// Long enough for what was sent to have arrived.
const REST: Duration = Duration::from_millis(30);

const BOTH: [MemcacheProtocol; 2] = [MemcacheProtocol::Auto, MemcacheProtocol::Ascii];

/// A miss, which of the classic protocol does not tell what it answers.
fn miss(request: &Request, ahead: u32) -> Vec<u8> {
    match request.args[0].as_slice() {
        b"mg" => format!("EN O{}\r\n", request.opaque() + ahead).into_bytes(),
        _ => b"END\r\n".to_vec(),
    }
}

fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

fn get(cache: &ShardedMemcache, key: &str) -> Option<String> {
    cache.get(key).unwrap()
}

#[test]
fn a_late_reply_is_not_the_next_ones() {
    for protocol in BOTH {
        let node = FakeNode::start_memcached(|request| match request.line().contains("late") {
            true => {
                vec![Step::Wait(DEADLINE * 4 / 3), send(miss(request, 1)), send(request.echo())]
            }
            false => vec![send(request.echo())],
        });
        let cache = named([node.port()]).protocol(protocol).build().unwrap();
        for round in 0..3 {
            let late: Result<Option<String>, _> = cache.get("late");
            assert_eq!(failure_kind(late), ShardErrorKind::Deadline);
            let late = cache.get_many::<String, _>(&["a", "late"]);
            assert!(late.iter().all(Result::is_err), "{round}");
            for key in ["a", "b", "c"] {
                assert_eq!(get(&cache, key).as_deref(), Some(key));
                pause(REST);
            }
        }
    }
}

#[test]
fn a_second_reply_to_one_request_is_not_the_next_ones() {
    for protocol in BOTH {
        for rest in [Duration::ZERO, SHORT] {
            let node = FakeNode::start_memcached(move |request| {
                let stray = miss(request, 1);
                match rest.is_zero() {
                    true => vec![send([request.echo(), stray].concat())],
                    false => vec![send(request.echo()), Step::Wait(rest), send(stray)],
                }
            });
            let cache = named([node.port()]).protocol(protocol).build().unwrap();
            for (number, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
                assert_eq!(get(&cache, key).as_deref(), Some(key));
                // What comes in one piece with the reply is seen at once.
                pause(10 * rest);
                assert_eq!(node.connections(), number + 1);
            }
            assert_eq!(cache.metrics()[0].failures, 0);
        }
    }
}

#[test]
fn what_is_said_behind_the_greeting_answers_nothing() {
    for (version, noop, stray) in [
        ("VERSION 1.6.18\r\n", "MN\r\n", "EN O0\r\n"),
        ("VERSION 1.6.18\r\n", "MN\r\n", "E"),
        ("VERSION 1.4.15\r\n", "ERROR\r\n", "END\r\n"),
    ] {
        let node = FakeNode::start_rude_memcached(move |request| {
            match (request.line().as_str(), request.connection) {
                ("version", _) => Vec::new(),
                ("mn", 0) => reply([version, noop, stray].concat()),
                ("mn", _) => reply([version, noop].concat()),
                _ => vec![send(request.echo())],
            }
        });
        let cache = named([node.port()]).build().unwrap();
        let first: Result<Option<String>, _> = cache.get("a");
        assert_eq!(failure_kind(first), ShardErrorKind::Protocol);
        assert_eq!(get(&cache, "a").as_deref(), Some("a"));
        assert_eq!(node.connections(), 2);
    }
}

#[test]
fn a_connection_on_which_the_node_hung_up_is_replaced_before_it_is_used() {
    for protocol in BOTH {
        let node = FakeNode::start_memcached(|request| vec![send(request.echo())]);
        let cache = named([node.port()]).protocol(protocol).build().unwrap();
        for (number, key) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(get(&cache, key).as_deref(), Some(key));
            assert_eq!(node.connections(), number + 1);
            node.hang_up();
            pause(REST);
        }
        assert_eq!(cache.metrics()[0].failures, 0);
        assert_eq!(cache.metrics()[0].connections, 1);
    }
}

#[test]
fn values_come_back_in_any_pieces() {
    // What looks like the protocol inside a value is not.
    let value = b"\r\nEND\r\nVALUE key 0 1\r\nEN O1\r\nERROR\r\n\0\xff\r";
    for protocol in [MemcacheProtocol::Meta, MemcacheProtocol::Ascii] {
        let node = FakeNode::start_memcached(move |request| {
            let key = request.key();
            let line = match request.args[0].as_slice() {
                b"mg" => format!("VA {} f7 O{}\r\n", value.len(), request.opaque()),
                _ => format!("VALUE {key} 7 {}\r\n", value.len()),
            };
            let end: &[u8] = if line.starts_with("VA ") { b"\r\n" } else { b"\r\nEND\r\n" };
            let frame = [line.as_bytes(), value, end].concat();
            let cut = key[4..].parse::<usize>().unwrap().min(frame.len());
            vec![send(&frame[..cut]), Step::Wait(SHORT), send(&frame[cut..])]
        });
        let cache =
            named([node.port()]).protocol(protocol).timeout(super::PATIENT).build().unwrap();
        for cut in 0..value.len() + 30 {
            let back: Option<(Vec<u8>, u32)> = cache.get(&format!("cut:{cut}")).unwrap();
            assert_eq!(back, Some((value.to_vec(), 7)), "{cut}");
        }
        assert_eq!(node.connections(), 1);
    }
}
