//! Nodes that are ejected and come back (`auto_eject_hosts: true`).

use std::time::Duration;

use super::support::Redis;
use super::support::Sides;
use super::support::before_fakes;
use super::support::key_on;
use super::support::owner;
use super::support::router;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::requests;
use crate::support::stopwatch::pause;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";
const REFUSED: &str = "-ERR Connection refused\r\n";

/// Row 57.
#[test]
fn after_two_failures_the_keys_move() {
    let Some(redis) = Redis::start(3) else { return };
    let key = redis.key(0, "key");
    let settings = ["auto_eject_hosts: true", "server_retry_timeout: 60000"];
    Sides::start(&redis, &settings).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask(&format!("SET {key} v")), OK);
        let before =
            proxy.node_stat("node0", "server_err") + proxy.node_stat("node0", "server_eof");
        redis.kill(0);
        // It is noticed that the idle connection was closed, which nutcracker counts as a failure.
        eventually("it is noticed", || {
            proxy.node_stat("node0", "server_err") + proxy.node_stat("node0", "server_eof") > before
        });
        let get = format!("GET {key}");
        let errors = if proxy.is_ours() { 2 } else { 1 };
        for _ in 0..errors {
            assert_eq!(client.ask(&get), REFUSED);
        }
        assert_eq!(client.ask(&get), "$-1\r\n");
        assert_eq!(client.ask(&format!("SET {key} w")), OK);
        assert_eq!(client.ask(&get), bulk("w"));
        eventually("it is counted", || proxy.pool_stat("server_ejects") == 1);
        assert!(proxy.node_stat("node0", "server_ejected_at") > 1_600_000_000_000_000);
    });
}

/// Row 57: of a node that was never connected to, exactly two requests fail.
#[test]
fn a_node_that_was_never_there_fails_twice() {
    let Some(redis) = Redis::start(3) else { return };
    let key = redis.key(0, "key");
    let settings = ["auto_eject_hosts: true", "server_retry_timeout: 60000"];
    Sides::start(&redis, &settings).each(|proxy| {
        redis.kill(0);
        let mut client = proxy.client();
        let get = format!("GET {key}");
        let replies = [(); 3].map(|()| client.ask(&get));
        assert_eq!(replies, [REFUSED, REFUSED, "$-1\r\n"]);
    });
}

/// Row 20.
#[test]
fn a_node_that_is_back_has_its_keys_again() {
    let Some(redis) = Redis::start(3) else { return };
    let keys: Vec<_> = (0..60).map(|number| format!("{}-key", number * 7919)).collect();
    let settings =
        ["auto_eject_hosts: true", "server_failure_limit: 1", "server_retry_timeout: 300"];
    Sides::start(&redis, &settings).each(|proxy| {
        let mut client = proxy.client();
        let mut set = |value: &str| {
            let replies: Vec<_> =
                keys.iter().map(|key| client.ask(&format!("SET {key} {value}"))).collect();
            replies.iter().all(|reply| reply == OK)
        };
        assert!(set("before"));
        redis.kill(1);
        eventually("the keys have moved", || set("between"));
        redis.restart(1);
        let router = router(3);
        let own: Vec<_> = keys.iter().filter(|key| owner(&router, key) == 1).collect();
        assert!(!own.is_empty());
        let mut direct = redis.direct(1);
        eventually("all its keys are back", || {
            set("after") && own.iter().all(|key| direct.ask(&format!("GET {key}")) == bulk("after"))
        });
        // And no others.
        assert_eq!(direct.ask("DBSIZE"), format!(":{}\r\n", own.len()));
    });
}

/// Row 21.
#[test]
fn a_pool_of_one_node_does_not_wait_for_the_end_of_the_ejection() {
    let Some(redis) = Redis::start(1) else { return };
    let settings =
        ["auto_eject_hosts: true", "server_failure_limit: 1", "server_retry_timeout: 60000"];
    Sides::start(&redis, &settings).each(|proxy| {
        redis.kill(0);
        let mut client = proxy.client();
        for _ in 0..3 {
            assert_eq!(client.ask("GET k"), REFUSED);
        }
        redis.restart(0);
        if proxy.is_ours() {
            eventually("it is back long before", || client.ask("GET k") == "$-1\r\n");
        } else {
            assert_eq!(client.ask("GET k"), REFUSED);
        }
    });
}

/// Row 43.
#[test]
fn mget_with_all_nodes_ejected_is_answered() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    let settings =
        ["auto_eject_hosts: true", "server_failure_limit: 1", "server_retry_timeout: 60000"];
    Sides::start(&redis, &settings).each(|proxy| {
        redis.kill(0);
        redis.kill(1);
        let mut client = proxy.client();
        for _ in 0..3 {
            for key in [&a, &b] {
                assert_eq!(client.ask(&format!("GET {key}")), REFUSED);
            }
        }
        assert_eq!(client.ask(&format!("DEL {a} {b}")), REFUSED);
        if proxy.is_ours() {
            assert_eq!(client.ask(&format!("MGET {a} {b}")), REFUSED);
            assert_eq!(client.ask("PING"), PONG);
        } else {
            client.send(requests(&[&format!("MGET {a} {b}"), "PING"]));
            assert_eq!(client.rest(), "");
        }
    });
}

/// Row 45: all fragments of a request are of one ring.
#[test]
fn the_first_request_after_an_ejection_finds_its_keys() {
    let Some(redis) = Redis::start(3) else { return };
    let keys: Vec<_> = (0..60).map(|number| format!("{}-key", number * 7919)).collect();
    let settings =
        ["auto_eject_hosts: true", "server_failure_limit: 1", "server_retry_timeout: 400"];
    let full = router(3);
    Sides::ours(&redis, &settings).each(|proxy| {
        let mut client = proxy.client();
        let killed = keys.iter().find(|key| owner(&full, key) == 0).unwrap();
        redis.kill(0);
        eventually("it is ejected", || client.ask(&format!("GET {killed}")) == "$-1\r\n");
        redis.restart(0);
        // Nothing is asked until the time is over.
        pause(Duration::from_millis(600));
        let set = format!("MSET {} v", keys.join(" v "));
        assert_eq!(client.ask(&set), OK);
        let mut direct = [0, 1, 2].map(|node| redis.direct(node));
        let holders: Vec<_> = keys
            .iter()
            .map(|key| {
                let mut nodes = direct.iter_mut();
                nodes.position(|node| node.ask(&format!("EXISTS {key}")) == ":1\r\n")
            })
            .collect();
        let is_back = holders.contains(&Some(0));
        for (key, holder) in keys.iter().zip(holders) {
            let owner = owner(&full, key);
            // Weights are equal, so that keys of other nodes never move.
            let expected = (owner != 0 || is_back).then_some(owner);
            assert!(
                holder.is_some() && (expected.is_none() || holder == expected),
                "{key}: {holder:?}"
            );
        }
        let values = client.ask(&format!("MGET {}", keys.join(" ")));
        assert!(is_back || values.contains("v"), "{values}");
    });
}

/// Row 55.
#[test]
fn requests_that_die_together_are_one_failure_and_a_reply_forgives_it() {
    let make = || {
        // It ends with everything that was asked behind it.
        let end = vec![Step::Wait(Duration::from_millis(50)), Step::Close];
        let script = move |request: &Request| {
            if request.key().starts_with("end") { end.clone() } else { reply(bulk("v")) }
        };
        (0..2).map(|_| FakeNode::start(script.clone())).collect()
    };
    let settings = ["redis: true", "auto_eject_hosts: true", "server_retry_timeout: 60000"];
    before_fakes(&settings, make, |proxy, nodes| {
        let (good, end) = (key_on(2, 0, "good"), key_on(2, 0, "end"));
        let mut client = proxy.client();
        for round in 1..=4 {
            client.send(requests(&[format!("GET {end}").as_str(); 10]));
            for _ in 0..10 {
                assert!(client.reply().starts_with("-ERR "));
            }
            // Row 83: it may not be asked again at once.
            let get = request(&format!("GET {good}"));
            eventually("it is asked again", || {
                client.send(&get);
                client.reply() == bulk("v")
            });
            assert_eq!(nodes[1].lines().len(), 0, "in round {round} the keys moved");
        }
        assert_eq!(proxy.pool_stat("server_ejects"), 0);
    });
}

/// Row 56.
#[test]
fn a_node_that_closes_an_idle_connection_has_not_failed() {
    let make = || (0..2).map(|_| FakeNode::start(|_| reply(bulk("v")))).collect();
    let settings = [
        "redis: true",
        "auto_eject_hosts: true",
        "server_failure_limit: 1",
        "server_retry_timeout: 60000",
    ];
    before_fakes(&settings, make, |proxy, nodes| {
        let key = key_on(2, 0, "key");
        let mut client = proxy.client();
        assert_eq!(client.ask(&format!("GET {key}")), bulk("v"));
        nodes[0].hang_up();
        eventually("it is noticed", || proxy.node_stat("node0", "server_eof") == 1);
        assert_eq!(client.ask(&format!("GET {key}")), bulk("v"));
        let asked = nodes[1].lines().len();
        if proxy.is_ours() {
            assert_eq!((asked, proxy.pool_stat("server_ejects")), (0, 0));
        } else {
            eventually("it is ejected", || proxy.pool_stat("server_ejects") == 1);
            assert_eq!(asked, 1);
        }
    });
}

/// Row 83.
#[test]
fn a_node_that_hangs_up_at_once_is_not_called_again_and_again() {
    let make = || vec![FakeNode::start_rude(|_| vec![Step::Close])];
    before_fakes(&["redis: true"], make, |proxy, nodes| {
        let mut client = proxy.client();
        for _ in 0..300 {
            assert!(client.ask("GET k").starts_with("-ERR "));
        }
        let connections = nodes[0].connections();
        if proxy.is_ours() {
            assert!(connections < 100, "{connections} connections for 300 requests");
        } else {
            assert_eq!(connections, 300);
        }
    });
}
