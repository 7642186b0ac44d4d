//! How clients come, go, and are told what they may not.

use crate::proxy::core::Link;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

fn stage(protocol: Protocol) -> Stage {
    Stage::new(&[PoolPlan::new(protocol, &["a", "b", "c"])])
}

#[test]
fn who_closes_its_side_is_answered_all_the_same() {
    let mut stage = stage(Protocol::Redis);
    let client = stage.connect(0).expect("there is room");
    stage.arrive(Link::Session(client), &request(&["GET", "e1"]).repeat(50));
    stage.hang_up(Link::Session(client));
    stage.turn();
    stage.settle();
    assert!(!stage.is_open(client));
    assert_eq!(stage.received(client), b"$4\r\n<e1>\r\n".repeat(50));
}

#[test]
fn nothing_behind_quit_is_answered() {
    let mut stage = stage(Protocol::Redis);
    let client = stage.connect(0).expect("there is room");
    let all = [request(&["GET", "e1"]), request(&["QUIT"]), request(&["GET", "e2"])].concat();
    stage.wires.get(Link::Session(client)).expect("it is open").room = 12;
    stage.send(client, &all);
    for node in ["a", "b", "c"] {
        for backend in stage.connections_to(node) {
            stage.finish_connecting(backend, true);
            let answer = stage.answer_of(backend).expect("it was asked");
            assert_eq!(stage.answer_of(backend), None);
            stage.arrive(Link::Backend(backend), &answer);
            stage.turn();
        }
    }
    assert_eq!(stage.received(client), b"$4\r\n<e1>\r\n+O");
    stage.take(Link::Session(client), 10);
    assert!(!stage.is_open(client));
}

#[test]
fn one_client_too_many_is_refused() {
    let plan =
        PoolPlan { client_connections: Some(2), ..PoolPlan::new(Protocol::Memcache, &["a"]) };
    let mut stage = Stage::new(&[plan]);
    let first = stage.connect(0).expect("there is room");
    assert!(stage.connect(0).is_some());
    assert_eq!(stage.connect(0), None);
    assert_eq!(
        stage.core.refusal(stage.pools[0]),
        b"SERVER_ERROR max number of clients reached\r\n"
    );
    stage.hang_up(Link::Session(first));
    stage.turn();
    assert!(stage.connect(0).is_some());
}

#[test]
fn what_clients_of_memcached_do_not_want_to_see_they_do_not() {
    let mut stage = stage(Protocol::Memcache);
    let client = stage.connect(0).expect("there is room");
    stage.send(
        client,
        b"set e1 0 0 1 noreply\r\nx\r\nmg m1 v q\r\nmg e1 v q\r\nms e1 1 q\r\ny\r\nmn\r\nget m1\r\n",
    );
    stage.settle();
    assert_eq!(stage.received(client), b"VA 4\r\n<e1>\r\nMN\r\nEND\r\n");
}

#[test]
fn keys_of_a_memcached_that_fails_may_be_misses() {
    for misses in [false, true] {
        let plan = PoolPlan::new(Protocol::Memcache, &["a", "b", "c"]);
        let mut stage = Stage::new(&[PoolPlan { misses, ..plan }]);
        let client = stage.connect(0).expect("there is room");
        stage.wires.refused.push("a".into());
        let names: Vec<String> = (0..20).map(|number| format!("e{number}")).collect();
        stage.send(client, format!("get {}\r\n", names.join(" ")).as_bytes());
        stage.settle();
        let answer = stage.received(client);
        if misses {
            let count = answer.windows(6).filter(|word| word == b"VALUE ").count();
            assert!((1..20).contains(&count) && answer.ends_with(b"\r\nEND\r\n"));
        } else {
            assert_eq!(answer, b"SERVER_ERROR Connection refused\r\n");
        }
    }
}

#[test]
fn a_value_that_is_too_large_is_thrown_away_as_it_comes() {
    let mut stage = stage(Protocol::Memcache);
    let client = stage.connect(0).expect("there is room");
    let length = 2_000_000_000u32;
    stage.send(client, format!("set e1 0 0 {length}\r\n").as_bytes());
    let answer = stage.received(client);
    assert!(answer.starts_with(b"SERVER_ERROR ") || answer.starts_with(b"CLIENT_ERROR "));
    let kept =
        |stage: &Stage| stage.core.sessions.get(client).map(|session| session.rest.capacity());
    for _ in 0..20 {
        stage.send(client, &vec![b'x'; 1 << 20]);
        assert!(kept(&stage).is_none_or(|kept| kept < 1 << 20));
    }
}

#[test]
fn a_pool_that_is_gone_answers_what_it_owes_and_is_forgotten() {
    let plans = [Protocol::Redis, Protocol::Memcache].map(|it| PoolPlan::new(it, &["a"]));
    let mut stage = Stage::new(&plans);
    let client = stage.connect(1).expect("there is room");
    let place = stage.pools[1];
    stage.send(client, b"get e1\r\n");
    stage.replace(&plans[..1]);
    assert!(stage.core.session_opened(place).is_none());
    stage.settle();
    assert!(!stage.is_open(client));
    assert_eq!((stage.core.pools.len(), stage.core.counters.len()), (1, 1));
    assert!(stage.core.backends.is_empty());
}
