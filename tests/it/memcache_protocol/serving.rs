//! What a proxy reads of clients and of nodes, held against a real memcached: whatever a client sends, what is
//! sent on for it has exactly one reply. A proxy that counts replies depends on it.

use std::cell::Cell;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

use super::memcache::serving::Arrival;
use super::memcache::serving::Command;
use super::memcache::serving::Expected;
use super::memcache::serving::ReplyScanner;
use super::memcache::serving::Request;
use super::memcache::serving::RequestScanner;
use crate::support::memcached::Memcached;

const NAMES: &[&str] = &[
    "get",
    "gets",
    "gat",
    "gats",
    "set",
    "add",
    "replace",
    "append",
    "prepend",
    "cas",
    "delete",
    "incr",
    "decr",
    "touch",
    "mg",
    "ms",
    "md",
    "ma",
    "me",
    "mn",
    "version",
    "verbosity",
    "flush_all",
    "stats",
];

/// What stands in lines, and what should not.
const WORDS: &[&str] = &[
    "foo",
    "bar",
    "noreply",
    "noreply",
    "q",
    "b",
    "Zm9v",
    "0",
    "1",
    "-1",
    "3",
    "7",
    "x",
    "k",
    "v",
    "O12",
    "T0",
    "T30",
    "N0",
    "J5",
    "M+",
    "MI",
    "MD",
    "MA",
    "ME",
    "C1",
    "I",
    "D2",
    "qq",
    "F3",
    "s",
    "t",
    "c",
    "f",
    "S3",
    "",
    "99999999999",
    "18446744073709551615",
    "4294967296",
    "items",
    "reset",
    "detail",
    "on",
    "dump",
    "settings",
    "é",
    "h",
    "l",
    "E5",
    "L/a",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => prop::sample::select(WORDS).prop_map(str::to_owned),
        1 => "k{249,251}",
        1 => " {1,300}",
        1 => prop::sample::select(vec!["\u{1}", "\t", "\0", "\r"]).prop_map(str::to_owned),
    ]
}

/// A line, and what follows it: requests that would be seen if it were not taken for a value.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let any = (prop::sample::select(NAMES), prop::collection::vec(word(), 0..7))
        .prop_map(|(name, words)| (name.to_owned(), words));
    let store = (
        prop::sample::select(&NAMES[4..10]),
        "(foo|bar|noreply) (0|5|4294967295) (0|-1|60|-9223372036854775807) @",
        prop::collection::vec(word(), 0..3),
    )
        .prop_map(|(name, head, words)| (format!("{name} {head}"), words));
    let meta = ("ms (foo|Zm9v|q) @", prop::collection::vec(word(), 0..19));
    let line = prop_oneof![any, store, meta];
    let value = (0usize..14).prop_map(|length| &b"mn\r\nflush_all\r\n"[..length]);
    (line, " {0,2}", "\r?\n", value).prop_map(|((head, words), spaces, end, value)| {
        let head = head.replace('@', &value.len().to_string());
        let words = words.iter().flat_map(|word| [" ", word]).collect::<String>();
        [(spaces + &head + &words + &end).as_bytes(), value, b"\r\n"].concat()
    })
}

#[test]
fn what_is_sent_on_has_exactly_one_reply() {
    let Some(server) = Memcached::start_with(&["-t", "1"]) else { return };
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let sent = Cell::new(0);
    TestRunner::new(config)
        .run(&request(), |bytes| {
            if let Ok(Arrival::Whole(request)) = RequestScanner::default().read(&bytes)
                && !matches!(request.command, Command::Quit)
            {
                has_one_reply(&stream, &request, &bytes);
                sent.set(sent.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(sent.get() > 2_000, "only {} were sent on", sent.get());
}

/// Sends what is sent on for `request`, and another request, whose reply has to be the second.
fn has_one_reply(mut stream: &TcpStream, request: &Request<'_>, bytes: &[u8]) {
    let expected = match &request.command {
        Command::Retrieve(_) => Expected::Values,
        Command::Meta(_) | Command::MetaNoop => Expected::Meta,
        Command::Stats => Expected::Stats,
        _ => Expected::Line,
    };
    let mut out = Vec::new();
    request.write_forward(&bytes[..request.length], &mut out);
    stream.write_all(&[&out, &b"version\r\n"[..]].concat()).unwrap();
    let (mut received, mut lengths) = (Vec::new(), Vec::new());
    let mut scanner = ReplyScanner::default();
    for expected in [expected, Expected::Line] {
        let start: usize = lengths.iter().sum();
        loop {
            let scanned = scanner.scan(expected, &received[start..]);
            let shown = || format!("{} -> {}", out.escape_ascii(), received.escape_ascii());
            match scanned.unwrap_or_else(|broken| panic!("{broken}: {}", shown())) {
                Some(length) => break lengths.push(length),
                None => {
                    let mut buffer = [0; 16 << 10];
                    let count = stream.read(&mut buffer);
                    let count = count.unwrap_or_else(|error| panic!("{error}: {}", shown()));
                    assert!(count > 0, "closed: {}", shown());
                    received.extend_from_slice(&buffer[..count]);
                }
            }
        }
    }
    let shown = format!("{} -> {}", out.escape_ascii(), received.escape_ascii());
    assert!(received[lengths[0]..].starts_with(b"VERSION "), "{shown}");
    assert_eq!(lengths.iter().sum::<usize>(), received.len(), "{shown}");
}

/// A request that the flag `q` makes quiet has a reply just where the proxy would show it.
#[test]
fn a_quiet_request_is_as_quiet_as_with_memcached() {
    let Some(server) = Memcached::start_with(&["-t", "1"]) else { return };
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for line in [
        "mg foo q",
        "mg foo v q k",
        "mg none q",
        "ms foo 1 q",
        "ms foo 1 ME q",
        "ms none 1 MR q",
        "ms none 1 C1 q",
        "ms foo 1 C1 q",
        "md foo C1 q",
        "md none q",
        "ma foo q",
        "ma foo v q",
        "ma foo C1 q",
        "ma none q",
        "ma none v q",
        "md foo q",
        "mg foo q",
        "mg Zm9 b q",
        "me foo q",
    ] {
        let value = if line.starts_with("ms") { "1\r\n" } else { "" };
        let ask = |stream: &mut TcpStream, bytes: &[u8]| {
            // What is asked for changes nothing that the next question depends on.
            let before = b"ms foo 1\r\n1\r\nmn\r\n".to_vec();
            let mut received = Vec::new();
            for bytes in [before, [bytes, b"mn\r\n"].concat()] {
                stream.write_all(&bytes).unwrap();
                received.clear();
                while !received.ends_with(b"MN\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    received.push(byte[0]);
                }
            }
            received.truncate(received.len() - 4);
            received
        };
        let quiet = format!("{line}\r\n{value}").into_bytes();
        let Ok(Arrival::Whole(request)) = RequestScanner::default().read(&quiet) else {
            // Refused, and said so.
            assert_eq!(ask(&mut stream, &quiet), b"CLIENT_ERROR error decoding key\r\n");
            continue;
        };
        let Command::Meta(meta) = &request.command else { panic!("{line}") };
        let mut loud = Vec::new();
        request.write_forward(&quiet, &mut loud);
        let mut reply = ask(&mut stream, &loud);
        assert!(!reply.is_empty());
        if meta.quiet.is_some_and(|quiet| quiet.hides(&reply)) {
            reply.clear();
        }
        let said = ask(&mut stream, &quiet);
        // An `me` says more that changes, but is never silent.
        let words = |reply: &[u8]| {
            reply.escape_ascii().to_string().replace(|it: char| it.is_ascii_digit(), "")
        };
        assert_eq!(words(&said), words(&reply), "{line}");
    }
}
