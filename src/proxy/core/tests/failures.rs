//! Nodes that fail, and time that passes.

use std::time::Duration;

use crate::health::EjectPolicy;
use crate::health::NodeState;
use crate::proxy::core::Link;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

const TIMEOUT: Duration = Duration::from_millis(401);

fn plan() -> PoolPlan {
    PoolPlan::new(Protocol::Redis, &["a"])
}

#[test]
fn a_request_is_answered_in_time_whatever_the_node_does() {
    let mut stage = Stage::new(&[plan()]);
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &request(&["GET", "e1"]));
    // Connecting counts.
    stage.wait(TIMEOUT);
    assert_eq!(stage.received(client), b"-ERR Connection timed out\r\n");
    stage.send(client, &request(&["GET", "e1"]));
    let backend = stage.connections_to("a")[0];
    stage.finish_connecting(backend, true);
    stage.wait(TIMEOUT);
    assert_eq!(stage.received(client), b"-ERR Connection timed out\r\n");
    // What is behind one that was given up has a time of its own.
    stage.send(client, &request(&["GET", "e2"]));
    stage.wait(TIMEOUT);
    assert_eq!(stage.received(client), b"-ERR Connection timed out\r\n");
    // Late replies are nobody's.
    stage.send(client, &request(&["GET", "e3"]));
    stage.settle();
    assert_eq!(stage.received(client), b"$4\r\n<e3>\r\n");
    assert_eq!(stage.connections_to("a"), [backend]);
}

#[test]
fn a_greeting_takes_none_of_the_time_of_what_waits_behind_it() {
    for preconnect in [false, true] {
        let plan = PoolPlan { password: Some("p"), preconnect, ..plan() };
        let mut stage = Stage::new(&[plan]);
        let client = stage.connect(0).expect("there is room");
        if preconnect {
            let backend = stage.connections_to("a")[0];
            stage.finish_connecting(backend, true);
            stage.send(client, &request(&["GET", "e1"]));
        } else {
            stage.send(client, &request(&["GET", "e1"]));
            stage.wait(Duration::from_millis(300));
            let backend = stage.connections_to("a")[0];
            stage.finish_connecting(backend, true);
            stage.wait(Duration::from_millis(90));
            assert_eq!(stage.received(client), b"");
            stage.wait(Duration::from_millis(11));
        }
        stage.wait(Duration::from_millis(if preconnect { 401 } else { 0 }));
        assert_eq!(stage.received(client), b"-ERR Connection timed out\r\n");
    }
}

#[test]
fn nothing_is_asked_of_a_node_that_refuses_the_greeting() {
    let plan = PoolPlan { password: Some("p"), database: 3, ..plan() };
    let mut stage = Stage::new(&[plan]);
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &request(&["GET", "e1"]));
    let backend = stage.connections_to("a")[0];
    stage.finish_connecting(backend, true);
    let greeting = [request(&["AUTH", "p"]), request(&["SELECT", "3"])].concat();
    let sent = |stage: &mut Stage| {
        let wire = stage.wires.get(Link::Backend(backend));
        wire.map(|wire| wire.sent.clone())
    };
    assert_eq!(sent(&mut stage), Some(greeting.clone()));
    stage.arrive(Link::Backend(backend), b"+OK\r\n");
    stage.turn();
    assert_eq!(sent(&mut stage), Some(greeting));
    stage.arrive(Link::Backend(backend), b"-ERR DB index is out of range\r\n");
    stage.turn();
    assert_eq!(sent(&mut stage), None);
    assert_eq!(stage.received(client), b"-ERR DB index is out of range\r\n");
}

#[test]
fn a_scan_is_answered_when_its_reply_is_none() {
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a", "b"])]);
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &[request(&["SCAN", "0"]), request(&["PING"])].concat());
    let backend = stage.connections_to("a")[0];
    stage.finish_connecting(backend, true);
    stage.arrive(Link::Backend(backend), b":1\r\n");
    stage.turn();
    assert_eq!(stage.received(client), b"-ERR Invalid argument\r\n+PONG\r\n");
}

#[test]
fn a_connection_that_is_given_up_is_one_failure() {
    let policy = EjectPolicy::rebuild().failure_limit(2).max_ejected_share(1.0);
    let mut stage =
        Stage::new(&[PoolPlan { policy, ..PoolPlan::new(Protocol::Redis, &["a", "b"]) }]);
    let client = stage.connect(0).expect("there is room");
    let states = |stage: &Stage| {
        let topology = &stage.core.pools[stage.pools[0]].settings.topology;
        topology.states().into_iter().filter(|(_, state)| *state != NodeState::Live).count()
    };
    // To both, which do not connect.
    stage.send(client, &request(&["MGET", "e1", "e2", "e3", "e4", "e5"]));
    stage.wait(TIMEOUT);
    assert!(stage.received(client).starts_with(b"-ERR Connection timed out"));
    assert_eq!(states(&stage), 0);
    stage.send(client, &request(&["MGET", "e1", "e2", "e3", "e4", "e5"]));
    stage.wait(TIMEOUT);
    assert!(states(&stage) > 0);
}

#[test]
fn what_expires_may_end_what_expires_next() {
    // A client that watches, and reads a large value from another node that stops in its midst.
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a", "b"])]);
    for (watched, read) in [("a", "b"), ("b", "a")] {
        let client = stage.connect(0).expect("there is room");
        let router = stage.core.pools[stage.pools[0]].snapshot.router();
        let key_on = |node: &str, size: usize| {
            let keys = (0..).map(|number| format!("b:{size}:{number}"));
            let id = router.id_of(node);
            keys.into_iter().find(|key| router.node_for_key(key.as_bytes()) == id)
        };
        let small = key_on(watched, 5).expect("there is one");
        let large = key_on(read, 100_000).expect("there is one");
        stage.send(client, &request(&["WATCH", &small]));
        stage.settle();
        stage.send(client, &request(&["GET", &large]));
        for backend in stage.connections_to(read) {
            stage.finish_connecting(backend, true);
            if let Some(answer) = stage.answer_of(backend) {
                stage.arrive(Link::Backend(backend), &answer[..50_000]);
            }
        }
        stage.turn();
        stage.wait(TIMEOUT);
        assert!(!stage.is_open(client));
    }
}

#[test]
fn a_node_that_left_and_hangs_keeps_no_connection() {
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a", "b"])]);
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &request(&["MGET", "e1", "e2", "e3", "e4", "e5"]));
    for node in ["a", "b"] {
        let backend = stage.connections_to(node)[0];
        stage.finish_connecting(backend, true);
    }
    stage.replace(&[PoolPlan::new(Protocol::Redis, &["c"])]);
    assert_eq!(stage.core.backends.len(), 2);
    stage.wait(TIMEOUT);
    assert!(stage.received(client).starts_with(b"-ERR Connection timed out"));
    assert_eq!((stage.core.backends.len(), stage.core.counters.len()), (0, 1));
}

#[test]
fn what_was_gathered_from_nodes_that_left_is_answered() {
    let all = PoolPlan::new(Protocol::Memcache, &["a", "b", "c"]);
    let mut stage = Stage::new(&[all]);
    let client = stage.connect(0).expect("there is room");
    stage.send(client, b"stats\r\n");
    stage.replace(&[PoolPlan::new(Protocol::Memcache, &["c"])]);
    stage.settle();
    let answer = stage.received(client);
    assert!(answer.starts_with(b"STAT ") && answer.ends_with(b"END\r\n"));
}

#[test]
fn a_shorter_timeout_holds_for_what_is_under_way() {
    let mut stage = Stage::new(&[PoolPlan { timeout: None, ..plan() }]);
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &request(&["GET", "e1"]));
    stage.wait(Duration::from_secs(100));
    assert_eq!(stage.received(client), b"");
    stage.replace(&[plan()]);
    assert_eq!(stage.received(client), b"-ERR Connection timed out\r\n");
}

#[test]
fn a_node_that_cannot_be_reached_is_tried_less_and_less() {
    let mut stage = Stage::new(&[plan()]);
    let client = stage.connect(0).expect("there is room");
    stage.wires.refused.push("a".into());
    let mut attempts = Vec::new();
    for _ in 0..400 {
        let before = stage.core.total_connections;
        stage.send(client, &request(&["GET", "e1"]));
        assert_eq!(stage.received(client), b"-ERR Connection refused\r\n");
        attempts.push(stage.core.total_connections - before);
        stage.wait(Duration::from_millis(10));
    }
    // The first failure may be the end of an old connection: it is tried again at once.
    assert_eq!(attempts[..2], [1, 1]);
    let tried = attempts.iter().sum::<u64>();
    assert!((5..20).contains(&tried), "{tried} times in four seconds");
    stage.wires.refused.clear();
    stage.wait(Duration::from_secs(1));
    stage.send(client, &request(&["GET", "e1"]));
    stage.settle();
    assert_eq!(stage.received(client), b"$4\r\n<e1>\r\n");
}

#[test]
fn an_ejected_node_is_probed_and_put_back() {
    for answers in [true, false] {
        let policy =
            EjectPolicy::rebuild().failure_limit(1).retry_timeout(Duration::from_millis(300));
        let nodes = PoolPlan::new(Protocol::Memcache, &["a", "b", "c"]);
        let mut stage = Stage::new(&[PoolPlan { policy: policy.max_ejected_share(1.0), ..nodes }]);
        let client = stage.connect(0).expect("there is room");
        stage.send(client, b"get e1\r\n");
        let backend =
            *stage.wires.all.keys().find(|(is_backend, _)| *is_backend).expect("it is asked");
        stage.finish_connecting(backend.1, false);
        assert_eq!(stage.received(client), b"SERVER_ERROR Connection refused\r\n");
        let states = |stage: &Stage| {
            let topology = &stage.core.pools[stage.pools[0]].settings.topology;
            topology.states().iter().filter(|(_, state)| *state == NodeState::Live).count()
        };
        assert_eq!(states(&stage), 2);
        assert!(stage.core.patience(stage.now) <= Duration::from_millis(50));
        stage.wait(Duration::from_millis(600));
        let probe = stage.core.pools[stage.pools[0]].nodes.iter().find_map(|node| node.probe);
        let probe = probe.expect("it is probed");
        if answers {
            stage.settle();
            assert_eq!(states(&stage), 3);
        } else {
            stage.finish_connecting(probe, true);
            stage.wait(TIMEOUT);
            assert_eq!(states(&stage), 2);
        }
        assert!(!stage.core.backends.contains(probe));
        assert!(stage.core.pools[stage.pools[0]].nodes.iter().all(|node| node.probe.is_none()));
    }
}

#[test]
fn the_value_of_another_key_is_not_passed_on() {
    // One that is whole, one that would be passed on as it comes, and one to a request that was given up.
    for (size, is_late) in [(1, false), (100_000, false), (1, true)] {
        let mut stage = Stage::new(&[PoolPlan::new(Protocol::Memcache, &["a"])]);
        let client = stage.connect(0).expect("there is room");
        stage.send(client, b"get e1\r\nget e2\r\n");
        let backend = stage.connections_to("a")[0];
        stage.finish_connecting(backend, true);
        if is_late {
            stage.wait(TIMEOUT);
            let answer = b"SERVER_ERROR Connection timed out\r\n".repeat(2);
            assert_eq!(stage.received(client), answer);
        }
        let value = format!("VALUE e2 0 {size}\r\n{}\r\nEND\r\n", "x".repeat(size));
        // The replies are one too early.
        stage.arrive(Link::Backend(backend), value.as_bytes());
        stage.turn();
        if !is_late {
            let answer = b"SERVER_ERROR Invalid argument\r\n".repeat(2);
            assert_eq!(stage.received(client), answer);
        }
        assert!(stage.connections_to("a").is_empty());
        stage.send(client, b"get e1\r\n");
        stage.settle();
        assert_eq!(stage.received(client), b"VALUE e1 0 4\r\n<e1>\r\nEND\r\n");
    }
}

#[test]
fn a_scan_does_not_go_on_among_other_nodes() {
    let pool = |nodes: &[&'static str]| [PoolPlan::new(Protocol::Redis, nodes)];
    let outdated = b"-ERR invalid cursor: the pool had other nodes when this scan began\r\n";
    let mut stage = Stage::new(&pool(&["a", "b"]));
    let client = stage.connect(0).expect("there is room");
    let scan = |stage: &mut Stage, cursor: &str, nodes: Option<&[&'static str]>| {
        stage.send(client, &request(&["SCAN", cursor]));
        if let Some(nodes) = nodes {
            stage.replace(&pool(nodes));
        }
        stage.settle();
        stage.received(client)
    };
    let cursor_of = |reply: &[u8]| {
        let line = reply.split(|&byte| byte == b'\n').nth(2).expect("a cursor");
        String::from_utf8_lossy(line).trim().to_owned()
    };
    // Each node answers 5, then 0.
    let first = cursor_of(&scan(&mut stage, "0", None));
    let second = cursor_of(&scan(&mut stage, &first, None));
    for (nodes, cursor) in [
        // Another node has the number, the next one is another, and there is one alone.
        (&["0", "a", "b"][..], &second),
        (&["a", "0"], &first),
        (&["b"], &second),
        (&["b"], &first),
    ] {
        stage.replace(&pool(nodes));
        assert_eq!(scan(&mut stage, cursor, None), outdated, "{nodes:?}");
        // The same nodes again: it goes on.
        stage.replace(&pool(&["a", "b"]));
        assert!(scan(&mut stage, cursor, None).starts_with(b"*2\r\n"));
        assert_eq!(scan(&mut stage, cursor, Some(nodes)), outdated, "under way: {nodes:?}");
        stage.replace(&pool(&["a", "b"]));
    }
    // So it is with one alone.
    stage.replace(&pool(&["a"]));
    let only = cursor_of(&scan(&mut stage, "0", None));
    for nodes in [&["b"][..], &["a", "b"]] {
        stage.replace(&pool(nodes));
        assert_eq!(scan(&mut stage, &only, None), outdated, "{nodes:?}");
        stage.replace(&pool(&["a"]));
        assert_eq!(cursor_of(&scan(&mut stage, &only, None)), "0");
        assert_eq!(scan(&mut stage, &only, Some(nodes)), outdated, "under way: {nodes:?}");
        stage.replace(&pool(&["a"]));
    }
    // Its own cursor is nobody's.
    assert_eq!(scan(&mut stage, "5", None), outdated);
}

#[test]
fn an_only_node_may_have_large_cursors() {
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a"])]);
    let client = stage.connect(0).expect("there is room");
    let large = (1_u64 << 63 | 5 << 40).to_string();
    stage.send(client, &request(&["SCAN", &large, "COUNT", "7"]));
    let backend = stage.connections_to("a")[0];
    stage.finish_connecting(backend, true);
    let wire = stage.wires.get(Link::Backend(backend)).expect("it is open");
    assert_eq!(wire.sent, request(&["SCAN", &large, "COUNT", "7"]));
    let reply = format!("*2\r\n$19\r\n{large}\r\n*0\r\n");
    stage.arrive(Link::Backend(backend), reply.as_bytes());
    stage.turn();
    assert_eq!(String::from_utf8_lossy(&stage.received(client)), reply);
}

#[test]
fn what_was_gathered_bears_the_names_of_those_who_were_asked() {
    let pool = |nodes: &[&'static str]| [PoolPlan::new(Protocol::Memcache, nodes)];
    let mut stage = Stage::new(&pool(&["a", "b", "c"]));
    let client = stage.connect(0).expect("there is room");
    stage.send(client, b"stats\r\n");
    stage.replace(&pool(&["c"]));
    stage.replace(&pool(&["0", "c"]));
    stage.settle();
    let answer = stage.received(client);
    assert_eq!(answer, b"STAT a:pid 1\r\nSTAT b:pid 1\r\nSTAT c:pid 1\r\nEND\r\n");
}

#[test]
fn values_that_were_not_asked_for_are_no_reply() {
    let value = |key: &str| format!("VALUE {key} 0 1\r\nx\r\n");
    let reply = |keys: &[&str]| keys.iter().map(|key| value(key)).collect::<String>() + "END\r\n";
    for (asked, sent) in [
        ("get e1", &["e1", "other"][..]),
        ("get e1 e2", &["q1", "q2"]),
        ("get e1 e2", &["e1", "e2", "e3"]),
        ("gets e1 e2", &["e2", "e1"]),
    ] {
        let mut stage = Stage::new(&[PoolPlan::new(Protocol::Memcache, &["a"])]);
        let client = stage.connect(0).unwrap();
        stage.send(client, format!("{asked}\r\n").as_bytes());
        let backend = stage.connections_to("a")[0];
        stage.finish_connecting(backend, true);
        stage.arrive(Link::Backend(backend), reply(sent).as_bytes());
        stage.turn();
        assert_eq!(stage.received(client), b"SERVER_ERROR Invalid argument\r\n", "{asked}");
        assert!(stage.connections_to("a").is_empty(), "{asked}");
    }
}

#[test]
fn a_node_is_not_closed_for_anothers_reply_when_the_pools_change() {
    let pool = |nodes: &[&'static str]| [PoolPlan::new(Protocol::Redis, nodes)];
    let mut stage = Stage::new(&pool(&["a", "b"]));
    let client = stage.connect(0).unwrap();
    let router = stage.core.pools[stage.pools[0]].snapshot.router();
    let [on_a, on_b] = ["a", "b"].map(|node| {
        let is_there = |key: &String| router.node_for_key(key.as_bytes()) == router.id_of(node);
        (0..).map(|number| format!("k{number}")).find(is_there).unwrap()
    });
    stage.send(client, &request(&["MGET", &on_a, &on_b]));
    let [a, b] = ["a", "b"].map(|node| stage.connections_to(node)[0]);
    stage.finish_connecting(a, true);
    stage.finish_connecting(b, true);
    stage.core.begin_turn(stage.now);
    stage.core.backend_input(&mut stage.wires, a, b"*1\r\n$1\r\nx\r\n");
    stage.core.backend_input(&mut stage.wires, b, b"*1\r\n:5\r\n");
    // In the same turn: the second node is the first one now.
    stage.replace(&pool(&["0", "a", "b"]));
    assert_eq!(stage.connections_to("a"), [a]);
    assert!(stage.connections_to("b").is_empty());
}
