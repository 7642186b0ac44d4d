//! Replies that are cut off, are no RESP or are of another type: an error that says so, a new connection,
//! and the next request is fine.

use std::fmt::Debug;
use std::fs;
use std::time::Duration;

use redis::Commands;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;
use shardwright::PartialFailure;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

use super::DEADLINE;
use super::builder;
use super::failure;
use super::key_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::fake_node::reply;
use crate::support::own_process::alone;
use crate::support::stopwatch::in_time;

/// Nested, with a message before it, all lengths of one digit: whatever it is cut at, something is missing.
const WHOLE: &[u8] =
    b">2\r\n+message\r\n:1\r\n*3\r\n$5\r\nhello\r\n*2\r\n:42\r\n$-1\r\n%1\r\n+a\r\n#t\r\n";

/// How many bytes of the reply `request` asks for: `GET cut:12` asks for twelve.
fn cut(request: &Request) -> Option<usize> {
    request.line().rsplit_once("cut:")?.1.parse().ok()
}

#[test]
fn a_reply_cut_at_any_byte_is_an_error_and_the_next_request_is_fine() {
    let node = FakeNode::start(|request| match cut(request) {
        Some(length) => vec![Step::Send(WHOLE[..length].to_vec()), Step::Close],
        None => reply(WHOLE),
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    for length in 0..WHOLE.len() {
        let key = format!("cut:{length}");
        let error = failure(connection.get::<_, Value>(&key));
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n0")), "{length}");
        let error = failure(redis::pipe().get("a").get(&key).query::<Value>(&mut connection));
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n0")), "{length}");
        let whole: Value = connection.get("whole").unwrap();
        assert!(matches!(whole, Value::Array(elements) if elements.len() == 3));
    }
    assert_eq!(node.connections(), 1 + 2 * WHOLE.len());
}

#[test]
fn a_fragment_cut_at_any_byte_leaves_the_others_their_replies() {
    let whole: &[u8] = b"*1\r\n$5\r\nhello\r\n";
    let broken = FakeNode::start(move |request| {
        let length = request.connection;
        let cut_off = vec![Step::Send(whole[..length.min(whole.len())].to_vec()), Step::Close];
        if length < whole.len() { cut_off } else { reply(whole) }
    });
    let sound = FakeNode::start(move |_| reply(whole));
    let client = builder([broken.url(), sound.url()])
        .partial_failure(PartialFailure::NilForReads)
        .connect_mode(shardwright::ConnectMode::Lazy)
        .build()
        .unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys = ["n0", "n1"].map(|node| key_of(&client, node));
    for _ in 0..whole.len() {
        let values: Vec<Option<String>> = connection.mget(&keys).unwrap();
        assert_eq!(values, [None, Some("hello".into())]);
    }
    let values: Vec<String> = connection.mget(&keys).unwrap();
    assert_eq!(values, ["hello", "hello"]);
    assert_eq!(sound.connections(), 1, "its connection is as good as before");
}

/// A way to ask the node `n0` for something.
type Ask = fn(&ShardedClient, &mut ShardedConnection) -> RedisResult<Value>;

/// One for each way through the client.
const ASKS: [Ask; 4] = [
    |client, connection| connection.get(key_of(client, "n0")),
    |client, connection| connection.mget(&[key_of(client, "n0"), key_of(client, "n1")]),
    |client, connection| {
        redis::pipe().get(key_of(client, "n0")).get(key_of(client, "n1")).query(connection)
    },
    |client, connection| redis::pipe().atomic().get(key_of(client, "n0")).query(connection),
];

#[test]
fn what_is_no_reply_is_an_error_that_says_why() {
    let long_line = format!("+{}", "x".repeat(100_000));
    let deep = "*1\r\n".repeat(200);
    for (bytes, why) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "'H' begins no reply; is that a Redis?"),
        ("\r\n", "'\\r' begins no reply"),
        ("\0\0\0", "'\\x00' begins no reply"),
        ("$4294967297\r\n", "a string is longer than"),
        ("*9999999999999999999\r\n", "a length is not a number"),
        ("$-x\r\n", "a length is not a number"),
        ("$2\r\nabc\r\n", "a string does not end with CR LF"),
        (&long_line, "a line is longer than"),
        (&deep, "nested deeper"),
        (":one\r\n", "cannot be read"),
    ] {
        let bytes = bytes.as_bytes().to_vec();
        let node = FakeNode::start(move |_| reply(&bytes));
        let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
        let client = builder([node.url(), other.url()]).build().unwrap();
        for ask in ASKS {
            let mut connection = client.get_connection().unwrap();
            let before = node.connections();
            for _ in 0..2 {
                let error = in_time(DEADLINE, || failure(ask(&client, &mut connection)));
                assert_eq!((error.kind(), error.node()), (ShardErrorKind::Protocol, Some("n0")));
                assert!(error.to_string().contains(why), "{error}");
            }
            assert!(node.connections() > before, "the second request has a new connection");
        }
    }
}

#[test]
fn a_handshake_that_is_no_reply_is_an_error_that_says_why() {
    let node = FakeNode::start_rude(|_| reply("SSH-2.0-OpenSSH_9.2\r\n"));
    let client = builder([node.url()]).build().unwrap();
    let error = failure(client.get_connection().map(drop));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Protocol, Some("n0")));
    assert!(error.to_string().contains("'S' begins no reply"), "{error}");
}

#[test]
fn what_is_announced_and_does_not_come_takes_no_memory() {
    alone("failures::broken_replies::what_is_announced_and_does_not_come_takes_no_memory", || {
        for announced in ["$4294967295\r\nx", "*999999999999999999\r\n:1\r\n", "%99999999999\r\n"] {
            let node = FakeNode::start(move |_| reply(announced));
            let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
            let client = builder([node.url(), other.url()]).build().unwrap();
            for ask in ASKS {
                let mut connection = client.get_connection().unwrap();
                let error = in_time(DEADLINE, || failure(ask(&client, &mut connection)));
                assert_eq!(error.kind(), ShardErrorKind::Deadline);
            }
        }
        let (resident, reserved) = (status("VmHWM:"), status("VmPeak:"));
        assert!(resident < 100 << 10, "{resident} KiB");
        // Stacks of threads are in this too.
        assert!(reserved < 2 << 20, "{reserved} KiB");
    });
}

/// A number of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Asserts that a request fails because `n0` answered `wrong`, and that only the link to it is replaced.
fn is_refused<T: Debug>(
    wrong: &'static str,
    right: &'static str,
    ask: impl Fn(&ShardedClient, &mut ShardedConnection) -> RedisResult<T>,
) {
    let node =
        FakeNode::start(move |request| reply(if request.connection == 0 { wrong } else { right }));
    let other = FakeNode::start(move |_| reply(right));
    let client = builder([node.url(), other.url()])
        .connect_mode(shardwright::ConnectMode::All)
        .build()
        .unwrap();
    let mut connection = client.get_connection().unwrap();
    let error = failure(ask(&client, &mut connection));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Protocol, Some("n0")), "{wrong:?}");
    let result = ask(&client, &mut connection);
    assert!(result.is_ok(), "after {wrong:?}: {result:?}");
    assert_eq!((node.connections(), other.connections()), (2, 1), "{wrong:?}");
}

#[test]
fn a_fragment_of_the_wrong_type_is_an_error_and_its_link_is_replaced() {
    let both = |client: &ShardedClient| ["n0", "n1"].map(|node| key_of(client, node));
    for wrong in [":1\r\n", "+OK\r\n", "$1\r\nx\r\n", "*0\r\n", "*-1\r\n", "*2\r\n:1\r\n:2\r\n"] {
        is_refused(wrong, "*1\r\n$1\r\nx\r\n", |client, connection| {
            connection.mget::<_, Vec<String>>(&both(client))
        });
        is_refused(wrong, "*1\r\n$1\r\nx\r\n", |client, connection| {
            let pipeline = redis::pipe().mget(&both(client)).to_owned();
            pipeline.query::<Vec<Vec<String>>>(connection)
        });
    }
    for wrong in ["+OK\r\n", "$1\r\n1\r\n", "*0\r\n", "$-1\r\n"] {
        is_refused(wrong, ":1\r\n", |client, connection| connection.del::<_, i64>(&both(client)));
        is_refused(wrong, ":1\r\n", |_, connection| redis::cmd("DBSIZE").query::<i64>(connection));
    }
    for wrong in [":1\r\n", "+OK\r\n", "$-1\r\n"] {
        is_refused(wrong, "*1\r\n$1\r\nx\r\n", |_, connection| {
            connection.keys::<_, Vec<String>>("*")
        });
    }
}

#[test]
fn a_scan_of_the_wrong_type_is_an_error_and_its_link_is_replaced() {
    for wrong in [":1\r\n", "+OK\r\n", "*1\r\n$1\r\n0\r\n", "*3\r\n:0\r\n*0\r\n*0\r\n"] {
        is_refused(wrong, "*2\r\n$1\r\n0\r\n*0\r\n", |_, connection| {
            redis::cmd("SCAN").arg(0).query::<(u64, Vec<String>)>(connection)
        });
    }
}

#[test]
fn errors_of_nodes_are_replies_and_keep_the_link() {
    let node = FakeNode::start(|_| reply("-OOM command not allowed\r\n"));
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    for _ in 0..20 {
        let result = connection.req_command(redis::cmd("SET").arg("key").arg("x")).unwrap();
        assert!(matches!(result, Value::ServerError(error) if error.code() == "OOM"));
    }
    assert_eq!(node.connections(), 1);
    assert_eq!(client.metrics()[0].failures, 0);
}

#[test]
fn values_of_any_bytes_come_back_in_any_pieces() {
    // What looks like the protocol inside a value is not.
    let value = b"\r\n$3\r\n*2\r\n-ERR x\r\n>1\r\n\0\xff".to_vec();
    let frame = bulk(&value);
    let length = frame.len();
    let node = FakeNode::start(move |request| {
        let (start, end) = frame.split_at(cut(request).unwrap());
        let wait = Step::Wait(Duration::from_millis(2));
        vec![Step::Send(start.to_vec()), wait, Step::Send(end.to_vec())]
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    for cut in 0..=length {
        let back: Vec<u8> = connection.get(format!("cut:{cut}")).unwrap();
        assert_eq!(back, value);
    }
    assert_eq!(node.connections(), 1);
}
