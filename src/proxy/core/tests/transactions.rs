//! Connections of a client's own: transactions, blocking commands, subscriptions.

use std::time::Duration;

use crate::proxy::core::Link;
use crate::proxy::core::rehearsal::PoolPlan;
use crate::proxy::core::rehearsal::Stage;
use crate::proxy::core::rehearsal::request;
use crate::proxy::settings::Protocol;

fn stage() -> Stage {
    Stage::new(&[PoolPlan::new(Protocol::Redis, &["a", "b", "c"])])
}

/// Sends them in one piece, has the nodes answer, and tells what the client got.
fn said(stage: &mut Stage, client: usize, requests: &[&[&str]]) -> String {
    let bytes: Vec<u8> = requests.iter().flat_map(|words| request(words)).collect();
    stage.send(client, &bytes);
    stage.settle();
    String::from_utf8(stage.received(client)).expect("text")
}

#[test]
fn commands_without_a_key_wait_for_the_node_of_the_first_key() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    let answer = said(&mut stage, client, &[&["MULTI"], &["PING"], &["GET", "e1"], &["EXEC"]]);
    assert_eq!(answer, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n$4\r\n<e1>\r\n");
    assert_eq!(said(&mut stage, client, &[&["MULTI"], &["EXEC"]]), "+OK\r\n*0\r\n");
}

#[test]
fn a_transaction_on_two_nodes_is_refused_and_not_carried_out() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    let router = stage.core.pools[stage.pools[0]].snapshot.router();
    let node = router.node_for_key(b"e1");
    let other = (2..).map(|number| format!("e{number}"));
    let other = other.into_iter().find(|key| router.node_for_key(key.as_bytes()) != node);
    let other = other.expect("there is one");
    let answer = said(
        &mut stage,
        client,
        &[&["MULTI"], &["GET", "e1"], &["GET", &other], &["EXEC"], &["GET", "e3"]],
    );
    assert!(answer.starts_with("+OK\r\n+QUEUED\r\n-ERR "), "{answer}");
    assert!(answer.ends_with(
        "\r\n-EXECABORT Transaction discarded because of previous errors.\r\n$4\r\n<e3>\r\n"
    ));
}

#[test]
fn a_transaction_whose_connection_cannot_be_opened_is_aborted() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    stage.wires.refused = ["a", "b", "c"].map(String::from).to_vec();
    stage.send(client, &[request(&["MULTI"]), request(&["PING"])].concat());
    assert_eq!(stage.received(client), b"+OK\r\n+QUEUED\r\n");
    stage.send(client, &request(&["SET", "e1", "x"]));
    assert!(stage.received(client).starts_with(b"-ERR "));
    // The node is back, but it has not heard of the transaction.
    stage.wires.refused.clear();
    let answer = said(&mut stage, client, &[&["SET", "e1", "x"], &["EXEC"], &["GET", "e1"]]);
    assert!(answer.starts_with("-ERR "), "{answer}");
    assert!(
        answer.contains("\r\n-EXECABORT ") && answer.ends_with("\r\n$4\r\n<e1>\r\n"),
        "{answer}"
    );
}

#[test]
fn a_transaction_that_loses_its_connection_is_aborted() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    said(&mut stage, client, &[&["WATCH", "e1"], &["GET", "e1"], &["MULTI"]]);
    let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
    let own = own.expect("it watches").0;
    stage.send(client, &request(&["GET", "e1"]));
    stage.hang_up(Link::Backend(own));
    stage.turn();
    assert!(stage.received(client).starts_with(b"-ERR Connection closed by server"));
    let answer =
        said(&mut stage, client, &[&["GET", "e1"], &["EXEC"], &["WATCH", "e1"], &["UNWATCH"]]);
    assert!(answer.ends_with(
        "-EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n+OK\r\n"
    ));
}

#[test]
fn who_watches_and_loses_the_connection_is_told_once() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    said(&mut stage, client, &[&["WATCH", "e1"]]);
    for backend in
        ["a", "b", "c"].iter().flat_map(|node| stage.connections_to(node)).collect::<Vec<_>>()
    {
        stage.hang_up(Link::Backend(backend));
    }
    stage.turn();
    assert!(said(&mut stage, client, &[&["WATCH", "e1"]]).starts_with("-ERR "));
    let answer =
        said(&mut stage, client, &[&["WATCH", "e1"], &["MULTI"], &["GET", "e1"], &["EXEC"]]);
    assert_eq!(answer, "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$4\r\n<e1>\r\n");
}

#[test]
fn a_client_that_watches_does_not_block() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    for key in ["e1", "e2", "e3"] {
        let answer =
            said(&mut stage, client, &[&["WATCH", "e1"], &["BLPOP", key, "0"], &["UNWATCH"]]);
        assert!(answer.starts_with("+OK\r\n-ERR unsupported") && answer.ends_with("\r\n+OK\r\n"));
    }
}

#[test]
fn reset_waits_for_what_is_under_way() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    let answer =
        said(&mut stage, client, &[&["MULTI"], &["GET", "e1"], &["RESET"], &["GET", "e1"]]);
    assert_eq!(answer, "+OK\r\n+QUEUED\r\n+RESET\r\n$4\r\n<e1>\r\n");
}

#[test]
fn another_protocol_waits_for_what_is_under_way_and_is_refused_in_between() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    let answer = said(&mut stage, client, &[&["GET", "m1"], &["HELLO", "3"], &["GET", "m1"]]);
    assert!(answer.starts_with("$-1\r\n%7\r\n") && answer.ends_with("_\r\n"), "{answer}");
    let answer = said(&mut stage, client, &[&["WATCH", "e1"], &["HELLO", "2"], &["UNWATCH"]]);
    assert!(answer.starts_with("+OK\r\n-ERR unsupported") && answer.ends_with("\r\n+OK\r\n"));
}

#[test]
fn a_connection_that_answered_an_error_is_nobody_elses() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    said(&mut stage, client, &[&["WATCH", "e1"]]);
    let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
    let own = own.expect("it watches").0;
    stage.send(client, &request(&["UNWATCH"]));
    stage.arrive(Link::Backend(own), b"-NOPERM no\r\n");
    stage.turn();
    assert_eq!(stage.received(client), b"-NOPERM no\r\n");
    assert!(!stage.core.backends.contains(own));
}

#[test]
fn a_client_that_blocks_and_goes_leaves_nothing_behind() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &request(&["BLPOP", "e1", "0"]));
    // No time of ours ends what may last for ever.
    stage.wait(Duration::from_secs(3600));
    assert!(stage.is_open(client));
    stage.hang_up(Link::Session(client));
    stage.turn();
    assert!(!stage.is_open(client));
    assert_eq!(stage.core.backends.len(), 0);
}

#[test]
fn a_client_that_blocks_and_goes_is_seen_to_be_gone_though_it_has_asked_for_more() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    stage.send(client, &[request(&["BLPOP", "e1", "0"]), request(&["PING"])].concat());
    stage.hang_up(Link::Session(client));
    stage.turn();
    assert!(!stage.is_open(client));
    assert_eq!(stage.core.backends.len(), 0);
}

#[test]
fn who_has_closed_its_side_does_not_block() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    stage.arrive(
        Link::Session(client),
        &[request(&["GET", "e1"]), request(&["BLPOP", "e1", "0"])].concat(),
    );
    stage.hang_up(Link::Session(client));
    stage.turn();
    assert_eq!(stage.core.sessions.len(), 1);
    for backend in
        ["a", "b", "c"].iter().flat_map(|node| stage.connections_to(node)).collect::<Vec<_>>()
    {
        stage.finish_connecting(backend, true);
        let answer = stage.answer_of(backend).expect("it was asked");
        stage.arrive(Link::Backend(backend), &answer);
    }
    stage.turn();
    // It reads no more; it has what it was owed.
    stage.hang_up(Link::Session(client));
    stage.turn();
    assert!(!stage.is_open(client));
}

#[test]
fn each_subscription_is_confirmed_once() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    let confirmation = |word: &str, name: &str, count: usize| {
        format!("*3\r\n${}\r\n{word}\r\n${}\r\n{name}\r\n:{count}\r\n", word.len(), name.len())
    };
    let answer = said(&mut stage, client, &[&["SUBSCRIBE", "x", "x"]]);
    assert_eq!(answer, confirmation("subscribe", "x", 1).repeat(2));
    let answer = said(&mut stage, client, &[&["PSUBSCRIBE", "p*"]]);
    assert_eq!(answer, confirmation("psubscribe", "p*", 2));
    let answer = said(&mut stage, client, &[&["SUBSCRIBE", "y"], &["UNSUBSCRIBE", "y"]]);
    assert_eq!(answer, confirmation("subscribe", "y", 3) + &confirmation("unsubscribe", "y", 2));
    let answer =
        said(&mut stage, client, &[&["PUNSUBSCRIBE"], &["UNSUBSCRIBE", "x"], &["GET", "e1"]]);
    let over = confirmation("punsubscribe", "p*", 1) + &confirmation("unsubscribe", "x", 0);
    assert_eq!(answer, over + "$4\r\n<e1>\r\n");
    assert!(stage.core.backends.iter().all(|(_, backend)| backend.owner.is_none()));
}

#[test]
fn a_subscriber_whose_node_is_gone_is_closed() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    said(&mut stage, client, &[&["PSUBSCRIBE", "*"]]);
    stage.replace(&[PoolPlan::new(Protocol::Redis, &["a", "d"])]);
    assert!(!stage.is_open(client));
}

/// What the backend was sent that it has not answered; it is answered with `answer`.
fn exchange(stage: &mut Stage, backend: usize, answer: &[u8]) -> String {
    let wire = stage.wires.get(Link::Backend(backend)).expect("it is open");
    let asked = std::mem::take(&mut wire.sent);
    stage.arrive(Link::Backend(backend), answer);
    stage.turn();
    String::from_utf8_lossy(&asked).replace("\r\n", " ")
}

#[test]
fn nothing_follows_a_multi_before_the_node_has_agreed() {
    let mut stage = stage();
    for is_refused in [true, false] {
        let client = stage.connect(0).expect("there is room");
        let all = [&["MULTI"][..], &["PING"], &["SET", "e1", "x"], &["EXEC"], &["PING"]];
        stage.send(client, &all.map(request).concat());
        assert_eq!(stage.received(client), b"+OK\r\n+QUEUED\r\n");
        let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
        let own = own.expect("it has a connection").0;
        stage.finish_connecting(own, true);
        if is_refused {
            let refusal = b"-NOPERM this user has no permissions to run the 'multi' command\r\n";
            assert_eq!(exchange(&mut stage, own, refusal), "*1 $5 MULTI ");
            assert!(!stage.core.backends.contains(own));
            let answer = [
                refusal,
                &b"-EXECABORT Transaction discarded because of previous errors.\r\n"[..],
                b"+PONG\r\n",
            ];
            assert_eq!(stage.received(client), answer.concat());
        } else {
            assert_eq!(exchange(&mut stage, own, b"+OK\r\n"), "*1 $5 MULTI ");
            assert_eq!(
                exchange(&mut stage, own, b"+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n+OK\r\n"),
                "*1 $4 PING *3 $3 SET $2 e1 $1 x *1 $4 EXEC "
            );
            assert_eq!(stage.received(client), b"+QUEUED\r\n*2\r\n+PONG\r\n+OK\r\n+PONG\r\n");
        }
    }
}

#[test]
fn a_multi_that_is_refused_behind_a_watch_begins_nothing() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    said(&mut stage, client, &[&["WATCH", "e1"]]);
    let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
    let own = own.expect("it watches").0;
    stage.wires.get(Link::Backend(own)).expect("it is open").sent.clear();
    stage.send(client, &[&["MULTI"][..], &["GET", "e1"], &["EXEC"]].map(request).concat());
    assert_eq!(exchange(&mut stage, own, b"-NOPERM no\r\n"), "*1 $5 MULTI ");
    assert_eq!(exchange(&mut stage, own, b"$1\r\nx\r\n"), "*2 $3 GET $2 e1 ");
    assert_eq!(stage.received(client), b"-NOPERM no\r\n$1\r\nx\r\n-ERR EXEC without MULTI\r\n");
}

#[test]
fn a_node_that_does_not_answer_a_multi_does_not_hold_the_client_for_ever() {
    let mut stage = stage();
    for is_silent in [true, false] {
        let client = stage.connect(0).expect("there is room");
        let all = [&["MULTI"][..], &["SET", "e1", "x"], &["EXEC"], &["PING"]];
        stage.send(client, &all.map(request).concat());
        let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
        let own = own.expect("it has a connection").0;
        stage.finish_connecting(own, true);
        if is_silent {
            stage.wait(Duration::from_millis(401));
        } else {
            stage.arrive(Link::Backend(own), b":1\r\n");
            stage.turn();
        }
        let answer = String::from_utf8(stage.received(client)).expect("text");
        let start = if is_silent { "+OK\r\n-ERR Connection timed out\r\n" } else { "+OK\r\n-ERR " };
        assert!(answer.starts_with(start), "{answer}");
        assert!(
            answer.contains("\r\n-EXECABORT ") && answer.ends_with("\r\n+PONG\r\n"),
            "{answer}"
        );
    }
}

#[test]
fn a_reply_that_is_none_to_a_multi_carries_nothing_out() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    said(&mut stage, client, &[&["WATCH", "e1"]]);
    let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
    let own = own.expect("it watches").0;
    stage.send(client, &[&["MULTI"][..], &["SET", "e1", "x"], &["EXEC"]].map(request).concat());
    stage.arrive(Link::Backend(own), b":1\r\n");
    stage.turn();
    assert!(!stage.core.backends.contains(own), "it is trusted");
    let answer = String::from_utf8(stage.received(client)).expect("text");
    assert_eq!(answer, format!("+OK\r\n{LOST}{ABORTED}"));
}

/// What a command gets whose transaction is lost.
const LOST: &str =
    "-ERR the connection of this transaction is lost; DISCARD it and begin again\r\n";
const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";

/// The node says nothing to a MULTI behind a WATCH. Answers what the client got, who has sent `lines` behind it.
fn lost_before_it_began(
    stage: &mut Stage,
    client: usize,
    lines: &[&[&str]],
    lose: impl FnOnce(&mut Stage, usize),
) -> String {
    said(stage, client, &[&["WATCH", "e1"]]);
    let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
    let own = own.expect("it watches").0;
    let bytes: Vec<u8> = lines.iter().flat_map(|words| request(words)).collect();
    stage.send(client, &[request(&["MULTI"]), bytes].concat());
    assert_eq!(stage.received(client), b"");
    lose(stage, own);
    stage.turn();
    assert!(!stage.core.backends.contains(own));
    String::from_utf8(stage.received(client)).expect("text")
}

#[test]
fn a_transaction_that_is_lost_before_it_began_has_begun_for_the_client() {
    type Lose = fn(&mut Stage, usize);
    let hang_up: Lose = |stage, own| stage.hang_up(Link::Backend(own));
    let time_out: Lose = |stage, _| stage.wait(Duration::from_millis(401));
    let break_it: Lose = |stage, own| stage.arrive(Link::Backend(own), b":1\r\n");
    for lose in [hang_up, time_out, break_it] {
        let mut stage = stage();
        let client = stage.connect(0).expect("there is room");
        // In one piece.
        let lines = [&["SET", "e1", "x"][..], &["PING"], &["EXEC"], &["PING"]];
        let answer = lost_before_it_began(&mut stage, client, &lines, lose);
        assert_eq!(answer, format!("+OK\r\n{LOST}+QUEUED\r\n{ABORTED}+PONG\r\n"));
        // One by one.
        for (end, answer) in [("EXEC", ABORTED), ("DISCARD", "+OK\r\n"), ("RESET", "+RESET\r\n")] {
            assert_eq!(lost_before_it_began(&mut stage, client, &[], lose), "+OK\r\n");
            assert_eq!(said(&mut stage, client, &[&["GET", "e1"]]), LOST);
            assert_eq!(said(&mut stage, client, &[&[end]]), answer);
            assert_eq!(said(&mut stage, client, &[&["GET", "e1"]]), "$4\r\n<e1>\r\n");
        }
    }
}

#[test]
fn commands_without_a_key_are_refused_too_when_no_transaction_has_begun() {
    let mut stage = stage();
    let client = stage.connect(0).expect("there is room");
    let all = [&["MULTI"][..], &["SET", "e1", "x"], &["PING"], &["EXEC"]];
    stage.send(client, &all.map(request).concat());
    let own = stage.core.backends.iter().find(|(_, backend)| backend.owner.is_some());
    let own = own.expect("it has a connection").0;
    stage.finish_connecting(own, true);
    assert_eq!(exchange(&mut stage, own, b"-NOPERM no\r\n"), "*1 $5 MULTI ");
    let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    let answer = format!("+OK\r\n-NOPERM no\r\n-NOPERM no\r\n{aborted}");
    assert_eq!(String::from_utf8_lossy(&stage.received(client)), answer);
}
