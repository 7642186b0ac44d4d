//! Large values that go past the engine.

use std::time::Duration;

use crate::proxy::core::Link;
use crate::proxy::core::Reading;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

const SIZE: usize = 300_000;

/// A client that has asked for a value of one node, that node's connection, and the reply, none of which has come.
fn asked(protocol: Protocol) -> (Stage, usize, usize, Vec<u8>) {
    let mut stage = Stage::new(&[PoolPlan::new(protocol, &["a"])]);
    let client = stage.connect(0).expect("there is room");
    let key = format!("b:{SIZE}:1");
    match protocol {
        Protocol::Redis => stage.send(client, &request(&["GET", &key])),
        Protocol::Memcache => stage.send(client, format!("get {key}\r\n").as_bytes()),
    }
    let [backend] = stage.connections_to("a")[..] else {
        panic!("there is one");
    };
    stage.finish_connecting(backend, true);
    let answer = stage.answer_of(backend).expect("it was asked");
    assert!(answer.len() > SIZE);
    (stage, client, backend, answer)
}

/// Whether what the node sends next goes past the engine.
fn passes(stage: &Stage, backend: usize) -> bool {
    matches!(stage.core.reading(Link::Backend(backend)), Reading::Passage(_))
}

#[test]
fn all_of_a_value_but_its_beginning_and_its_end_goes_past_the_engine() {
    for protocol in [Protocol::Redis, Protocol::Memcache] {
        let (mut stage, client, backend, answer) = asked(protocol);
        stage.arrive(Link::Backend(backend), &answer[..20_000]);
        stage.turn();
        let Reading::Passage(passage) = stage.core.reading(Link::Backend(backend)) else {
            panic!("the rest is its value");
        };
        let end = if protocol == Protocol::Redis { "\r\n".len() } else { "\r\nEND\r\n".len() };
        assert_eq!((passage.session, passage.length), (client, answer.len() - 20_000 - end));
        stage.arrive(Link::Backend(backend), &answer[20_000..]);
        stage.turn();
        assert!(!passes(&stage, backend));
        assert!(stage.received(client) == answer);
        let stats = stage.core.stats();
        assert_eq!(stats.pools[0].client_bytes_out, answer.len() as u64);
        assert_eq!(stats.pools[0].nodes[0].response_bytes, answer.len() as u64);
        // The next reply is looked at from its beginning.
        let (next, reply): (&[u8], &[u8]) = match protocol {
            Protocol::Redis => (b"GET e1\r\n", b"$4\r\n<e1>\r\n"),
            Protocol::Memcache => (b"get e1\r\n", b"VALUE e1 0 4\r\n<e1>\r\nEND\r\n"),
        };
        stage.send(client, next);
        stage.settle();
        assert_eq!(stage.received(client), reply);
    }
}

#[test]
fn room_is_kept_for_the_head_of_a_value_that_goes_on_and_for_all_of_another() {
    let room = |stage: &Stage, backend: usize| stage.core.backends[backend].rest.capacity();
    let (mut stage, client, backend, answer) = asked(Protocol::Redis);
    stage.arrive(Link::Backend(backend), &answer[..5000]);
    stage.turn();
    assert!((5000..64 << 10).contains(&room(&stage, backend)), "{}", room(&stage, backend));
    stage.arrive(Link::Backend(backend), &answer[5000..]);
    stage.turn();
    assert!(stage.received(client) == answer);
    // This one waits until the first has been answered, which is another node's.
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a", "b"])]);
    let client = stage.connect(0).expect("there is room");
    let keys = [format!("b:{SIZE}:1"), format!("b:{SIZE}:2")];
    keys.iter().for_each(|key| stage.send(client, &request(&["GET", key])));
    let [a, b] = ["a", "b"].map(|node| stage.connections_to(node)[0]);
    [a, b].into_iter().for_each(|backend| stage.finish_connecting(backend, true));
    let answers = [a, b].map(|backend| stage.answer_of(backend).expect("it was asked"));
    for (backend, answer) in [a, b].into_iter().zip(&answers) {
        stage.arrive(Link::Backend(backend), &answer[..5000]);
    }
    stage.turn();
    let rooms = [a, b].map(|backend| room(&stage, backend));
    assert!(rooms.iter().any(|room| (5000..64 << 10).contains(room)), "{rooms:?}");
    assert!(rooms.iter().any(|room| *room >= SIZE), "{rooms:?}");
}

#[test]
fn what_the_client_does_not_take_follows_in_order() {
    let (mut stage, client, backend, answer) = asked(Protocol::Redis);
    stage.wires.get(Link::Session(client)).expect("it is open").room = 50_000;
    stage.arrive(Link::Backend(backend), &answer[..20_000]);
    stage.turn();
    stage.arrive(Link::Backend(backend), &answer[20_000..100_000]);
    stage.turn();
    assert!(!passes(&stage, backend), "50,000 bytes are to be sent first");
    stage.arrive(Link::Backend(backend), &answer[100_000..150_000]);
    stage.turn();
    stage.take(Link::Session(client), usize::MAX);
    assert!(passes(&stage, backend));
    stage.arrive(Link::Backend(backend), &answer[150_000..]);
    stage.turn();
    assert!(stage.received(client) == answer);
}

#[test]
fn a_client_that_is_gone_takes_nothing_from_the_next() {
    let (mut stage, client, backend, answer) = asked(Protocol::Redis);
    let other = stage.connect(0).expect("there is room");
    stage.send(other, &request(&["GET", "e1"]));
    stage.arrive(Link::Backend(backend), &answer[..20_000]);
    stage.turn();
    stage.wires.get(Link::Session(client)).expect("it is open").is_broken = true;
    stage.arrive(Link::Backend(backend), &answer[20_000..50_000]);
    stage.turn();
    assert!(!stage.is_open(client) && !passes(&stage, backend));
    // Its place is taken by somebody else.
    let next = stage.connect(0).expect("there is room");
    assert_eq!(next, client);
    stage.send(next, &request(&["GET", "e2"]));
    stage.arrive(Link::Backend(backend), &answer[50_000..]);
    stage.settle();
    assert!(stage.received(other).starts_with(b"$"));
    assert!(stage.received(next).len() < 100);
    assert_eq!(stage.connections_to("a"), [backend]);
}

#[test]
fn a_node_that_dies_or_falls_silent_on_the_way_ends_the_client() {
    for is_closed in [true, false] {
        let (mut stage, client, backend, answer) = asked(Protocol::Redis);
        stage.arrive(Link::Backend(backend), &answer[..20_000]);
        stage.turn();
        stage.arrive(Link::Backend(backend), &answer[20_000..50_000]);
        stage.turn();
        if is_closed {
            stage.hang_up(Link::Backend(backend));
        }
        stage.wait(Duration::from_millis(if is_closed { 0 } else { 2000 }));
        assert!(!stage.is_open(client));
        assert!(stage.connections_to("a").is_empty());
    }
}

#[test]
fn a_value_that_ends_otherwise_than_it_should_ends_both_connections() {
    let (mut stage, client, backend, mut answer) = asked(Protocol::Redis);
    let end = answer.len() - 2;
    answer[end..].copy_from_slice(b"xx");
    stage.arrive(Link::Backend(backend), &answer[..20_000]);
    stage.turn();
    stage.arrive(Link::Backend(backend), &answer[20_000..]);
    stage.turn();
    assert!(!stage.is_open(client));
    assert!(stage.connections_to("a").is_empty());
}

#[test]
fn little_is_read_at_once_where_the_last_reply_was_large() {
    let (mut stage, client, backend, answer) = asked(Protocol::Redis);
    assert_eq!(stage.core.reading(Link::Backend(backend)), Reading::Bytes(usize::MAX));
    stage.arrive(Link::Backend(backend), &answer);
    stage.turn();
    let Reading::Bytes(most) = stage.core.reading(Link::Backend(backend)) else {
        panic!("nothing is on its way");
    };
    assert!(most < 20_000);
    stage.send(client, &request(&["GET", "e1"]));
    stage.settle();
    assert_eq!(stage.core.reading(Link::Backend(backend)), Reading::Bytes(usize::MAX));
}
