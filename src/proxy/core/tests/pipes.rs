//! Large requests whose value waits in a pipe of the system.

use crate::proxy::core::Link;
use crate::proxy::core::Reading;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

const SIZE: usize = 50_000;

/// A client of one node, to which there is a connection, and that.
fn ready() -> (Stage, usize, usize) {
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a"])]);
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &request(&["GET", "e1"]));
    stage.settle();
    assert_eq!(stage.received(client), b"$4\r\n<e1>\r\n");
    let [backend] = stage.connections_to("a")[..] else {
        panic!("there is one");
    };
    (stage, client, backend)
}

fn set(size: usize) -> Vec<u8> {
    let value: String = (0..size).map(|place| char::from(b'a' + (place % 23) as u8)).collect();
    request(&["SET", "key", &value])
}

/// Whether what the client sends next goes into a pipe.
fn is_piped_by(stage: &Stage, client: usize) -> bool {
    matches!(stage.core.reading(Link::Session(client)), Reading::Pipe(_))
}

/// What the node has got.
fn at_node(stage: &mut Stage, backend: usize) -> Vec<u8> {
    stage.wires.get(Link::Backend(backend)).map_or_else(Vec::new, |wire| wire.sent.clone())
}

/// Bytes in the client's pipe.
fn in_pipe(stage: &mut Stage, client: usize) -> usize {
    stage.wires.get(Link::Session(client)).map_or(0, |wire| wire.pipe.len())
}

#[test]
fn a_request_arrives_as_it_was_sent_however_it_was_cut() {
    let whole = set(SIZE);
    for first in [100, 20_000, SIZE - 10] {
        for second in [SIZE, whole.len() - 3, whole.len() - 2, whole.len() - 1, whole.len()] {
            let (mut stage, client, backend) = ready();
            stage.send(client, &whole[..first]);
            let is_piped = whole.len() - first > 2000;
            assert_eq!(is_piped_by(&stage, client), is_piped);
            stage.send(client, &whole[first..second]);
            if is_piped && second < whole.len() {
                assert_eq!(in_pipe(&mut stage, client), second.min(whole.len() - 2) - first);
            }
            stage.send(client, &whole[second..]);
            assert!(at_node(&mut stage, backend) == whole, "{first} {second}");
            stage.settle();
            assert_eq!(stage.received(client), b"+OK\r\n");
            assert_eq!(in_pipe(&mut stage, client), 0);
        }
    }
}

#[test]
fn what_follows_in_the_same_piece_is_taken_too() {
    let (mut stage, client, _) = ready();
    let whole = set(SIZE);
    stage.send(client, &whole[..1000]);
    let rest = [&whole[1000..], &request(&["GET", "e1"]), &whole, b"PING\r\n"].concat();
    stage.send(client, &rest);
    stage.settle();
    assert_eq!(stage.received(client), b"+OK\r\n$4\r\n<e1>\r\n+OK\r\n+PONG\r\n");
}

#[test]
fn only_the_value_of_a_command_with_one_key_waits_in_a_pipe() {
    let value = "v".repeat(SIZE);
    let size = SIZE.to_string();
    for (command, is_piped) in [
        (&["SETEX", "key", "100", &value][..], true),
        (&["HSET", "key", "field", &value], true),
        (&["MSET", "key", &value], false),
        (&["GET", &value], false),
        (&["SET", &value, "x"], false),
        (&["EVAL", "return 1", "1", &value], false),
        (&["PUBLISH", "channel", &value], true),
        (&["BLPOP", "key", &value], false),
        (&["NOSUCH", "key", &size, &value], true),
    ] {
        let (mut stage, client, _) = ready();
        stage.send(client, &request(command)[..200]);
        assert_eq!(is_piped_by(&stage, client), is_piped, "{}", command[0]);
        stage.send(client, &request(command)[200..]);
        stage.settle();
        assert!(!stage.received(client).is_empty(), "{}", command[0]);
    }
    // Nor that of one in a transaction.
    let (mut stage, client, _) = ready();
    stage.send(client, b"MULTI\r\n");
    stage.settle();
    stage.send(client, &set(SIZE)[..200]);
    assert!(!is_piped_by(&stage, client));
}

#[test]
fn what_the_node_does_not_take_follows_in_order() {
    let whole = set(SIZE);
    for room in [0, 1, 500, 1000, 1001, 20_000, whole.len() - 2, whole.len() - 1] {
        let (mut stage, client, backend) = ready();
        stage.wires.get(Link::Backend(backend)).expect("it is open").room = room;
        stage.send(client, &whole[..1000]);
        stage.send(client, &whole[1000..]);
        assert_eq!(at_node(&mut stage, backend).len(), room);
        stage.send(client, &request(&["GET", "e1"]));
        stage.take(Link::Backend(backend), usize::MAX);
        assert!(at_node(&mut stage, backend).starts_with(&whole), "{room}");
        stage.settle();
        assert_eq!(stage.received(client), b"+OK\r\n$4\r\n<e1>\r\n", "{room}");
    }
}

#[test]
fn a_request_does_not_overtake_what_waits_to_be_sent() {
    let (mut stage, client, backend) = ready();
    let whole = set(SIZE);
    let earlier = request(&["SET", "key", "before"]);
    stage.wires.get(Link::Backend(backend)).expect("it is open").room = 3;
    stage.send(client, &[&earlier[..], &whole[..1000]].concat());
    stage.send(client, &whole[1000..]);
    stage.take(Link::Backend(backend), usize::MAX);
    assert!(at_node(&mut stage, backend) == [earlier, whole].concat());
}

#[test]
fn a_pipe_that_is_full_or_not_to_be_had_is_no_hindrance() {
    let whole = set(SIZE);
    for room in [0, 1, 20_000] {
        let (mut stage, client, backend) = ready();
        stage.wires.get(Link::Session(client)).expect("it is open").pipe_room = room;
        stage.send(client, &whole[..1000]);
        stage.send(client, &whole[1000..30_000]);
        assert!(!is_piped_by(&stage, client));
        assert_eq!(in_pipe(&mut stage, client), 0);
        stage.send(client, &whole[30_000..]);
        assert!(at_node(&mut stage, backend) == whole, "{room}");
    }
}

#[test]
fn a_client_whose_bytes_are_lost_is_closed_and_nothing_is_sent() {
    let (mut stage, client, backend) = ready();
    let whole = set(SIZE);
    let wire = stage.wires.get(Link::Session(client)).expect("it is open");
    (wire.pipe_room, wire.is_pipe_broken) = (20_000, true);
    stage.send(client, &whole[..1000]);
    stage.send(client, &whole[1000..]);
    assert!(!stage.is_open(client));
    assert!(at_node(&mut stage, backend).is_empty());
}

#[test]
fn a_node_that_breaks_in_the_midst_of_it_is_closed_and_the_client_is_told() {
    let whole = set(SIZE);
    for is_broken_at_once in [true, false] {
        let (mut stage, client, backend) = ready();
        stage.send(client, &whole[..1000]);
        let node = stage.wires.get(Link::Backend(backend)).expect("it is open");
        (node.is_broken, node.room) = (is_broken_at_once, 5000);
        // What is left of it is lost.
        let wire = stage.wires.get(Link::Session(client)).expect("it is open");
        wire.is_pipe_broken = true;
        stage.send(client, &whole[1000..]);
        assert!(stage.connections_to("a").is_empty());
        assert!(stage.received(client).starts_with(b"-ERR "));
        assert_eq!(in_pipe(&mut stage, client), 0);
        stage.wires.get(Link::Session(client)).expect("it is open").is_pipe_broken = false;
        stage.send(client, &request(&["GET", "e1"]));
        stage.settle();
        assert_eq!(stage.received(client), b"$4\r\n<e1>\r\n");
    }
}

#[test]
fn a_value_with_another_end_is_no_request() {
    let (mut stage, client, backend) = ready();
    let mut whole = set(SIZE);
    let end = whole.len() - 2;
    whole[end..].copy_from_slice(b"xx");
    stage.send(client, &whole[..1000]);
    stage.send(client, &whole[1000..]);
    assert!(stage.received(client).starts_with(b"-ERR Protocol error"));
    assert!(!stage.is_open(client));
    assert!(at_node(&mut stage, backend).is_empty());
}

#[test]
fn a_node_that_is_not_connected_gets_it_when_it_is() {
    let (mut stage, client, backend) = ready();
    let whole = set(SIZE);
    stage.hang_up(Link::Backend(backend));
    stage.turn();
    stage.send(client, &whole[..1000]);
    stage.send(client, &whole[1000..]);
    let [backend] = stage.connections_to("a")[..] else {
        panic!("there is one");
    };
    stage.finish_connecting(backend, true);
    assert!(at_node(&mut stage, backend) == whole);
}
