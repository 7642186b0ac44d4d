//! Replies that are none: an error that says why, in time, and never a value.

use memcache::MemcacheError;
use shardwright::MemcacheProtocol;
use shardwright::ShardErrorKind;
use shardwright::ShardErrorKind::Deadline;
use shardwright::ShardErrorKind::Node;
use shardwright::ShardErrorKind::Protocol;
use shardwright::ShardedMemcache;

use super::DEADLINE;
use super::failure;
use super::key_of;
use super::named;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::stopwatch::in_time;

/// Replies to a get, with KEY for its key and O for its opaque, and what they are.
const META: &[(&str, ShardErrorKind, &str)] = &[
    ("VA 1 f0 O999\r\nx\r\n", Protocol, "opaque"),
    ("VA 1 f0\r\nx\r\n", Protocol, "opaque"),
    ("EN\r\n", Protocol, "opaque"),
    ("EN O999\r\n", Protocol, "opaque"),
    ("EN Ox\r\n", Protocol, "opaque"),
    ("HD O\r\n", Protocol, "not one to the request"),
    ("VA 1 O\r\nx\r\n", Protocol, "not one to the request"),
    ("VA 1 f0 O\r\nabc\r\n", Protocol, "a value does not end"),
    ("VA -1 f0 O\r\nabc\r\n", Protocol, "a number"),
    ("VA 4294967296 f0 O\r\nabc\r\n", Protocol, "a number"),
    ("VA\r\n", Protocol, "not one to the request"),
    ("VA 5 f0 O\r\nabc\r\n", Deadline, "no reply"),
    ("VA 4294967295 f0 O\r\nabc\r\n", Deadline, "no reply"),
    ("END\r\n", Protocol, "not one to the request"),
    ("VALUE KEY 0 1\r\nx\r\nEND\r\n", Protocol, "not one to the request"),
];

const CLASSIC: &[(&str, ShardErrorKind, &str)] = &[
    ("VALUE other 0 1\r\nx\r\nEND\r\n", Protocol, "another key"),
    ("VALUE KEYx 0 1\r\nx\r\nEND\r\n", Protocol, "another key"),
    ("VALUE KEY 0 1\r\nabc\r\nEND\r\n", Protocol, "a value does not end"),
    ("VALUE KEY 0 5\r\nabc\r\nEND\r\n", Protocol, "a value does not end"),
    ("VALUE KEY 0 50\r\nabc\r\nEND\r\n", Deadline, "no reply"),
    ("VALUE KEY 0 4294967295\r\nabc\r\nEND\r\n", Deadline, "no reply"),
    ("VALUE KEY 0 4294967296\r\nabc\r\nEND\r\n", Protocol, "a number"),
    ("VALUE KEY 0 1\r\nx\r\nVALUE KEY 0 1\r\ny\r\nEND\r\n", Protocol, "not one to the request"),
    ("VALUE KEY\r\n", Protocol, "not one to the request"),
    ("STORED\r\n", Protocol, "not one to the request"),
    ("12\r\n", Protocol, "not one to the request"),
    ("EN O\r\n", Protocol, "not one to the request"),
];

const BOTH: &[(&str, ShardErrorKind, &str)] = &[
    ("hello\r\n", Protocol, "is that a memcached?"),
    ("\0\0\0\0", Protocol, "is that a memcached?"),
    ("\r\n", Protocol, "is that a memcached?"),
    ("$5\r\nhello\r\n", Protocol, "is that a memcached?"),
    ("SSH-2.0-OpenSSH_9.2\r\n", Protocol, "not one to the request"),
    ("HTTP/1.1 400 Bad Request\r\n\r\n", Protocol, "not one to the request"),
    ("END\n", Protocol, "does not end with CR LF"),
    ("ERROR Too many open connections\r\n", Protocol, "too many connections"),
    ("E", Deadline, "no reply"),
    ("", Deadline, "no reply"),
];

fn filled(template: &str, request: &Request) -> Vec<u8> {
    let opaque = format!(" O{}\r\n", request.opaque());
    template.replace(" O\r\n", &opaque).replace("KEY", &request.key()).into_bytes()
}

/// The right reply to a get: its key.
fn echo(request: &Request) -> Vec<u8> {
    let key = request.key();
    match request.args[0].as_slice() {
        b"mg" => format!("VA {} f0 c1 O{}\r\n{key}\r\n", key.len(), request.opaque()),
        _ => format!("VALUE {key} 0 {} 1\r\n{key}\r\nEND\r\n", key.len()),
    }
    .into_bytes()
}

fn get(cache: &ShardedMemcache, key: &str) -> Result<Option<String>, MemcacheError> {
    cache.get(key)
}

/// Asserts that a get that is answered with `steps` fails so, alone and among others, and that what was
/// answered is never used again.
fn is_refused(
    protocol: MemcacheProtocol,
    what: &str,
    steps: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    kind: ShardErrorKind,
    why: &str,
) {
    let node = FakeNode::start_memcached(steps);
    let other = FakeNode::start_memcached(|request| match request.line().starts_with("gets ") {
        true => vec![Step::Send(echo(request))],
        false => vec![Step::Send(
            String::from_utf8(echo(request)).unwrap().replace(" 1\r\n", "\r\n").into_bytes(),
        )],
    });
    let cache = named([node.port(), other.port()]).protocol(protocol).build().unwrap();
    let (key, healthy) = (key_of(&cache, "n0"), key_of(&cache, "n1"));
    for round in 1..=2 {
        let error = in_time(DEADLINE, || failure(get(&cache, &key)));
        assert_eq!((error.kind(), error.node()), (kind, Some("n0")), "{what:?}: {error}");
        assert!(error.to_string().contains(why), "{what:?}: {error}");
        assert!(!error.to_string().contains(&key), "{error}");
        assert_eq!(node.connections(), round, "{what:?}: the second request has a new connection");
    }
    let both = in_time(DEADLINE, || cache.get_many::<String, _>(&[&key, &healthy]));
    let [ours, theirs] = <[_; 2]>::try_from(both).unwrap();
    assert_eq!(theirs.unwrap(), Some(healthy), "{what:?}");
    let error = failure(ours);
    assert_eq!((error.kind(), error.node()), (kind, Some("n0")), "{what:?}: {error}");
    assert_eq!((cache.metrics()[0].failures, cache.metrics()[1].failures), (3, 0), "{what:?}");
    assert_eq!(cache.metrics()[0].connections, 0, "{what:?}");
}

#[test]
fn meta_replies_that_are_none_are_errors_that_say_why() {
    for (template, kind, why) in META.iter().chain(BOTH) {
        let script = |request: &Request| reply(filled(template, request));
        is_refused(MemcacheProtocol::Meta, template, script, *kind, why);
    }
}

#[test]
fn classic_replies_that_are_none_are_errors_that_say_why() {
    for (template, kind, why) in CLASSIC.iter().chain(BOTH) {
        let script = |request: &Request| reply(filled(template, request));
        is_refused(MemcacheProtocol::Ascii, template, script, *kind, why);
    }
}

#[test]
fn endless_replies_end() {
    for protocol in [MemcacheProtocol::Meta, MemcacheProtocol::Ascii] {
        let flood = |bytes: &'static str| {
            move |request: &Request| {
                vec![Step::Send(filled(bytes, request)), Step::Flood(vec![b'A'; 9999])]
            }
        };
        is_refused(protocol, "line", flood("A"), Protocol, "a line is longer than");
        let value = match protocol {
            MemcacheProtocol::Meta => "VA 4000000000 f0 O\r\n",
            _ => "VALUE KEY 0 4000000000\r\n",
        };
        is_refused(protocol, "value", flood(value), Deadline, "no reply");
    }
}

#[test]
fn a_node_that_hangs_up_in_the_middle_of_a_value_is_an_error() {
    for (protocol, bytes) in [
        (MemcacheProtocol::Meta, "VA 5 f0 O\r\nab"),
        (MemcacheProtocol::Ascii, "VALUE KEY 0 5\r\nab"),
        (MemcacheProtocol::Ascii, "VALUE KEY 0 2\r\nab\r\nEND"),
        (MemcacheProtocol::Ascii, ""),
    ] {
        let script = move |request: &Request| vec![Step::Send(filled(bytes, request)), Step::Close];
        is_refused(protocol, bytes, script, Node, "connection lost to");
    }
}

/// Replies to a get of two keys in one line.
const TOGETHER: &[(&str, ShardErrorKind, &str)] = &[
    ("VALUE other 0 1\r\nx\r\nEND\r\n", Protocol, "another key"),
    ("VALUE KEY 0 1\r\nx\r\nVALUE KEY 0 1\r\ny\r\nEND\r\n", Protocol, "another key"),
    ("VALUE KEY 0 1\r\nx\r\nVALUE KEYx 0 1\r\ny\r\nEND\r\n", Protocol, "another key"),
    ("VALUE KEY 0 1\r\nxyz\r\nEND\r\n", Protocol, "a value does not end"),
    ("VALUE KEY 0 9\r\nx\r\n", Deadline, "no reply"),
    ("VALUE KEY 0 1\r\nx\r\n", Deadline, "no reply"),
    ("VALUE KEY 0 1\r\nx\r\nSTORED\r\n", Protocol, "not one to the request"),
    ("EN\r\n", Protocol, "not one to the request"),
    ("hello\r\n", Protocol, "is that a memcached?"),
];

#[test]
fn replies_to_several_keys_that_are_none_are_errors_that_say_why() {
    for protocol in [MemcacheProtocol::Meta, MemcacheProtocol::Ascii] {
        for (template, kind, why) in TOGETHER {
            let node = FakeNode::start_memcached(|request| reply(filled(template, request)));
            let cache = named([node.port()]).protocol(protocol).build().unwrap();
            for round in 1..=2 {
                let both = in_time(DEADLINE, || cache.get_many::<String, _>(&["a", "b"]));
                let [first, second] = <[_; 2]>::try_from(both).unwrap();
                // What was read before is the value it says it is.
                assert!(first.is_err() || template.starts_with("VALUE KEY 0 1\r\nx\r\n"));
                assert!(first.is_err() || first.unwrap().as_deref() == Some("x"));
                let error = failure(second);
                assert_eq!(error.kind(), *kind, "{template:?}: {error}");
                assert!(error.to_string().contains(why), "{template:?}: {error}");
                assert_eq!(node.connections(), round, "{template:?}");
            }
        }
    }
}

/// What a server says instead, and whether the connection is used on after a get and after a set.
const REFUSALS: &[(&str, &str, bool, bool)] = &[
    (
        "SERVER_ERROR out of memory storing object",
        "SERVER_ERROR out of memory storing object",
        true,
        true,
    ),
    (
        "SERVER_ERROR object too large for cache",
        "SERVER_ERROR object too large for cache",
        true,
        true,
    ),
    ("SERVER_ERROR out of memory", "SERVER_ERROR out of memory", true, false),
    ("CLIENT_ERROR bad data chunk", "CLIENT_ERROR bad data chunk", true, false),
    ("CLIENT_ERROR unauthenticated", "CLIENT_ERROR unauthenticated", false, false),
    ("ERROR", "Invalid command sent to the server.", true, false),
];

#[test]
fn what_a_server_refuses_is_said_in_its_words() {
    for protocol in [MemcacheProtocol::Meta, MemcacheProtocol::Ascii] {
        for &(line, words, after_get, after_set) in REFUSALS {
            let node = FakeNode::start_memcached(move |_| reply(format!("{line}\r\n")));
            let cache = named([node.port()]).protocol(protocol).build().unwrap();
            for _ in 0..2 {
                assert_eq!(get(&cache, "key").unwrap_err().to_string(), words);
            }
            assert_eq!(node.connections(), if after_get { 1 } else { 2 }, "{line}");
            let before = node.connections() - usize::from(after_get);
            for _ in 0..2 {
                assert_eq!(cache.set("key", "value", 0).unwrap_err().to_string(), words);
            }
            assert_eq!(node.connections() - before, if after_set { 1 } else { 2 }, "{line}");
            assert_eq!(cache.metrics()[0].failures, 0, "{line}: an error is a reply");
        }
    }
}

#[test]
fn one_refused_value_of_a_batch_is_one_error() {
    for protocol in [MemcacheProtocol::Meta, MemcacheProtocol::Ascii] {
        let node = FakeNode::start_memcached(|request| {
            match (request.key().as_str(), &*request.args[0]) {
                ("large", _) => reply("SERVER_ERROR object too large for cache\r\n"),
                ("bad", _) => reply("CLIENT_ERROR bad data chunk\r\n"),
                (_, b"ms") => reply(format!("HD O{}\r\n", request.opaque())),
                _ => reply("STORED\r\n"),
            }
        });
        let cache = named([node.port()]).protocol(protocol).build().unwrap();
        let results = cache.set_many(&[("a", 1), ("large", 2), ("b", 3)], 0);
        let results: Vec<_> =
            results.into_iter().map(|it| it.map_err(|it| it.to_string())).collect();
        let too_large = Err("SERVER_ERROR object too large for cache".to_owned());
        assert_eq!(results, [Ok(()), too_large, Ok(())]);
        // What follows this one cannot be told apart from the value that was taken for requests.
        let results = cache.set_many(&[("a", 1), ("bad", 2), ("b", 3), ("c", 4)], 0);
        let [a, bad, b, c] = <[_; 4]>::try_from(results).unwrap();
        a.unwrap();
        assert_eq!(bad.unwrap_err().to_string(), "CLIENT_ERROR bad data chunk");
        for lost in [b, c] {
            assert_eq!(failure(lost).kind(), Protocol);
        }
        assert_eq!(node.connections(), 1);
        cache.set("a", 5, 0).unwrap();
        assert_eq!(node.connections(), 2);
    }
}

#[test]
fn a_greeting_that_is_none_is_an_error_that_says_why() {
    for (greeting, kind, why) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", Protocol, "not one to the request"),
        ("-ERR unknown command 'version'\r\n", Protocol, "is that a memcached?"),
        ("ERROR Too many open connections\r\n", Protocol, "too many connections"),
        ("SERVER_ERROR busy\r\n", ShardErrorKind::Handshake, "SERVER_ERROR busy"),
        ("", Deadline, "no connection to"),
    ] {
        let node = FakeNode::start_rude_memcached(move |_| reply(greeting));
        let cache = named([node.port()]).build().unwrap();
        let error = in_time(DEADLINE, || failure(get(&cache, "key")));
        assert_eq!((error.kind(), error.node()), (kind, Some("n0")), "{greeting:?}: {error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}
