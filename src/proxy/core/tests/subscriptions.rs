//! Subscriptions: what the client is told, in which order, and what it hears.

use std::time::Duration;

use crate::proxy::core::Link;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::array;
use crate::proxy::core::rehearsal::bulk;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

/// Two nodes, and a client that has sent these.
fn stage(requests: &[&[&str]]) -> (Stage, usize) {
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a", "b"])]);
    let client = stage.connect(0).expect("there is room");
    let all: Vec<u8> = requests.iter().flat_map(|words| request(words)).collect();
    stage.send(client, &all);
    for node in ["a", "b"] {
        for backend in stage.connections_to(node) {
            stage.finish_connecting(backend, true);
        }
    }
    (stage, client)
}

/// A channel on this node.
fn channel_on(node: &str) -> String {
    let (stage, _) = stage(&[]);
    let router = stage.core.pools[stage.pools[0]].snapshot.router();
    let names = (0..).map(|number| format!("c{number}"));
    let is_there = |name: &String| router.node_for_key(name.as_bytes()) == router.id_of(node);
    names.into_iter().find(is_there).expect("there is one")
}

/// The node says this on the only connection to it; answers what it was asked.
fn say(stage: &mut Stage, node: &str, reply: &[u8]) -> String {
    let backend = stage.connections_to(node)[0];
    let wire = stage.wires.get(Link::Backend(backend)).expect("it is open");
    let asked = std::mem::take(&mut wire.sent);
    stage.arrive(Link::Backend(backend), reply);
    stage.turn();
    String::from_utf8_lossy(&asked).replace("\r\n", " ")
}

fn confirmation(word: &str, name: &str, count: usize) -> Vec<u8> {
    let [word, name] = [word, name].map(|text| bulk(Some(text.as_bytes()), false));
    array([word, name, format!(":{count}\r\n").into_bytes()])
}

fn message(pattern: &str) -> Vec<u8> {
    array(["pmessage", pattern, "c", "x"].map(|text| bulk(Some(text.as_bytes()), false)))
}

#[test]
fn whatever_is_behind_a_subscription_waits_until_it_is_confirmed() {
    let channel = channel_on("a");
    let confirmed = confirmation("subscribe", &channel, 1);
    for (next, answer) in [
        (request(&["PING"]), &b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"[..]),
        (request(&["GET", "e1"]), b"-ERR Can't execute 'get'"),
        (request(&["ACL", "WHOAMI"]), b"-"),
        (request(&["SUBSCRIBE"]), b"-ERR wrong number"),
        (request(&["QUIT"]), b"+OK\r\n"),
        (request(&["RESET"]), b"+RESET\r\n"),
        (b"*1\r\nbroken\r\n".to_vec(), b"-ERR Protocol error"),
    ] {
        let (mut stage, client) = stage(&[&["SUBSCRIBE", &channel]]);
        stage.send(client, &next);
        assert_eq!(stage.received(client), b"");
        say(&mut stage, "a", &confirmed);
        let received = stage.received(client);
        let behind = received.strip_prefix(confirmed.as_slice());
        assert!(behind.is_some_and(|it| it.starts_with(answer)), "{}", received.escape_ascii());
    }
}

#[test]
fn subscriptions_are_confirmed_in_the_order_of_the_client() {
    let [first, second] = ["a", "b"].map(channel_on);
    let (mut stage, client) =
        stage(&[&["SUBSCRIBE", &first, &second], &["UNSUBSCRIBE", &second], &["PING"]]);
    say(&mut stage, "b", &confirmation("subscribe", &second, 1));
    // The client does not have it yet.
    let early = array(["message", &second, "x"].map(|text| bulk(Some(text.as_bytes()), false)));
    say(&mut stage, "b", &early);
    say(&mut stage, "b", &confirmation("unsubscribe", &second, 0));
    assert_eq!(stage.received(client), b"");
    say(&mut stage, "a", &confirmation("subscribe", &first, 1));
    let answer = [
        confirmation("subscribe", &first, 1),
        confirmation("subscribe", &second, 2),
        confirmation("unsubscribe", &second, 1),
        b"*2\r\n$4\r\npong\r\n$0\r\n\r\n".to_vec(),
    ];
    assert_eq!(stage.received(client), answer.concat());
}

#[test]
fn a_pattern_that_one_node_refuses_is_in_force_on_none() {
    let (mut stage, client) = stage(&[&["PSUBSCRIBE", "p*"], &["GET", "m1"]]);
    assert_eq!(
        say(&mut stage, "a", &confirmation("psubscribe", "p*", 1)),
        "*2 $10 psubscribe $2 p* "
    );
    say(&mut stage, "a", &message("p*"));
    assert_eq!(stage.received(client), b"");
    say(&mut stage, "b", b"-NOPERM no\r\n");
    assert_eq!(stage.received(client), b"-NOPERM no\r\n");
    let over = [message("p*"), confirmation("punsubscribe", "p*", 0)].concat();
    assert_eq!(say(&mut stage, "a", &over), "*2 $12 punsubscribe $2 p* ");
    assert_eq!(stage.received(client), b"");
    // It is an ordinary client again.
    stage.settle();
    assert_eq!(stage.received(client), b"$-1\r\n");
    assert!(stage.core.backends.iter().all(|(_, backend)| backend.owner.is_none()));
}

#[test]
fn a_pattern_that_was_refused_takes_no_other_with_it() {
    let (mut stage, client) = stage(&[&["PSUBSCRIBE", "p*"], &["PSUBSCRIBE", "q*", "p*"]]);
    for node in ["a", "b"] {
        let first = if node == "a" {
            confirmation("psubscribe", "p*", 1)
        } else {
            b"-NOPERM no\r\n".to_vec()
        };
        let rest = [confirmation("psubscribe", "q*", 1), confirmation("psubscribe", "p*", 2)];
        say(&mut stage, node, &[first, rest.concat()].concat());
    }
    // What was asked for once more, and not refused then, is there.
    say(&mut stage, "a", &[message("p*"), message("q*"), message("r*")].concat());
    let answer = [
        b"-NOPERM no\r\n".to_vec(),
        confirmation("psubscribe", "q*", 1),
        confirmation("psubscribe", "p*", 2),
        message("p*"),
        message("q*"),
    ];
    assert_eq!(stage.received(client), answer.concat());
}

#[test]
fn who_has_unsubscribed_hears_no_more() {
    let (mut stage, client) = stage(&[&["PSUBSCRIBE", "p*", "q*"]]);
    for node in ["a", "b"] {
        let both = [confirmation("psubscribe", "p*", 1), confirmation("psubscribe", "q*", 2)];
        say(&mut stage, node, &both.concat());
    }
    stage.received(client);
    stage.send(client, &request(&["PUNSUBSCRIBE", "p*"]));
    say(&mut stage, "a", &confirmation("punsubscribe", "p*", 1));
    say(&mut stage, "b", &[message("p*"), confirmation("punsubscribe", "p*", 1)].concat());
    say(&mut stage, "a", &[message("p*"), message("q*")].concat());
    let answer = [message("p*"), confirmation("punsubscribe", "p*", 1), message("q*")];
    assert_eq!(stage.received(client), answer.concat());
}

#[test]
fn a_node_that_confirms_what_it_was_not_asked_for_is_not_believed() {
    let (mut stage, client) = stage(&[&["PSUBSCRIBE", "p*"]]);
    say(&mut stage, "a", &confirmation("psubscribe", "q*", 1));
    assert!(!stage.is_open(client));
    assert_eq!(stage.received(client), b"");
}

#[test]
fn a_node_that_confirms_nothing_holds_nobody_for_ever() {
    for confirms_first in [true, false] {
        let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a"])]);
        let client = stage.connect(0).unwrap();
        stage.send(client, &request(&["SUBSCRIBE", "c"]));
        let backend = stage.connections_to("a")[0];
        stage.finish_connecting(backend, true);
        if confirms_first {
            let confirmed = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
            stage.arrive(Link::Backend(backend), confirmed);
            stage.turn();
            assert_eq!(stage.received(client), confirmed);
            // Nothing is due, and then silence is no fault.
            stage.wait(Duration::from_secs(3600));
            assert!(stage.is_open(client));
            stage.send(client, &request(&["UNSUBSCRIBE", "c"]));
        }
        stage.send(client, &request(&["PING"]));
        for _ in 0..20 {
            stage.wait(Duration::from_millis(100));
        }
        assert!(!stage.is_open(client), "it waits for ever");
    }
}

#[test]
fn very_many_names_may_be_refused() {
    let mut stage = Stage::new(&[PoolPlan::new(Protocol::Redis, &["a"])]);
    let client = stage.connect(0).unwrap();
    // In quadratic time this would take minutes.
    let names: Vec<String> = (0..100_000).map(|number| format!("channel{number}")).collect();
    let words: Vec<&str> =
        std::iter::once("SUBSCRIBE").chain(names.iter().map(String::as_str)).collect();
    stage.send(client, &request(&words));
    let backend = stage.connections_to("a")[0];
    stage.finish_connecting(backend, true);
    let refused = b"-NOPERM no\r\n".repeat(names.len());
    stage.arrive(Link::Backend(backend), &refused);
    stage.turn();
    assert_eq!(stage.received(client).len(), refused.len());
}
