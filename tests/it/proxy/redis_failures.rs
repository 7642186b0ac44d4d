//! Nodes of a redis pool that fail, and what the clients are told.

use std::time::Duration;
use std::time::Instant;

use super::support::Redis;
use super::support::Sides;
use super::support::assert_fits;
use super::support::before_fakes;
use super::support::key_on;
use super::support::pool;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::requests;
use crate::support::stopwatch::pause;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";
const REFUSED: &str = "-ERR Connection refused\r\n";
const TIMED_OUT: &str = "-ERR Connection timed out\r\n";

/// Rows 46 and 44.
#[test]
fn a_dead_node_is_connection_refused_and_the_others_go_on() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    Sides::start(&redis, &[]).each(|proxy| {
        redis.kill(0);
        let mut client = proxy.client();
        for _ in 0..3 {
            assert_eq!(client.ask(&format!("GET {a}")), REFUSED);
            assert_eq!(client.ask(&format!("SET {b} v")), OK);
            assert_eq!(client.ask(&format!("GET {b}")), bulk("v"));
            // Row 44: of a fragment as of the whole.
            assert_eq!(client.ask(&format!("DEL {a} {b}")), REFUSED);
            assert_eq!(client.ask(&format!("MSET {a} v {b} v")), REFUSED);
            assert_eq!(client.ask(&format!("UNLINK {b} {a}")), REFUSED);
            assert_eq!(client.ask(&format!("TOUCH {b} {a}")), REFUSED);
            assert_eq!(client.ask("PING"), PONG);
        }
        redis.restart(0);
        // It may wait a little before it tries again.
        eventually("it is back", || client.ask(&format!("SET {a} w")) == OK);
        assert_eq!(client.ask(&format!("GET {a}")), bulk("w"));
    });
}

/// Rows 42 and 84.
#[test]
fn mget_with_a_dead_node_keeps_the_connection() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    Sides::start(&redis, &[]).each(|proxy| {
        redis.kill(0);
        let mut client = proxy.client();
        assert_eq!(client.ask(&format!("MGET {a} {b}")), REFUSED);
        if proxy.is_ours() {
            assert_eq!(client.ask("PING"), PONG);
            assert_eq!(client.ask(&format!("MGET {b} {b}")), "*2\r\n$-1\r\n$-1\r\n");
        } else {
            assert_eq!(client.rest(), "");
        }
    });
}

/// Row 41.
#[test]
fn the_error_of_a_fragment_is_the_reply() {
    let make = || {
        let error = |request: &Request| match request.line() {
            line if line.contains("bad") => {
                reply("-READONLY You can't write against a replica.\r\n")
            }
            line if line.to_lowercase().starts_with("mget") => reply("*1\r\n$1\r\nv\r\n"),
            line if line.to_lowercase().starts_with("mset") => reply(OK),
            _ => reply(":1\r\n"),
        };
        (0..2).map(|_| FakeNode::start(error)).collect()
    };
    let [bad, good] = [(0, "bad"), (1, "good")].map(|(node, salt)| key_on(2, node, salt));
    before_fakes(&["redis: true"], make, |proxy, _| {
        let mut client = proxy.client();
        for (line, ok) in
            [("DEL", ":2\r\n"), ("TOUCH", ":2\r\n"), ("MGET", "*2\r\n$1\r\nv\r\n$1\r\nv\r\n")]
        {
            let other = key_on(2, 0, "other");
            let reply = client.ask(&format!("{line} {good} {bad}"));
            if proxy.is_ours() {
                assert_eq!(reply, "-READONLY You can't write against a replica.\r\n");
            } else {
                assert_eq!(reply, "-ERR Invalid argument\r\n");
            }
            assert_eq!(client.ask(&format!("{line} {good} {other}")), ok);
        }
        let reply = client.ask(&format!("MSET {good} 1 {bad} 2"));
        assert_fits(
            &reply,
            if proxy.is_ours() { "-READONLY …\r\n" } else { "-ERR Invalid argument\r\n" },
        );
        // Alone it is not split.
        let reply = client.ask(&format!("DEL {bad}"));
        assert_eq!(reply, "-READONLY You can't write against a replica.\r\n");
    });
}

/// Row 47.
#[test]
fn what_is_not_answered_in_time_has_timed_out() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    Sides::start(&redis, &["timeout: 200"]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask(&format!("SET {a} v")), OK);
        redis.stop(0);
        let mut other = proxy.client();
        let start = Instant::now();
        client.send(request(&format!("GET {a}")));
        assert_eq!(other.ask(&format!("SET {b} v")), OK);
        assert_eq!(client.reply(), TIMED_OUT);
        assert!(start.elapsed() >= Duration::from_millis(195), "{:?}", start.elapsed());
        assert_eq!(client.ask("PING"), PONG);
        // Rows 42 and 44.
        assert_eq!(client.ask(&format!("DEL {a} {b}")), TIMED_OUT);
        assert_eq!(client.ask("PING"), PONG);
        redis.resume(0);
        let get = format!("GET {a}");
        eventually("it answers again", || !client.ask(&get).starts_with('-'));
    });
}

/// Row 47: what is connected to and never answers is no different.
#[test]
fn a_node_that_does_not_take_the_connection_times_out() {
    // Its queue of connections is full.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(300);
    let connect = || std::net::TcpStream::connect_timeout(&address, limit).ok();
    let fillers: Vec<_> = std::iter::from_fn(connect).take(64).collect();
    assert!(fillers.len() < 64, "this system has no full queues");
    for program in Program::chosen() {
        let server = format!("{address}:1 node0");
        let proxy = Proxy::start(program, &[pool(&["redis: true", "timeout: 200"], &[server])]);
        let mut client = proxy.client();
        assert_eq!(client.ask("GET k"), TIMED_OUT);
        assert_eq!(client.ask("PING"), PONG);
    }
}

/// Row 48. A reply that comes too late is nobody's.
#[test]
fn a_slow_request_fails_alone() {
    let make = || {
        let slow = |request: &Request| {
            let wait = Step::Wait(Duration::from_millis(700));
            let value = Step::Send(bulk(&format!("value of {}", request.key())).into_bytes());
            if request.key() == "slow" { vec![wait, value] } else { vec![value] }
        };
        vec![FakeNode::start(slow)]
    };
    before_fakes(&["redis: true", "timeout: 500"], make, |proxy, nodes| {
        let (mut one, mut other) = (proxy.client(), proxy.client());
        one.send(request("GET slow"));
        eventually("the node has it", || nodes[0].lines().len() == 1);
        pause(Duration::from_millis(300));
        other.send(request("GET quick"));
        one.send(request("GET next"));
        assert_eq!(one.reply(), TIMED_OUT);
        if proxy.is_ours() {
            assert_eq!(other.reply(), bulk("value of quick"));
            assert_eq!(one.reply(), bulk("value of next"));
            assert_eq!(nodes[0].connections(), 1, "the connection was kept");
        } else {
            assert_eq!(other.reply(), TIMED_OUT);
            assert_eq!(one.reply(), TIMED_OUT);
        }
        assert_eq!(one.ask("GET last"), bulk("value of last"));
        assert_eq!(other.ask("GET quick2"), bulk("value of quick2"));
    });
}

/// Row 49.
#[test]
fn a_node_that_hangs_up_is_told_as_such() {
    let make = || {
        let half = Step::Send(b"$5\r\nab".to_vec());
        let script = move |request: &Request| match request.key().as_str() {
            "close" => vec![Step::Close],
            "half" => vec![half.clone(), Step::Wait(Duration::from_millis(50)), Step::Close],
            "both" => vec![half.clone(), Step::Close],
            key => reply(bulk(key)),
        };
        vec![FakeNode::start(script)]
    };
    before_fakes(&["redis: true"], make, |proxy, _| {
        let error = match proxy.is_ours() {
            true => "-ERR Connection closed by server\r\n",
            false => "-ERR unknown\r\n",
        };
        let mut client = proxy.client();
        // nutcracker may overlook the end when it comes together with bytes, and wait for ever.
        let both = if proxy.is_ours() { 20 } else { 0 };
        for key in ["close", "half"].into_iter().chain(vec!["both"; both]) {
            eventually("it is asked again", || client.ask("GET a") == bulk("a"));
            assert_eq!(client.ask(&format!("GET {key}")), error);
        }
        eventually("it is asked again", || client.ask("GET a") == bulk("a"));
        // All that was sent to it is answered.
        client.send(requests(&["GET close", "PING", "GET b", "PING"]));
        let replies = [(); 4].map(|()| client.reply());
        assert_eq!([&replies[0], &replies[1], &replies[3]], [error, PONG, PONG]);
        assert!(replies[2] == error || replies[2] == bulk("b"), "{replies:?}");
    });
}

/// Row 52.
#[test]
fn what_a_node_cannot_do_now_is_told_in_its_own_words() {
    let texts = [
        "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-BUSY Redis is busy running a script.\r\n",
    ];
    for text in texts {
        let make = move || {
            let script = move |request: &Request| match request.key().as_str() {
                "bad" => reply(text),
                key => reply(bulk(key)),
            };
            vec![FakeNode::start(script)]
        };
        before_fakes(&["redis: true"], make, |proxy, nodes| {
            let mut client = proxy.client();
            let reply = client.ask("GET bad");
            assert_eq!(reply, if proxy.is_ours() { text } else { "-ERR Invalid argument\r\n" });
            assert_eq!(client.ask("GET good"), bulk("good"));
            assert_eq!(nodes[0].connections(), if proxy.is_ours() { 1 } else { 2 });
        });
    }
}

/// Row 52, with a real server that is full.
#[test]
fn a_full_node_says_so() {
    let Some(redis) = Redis::start_with(2, &["--maxmemory", "1"]) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    Sides::start(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        for line in [format!("SET {a} v"), format!("MSET {a} v {b} v")] {
            let reply = client.ask(&line);
            let ours = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
            assert_eq!(reply, if proxy.is_ours() { ours } else { "-ERR Invalid argument\r\n" });
        }
        assert_eq!(client.ask(&format!("GET {a}")), "$-1\r\n");
    });
}

/// Row 53.
#[test]
fn other_errors_are_passed_on() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    let replies = sides.alike(requests(&[
        "SADD s a",
        "GET s",
        "INCR s",
        "HGET s f",
        "SET n text",
        "INCR n",
        "EXPIRE n x",
        "EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 s",
        "LSET none 0 x",
        "RESTORE n 0 x",
        "SET n v NX XX",
        "PING",
    ]));
    assert_eq!(replies.matches("\r\n-").count(), 9, "{replies}");
    assert!(replies.contains("-WRONGTYPE ") && replies.contains("-NOSCRIPT "), "{replies}");
    let make = || {
        let script = |request: &Request| reply(format!("-{} text of it\r\n", request.key()));
        vec![FakeNode::start(script)]
    };
    before_fakes(&["redis: true"], make, |proxy, nodes| {
        let words = "BUSYKEY MISCONF READONLY MASTERDOWN MOVED ASK NOAUTH NOSCRIPT WRONGTYPE ERR";
        let mut client = proxy.client();
        for word in words.split(' ') {
            assert_eq!(client.ask(&format!("GET {word}")), format!("-{word} text of it\r\n"));
        }
        assert_eq!(nodes[0].connections(), 1);
    });
}

/// Row 54.
#[test]
fn what_is_no_reply_is_an_invalid_argument() {
    let garbage = [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "hello\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "_\r\n",
        "#t\r\n",
        "$x\r\n",
    ];
    for text in garbage {
        let make = move || {
            let script = move |request: &Request| match request.key().as_str() {
                "bad" => reply(text),
                key => reply(bulk(key)),
            };
            vec![FakeNode::start(script)]
        };
        before_fakes(&["redis: true"], make, |proxy, _| {
            let mut client = proxy.client();
            assert_eq!(client.ask("GET good"), bulk("good"));
            assert_eq!(client.ask("GET bad"), "-ERR Invalid argument\r\n", "{text:?}");
            let is_back = || client.ask("GET good") == bulk("good");
            eventually("it is asked again", is_back);
        });
    }
}

/// Row 58.
#[test]
fn who_has_closed_one_half_still_gets_replies() {
    let make = || {
        let script = |request: &Request| {
            let value = Step::Send(bulk(&request.key()).into_bytes());
            vec![Step::Wait(Duration::from_millis(100)), value]
        };
        vec![FakeNode::start(script)]
    };
    before_fakes(&["redis: true"], make, |proxy, _| {
        let transcript = proxy.transcript(&requests(&["GET a", "PING", "GET b", "GET c"]));
        assert_eq!(transcript, [&bulk("a"), PONG, &bulk("b"), &bulk("c")].concat());
    });
}

/// Row 59.
#[test]
fn keys_may_be_long() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::start(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        for length in [16_335, 16_336, 65_536, 1_000_000] {
            let key = "k".repeat(length);
            if length > 16_335 && !proxy.is_ours() {
                client.send(request(&format!("GET {key}")));
                assert!(client.try_reply().is_err());
                return;
            }
            assert_eq!(client.ask(&format!("SET {key} v")), OK);
            assert_eq!(
                client.ask(&format!("MGET {key} other {key}")),
                "*3\r\n$1\r\nv\r\n$-1\r\n$1\r\nv\r\n"
            );
            assert_eq!(client.ask(&format!("DEL {key} none")), ":1\r\n");
        }
    });
}
