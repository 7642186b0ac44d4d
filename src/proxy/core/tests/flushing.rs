//! What goes out at the end of a turn.

use crate::proxy::core::Link;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

fn stage() -> Stage {
    Stage::new(&[PoolPlan::new(Protocol::Redis, &["a", "b", "c"])])
}

#[test]
fn who_has_the_key_of_another_is_answered_once() {
    for is_ahead in [true, false] {
        let mut stage = stage();
        stage.wires.is_sending_ahead = is_ahead;
        let gone = stage.connect(0).expect("there is room");
        let others = [(); 2].map(|()| stage.connect(0).expect("there is room"));
        stage.core.begin_turn(stage.now);
        // Both are marked for the end of the turn under one key.
        stage.core.session_input(&mut stage.wires, gone, b"PING\r\n");
        stage.core.session_broken(&mut stage.wires, gone);
        let came = stage.connect(0).expect("there is room");
        assert_eq!(came, gone, "its key is used again");
        for client in [came].into_iter().chain(others) {
            stage.core.session_input(&mut stage.wires, client, b"ECHO 1\r\n");
        }
        stage.core.end_turn(&mut stage.wires);
        for client in [came].into_iter().chain(others) {
            assert_eq!(stage.received(client), b"$1\r\n1\r\n");
        }
    }
}

#[test]
fn a_socket_that_takes_nothing_or_little_gets_the_rest_in_order() {
    for is_ahead in [true, false] {
        for room in 0..9 {
            let mut stage = stage();
            stage.wires.is_sending_ahead = is_ahead;
            let clients = [(); 3].map(|()| stage.connect(0).expect("there is room"));
            stage.wires.get(Link::Session(clients[1])).expect("it is open").room = room;
            for client in clients {
                stage.arrive(Link::Session(client), &request(&["ECHO", "12"]));
            }
            stage.turn();
            assert_eq!(stage.received(clients[0]), b"$2\r\n12\r\n");
            assert_eq!(stage.received(clients[1]), b"$2\r\n12\r\n"[..room.min(8)]);
            assert_eq!(stage.received(clients[2]), b"$2\r\n12\r\n");
            stage.take(Link::Session(clients[1]), 100);
            assert_eq!(stage.received(clients[1]), b"$2\r\n12\r\n"[room.min(8)..]);
        }
    }
}

#[test]
fn a_client_that_broke_takes_nothing_from_others() {
    let mut stage = stage();
    let clients = [(); 3].map(|()| stage.connect(0).expect("there is room"));
    stage.wires.get(Link::Session(clients[1])).expect("it is open").is_broken = true;
    for client in clients {
        stage.arrive(Link::Session(client), &request(&["ECHO", "12"]));
    }
    stage.turn();
    assert!(!stage.is_open(clients[1]));
    for client in [clients[0], clients[2]] {
        assert_eq!(stage.received(client), b"$2\r\n12\r\n");
    }
}

#[test]
fn who_has_sent_much_is_not_answered_with_others() {
    let mut stage = stage();
    let [one, other] = [(); 2].map(|()| stage.connect(0).expect("there is room"));
    for (lengths, ahead) in [
        ([10, 10], &[one, other][..]),
        ([10, 20_000], &[one]),
        ([30_000, 40_000], &[]),
        ([10, 10], &[one, other]),
    ] {
        for (client, length) in [one, other].into_iter().zip(lengths) {
            stage.arrive(Link::Session(client), &request(&["ECHO", &"x".repeat(length)]));
        }
        stage.turn();
        let ahead: Vec<_> = ahead.iter().map(|&client| Link::Session(client)).collect();
        assert_eq!(stage.wires.ahead, ahead);
        for (client, length) in [one, other].into_iter().zip(lengths) {
            let reply = format!("${length}\r\n{}\r\n", "x".repeat(length));
            assert!(stage.received(client) == reply.as_bytes());
        }
    }
}
