//! What a client can be told: which nodes must answer, what becomes of parts that failed, whom to tell.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use redis::Commands;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;
use shardwright::ConnectMode;
use shardwright::EjectPolicy;
use shardwright::Event;
use shardwright::NodeMetrics;
use shardwright::NodeState;
use shardwright::PartialFailure;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::pool::Pool;
use super::pool::ask;
use super::pool::clients;
use super::pool::kind;
use super::pool::rest;
use super::pool::say;
use super::pool::shard_error;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;

/// How many connections each server has, without the one that asks.
fn connected(pool: &Pool) -> Vec<usize> {
    (0..pool.servers.len()).map(|server| clients(&mut pool.direct(server)) - 1).collect()
}

#[test]
fn by_default_one_node_must_answer() {
    let Some(mut pool) = Pool::start(3) else { return };
    let con = pool.connection();
    assert_eq!(connected(&pool).iter().sum::<usize>(), 1);
    drop(con);
    pool.servers[0].kill();
    pool.servers[2].kill();
    // It does not always begin with the same.
    for _ in 0..12 {
        let mut con = pool.connection();
        assert_eq!(say(&mut con, &format!("SET {} 1", pool.key_on(1, 0))), "OK");
    }
    pool.servers[1].kill();
    assert_eq!(kind(pool.client.get_connection().map(drop)), ShardErrorKind::Node);
}

#[test]
fn all_nodes_must_answer_if_that_is_asked_for() {
    let all = |builder: shardwright::ShardedClientBuilder| builder.connect_mode(ConnectMode::All);
    let Some(mut pool) = Pool::start_with(3, all) else { return };
    let con = pool.connection();
    assert_eq!(connected(&pool), [1, 1, 1]);
    drop(con);
    pool.servers[1].kill();
    let error = shard_error(&pool.client.get_connection().map(drop).unwrap_err());
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n1")));
    pool.servers[1].restart();
    assert!(pool.client.get_connection().is_ok());
}

#[test]
fn no_node_must_answer_before_it_is_asked() {
    let lazy = |builder: shardwright::ShardedClientBuilder| builder.connect_mode(ConnectMode::Lazy);
    let Some(mut pool) = Pool::start_with(3, lazy) else { return };
    let mut con = pool.connection();
    assert_eq!(connected(&pool), [0, 0, 0]);
    let () = con.set(pool.key_on(2, 0), 1).unwrap();
    assert_eq!(connected(&pool), [0, 0, 1]);
    for server in &mut pool.servers {
        server.kill();
    }
    let mut con = pool.connection();
    assert_eq!(kind(ask(&mut con, "GET key")), ShardErrorKind::Node);
}

#[test]
fn a_timeout_for_connecting_bounds_all_of_it_and_nothing_later() {
    let Some(pool) = Pool::start(2) else { return };
    for server in &pool.servers {
        server.process().stop();
    }
    let limit = Duration::from_millis(120);
    let start = Instant::now();
    let error = pool.client.get_connection_with_timeout(limit).map(drop).unwrap_err();
    assert!(start.elapsed() >= limit);
    assert!(error.is_timeout(), "{error}");
    assert_eq!(shard_error(&error).kind(), ShardErrorKind::Deadline);
    for server in &pool.servers {
        server.process().resume();
    }
    let mut con = pool.connection();
    // On a busy machine it may take a few times.
    eventually("a node answers in that time", || {
        pool.client.get_connection_with_timeout(limit).map(|made| con = made).is_ok()
    });
    let popped: RedisResult<Option<(String, String)>> = con.blpop(pool.key_on(0, 0), 0.3);
    assert_eq!(popped, Ok(None));
    let slow = format!("EVAL {} 1 {}", busy_for(300), pool.key_on(1, 0));
    assert_eq!(say(&mut con, &slow), "1");
}

/// A script that keeps the server busy for so many milliseconds.
fn busy_for(milliseconds: u32) -> String {
    format!(
        "local\tfunction\tnow()local\tt=redis.call('TIME')return\tt[1]*1000+t[2]/1000\tend\t\
         local\te=now()+{milliseconds}\twhile\tnow()<e\tdo\tend\treturn\t1"
    )
}

/// A pool of three of which the second is dead, one key of each, stored with its number.
fn crippled(policy: PartialFailure) -> Option<(Pool, Vec<String>)> {
    let mut pool = Pool::start_with(3, |builder| builder.partial_failure(policy))?;
    let keys = pool.keys();
    let pairs: Vec<_> = keys.iter().zip(0..).collect();
    let () = pool.connection().mset(&pairs).unwrap();
    pool.servers[1].kill();
    Some((pool, keys))
}

/// That the nodes that live give each request its own reply.
fn is_in_step(con: &mut shardwright::ShardedConnection, keys: &[String]) {
    for number in [0, 2] {
        assert_eq!(con.get::<_, usize>(&keys[number]).unwrap(), number);
    }
}

#[test]
fn by_default_the_whole_request_fails() {
    let Some((pool, keys)) = crippled(PartialFailure::Fail) else { return };
    let mut con = pool.connection();
    let parts = |result: RedisResult<Value>| {
        let error = shard_error(&result.unwrap_err());
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n1")));
        let completed: Vec<_> = error.completed_nodes().map(str::to_owned).collect();
        (error.keys().to_vec(), completed)
    };
    let lost = vec![keys[1].clone().into_bytes()];
    let others = vec!["n0".to_owned(), "n2".to_owned()];
    assert_eq!(parts(con.mget(&keys)), (lost.clone(), vec![]));
    let set: Vec<_> = keys.iter().zip(0..).collect();
    assert_eq!(parts(con.mset(&set)), (lost.clone(), others.clone()), "of a write what is done");
    assert_eq!(parts(redis::cmd("TOUCH").arg(&keys).query(&mut con)).0, lost);
    assert_eq!(parts(ask(&mut con, "KEYS *")).1, Vec::<String>::new());
    let mut pipe = redis::pipe();
    for key in &keys {
        pipe.get(key);
    }
    assert_eq!(kind(pipe.query::<Value>(&mut con)), ShardErrorKind::Node);
    assert!(pipe.ignore_errors().query::<Vec<Value>>(&mut con).is_err());
    is_in_step(&mut con, &keys);
}

#[test]
fn each_command_may_fail_for_itself() {
    let Some((pool, keys)) = crippled(PartialFailure::PerCommand) else { return };
    let mut con = pool.connection();
    let mut pipe = redis::pipe();
    for key in &keys {
        pipe.incr(key, 10);
    }
    pipe.mget(&keys).set(&keys[0], 0).set(&keys[2], 2).cmd("DBSIZE").ping().ignore_errors();
    let replies: Vec<RedisResult<Value>> = pipe.query(&mut con).unwrap();
    assert_eq!(replies[0], Ok(Value::Int(10)));
    assert_eq!(replies[2], Ok(Value::Int(12)));
    for failed in [1, 6] {
        let error = replies[failed].as_ref().unwrap_err();
        assert_eq!(error.code(), Some("SHARDDOWN"), "{error}");
        let error = shard_error(error);
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n1")));
    }
    assert_eq!(replies[7], Ok(Value::SimpleString("PONG".into())));
    // Without ignore_errors the pipeline is an error, as with one server.
    let mut strict = redis::pipe();
    strict.get(&keys[0]).get(&keys[1]);
    let error = strict.query::<Value>(&mut con).unwrap_err();
    let ours = shard_error(&error);
    assert_eq!((ours.kind(), ours.node()), (ShardErrorKind::Node, Some("n1")), "{error}");
    let packed = redis::cmd("MGET").arg(&keys).get_packed_command();
    let Ok(Value::Array(values)) = con.req_packed_command(&packed) else { panic!("no array") };
    assert!(matches!(values[1], Value::ServerError(_)), "{values:?}");
    assert_eq!((&values[0], &values[2]), (&text("0"), &text("2")));
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap_err().code(), Some("SHARDDOWN"));
    // A request of one command fails as it does otherwise.
    assert_eq!(kind(con.get::<_, Value>(&keys[1])), ShardErrorKind::Node);
    is_in_step(&mut con, &keys);
}

fn text(text: &str) -> Value {
    Value::BulkString(text.into())
}

#[test]
fn what_cannot_be_read_may_be_a_miss() {
    let Some((pool, keys)) = crippled(PartialFailure::NilForReads) else { return };
    let mut con = pool.connection();
    assert_eq!(con.mget::<_, Vec<Option<i64>>>(&keys).unwrap(), [Some(0), None, Some(2)]);
    assert_eq!(con.get::<_, Option<i64>>(&keys[1]).unwrap(), None);
    assert_eq!(con.exists::<_, i64>(&keys).unwrap(), 2);
    assert_eq!(say(&mut con, "DBSIZE"), "2");
    assert_eq!(con.keys::<_, Vec<String>>("*").unwrap().len(), 2);
    let mut pipe = redis::pipe();
    pipe.get(&keys[1]).mget(&keys).set(&keys[0], 0).ignore().get(&keys[2]);
    let expected = (None, vec![Some(0), None, Some(2)], 2);
    assert_eq!(pipe.query::<(Option<i64>, Vec<Option<i64>>, i64)>(&mut con), Ok(expected));
    // What writes fails: it is not as if it had been done.
    assert_eq!(kind(con.set::<_, _, ()>(&keys[1], 1)), ShardErrorKind::Node);
    assert_eq!(
        kind(con.del::<_, i64>(&[&keys[1], &format!("{}x", keys[0])])),
        ShardErrorKind::Node
    );
    assert_eq!(kind(pipe.set(&keys[1], 1).query::<Value>(&mut con)), ShardErrorKind::Node);
    // Nor is a request that is wrong.
    let crossing = format!("SINTER {} {}", keys[0], keys[1]);
    assert_eq!(kind(ask(&mut con, &crossing)), ShardErrorKind::CrossShard);
    is_in_step(&mut con, &keys);
}

#[test]
fn a_dead_node_is_no_reason_to_throw_a_connection_away() {
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(Duration::from_secs(600));
    let Some(mut pool) = Pool::start_with(2, |builder| builder.eject(policy)) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    for server in [0, 1] {
        // What connection pools ask before they lend one, and when it comes back.
        assert!(con.check_connection() && con.is_open());
        assert!(pool.client.check_connection() && pool.client.is_open());
        pool.servers[server].kill();
        rest();
        assert!(con.get::<_, Value>(&keys[server]).is_err());
    }
    // Not one is left: now it is.
    assert!(!con.check_connection() && !con.is_open());
    assert!(!pool.client.check_connection() && !pool.client.is_open());
    // It is known, not asked: it costs no request.
    assert!(pool.client.metrics().iter().all(|node| node.requests == 1), "{:?}", pool.client);
}

fn metrics_of(pool: &Pool, server: usize) -> NodeMetrics {
    pool.client.metrics().swap_remove(server)
}

#[test]
fn metrics_count_what_each_node_was_asked() {
    let policy = EjectPolicy::fail_fast().failure_limit(3).retry_timeout(Duration::from_secs(600));
    let Some(mut pool) = Pool::start_with(3, |builder| builder.eject(policy)) else { return };
    let keys = pool.keys();
    let (mut con, mut other) = (pool.connection(), pool.connection());
    for _ in 0..5 {
        let () = con.set(&keys[0], "x".repeat(1000)).unwrap();
    }
    let _: Vec<Option<String>> = other.mget(&keys).unwrap();
    let mut pipe = redis::pipe();
    for key in &keys[..2] {
        pipe.get(key).get(key);
    }
    pipe.exec(&mut con).unwrap();
    // An error of the server is a reply.
    assert!(ask(&mut con, &format!("INCR {}", keys[0])).is_err());
    let counted = |server| {
        let metrics = metrics_of(&pool, server);
        assert_eq!(metrics.node.name(), format!("n{server}"));
        assert!(matches!(metrics.state, NodeState::Live));
        assert_eq!((metrics.in_flight, metrics.failures, metrics.ejections), (0, 0, 0));
        metrics.requests
    };
    assert_eq!([counted(0), counted(1), counted(2)], [5 + 1 + 2 + 1, 1 + 2, 1]);
    let first = metrics_of(&pool, 0);
    assert!(first.bytes_sent > 5000 && first.bytes_sent < 6000, "{first:?}");
    assert!(first.bytes_received > 3000 && first.bytes_received < 4000, "{first:?}");
    // Which nodes the two began with is not known, but they used them all between them.
    assert!(first.connections == 2 && metrics_of(&pool, 2).connections <= 2, "{first:?}");
    drop(con);
    assert_eq!(metrics_of(&pool, 0).connections, 1);
    assert_eq!(metrics_of(&pool, 0).requests, 9, "what it counted stays");
    pool.servers[1].kill();
    rest();
    for _ in 0..3 {
        let _ = other.get::<_, Option<i64>>(&keys[1]);
    }
    let dead = metrics_of(&pool, 1);
    assert_eq!((dead.failures, dead.ejections, dead.connections), (3, 1, 0));
    assert!(matches!(dead.state, NodeState::Ejected));
    assert_eq!(kind(other.get::<_, Value>(&keys[1])), ShardErrorKind::Ejected);
    assert_eq!(metrics_of(&pool, 1).requests, dead.requests, "nothing was sent");
}

/// A listener, and what it was told: the kind of each event, and its node.
fn listening() -> (impl Fn(&Event) + Send + Sync + 'static, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let listener = move |event: &Event| {
        let text = format!("{event:?}");
        let name = text.split([' ', '{']).next().unwrap().to_owned();
        telling.lock().unwrap().push(format!("{name} {}", event.node().unwrap_or("-")));
    };
    (listener, told)
}

#[test]
fn a_listener_is_told_what_happens_in_its_order() {
    let policy = EjectPolicy::fail_fast()
        .failure_limit(2)
        .retry_timeout(Duration::from_millis(40))
        .max_retry_timeout(Duration::from_millis(40));
    let (listener, told) = listening();
    let change =
        |builder: shardwright::ShardedClientBuilder| builder.eject(policy).listener(listener);
    let Some(mut pool) = Pool::start_with(3, change) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    assert!(told.lock().unwrap().is_empty());
    pool.servers[1].kill();
    rest();
    assert_eq!(kind(con.get::<_, Value>(&keys[1])), ShardErrorKind::Node);
    assert!(told.lock().unwrap().is_empty(), "one failure is none");
    assert_eq!(kind(con.get::<_, Value>(&keys[1])), ShardErrorKind::Node);
    assert_eq!(told.lock().unwrap()[0], "Ejected n1");
    eventually("a probe failed", || {
        told.lock().unwrap().iter().filter(|event| *event == "ProbeFailed n1").count() >= 2
    });
    pool.servers[1].restart();
    eventually("it is back", || told.lock().unwrap().iter().any(|event| event == "Reinstated n1"));
    assert_eq!(con.get::<_, Option<i64>>(&keys[1]), Ok(None));
    let nodes = pool.client.to_builder().configured_nodes()[..2].to_vec();
    pool.client.set_nodes(nodes).unwrap();
    let told = told.lock().unwrap();
    let (first, probes) = told.split_first().unwrap();
    let (last, probes) = probes.split_last().unwrap();
    assert_eq!((first.as_str(), last.as_str()), ("Ejected n1", "TopologyChanged -"));
    // Each probe, and what came of it.
    let (pairs, rest) = probes.as_chunks::<2>();
    assert!(rest.is_empty(), "{told:?}");
    let (last, failed) = pairs.split_last().unwrap();
    assert!(failed.iter().all(|pair| *pair == ["Probing n1", "ProbeFailed n1"]), "{told:?}");
    assert_eq!(*last, ["Probing n1", "Reinstated n1"]);
}

#[test]
fn a_listener_is_told_of_a_node_that_stays_because_too_many_are_out() {
    let policy = EjectPolicy::successor().failure_limit(1).retry_timeout(Duration::from_secs(600));
    let (listener, told) = listening();
    let change =
        |builder: shardwright::ShardedClientBuilder| builder.eject(policy).listener(listener);
    let Some(mut pool) = Pool::start_with(2, change) else { return };
    let mut con = pool.connection();
    for server in [0, 1] {
        pool.servers[server].kill();
    }
    rest();
    let keys: Vec<_> = (0..30).map(|number| format!("{number}:key")).collect();
    for key in &keys {
        assert!(con.get::<_, Value>(key).is_err());
    }
    let told = told.lock().unwrap();
    let (ejected, kept) = (told[0].clone(), told[1].clone());
    assert!(ejected.starts_with("Ejected n") && kept.starts_with("FailedOpen n"), "{told:?}");
    assert_ne!(ejected.as_bytes().last(), kept.as_bytes().last());
    assert!(told[1..].iter().all(|event| *event == kept), "{told:?}");
}

#[test]
fn a_listener_may_ask_the_client() {
    // It is called outside of all locks.
    let client: Arc<Mutex<Option<ShardedClient>>> = Arc::default();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (theirs, asking) = (Arc::clone(&client), Arc::clone(&asked));
    let listener = move |_: &Event| {
        let client = theirs.lock().unwrap().clone().unwrap();
        let live = client.router().live_nodes().count();
        asking.lock().unwrap().push((live, client.metrics().len(), client.to_builder()));
    };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let change =
        |builder: shardwright::ShardedClientBuilder| builder.eject(policy).listener(listener);
    let Some(mut pool) = Pool::start_with(2, change) else { return };
    *client.lock().unwrap() = Some(pool.client.clone());
    let mut con = pool.connection();
    pool.servers[0].kill();
    rest();
    let key = pool.key_on(0, 0);
    assert!(con.get::<_, Value>(key).is_err());
    let nodes = pool.client.to_builder().configured_nodes()[1..].to_vec();
    pool.client.set_nodes(nodes).unwrap();
    let seen: Vec<_> = asked.lock().unwrap().iter().map(|(live, all, _)| (*live, *all)).collect();
    assert_eq!(seen, [(1, 2), (1, 1)]);
    client.lock().unwrap().take();
}

#[test]
fn a_timeout_of_zero_is_none() {
    let Some(server) = RedisServer::start() else { return };
    let builder = || ShardedClient::builder().nodes(server.url()).unwrap();
    let zero = Duration::ZERO;
    for builder in [builder().timeout(zero), builder().connect_timeout(zero)] {
        let mut con = builder.build().unwrap().get_connection().unwrap();
        let () = con.set("key", "value").unwrap();
        assert_eq!(con.get::<_, String>("key").unwrap(), "value");
    }
}
