//! How clients go when the worker ends.

use std::time::Duration;

use crate::proxy::core::Link;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

fn stage(protocol: Protocol) -> Stage {
    Stage::new(&[PoolPlan::new(protocol, &["a", "b", "c"])])
}

fn drain(stage: &mut Stage) {
    stage.core.begin_turn(stage.now);
    stage.core.drain(&mut stage.wires);
    stage.core.end_turn(&mut stage.wires);
}

fn replies(stage: &mut Stage, client: usize) -> usize {
    stage.received(client).iter().filter(|&&byte| byte == b'$').count()
}

#[test]
fn who_is_drained_is_answered_what_it_has_asked() {
    let mut stage = stage(Protocol::Redis);
    let [client, idle, blocked] = [0; 3].map(|_| stage.connect(0).expect("there is room"));
    stage.send(client, &request(&["GET", "e1"]).repeat(20));
    stage.send(blocked, &request(&["BLPOP", "e1", "0"]));
    stage.wait(Duration::from_millis(20));
    drain(&mut stage);
    assert!(!stage.is_open(idle) && !stage.is_open(blocked) && stage.is_open(client));
    stage.settle();
    assert!(stage.core.is_empty());
}

#[test]
fn what_is_on_its_way_when_a_client_is_drained_is_answered() {
    for (protocol, start, end, reply) in [
        (Protocol::Redis, &b"*2\r\n$3\r\nGET\r\n"[..], &b"$2\r\ne1\r\n"[..], &b"$"[..]),
        (Protocol::Memcache, b"get ", b"e1\r\n", b"VALUE e1 "),
    ] {
        let mut stage = stage(protocol);
        let [client, stuck, late] = [0; 3].map(|_| stage.connect(0).expect("there is room"));
        stage.send(client, start);
        stage.send(stuck, start);
        stage.send(late, start);
        stage.wait(Duration::from_millis(50));
        drain(&mut stage);
        // The rest of it, what follows at once, and what is only begun by then.
        stage.send(client, &[end, start].concat());
        stage.wait(Duration::from_millis(5));
        stage.send(client, end);
        stage.settle();
        stage.wait(Duration::from_millis(20));
        assert!(!stage.is_open(client) && stage.is_open(stuck) && stage.is_open(late));
        stage.wait(Duration::from_millis(800));
        stage.send(late, end);
        stage.settle();
        for (client, expected) in [(client, 2), (late, 1)] {
            let replies = stage.received(client);
            let count = replies.windows(reply.len()).filter(|window| *window == reply).count();
            assert_eq!(count, expected, "{}", replies.escape_ascii());
        }
        assert!(!stage.is_open(late) && stage.is_open(stuck));
        stage.wait(Duration::from_millis(150));
        assert!(stage.core.is_empty());
    }
}

#[test]
fn who_asks_all_the_time_is_drained_too() {
    let get = request(&["GET", "e1"]);
    let (start, end) = get.split_at(7);
    // One at a time, or with the next one always begun.
    for (first, next, count) in
        [(&b""[..], get.clone(), 1), (start, [end, &get, start].concat(), 2)]
    {
        let mut stage = stage(Protocol::Redis);
        let client = stage.connect(0).expect("there is room");
        stage.send(client, first);
        drain(&mut stage);
        let mut asked = 0;
        while stage.is_open(client) {
            assert!(asked < 20);
            asked += 1;
            stage.send(client, &next);
            stage.settle();
            stage.wait(Duration::from_millis(10));
        }
        assert!(asked >= 10, "{asked}");
        assert_eq!(replies(&mut stage, client), count * asked);
        assert!(stage.core.is_empty());
    }
}

#[test]
fn what_waits_for_a_node_is_answered_with_what_is_behind_it() {
    let mut stage = stage(Protocol::Redis);
    let client = stage.connect(0).expect("there is room");
    let gets = request(&["GET", "e1"]).repeat(3000);
    let (read, unread) = gets.split_at(gets.len() / 2);
    stage.send(client, read);
    stage.arrive(Link::Session(client), unread);
    drain(&mut stage);
    stage.wait(Duration::from_millis(250));
    assert!(stage.is_open(client));
    stage.settle();
    stage.wait(Duration::from_millis(20));
    assert_eq!(replies(&mut stage, client), 3000);
    assert!(stage.core.is_empty());
}

#[test]
fn who_never_stops_is_answered_what_was_taken() {
    let mut stage = stage(Protocol::Redis);
    let client = stage.connect(0).expect("there is room");
    drain(&mut stage);
    let mut asked = 0;
    for _ in 0..60 {
        if !stage.is_open(client) {
            break;
        }
        asked += 3000;
        // More than it may have under way, whenever anybody looks.
        stage.send(client, &request(&["GET", "e1"]).repeat(3000));
        stage.wait(Duration::from_millis(20));
        stage.settle();
    }
    assert!(stage.core.is_empty());
    assert_eq!(replies(&mut stage, client), asked);
}

#[test]
fn what_a_client_was_answered_before_it_waits_is_sent() {
    let mut stage = stage(Protocol::Redis);
    let waits = [&["BLPOP", "e1", "0"][..], &["SUBSCRIBE", "c"]];
    let clients = [0; 2].map(|_| stage.connect(0).expect("there is room"));
    stage.core.begin_turn(stage.now);
    for (client, words) in clients.into_iter().zip(waits) {
        let bytes = [request(&["PING"]), request(words)].concat();
        stage.core.session_input(&mut stage.wires, client, &bytes);
    }
    stage.core.drain(&mut stage.wires);
    stage.core.end_turn(&mut stage.wires);
    for client in clients {
        assert!(stage.received(client).starts_with(b"+PONG\r\n"));
    }
    assert!(stage.core.is_empty());
}
