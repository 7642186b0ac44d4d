//! Replies that are cut off, are no RESP or are of another type: an error that says so, a new connection,
//! and everybody else has the right replies.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::RedisResult;
use redis::Value;
use redis::aio::ConnectionLike;
use shardwright::ConnectMode;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedMultiplexedConnection;

use super::connect;
use super::failures;
use super::in_flight;
use super::timing::in_time;
use super::timing::run;
use crate::failures::DEADLINE;
use crate::failures::builder;
use crate::failures::failure;
use crate::failures::key_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::fake_node::reply;

const WHOLE: &[u8] = b"*3\r\n$5\r\nhello\r\n*2\r\n:42\r\n$-1\r\n$1\r\nx\r\n";

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
    let client = builder([node.url()]).timeout(DEADLINE * 5).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        for length in 0..WHOLE.len() {
            let key = format!("cut:{length}");
            let error = failure(connection.get::<_, Value>(&key).await);
            let seen = (error.kind(), error.node());
            assert_eq!(seen, (ShardErrorKind::Node, Some("n0")), "{length}: {error}");
            let mut pipeline = redis::pipe();
            pipeline.get("a").get(&key);
            let error = failure(pipeline.query_async::<Value>(&mut connection).await);
            let seen = (error.kind(), error.node());
            assert_eq!(seen, (ShardErrorKind::Node, Some("n0")), "{length}: {error}");
            let whole: Value = connection.get("whole").await.unwrap();
            assert!(matches!(whole, Value::Array(elements) if elements.len() == 3));
        }
    });
    assert_eq!(node.connections(), 1 + 2 * WHOLE.len());
    assert_eq!(in_flight(&client), 0);
}

type Reply<'c> = Pin<Box<dyn Future<Output = RedisResult<Value>> + 'c>>;
/// A way to ask for keys of `n0` and `n1`.
type Ask = for<'c> fn(&'c mut ShardedMultiplexedConnection, &'c [String; 2]) -> Reply<'c>;

const ASKS: [Ask; 4] = [
    |connection, keys| connection.get(&keys[0]),
    |connection, keys| connection.mget(keys),
    |connection, keys| {
        Box::pin(
            async move { redis::pipe().get(&keys[0]).get(&keys[1]).query_async(connection).await },
        )
    },
    |connection, keys| {
        Box::pin(async move { redis::pipe().atomic().get(&keys[0]).query_async(connection).await })
    },
];

#[test]
fn what_is_no_reply_is_an_error_of_its_node() {
    for bytes in ["HTTP/1.1 400 Bad Request\r\n\r\n", "\r\n\r\n", "\0\0\0", "$-x\r\n", ":one\r\n"] {
        let node = FakeNode::start(move |_| reply(bytes));
        let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
        let client = builder([node.url(), other.url()]).build().unwrap();
        let keys = ["n0", "n1"].map(|node| key_of(&client, node));
        run(async {
            for (number, ask) in ASKS.into_iter().enumerate() {
                let mut connection = connect(&client).await;
                let before = node.connections();
                for _ in 0..2 {
                    let error = failure(in_time(DEADLINE, ask(&mut connection, &keys)).await);
                    assert_eq!(error.node(), Some("n0"), "{bytes:?}, way {number}: {error}");
                    // redis-rs tells the reason to a request of one command only.
                    let kinds = [ShardErrorKind::Protocol, ShardErrorKind::Node];
                    let kinds = if number < 2 { &kinds[..1] } else { &kinds };
                    assert!(kinds.contains(&error.kind()), "{bytes:?}, way {number}: {error}");
                }
                assert!(node.connections() > before, "the second request has a new connection");
            }
        });
        assert_eq!(in_flight(&client), 0);
    }
}

/// Asserts that a request fails because `n0` answered `wrong`, and that only the link to it is replaced.
async fn is_refused(wrong: &'static str, right: &'static str, ask: Ask) {
    let node =
        FakeNode::start(move |request| reply(if request.connection == 0 { wrong } else { right }));
    let other = FakeNode::start(move |_| reply(right));
    let client = builder([node.url(), other.url()]).connect_mode(ConnectMode::All).build().unwrap();
    let keys = ["n0", "n1"].map(|node| key_of(&client, node));
    let mut connection = connect(&client).await;
    let error = failure(ask(&mut connection, &keys).await);
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Protocol, Some("n0")), "{wrong:?}");
    let result = ask(&mut connection, &keys).await;
    assert!(result.is_ok(), "after {wrong:?}: {result:?}");
    assert_eq!((node.connections(), other.connections()), (2, 1), "{wrong:?}");
}

#[test]
fn a_fragment_of_the_wrong_type_is_an_error_and_its_link_is_replaced() {
    run(async {
        let values = "*1\r\n$1\r\nx\r\n";
        for wrong in [":1\r\n", "+OK\r\n", "$1\r\nx\r\n", "*0\r\n", "*-1\r\n", "*2\r\n:1\r\n:2\r\n"]
        {
            is_refused(wrong, values, |connection, keys| connection.mget(keys)).await;
            let pipeline: Ask = |connection, keys| {
                Box::pin(async move { redis::pipe().mget(keys).query_async(connection).await })
            };
            is_refused(wrong, values, pipeline).await;
        }
        for wrong in ["+OK\r\n", "$1\r\n1\r\n", "*0\r\n", "$-1\r\n"] {
            is_refused(wrong, ":1\r\n", |connection, keys| connection.del(keys)).await;
            let size: Ask = |connection, _| {
                Box::pin(async move { redis::cmd("DBSIZE").query_async(connection).await })
            };
            is_refused(wrong, ":1\r\n", size).await;
        }
        for wrong in [":1\r\n", "+OK\r\n", "*1\r\n$1\r\n0\r\n", "*3\r\n:0\r\n*0\r\n*0\r\n"] {
            let scan: Ask = |connection, _| {
                Box::pin(async move { redis::cmd("SCAN").arg(0).query_async(connection).await })
            };
            is_refused(wrong, "*2\r\n$1\r\n0\r\n*0\r\n", scan).await;
        }
    });
}

#[test]
fn tasks_beside_one_whose_reply_is_broken_get_their_own_replies_or_an_error() {
    // Each tenth is answered with nonsense, or not to the end.
    let node = FakeNode::start(|request| {
        let key = request.args.last().unwrap();
        match key.strip_prefix(b"bad:") {
            Some(number) if number.ends_with(b"1") => {
                vec![Step::Send(b"?\r\n".to_vec()), Step::Close]
            }
            Some(_) => vec![Step::Send(b"$9\r\nbro".to_vec()), Step::Close],
            None => reply(bulk(key)),
        }
    });
    let other = FakeNode::start(|request| reply(bulk(request.args.last().unwrap())));
    let client = builder([node.url(), other.url()]).timeout(DEADLINE * 10).build().unwrap();
    run(async {
        let connection = connect(&client).await;
        let router = client.router();
        let task = |number: usize| {
            let mut connection = connection.clone();
            async move {
                tokio::time::sleep(Duration::from_micros(100 * number as u64)).await;
                let bad = number.is_multiple_of(10);
                let key = format!("{}:{number}", if bad { "bad" } else { "good" });
                (connection.get::<_, String>(&key).await, key)
            }
        };
        let (mut right, mut broken) = (0, 0);
        for (result, key) in join_all((0..2000).map(task)).await {
            let owner = router.node_for_key(key.as_bytes()).map(|id| router.node(id).name());
            match result {
                Ok(value) => {
                    assert_eq!(value, key);
                    right += 1;
                }
                Err(error) => {
                    let error = ShardError::of(&error).unwrap();
                    assert_eq!((error.node(), owner), (Some("n0"), Some("n0")), "{key}: {error}");
                    broken += 1;
                }
            }
        }
        println!("{right} right, {broken} broken");
        assert!(right > 1000 && broken >= 50, "{right} right, {broken} broken");
    });
    assert_eq!(in_flight(&client), 0);
}

#[test]
fn a_late_reply_is_not_the_next_ones() {
    let node = FakeNode::start(|request| {
        let answer = Step::Send(bulk(request.args.last().unwrap()));
        match request.line().contains("late") {
            true => vec![Step::Wait(DEADLINE * 4 / 3), answer],
            false => vec![answer],
        }
    });
    let client = builder([node.url()]).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        for _ in 0..3 {
            let late = failure(connection.get::<_, ()>("late").await);
            assert_eq!(late.kind(), ShardErrorKind::Deadline);
            for key in ["a", "b", "c"] {
                assert_eq!(connection.get::<_, String>(key).await.unwrap(), key);
                tokio::time::sleep(DEADLINE / 5).await;
            }
        }
    });
}

#[test]
fn errors_of_nodes_are_replies_and_keep_the_link() {
    let node = FakeNode::start(|_| reply("-OOM command not allowed\r\n"));
    let client = builder([node.url()]).build().unwrap();
    run(async {
        let mut connection = connect(&client).await;
        for _ in 0..20 {
            let set = redis::cmd("SET").arg("key").arg("x").to_owned();
            let result = connection.req_packed_command(&set).await.unwrap();
            assert!(matches!(result, Value::ServerError(error) if error.code() == "OOM"));
        }
    });
    assert_eq!((node.connections(), failures(&client)), (1, 0));
}
