//! A pool of memcacheds: what nutcracker knows is answered as by nutcracker, and what it closes the
//! connection for is answered as memcached would.

use super::support::Memcacheds;
use super::support::Sides;
use super::support::assert_fits;
use super::support::before_fakes;
use super::support::fits;
use super::support::key_on;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::proxy_client::Client;

const REFUSED: &str = "SERVER_ERROR Connection refused\r\n";

/// Section 5: the commands that nutcracker has.
#[test]
fn classic_commands_are_answered_alike() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    let lines = [
        "set k 5 0 3\r\nabc",
        "get k",
        "add k 0 0 1\r\nx",
        "add l 0 0 1\r\nx",
        "replace l 1 0 2\r\nyy",
        "replace m 0 0 1\r\nz",
        "append l 0 0 1\r\n!",
        "prepend l 0 0 1\r\n?",
        "get l",
        "get k l m k",
        "gets none",
        "cas k 0 0 1 99999\r\nx",
        "cas m 0 0 1 1\r\nx",
        "set n 0 0 2\r\n10",
        "incr n 5",
        "decr n 20",
        "incr n 18446744073709551615",
        "incr none 1",
        "incr k 1",
        "incr n -1",
        "touch n 100",
        "touch none 100",
        "delete n",
        "delete n",
        "set e 0 0 0\r\n",
        "get e",
        "set k 0 0 1 noreply\r\nv",
        "get k",
        "delete k noreply",
        "get k",
        "incr n 1 noreply",
        "set big 0 0 5000\r\n",
        "verb",
        "set k 4294967295 0 1\r\nv",
        "get k",
        "  get   k  ",
        "set k 0 100 1\r\nv",
        "touch k -1",
        "get k",
        "set k 0 0 1\r\nv",
    ];
    for line in lines {
        // Each is behind one that shows whether the connection is open.
        let bytes = match line {
            "set big 0 0 5000\r\n" => format!("{line}{}\r\nget big\r\n", "x".repeat(5000)),
            "verb" => continue,
            line => format!("set k 5 0 3\r\nabc\r\nset l 0 0 1\r\nl\r\n{line}\r\nget l\r\n"),
        };
        let reply = sides.alike(bytes);
        assert!(reply.ends_with("END\r\n"), "{line:?}: {reply:?}");
    }
    let all = lines.iter().filter(|line| **line != "verb" && !line.starts_with("set big"));
    let all: String = all.map(|line| format!("{line}\r\n")).collect();
    assert!(sides.alike(all).ends_with("STORED\r\n"));
}

/// Row 60.
#[test]
fn a_key_has_up_to_250_bytes() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    let key = "k".repeat(250);
    let fine = format!("set {key} 0 0 1\r\nv\r\nget {key}\r\nget a {key} b\r\n");
    let value = format!("VALUE {key} 0 1\r\nv\r\nEND\r\n");
    assert_eq!(sides.alike(fine), format!("STORED\r\n{value}{value}"));
    let long = [
        format!("get {key}k"),
        format!("get a {key}k b"),
        format!("set {key}k 0 0 11\r\nget secret\n"),
        format!("add {key}k 0 0 1\r\nv"),
        format!("incr {key}k 1"),
        format!("delete {key}k"),
        format!("touch {key}k 0"),
    ];
    for line in long {
        let bytes = format!("set l 0 0 1\r\nl\r\n{line}\r\nget l\r\n");
        let ours = "STORED\r\nCLIENT_ERROR …\r\nVALUE l 0 1\r\nl\r\nEND\r\n";
        sides.differ(bytes, "", ours);
    }
}

/// Row 61.
#[test]
fn control_bytes_in_a_key_are_refused() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    for bad in ["a\nflush_all", "a\tb", "\x01", "a\x7f", "a\0b", "\n"] {
        for line in [format!("get {bad}"), format!("get l {bad}"), format!("delete {bad}")] {
            sides.each(|proxy| {
                let mut client = proxy.client();
                assert_eq!(client.ask_memcached("set l 0 0 1\r\nl"), "STORED\r\n");
                if !proxy.is_ours() {
                    return;
                }
                let reply = client.ask_memcached(&line);
                assert_fits(&reply, "CLIENT_ERROR …\r\n");
                assert_eq!(
                    client.ask_memcached("get l"),
                    "VALUE l 0 1\r\nl\r\nEND\r\n",
                    "{line:?}"
                );
            });
        }
    }
    let bytes = "set a\tb 0 0 5\r\nvalue\r\nget l\r\n";
    Sides::ours(&memcacheds, &[]).differ(bytes, "", "CLIENT_ERROR …\r\nEND\r\n");
}

/// Row 62.
#[test]
fn a_negative_expiry_has_passed_already() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    let bytes = "set k 0 -1 1\r\nv\r\nget k\r\nadd k 0 -1 1\r\nv\r\nget k l\r\n";
    sides.differ(bytes, "", "STORED\r\nEND\r\nSTORED\r\nEND\r\n");
}

/// Row 63.
#[test]
fn an_unknown_command_is_an_error() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    for line in
        ["foo", "foo a b", "GET l", "Set l 0 0 1", "getx l", "shutdown", "watch", "\u{fffd}"]
    {
        let bytes = format!("set l 0 0 1\r\nl\r\n{line}\r\nget l\r\n");
        sides.differ(bytes, "", "STORED\r\nERROR…\r\nVALUE l 0 1\r\nl\r\nEND\r\n");
    }
}

/// Section 5: lines that are not as they should be.
#[test]
fn a_line_that_is_wrong_is_an_error_and_its_value_is_no_command() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    let wrong = [
        "get",
        "gets",
        "delete",
        "incr l",
        "decr l x",
        "touch l",
        "touch l x",
        "delete l 0 0",
        "cas l 0 0 5",
        "set l x 0 5\r\nget l",
        "set l 0 x 5\r\nget l",
        "incr",
    ];
    for line in wrong {
        let bytes = format!("set l 0 0 1\r\nl\r\n{line}\r\nget l\r\n");
        sides.each(|proxy| {
            let reply = proxy.transcript(bytes.as_bytes());
            if !proxy.is_ours() {
                assert_eq!(reply, "", "{line:?}");
                return;
            }
            let error = reply.strip_prefix("STORED\r\n").unwrap_or_default();
            assert!(
                error.starts_with("CLIENT_ERROR ") || error.starts_with("ERROR\r\n"),
                "{line:?}: {reply:?}"
            );
            let end = "\r\nVALUE l 0 1\r\nl\r\nEND\r\n";
            assert!(error.ends_with(end), "{line:?}: {reply:?}");
            assert_eq!(error.matches("VALUE").count(), 1, "{line:?}: {reply:?}");
        });
    }
    // A value that is longer or shorter than was said.
    for line in ["set l 0 0 1\r\nlong", "set l 0 0 4\r\nl"] {
        sides.each(|proxy| {
            let mut client = proxy.client();
            client.send(format!("set l 0 0 1\r\nl\r\n{line}\r\nget l\r\n\r\n"));
            if proxy.is_ours() {
                assert_eq!(client.memcached_reply(), "STORED\r\n");
                assert_fits(&client.memcached_reply(), "CLIENT_ERROR …\r\n");
            } else {
                assert_eq!(client.rest(), "");
            }
            let mut client = proxy.client();
            assert_eq!(client.ask_memcached("get l"), "VALUE l 0 1\r\nl\r\nEND\r\n");
        });
    }
}

/// Row 64.
#[test]
fn the_version_is_that_of_a_node() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let versions = Sides::start(&memcacheds, &[]).alike("version\r\nget l\r\n");
    assert_fits(&versions, "VERSION …\r\nEND\r\n");
    let make = || {
        let names = ["node0", "node1", "node2"];
        let node = |name: &'static str| {
            FakeNode::start_rude_memcached(move |_| reply(format!("VERSION of {name}\r\n")))
        };
        names.map(node).into_iter().collect()
    };
    before_fakes(&["redis: false"], make, |proxy, _| {
        let owner = super::support::owner(&super::support::router(3), "placeholder");
        let mut client = proxy.client();
        assert_eq!(client.ask_memcached("version"), format!("VERSION of node{owner}\r\n"));
    });
}

/// Row 46, and 65.
#[test]
fn a_dead_node_is_told_and_the_connection_stays() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let [dead, live] = [0, 1].map(|node| memcacheds.key(node, "key"));
    Sides::start(&memcacheds, &[]).each(|proxy| {
        memcacheds.kill(0);
        let mut client = proxy.client();
        let value = format!("VALUE {live} 0 1\r\nv\r\n");
        assert_eq!(client.ask_memcached(format!("set {live} 0 0 1\r\nv")), "STORED\r\n");
        for line in [
            format!("get {dead}"),
            format!("set {dead} 0 0 1\r\nv"),
            format!("delete {dead}"),
            format!("incr {dead} 1"),
            format!("touch {dead} 1"),
        ] {
            assert_eq!(client.ask_memcached(line), REFUSED);
        }
        let multi = client.ask_memcached(format!("get {dead} {live}"));
        if proxy.is_ours() {
            let as_misses = format!("{value}END\r\n");
            assert!(multi == REFUSED || multi == as_misses, "{multi:?}");
            let reply = client.ask_memcached(format!("get {live} {live}"));
            assert!(reply.starts_with(&value) && reply.ends_with("END\r\n"), "{reply:?}");
        } else {
            assert_eq!(multi, REFUSED);
            assert_eq!(client.rest(), "");
        }
    });
}

/// Row 66.
#[test]
fn without_a_reply_a_dead_node_is_silent() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let [dead, live] = [0, 1].map(|node| memcacheds.key(node, "key"));
    Sides::start(&memcacheds, &[]).each(|proxy| {
        memcacheds.kill(0);
        let lines = [
            format!("set {dead} 0 0 1 noreply\r\nv\r\n"),
            format!("delete {dead} noreply\r\n"),
            format!("incr {dead} 1 noreply\r\n"),
            format!("set {live} 0 0 1 noreply\r\nv\r\n"),
            format!("touch {dead} 1 noreply\r\n"),
            format!("get {live}\r\n"),
        ];
        let expected = format!("VALUE {live} 0 1\r\nv\r\nEND\r\n");
        assert_eq!(proxy.transcript(lines.concat().as_bytes()), expected);
    });
}

/// Section 5: what a multi-get makes of a node that answers something else.
#[test]
fn an_error_of_one_node_does_not_close_a_multi_get() {
    for text in ["SERVER_ERROR out of memory\r\n", "ERROR\r\n", "STORED\r\n", "CLIENT_ERROR x\r\n"]
    {
        let make = move || {
            let script = move |request: &Request| match request.line().contains("bad") {
                true => reply(text),
                false => reply(request.echo()),
            };
            (0..2).map(|_| FakeNode::start_memcached(script)).collect()
        };
        let [bad, good] = [(0, "bad"), (1, "good")].map(|(node, salt)| key_on(2, node, salt));
        before_fakes(&["redis: false"], make, |proxy, _| {
            let mut client = proxy.client();
            let multi = client.ask_memcached(format!("get {good} {bad}"));
            if proxy.is_ours() {
                let hits = format!("VALUE {good} 0 {}\r\n{good}\r\nEND\r\n", good.len());
                assert!(
                    multi == hits || fits(&multi, "SERVER_ERROR …\r\n") || multi == text,
                    "{multi:?}"
                );
                is_good(&mut client, &good);
            } else {
                assert_eq!(multi, "SERVER_ERROR Invalid argument\r\n");
            }
            let mut client = proxy.client();
            crate::support::eventually("it is asked again", || {
                client.ask_memcached(format!("get {}", key_on(2, 0, "good"))).starts_with("VALUE ")
            });
        });
    }
}

/// Rows 47 to 49, as for redis.
#[test]
fn nodes_that_fail_are_told_in_the_words_of_memcached() {
    let make = || {
        let script = |request: &Request| match request.key().as_str() {
            "hang" => vec![Step::Hang],
            "close" => vec![Step::Close],
            "garbage" => reply("HELLO\r\n"),
            _ => reply(request.echo()),
        };
        vec![FakeNode::start_memcached(script)]
    };
    before_fakes(&["redis: false", "timeout: 200"], make, |proxy, _| {
        let mut client = proxy.client();
        is_good(&mut client, "k");
        let closed = match proxy.is_ours() {
            true => "SERVER_ERROR Connection closed by server\r\n",
            false => "SERVER_ERROR unknown\r\n",
        };
        let cases = [
            ("close", closed),
            ("garbage", "SERVER_ERROR Invalid argument\r\n"),
            ("hang", "SERVER_ERROR Connection timed out\r\n"),
        ];
        for (key, error) in cases {
            assert_eq!(client.ask_memcached(format!("get {key}")), error);
            crate::support::eventually("it is asked again", || {
                client.ask_memcached("get k").starts_with("VALUE k ")
            });
        }
    });
}

fn is_good(client: &mut Client, key: &str) {
    let value = format!("VALUE {key} 0 {}\r\n{key}\r\nEND\r\n", key.len());
    assert_eq!(client.ask_memcached(format!("get {key}")), value);
}
