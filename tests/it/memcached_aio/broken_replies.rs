//! A node that says what no memcached says: in the classic protocol, where nothing but order tells whose reply
//! is whose.

use std::collections::HashMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use shardwright::Address;
use shardwright::EjectPolicy;
use shardwright::MemcacheProtocol;
use shardwright::Node;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedAsyncMemcache;
use tokio::join;

use super::alone;
use super::in_flight;
use super::run;
use crate::memcached::PATIENT;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;

/// A client of one node that answers each line as `script` says, and is ejected for one failure.
fn cache(script: fn(&str) -> &'static str) -> ShardedAsyncMemcache {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // They end with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(&stream.unwrap(), script));
        }
    });
    ShardedAsyncMemcache::builder()
        .node(Node::new(Address::tcp("127.0.0.1", port)))
        .protocol(MemcacheProtocol::Ascii)
        .eject(EjectPolicy::fail_fast().failure_limit(1).retry_timeout(PATIENT))
        .timeout(PATIENT)
        .build_async()
        .unwrap()
}

fn answer(mut stream: &TcpStream, script: fn(&str) -> &'static str) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if stream.write_all(script(&line).as_bytes()).is_err() {
            return;
        }
    }
}

fn kind<T>(result: Result<T, memcache::MemcacheError>) -> ShardErrorKind {
    ShardError::of_memcache(&result.err().expect("it failed")).expect("it is ours").kind()
}

#[test]
fn an_error_that_leaves_open_what_comes_next_ends_the_connection_and_is_no_failure() {
    let cache = cache(|line| match line.split(' ').next() {
        // Whether the value was read nobody knows. It is a line of its own.
        Some("set") => "SERVER_ERROR something else\r\n",
        Some("get") => "END\r\n",
        _ => "",
    });
    // What is asked together goes out together.
    alone().block_on(async {
        assert_eq!(cache.get::<String>("a").await.unwrap(), None);
        // The gets go out behind the value.
        let (stored, one, other) =
            join!(cache.set("a", "value", 0), cache.get::<u8>("b"), cache.get::<u8>("c"));
        let error = stored.unwrap_err();
        assert_eq!(error.to_string(), "SERVER_ERROR something else");
        for result in [one, other] {
            assert_eq!(kind(result), ShardErrorKind::Protocol);
        }
        assert_eq!(cache.node_states()[0].1, NodeState::Live);
        assert_eq!(cache.get::<String>("a").await.unwrap(), None);
        assert_eq!(in_flight(&cache), 0);
    });
}

#[test]
fn a_value_of_another_key_is_nobodys() {
    let cache = cache(|line| match line {
        "get a" => "VALUE b 0 1\r\nx\r\nEND\r\n",
        _ => "END\r\n",
    });
    // What is asked together goes out together.
    alone().block_on(async {
        // Who waits for a connection may be woken in any order.
        assert_eq!(cache.get::<String>("c").await.unwrap(), None);
        let (one, other) = join!(cache.get::<String>("a"), cache.get::<String>("b"));
        assert_eq!(kind(one), ShardErrorKind::Protocol);
        assert_eq!(kind(other), ShardErrorKind::Protocol);
        assert_ne!(cache.node_states()[0].1, NodeState::Live);
        assert_eq!(in_flight(&cache), 0);
    });
}

#[test]
fn a_reply_too_many_answers_no_request() {
    let cache = cache(|line| match line {
        "get a" => "END\r\nEND\r\n",
        "get b" => "VALUE b 0 1\r\nx\r\nEND\r\n",
        _ => "",
    });
    run(async {
        assert_eq!(cache.get::<String>("a").await.unwrap(), None);
        // Whatever has arrived of it by then, the next one is not answered by it.
        for _ in 0..20 {
            let found = cache.get::<String>("b").await;
            assert!(found.as_ref().is_ok_and(|found| found.as_deref() == Some("x")), "{found:?}");
        }
        assert_eq!(cache.node_states()[0].1, NodeState::Live);
    });
}

#[test]
fn a_line_with_several_keys_is_read_by_its_keys() {
    let cache = cache(|line| match line {
        // As a proxy may have them: in another order, and not all.
        "get a b c a" => "VALUE c 0 1\r\nz\r\nVALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
        "get d e" => "SERVER_ERROR out of memory\r\n",
        "gets f g" => "VALUE f 0 1 7\r\nx\r\nVALUE g 0 1 8\r\ny\r\nEND\r\n",
        _ => "",
    });
    run(async {
        let found = cache.get_many::<String, _>(&["a", "b", "c", "a"]).await;
        let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, [Some("x"), None, Some("z"), Some("x")]);
        for found in cache.get_many::<String, _>(&["d", "e"]).await {
            assert_eq!(found.unwrap_err().to_string(), "SERVER_ERROR out of memory");
        }
        // On the same connection.
        let found: HashMap<String, (String, u32, Option<u64>)> =
            cache.gets(&["f", "g"]).await.unwrap();
        assert_eq!((&*found["f"].0, found["f"].2), ("x", Some(7)));
        assert_eq!((&*found["g"].0, found["g"].2), ("y", Some(8)));
        assert_eq!(cache.metrics()[0].connections, 1);
        assert_eq!(cache.node_states()[0].1, NodeState::Live);
    });
}

#[test]
fn a_value_that_no_key_of_a_line_is_owed_is_nobodys() {
    for (keys, before) in [
        // Of another key, of one that has its value, of one that is longer.
        (["a", "b"], Some("x")),
        (["c", "d"], Some("x")),
        (["e", "f"], None),
    ] {
        let cache = cache(|line| match line {
            "get a b" => "VALUE a 0 1\r\nx\r\nVALUE x 0 1\r\ny\r\nEND\r\n",
            "get c d" => "VALUE c 0 1\r\nx\r\nVALUE c 0 1\r\ny\r\nEND\r\n",
            "get e f" => "VALUE ee 0 1\r\nx\r\nEND\r\n",
            _ => "END\r\n",
        });
        alone().block_on(async {
            assert_eq!(cache.get::<String>("z").await.unwrap(), None);
            let (found, other) = join!(cache.get_many::<String, _>(&keys), cache.get::<u8>("b"));
            let [one, two] = <[_; 2]>::try_from(found).unwrap();
            match before {
                // What came before belongs to who asked for it.
                Some(value) => assert_eq!(one.unwrap().as_deref(), Some(value)),
                None => assert_eq!(kind(one), ShardErrorKind::Protocol),
            }
            assert_eq!(kind(two), ShardErrorKind::Protocol);
            assert_eq!(kind(other), ShardErrorKind::Protocol);
            assert_ne!(cache.node_states()[0].1, NodeState::Live);
            assert_eq!(in_flight(&cache), 0);
        });
    }
}

/// The rest of a line that took too long belongs to nobody, whoever asks meanwhile.
#[test]
fn what_comes_late_of_a_line_answers_no_other_request() {
    const LIMIT: Duration = Duration::from_millis(300);
    let node = FakeNode::start_memcached(|request| match request.line().as_str() {
        line if line.starts_with("get ") => vec![
            Step::Send(b"VALUE a 0 1\r\nx\r\n".to_vec()),
            Step::Wait(2 * LIMIT),
            Step::Send(b"VALUE b 0 1\r\nx\r\nEND\r\n".to_vec()),
        ],
        _ => vec![Step::Send(format!("EN O{}\r\n", request.opaque()).into_bytes())],
    });
    let cache = ShardedAsyncMemcache::builder()
        .node(Node::new(Address::tcp("127.0.0.1", node.port())))
        .protocol(MemcacheProtocol::Meta)
        .timeout(LIMIT)
        .build_async()
        .unwrap();
    run(async {
        for _ in 0..3 {
            let found = cache.get_many::<String, _>(&["a", "b"]).await;
            let [one, two] = <[_; 2]>::try_from(found).unwrap();
            assert_eq!(one.unwrap().as_deref(), Some("x"));
            assert_eq!(kind(two), ShardErrorKind::Deadline);
            assert_eq!(cache.get::<String>("b").await.unwrap(), None);
            assert_eq!(in_flight(&cache), 0);
        }
    });
}
