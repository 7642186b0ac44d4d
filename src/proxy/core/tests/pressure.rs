//! Clients that do not read, nodes that do not take, and large replies.

use std::time::Duration;

use crate::proxy::core::Link;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::bulk;
use crate::proxy::core::rehearsal::request;
use crate::proxy::core::rehearsal::value_of;
use crate::proxy::settings::Protocol;

/// A pool of two nodes whose requests may take for ever.
fn patient() -> Stage {
    let mut plan = PoolPlan::new(Protocol::Redis, &["a", "b"]);
    plan.timeout = None;
    Stage::new(&[plan])
}

/// A key on this node, and so that its value has `size` bytes.
fn key_on(stage: &Stage, node: usize, size: usize) -> String {
    let router = stage.core.pools[stage.pools[0]].snapshot.router();
    let keys = (0..).map(|number| format!("b:{size}:{number}"));
    let is_there =
        |key: &String| router.node_for_key(key.as_bytes()).map(|id| id.index()) == Some(node);
    keys.into_iter().find(is_there).expect("there is one")
}

fn connect_all(stage: &mut Stage) {
    let backends: Vec<usize> =
        ["a", "b"].iter().flat_map(|node| stage.connections_to(node)).collect();
    backends.into_iter().for_each(|backend| stage.finish_connecting(backend, true));
}

/// The only connection to the node of a key.
fn backend_of(stage: &Stage, node: usize) -> usize {
    stage.core.pools[stage.pools[0]].nodes[node].shared[0].expect("it is there")
}

#[test]
fn a_large_value_passes_as_it_comes_and_others_wait_behind_it() {
    let mut stage = patient();
    let client = stage.connect(0).expect("there is room");
    let key = key_on(&stage, 0, 100_000);
    stage.send(client, &[request(&["GET", &key]), request(&["PING", "x"])].concat());
    connect_all(&mut stage);
    let backend = backend_of(&stage, 0);
    let answer = stage.answer_of(backend).expect("it was asked");
    assert_eq!(answer, bulk(value_of(key.as_bytes()).as_deref(), false));
    let mut received = Vec::new();
    for piece in answer.chunks(30_000) {
        stage.arrive(Link::Backend(backend), piece);
        stage.turn();
        received.extend(stage.received(client));
        assert!(received.len() >= piece.len());
    }
    assert_eq!(received, [answer, b"$1\r\nx\r\n".to_vec()].concat());
}

#[test]
fn a_node_that_dies_in_the_midst_of_a_large_value_ends_that_client_alone() {
    let mut stage = patient();
    let [first, second] = [0; 2].map(|_| stage.connect(0).expect("there is room"));
    let key = key_on(&stage, 0, 100_000);
    stage.send(first, &request(&["GET", &key]));
    stage.send(second, &request(&["GET", &key]));
    connect_all(&mut stage);
    let backend = backend_of(&stage, 0);
    let answer = stage.answer_of(backend).expect("it was asked");
    stage.arrive(Link::Backend(backend), &answer[..50_000]);
    stage.turn();
    assert_eq!(stage.received(first), &answer[..50_000]);
    stage.hang_up(Link::Backend(backend));
    stage.turn();
    assert!(!stage.is_open(first));
    assert_eq!(stage.received(second), b"-ERR Connection closed by server\r\n");
}

#[test]
fn a_value_that_does_not_end_as_it_should_is_not_passed_on() {
    let mut stage = patient();
    let client = stage.connect(0).expect("there is room");
    let key = key_on(&stage, 0, 20_000);
    stage.send(client, &request(&["GET", &key]));
    connect_all(&mut stage);
    let backend = backend_of(&stage, 0);
    stage.arrive(Link::Backend(backend), b"$20000\r\nabc");
    stage.turn();
    stage.arrive(Link::Backend(backend), &[b'x'; 20_100]);
    stage.turn();
    assert_eq!(stage.received(client), b"-ERR Invalid argument\r\n");
    assert!(stage.connections_to("a").is_empty());
}

#[test]
fn a_client_that_dies_in_the_midst_of_a_large_value_takes_nothing_from_others() {
    let mut stage = patient();
    let [first, second] = [0; 2].map(|_| stage.connect(0).expect("there is room"));
    let key = key_on(&stage, 0, 100_000);
    stage.send(first, &request(&["GET", &key]));
    stage.send(second, &request(&["GET", &key]));
    connect_all(&mut stage);
    let backend = backend_of(&stage, 0);
    let answer = stage.answer_of(backend).expect("it was asked");
    stage.arrive(Link::Backend(backend), &answer[..50_000]);
    stage.turn();
    stage.wires.get(Link::Session(first)).expect("it is open").is_broken = true;
    stage.arrive(Link::Backend(backend), &answer[50_000..60_000]);
    stage.turn();
    assert!(!stage.is_open(first));
    stage.arrive(Link::Backend(backend), &answer[60_000..]);
    stage.settle();
    assert_eq!(stage.received(second), answer);
}

/// As many bytes of values as are buffered for a client, and more.
const MANY: usize = 12;

#[test]
fn a_node_is_not_read_for_a_client_that_does_not_read() {
    let mut stage = patient();
    let client = stage.connect(0).expect("there is room");
    let key = key_on(&stage, 0, 1 << 20);
    stage.wires.get(Link::Session(client)).expect("it is open").room = 10;
    stage.send(client, &request(&["GET", &key]).repeat(MANY));
    for _ in 0..20 {
        connect_all(&mut stage);
        let backend = backend_of(&stage, 0);
        while let Some(answer) = stage.answer_of(backend) {
            stage.arrive(Link::Backend(backend), &answer);
        }
        stage.turn();
    }
    let session = &stage.core.sessions[client];
    assert!(session.buffered() < 10 << 20, "{} bytes are kept", session.buffered());
    // Nobody else waits, and it is not closed for it.
    stage.wait(Duration::from_secs(60));
    assert!(stage.is_open(client));
    stage.take(Link::Session(client), usize::MAX);
    stage.settle();
    let answer = bulk(value_of(key.as_bytes()).as_deref(), false);
    assert_eq!(stage.received(client).len(), answer.len() * MANY);
}

#[test]
fn a_client_that_does_not_read_is_closed_if_others_wait() {
    let mut stage = patient();
    let [client, other] = [0; 2].map(|_| stage.connect(0).expect("there is room"));
    // One reply that is larger than what is buffered, in the midst of which the client stops.
    let key = key_on(&stage, 0, 1 << 20);
    stage.wires.get(Link::Session(client)).expect("it is open").room = 10;
    stage.send(client, &request(&["GET", &key]));
    connect_all(&mut stage);
    let backend = backend_of(&stage, 0);
    stage.arrive(Link::Backend(backend), b"$20000000\r\n");
    stage.arrive(Link::Backend(backend), &vec![b'x'; 10 << 20]);
    stage.turn();
    assert!(stage.core.backends[backend].is_paused);
    stage.send(other, &request(&["GET", &key_on(&stage, 0, 5)]));
    assert!(stage.core.patience(stage.now) <= Duration::from_millis(50));
    stage.wait(Duration::from_millis(900));
    assert!(stage.is_open(client));
    stage.wait(Duration::from_millis(200));
    assert!(!stage.is_open(client) && stage.is_open(other));
    assert!(!stage.core.backends[backend].is_paused);
}

/// A client that takes nothing has asked for two values; of the first, 20,000,000 bytes, more has come than is kept for
/// it, and then comes what is `behind`.
fn with_a_slow_client(behind: &[u8]) -> (Stage, usize, usize) {
    let mut plan = PoolPlan::new(Protocol::Redis, &["a", "b"]);
    plan.timeout = Some(Duration::from_millis(400));
    let mut stage = Stage::new(&[plan]);
    let client = stage.connect(0).expect("there is room");
    let key = key_on(&stage, 0, 1 << 20);
    stage.wires.get(Link::Session(client)).expect("it is open").room = 10;
    stage.send(client, &request(&["GET", &key]).repeat(2));
    connect_all(&mut stage);
    let backend = backend_of(&stage, 0);
    let value = [b"$20000000\r\n", &vec![b'x'; 20_000_000][..], b"\r\n", behind].concat();
    stage.arrive(Link::Backend(backend), &value);
    stage.turn();
    assert!(stage.core.backends[backend].is_paused);
    (stage, client, backend)
}

/// Half a second later another client asks the same node.
fn another_asks(stage: &mut Stage) -> usize {
    stage.wait(Duration::from_millis(500));
    let other = stage.connect(0).expect("there is room");
    let request = request(&["GET", &key_on(stage, 0, 5)]);
    stage.send(other, &request);
    other
}

#[test]
fn a_client_that_reads_again_when_its_time_is_over_stays() {
    let (mut stage, client, _) = with_a_slow_client(b"$2\r\nab\r\n");
    another_asks(&mut stage);
    // Time has passed without a turn: the machine had others to serve. The first event is that it reads.
    stage.now += Duration::from_millis(350);
    stage.take(Link::Session(client), usize::MAX);
    assert!(stage.is_open(client));
    // And who has still not read then does not.
    let (mut stage, client, _) = with_a_slow_client(b"$2\r\nab\r\n");
    another_asks(&mut stage);
    stage.wait(Duration::from_millis(350));
    assert!(!stage.is_open(client));
}

#[test]
fn a_client_that_reads_slowly_has_all_the_time_if_nobody_waits() {
    let (mut stage, client, _) = with_a_slow_client(b"$2\r\nab\r\n");
    let mut received = Vec::new();
    for _ in 0..9 {
        stage.wait(Duration::from_millis(1000));
        // Nothing has to be done meanwhile but chores.
        assert!(stage.core.patience(stage.now) > Duration::from_millis(10));
        stage.take(Link::Session(client), 2_500_000);
        received.extend(stage.received(client));
        assert!(stage.is_open(client));
    }
    assert_eq!(received.len(), "$20000000\r\n".len() + 20_000_000 + "\r\n$2\r\nab\r\n".len());
    assert!(received.ends_with(b"xx\r\n$2\r\nab\r\n"));
    // The next one that is not answered has no more time than others.
    stage.send(client, &request(&["GET", &key_on(&stage, 0, 5)]));
    stage.wait(Duration::from_millis(399));
    assert_eq!(stage.received(client), b"");
    stage.wait(Duration::from_millis(2));
    assert_eq!(stage.received(client), b"-ERR Connection timed out\r\n");
}

#[test]
fn a_slow_client_does_not_cost_others_their_time() {
    let (mut stage, client, backend) = with_a_slow_client(b"");
    let other = another_asks(&mut stage);
    stage.wait(Duration::from_millis(250));
    assert!(stage.is_open(client));
    stage.wait(Duration::from_millis(100));
    assert!(!stage.is_open(client), "the other has waited for long");
    stage.arrive(Link::Backend(backend), b"$2\r\nab\r\n$2\r\ncd\r\n");
    stage.turn();
    assert_eq!(stage.received(other), b"$2\r\ncd\r\n");
}

#[test]
fn who_waits_behind_a_client_that_had_more_time_has_its_own() {
    let (mut stage, client, backend) = with_a_slow_client(b"");
    let other = another_asks(&mut stage);
    stage.wait(Duration::from_millis(90));
    stage.take(Link::Session(client), usize::MAX);
    assert!(!stage.core.backends[backend].is_paused);
    stage.received(client);
    // Neither the second reply of the first one comes, nor that of the other.
    stage.wait(Duration::from_millis(309));
    assert_eq!(stage.received(other), b"");
    stage.wait(Duration::from_millis(2));
    assert_eq!(stage.received(other), b"-ERR Connection timed out\r\n");
    assert_eq!(stage.received(client), b"");
    stage.wait(Duration::from_millis(100));
    assert_eq!(stage.received(client), b"-ERR Connection timed out\r\n");
}

#[test]
fn a_reply_that_others_wait_for_is_read_however_much_they_are() {
    let mut stage = patient();
    let client = stage.connect(0).expect("there is room");
    let first = key_on(&stage, 0, 10_000);
    let second = key_on(&stage, 1, 1 << 20);
    // A window that allows for more than is buffered.
    stage.send(client, &request(&["PING"]).repeat(3));
    stage.send(client, &[request(&["GET", &first]), request(&["GET", &second]).repeat(3)].concat());
    connect_all(&mut stage);
    let slow = backend_of(&stage, 0);
    let fast = backend_of(&stage, 1);
    stage.core.sessions[client].held += 8 << 20;
    let answer = stage.answer_of(slow).expect("it was asked");
    stage.wires.get(Link::Backend(slow)).expect("it is open").inbox = answer[..10].to_vec();
    stage.wires.get(Link::Backend(slow)).expect("it is open").is_readable = true;
    stage.core.begin_turn(stage.now);
    stage.core.backend_input(&mut stage.wires, slow, &answer[..10]);
    assert!(!stage.core.backends[slow].is_paused, "nothing else brings it on");
    let large = stage.answer_of(fast).expect("it was asked");
    stage.core.backend_input(&mut stage.wires, fast, &large[..10]);
    assert!(stage.core.backends[fast].is_paused);
    stage.core.sessions[client].held -= 8 << 20;
}

#[test]
fn parts_of_replies_count_as_what_is_buffered() {
    let mut stage = patient();
    let client = stage.connect(0).expect("there is room");
    let [first, second] = [0, 1].map(|node| key_on(&stage, node, 1 << 20));
    stage.send(client, &request(&["MGET", &first, &second]).repeat(4));
    connect_all(&mut stage);
    let backend = backend_of(&stage, 0);
    let answer = stage.answer_of(backend).expect("it was asked");
    stage.arrive(Link::Backend(backend), &answer);
    stage.turn();
    assert_eq!(stage.core.sessions[client].buffered(), answer.len());
    stage.settle();
    assert_eq!(stage.core.sessions[client].buffered(), 0);
    assert!(stage.received(client).starts_with(b"*2\r\n$1048576\r\n"));
}

#[test]
fn requests_wait_for_a_node_that_does_not_take_them() {
    let mut stage = patient();
    let clients = [0; 3].map(|_| stage.connect(0).expect("there is room"));
    let key = key_on(&stage, 0, 5);
    let value = "v".repeat(3 << 20);
    // The connection is not made yet.
    for _ in 0..3 {
        stage.send(clients[0], &request(&["SET", &key, &value]));
    }
    stage.send(clients[1], &request(&["SET", &key, "1"]));
    assert!(stage.core.sessions[clients[1]].is_stalled);
    let backend = backend_of(&stage, 0);
    stage.wires.get(Link::Backend(backend)).expect("it is open").room = 3 << 20;
    connect_all(&mut stage);
    assert!(stage.core.sessions[clients[1]].is_stalled, "it has not taken enough");
    // A large request is sent at once, and with it what was there before: who waits must hear of it.
    let wire = stage.wires.get(Link::Backend(backend)).expect("it is open");
    wire.room = usize::MAX;
    stage.arrive(Link::Session(clients[2]), &request(&["SET", &key, &"w".repeat(100_000)]));
    stage.turn();
    assert!(!stage.core.sessions[clients[1]].is_stalled);
    stage.settle();
    assert_eq!(stage.received(clients[1]), b"+OK\r\n");
}

#[test]
fn a_large_request_is_taken_however_it_comes() {
    let (first, second) = ("v".repeat(50_000), "w".repeat(60_000));
    let bytes = [request(&["MSET", "e1", &first, "e2", &second]), request(&["GET", "e1"])].concat();
    for pieces in [70_000, 30_000, 100] {
        for is_direct in [false, true] {
            let mut stage = patient();
            let client = stage.connect(0).expect("there is room");
            for piece in bytes.chunks(pieces) {
                if is_direct {
                    // Not to where there is room for it.
                    stage.core.begin_turn(stage.now);
                    stage.core.session_input(&mut stage.wires, client, piece);
                    stage.core.end_turn(&mut stage.wires);
                } else {
                    stage.send(client, piece);
                }
            }
            stage.settle();
            assert_eq!(stage.received(client), b"+OK\r\n$4\r\n<e1>\r\n");
        }
    }
}
