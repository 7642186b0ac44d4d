//! Atomic pipelines, and what redis-rs builds on them.

use std::thread;

use redis::Commands;
use redis::ErrorKind;
use redis::RedisResult;
use redis::ServerErrorKind;
use redis::Value;
use shardwright::ShardErrorKind;

use super::pool::Pool;
use super::pool::kind;
use super::pool::say;
use super::pool::shard_error;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;

#[test]
fn an_atomic_pipeline_is_on_the_node_of_its_keys() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for server in 0..3 {
        let tag = pool.key_on(server, 0);
        let (one, other) = (format!("{{{tag}}}1"), format!("{{{tag}}}2"));
        let mut pipe = redis::pipe();
        pipe.atomic()
            .ping()
            .set(&one, 1)
            .ignore()
            .mset(&[(&other, 2)])
            .ignore()
            .mget(&[&one, &other]);
        let reply: (String, (i64, i64)) = pipe.query(&mut con).unwrap();
        assert_eq!(reply, ("PONG".into(), (1, 2)));
        assert_eq!((pool.calls(server, "multi"), pool.calls(server, "exec")), (1, 1));
    }
}

#[test]
fn an_atomic_pipeline_on_two_nodes_is_refused_before_anything_is_sent() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let mut pipe = redis::pipe();
    pipe.atomic().set(&keys[0], 1).set(&keys[1], 2);
    let error = pipe.query::<Value>(&mut con).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::CrossSlot));
    let error = shard_error(&error);
    assert_eq!(error.kind(), ShardErrorKind::CrossShard);
    assert_eq!(error.keys(), [keys[0].as_bytes(), keys[1].as_bytes()]);
    let text = error.to_string();
    assert!(text.contains("'n0'") && text.contains("'n1'"), "{text}");
    // Nor is one command whose keys are on two nodes.
    let mut pipe = redis::pipe();
    pipe.atomic().mget(&keys);
    assert_eq!(kind(pipe.query::<Value>(&mut con)), ShardErrorKind::CrossShard);
    let mut pipe = redis::pipe();
    pipe.atomic().set(&keys[0], 1).cmd("FLUSHALL");
    assert_eq!(kind(pipe.query::<Value>(&mut con)), ShardErrorKind::Unroutable);
    for command in ["multi", "set", "exec"] {
        assert_eq!(pool.calls_everywhere(command), 0, "{command}");
    }
}

#[test]
fn an_atomic_pipeline_without_a_key_is_on_the_designated_node() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let mut pipe = redis::pipe();
    pipe.atomic().ping().cmd("ECHO").arg("x");
    assert_eq!(pipe.query::<Vec<String>>(&mut con).unwrap(), ["PONG", "x"]);
    assert_eq!(pool.calls(pool.owner("placeholder"), "exec"), 1);
    assert!(redis::pipe().atomic().query::<Vec<i64>>(&mut con).unwrap().is_empty());
}

#[test]
fn what_the_server_refuses_to_queue_aborts_the_pipeline() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(1, 0);
    let mut pipe = redis::pipe();
    pipe.atomic().set(&key, 1).cmd("NOSUCHCOMMAND").arg(&key).cmd("GET").arg(&key).arg("too many");
    let error = pipe.query::<Value>(&mut con).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ExecAbort));
    assert_eq!(error.code(), Some("EXECABORT"));
    let text = error.to_string();
    assert!(text.contains("(Index 1, error: ") && text.contains("unknown command"), "{text}");
    assert!(text.contains("(Index 2, error: ") && !text.contains("(Index 0, "), "{text}");
    assert!(!con.exists::<_, bool>(&key).unwrap());
    // What fails when it is executed is one of the replies.
    let mut pipe = redis::pipe();
    pipe.atomic().set(&key, "text").incr(&key, 1).get(&key).ignore_errors();
    let replies: Vec<RedisResult<String>> = pipe.query(&mut con).unwrap();
    assert!(replies[0].is_ok() && replies[1].is_err());
    assert_eq!(replies[2], Ok("text".into()));
}

#[test]
fn no_increment_is_lost_between_threads() {
    const THREADS: usize = 4;
    const EACH: usize = 50;
    let Some(pool) = Pool::start(3) else { return };
    let keys = pool.keys();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut con = pool.connection();
                for key in keys.iter().cycle().take(EACH * keys.len()) {
                    let (new,): (usize,) = redis::transaction(&mut con, &[key], |con, pipe| {
                        let old: Option<usize> = con.get(key)?;
                        pipe.set(key, old.unwrap_or(0) + 1).ignore().get(key).query(con)
                    })
                    .unwrap();
                    assert!(new > 0);
                }
            });
        }
    });
    let counts: Vec<usize> = pool.connection().mget(&keys).unwrap();
    assert_eq!(counts, [THREADS * EACH; 3]);
}

#[test]
fn no_increment_is_lost_while_connections_break() {
    let Some(pool) = Pool::start(2) else { return };
    let key = pool.key_on(1, 0);
    let done = std::sync::atomic::AtomicBool::new(false);
    let increments: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut con = pool.connection();
                    let (mut certain, mut unknown) = (0, 0);
                    while certain < 60 {
                        let result = redis::transaction(&mut con, &[&key], |con, pipe| {
                            let old: Option<usize> = con.get(&key)?;
                            pipe.set(&key, old.unwrap_or(0) + 1).query(con)
                        });
                        match result {
                            Ok(()) => certain += 1,
                            // It may have been executed before the connection broke.
                            Err(error) => {
                                assert!(error.is_io_error(), "{error}");
                                unknown += 1;
                                assert!(unknown < 10_000, "no transaction gets through: {error}");
                            }
                        }
                    }
                    (certain, unknown)
                })
            })
            .collect();
        let breaker = scope.spawn(|| {
            let mut direct = pool.direct(1);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                say(&mut direct, "CLIENT KILL TYPE normal SKIPME yes");
                thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let counted: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        // Before anything else: a worker that panicked would leave the breaker to run for ever.
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        breaker.join().unwrap();
        let counted: Vec<(usize, usize)> = counted.into_iter().map(Result::unwrap).collect();
        let certain: usize = counted.iter().map(|(certain, _)| certain).sum();
        let unknown: usize = counted.iter().map(|(_, unknown)| unknown).sum();
        let stored: usize = pool.direct(1).get(&key).unwrap();
        assert!((certain..=certain + unknown).contains(&stored), "{certain} + {unknown}: {stored}");
        certain
    });
    assert_eq!(increments, 180);
}

#[test]
fn replies_that_went_down_with_a_transaction_are_not_owed_by_the_next() {
    let node = FakeNode::start(|request| match (request.connection, request.line().as_str()) {
        (_, "WATCH key") => reply("+OK\r\n"),
        (0, "MULTI") => reply("+OK\r\n"),
        (0, _) => vec![Step::Close],
        (_, "EXEC") => reply("*1\r\n+OK\r\n"),
        _ => reply("+QUEUED\r\n"),
    });
    let mut con = shardwright::ShardedClient::open(node.url()).unwrap().get_connection().unwrap();
    let set = |con: &mut _| -> RedisResult<()> {
        redis::transaction(con, &["key"], |con, pipe| {
            pipe.set("key", 1).set("key", 2).ignore().query(con)
        })
    };
    assert_eq!(kind(set(&mut con)), ShardErrorKind::Node);
    set(&mut con).unwrap();
    assert_eq!(node.connections(), 2);
}

#[test]
fn a_transaction_that_gives_up_does_not_hold_up_others() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let give_up = |con: &mut _, key: &String| {
        let result: RedisResult<()> =
            redis::transaction(con, &[key], |_, _| Err((ErrorKind::Client, "given up").into()));
        result.unwrap_err()
    };
    let increment = |con: &mut _, key: &String| -> RedisResult<Vec<i64>> {
        redis::transaction(con, &[key], |con, pipe| pipe.incr(key, 1).query(con))
    };
    // The same node, as on one server.
    give_up(&mut con, &keys[0]);
    assert_eq!(increment(&mut con, &keys[0]).unwrap(), [1]);
    // Another node: what is watched cannot be guarded there. That is said once.
    give_up(&mut con, &keys[0]);
    assert_eq!(kind(increment(&mut con, &keys[1])), ShardErrorKind::CrossShard);
    assert_eq!(increment(&mut con, &keys[1]).unwrap(), [1]);
    // A pipeline ends what is watched, whatever comes of it.
    give_up(&mut con, &keys[0]);
    let mut pipe = redis::pipe();
    pipe.atomic().incr(&keys[1], 1);
    assert_eq!(kind(pipe.query::<Value>(&mut con)), ShardErrorKind::CrossShard);
    assert_eq!(pipe.query::<Vec<i64>>(&mut con).unwrap(), [2]);
    give_up(&mut con, &keys[0]);
    let mut crossing = redis::pipe();
    crossing.atomic().incr(&keys[0], 1).incr(&keys[1], 1);
    assert_eq!(kind(crossing.query::<Value>(&mut con)), ShardErrorKind::CrossShard);
    assert_eq!(pipe.query::<Vec<i64>>(&mut con).unwrap(), [3]);
    // Keys on two nodes are refused at once, and nothing is left of it.
    let crossing: RedisResult<Value> = redis::transaction(&mut con, &keys, |_, _| unreachable!());
    assert_eq!(kind(crossing), ShardErrorKind::CrossShard);
    assert_eq!(pipe.query::<Vec<i64>>(&mut con).unwrap(), [4]);
}

#[test]
fn a_pipeline_of_raw_commands_is_guarded_too() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let pipe = |watched: &[&String]| {
        let mut pipe = redis::pipe();
        for key in watched {
            pipe.cmd("WATCH").arg(key);
        }
        pipe.cmd("MULTI").incr(&keys[0], 1).cmd("EXEC");
        pipe
    };
    let replies: Vec<Value> = pipe(&[&keys[0]]).query(&mut con).unwrap();
    assert_eq!(replies[3], Value::Array(vec![Value::Int(1)]));
    // All of it is refused, rather than carried out without a guard.
    let crossing = format!("{} {}", keys[0], keys[1]);
    let crossing: Vec<_> = crossing.split(' ').collect();
    let mut refused = redis::pipe();
    refused.cmd("WATCH").arg(&crossing).cmd("MULTI").incr(&keys[0], 1).cmd("EXEC");
    assert_eq!(kind(refused.query::<Value>(&mut con)), ShardErrorKind::CrossShard);
    assert_eq!(
        kind(pipe(&[&keys[1], &keys[0]]).query::<Value>(&mut con)),
        ShardErrorKind::CrossShard
    );
    assert_eq!(con.get::<_, i64>(&keys[0]).unwrap(), 1);
    assert_eq!(pipe(&[&keys[0]]).query::<Vec<Value>>(&mut con).unwrap().len(), 4);
}
