//! The ways to one node: what one does with one server.

use std::collections::BTreeMap;

use redis::Commands;
use redis::ConnectionLike;
use redis::InfoDict;
use redis::RedisResult;
use redis::Value;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardErrorKind;

use super::pool::Pool;
use super::pool::kind;
use super::pool::rest;
use super::pool::say;
use super::pool::shard_error;

#[test]
fn on_node_reaches_that_node_whatever_the_keys_are() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let foreign = pool.key_on(0, 0);
    for name in ["n0", "n1", "n2"] {
        let own = con.on_node(name, |node| {
            let () = node.set(&foreign, name)?;
            assert_eq!(node.node().name(), name);
            node.get::<_, String>(&foreign)
        });
        assert_eq!(own, Ok(name.to_owned()));
    }
    for server in 0..3 {
        let stored = pool.direct(server).get::<_, String>(&foreign).unwrap();
        assert_eq!(stored, format!("n{server}"));
    }
    // What a pool answers in another shape, or not at all.
    let info = con.on_node("n1", |node| redis::cmd("INFO").query::<InfoDict>(node)).unwrap();
    assert_eq!(info.get::<i64>("tcp_port"), Some(i64::from(pool.servers[1].port())));
    let id = con.on_node("n2", |node| redis::cmd("CLIENT").arg("ID").query::<i64>(node)).unwrap();
    let killed = con.on_node("n1", |node| Ok(say(node, "CLIENT KILL TYPE normal")));
    assert_eq!(killed, Ok("0".into()), "it does not kill who asks");
    assert!(id > 0);
    let unknown = con.on_node("n3", |_| -> RedisResult<()> { unreachable!() });
    assert_eq!(kind(unknown), ShardErrorKind::Configuration);
}

#[test]
fn all_that_is_built_on_a_connection_works_on_a_node() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    con.on_node("n1", |node| {
        let mut pipe = redis::pipe();
        // Keys of both nodes, atomic or not: here they are on this one.
        for key in pool.keys() {
            pipe.incr(key, 1);
        }
        assert_eq!(pipe.query::<Vec<i64>>(node)?, [1, 1]);
        assert_eq!(pipe.atomic().query::<Vec<i64>>(node)?, [2, 2]);
        let script = redis::Script::new("return redis.call('DBSIZE')");
        assert_eq!(script.invoke::<i64>(node)?, 2);
        assert_eq!(node.scan::<String>()?.count(), 2);
        let moved: (i64,) = redis::transaction(node, &pool.keys(), |node, pipe| {
            pipe.incr(&pool.keys()[0], 10).query(node)
        })?;
        assert_eq!(moved, (12,));
        let mut wrong = redis::pipe();
        wrong.atomic().cmd("NOSUCHCOMMAND").set("a", 1);
        let error = wrong.query::<Value>(node).unwrap_err();
        assert_eq!(error.code(), Some("EXECABORT"));
        let packed = redis::cmd("PING").get_packed_command();
        assert_eq!(node.req_packed_command(&packed)?, Value::SimpleString("PONG".into()));
        assert!(node.req_packed_command(b"").is_err());
        assert!(node.check_connection() && node.is_open());
        Ok(())
    })
    .unwrap();
    assert_eq!(say(&mut pool.direct(0), "DBSIZE"), "0");
    assert_eq!(pool.calls(0, "get") + pool.calls(0, "incrby"), 0);
}

#[test]
fn on_key_is_the_node_of_the_key() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for (server, key) in pool.keys().iter().enumerate() {
        let name = con.on_key(key, |node| Ok(node.node().name().to_owned())).unwrap();
        assert_eq!(name, format!("n{server}"));
        // A node in hand names the node of the key for clients and connections alike.
        assert_eq!(pool.client.node_for_key(key).unwrap().name(), name);
        let id = con.router().node_for_key(key.as_bytes()).unwrap();
        assert_eq!(con.nodes()[id.index()].name(), name);
    }
    // Keys that are equal as bytes are one key.
    assert_eq!(pool.client.node_for_key(7), pool.client.node_for_key("7"));
}

#[test]
fn on_all_asks_each_live_node_and_fails_for_those_that_do() {
    let policy = EjectPolicy::fail_fast().failure_limit(2);
    let Some(mut pool) = Pool::start_with(3, |builder| builder.eject(policy)) else { return };
    let mut con = pool.connection();
    let ping = |con: &mut shardwright::ShardedConnection| {
        let all = con.on_all(|node| redis::cmd("PING").query::<String>(node));
        let all = all.into_iter().map(|(node, pong)| (node.name().to_owned(), pong));
        all.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(ping(&mut con).len(), 3);
    pool.servers[1].kill();
    rest();
    for _ in 0..2 {
        let all = ping(&mut con);
        assert_eq!(all.len(), 3);
        assert!(all["n0"].is_ok() && all["n2"].is_ok());
        // Failures there count as any other.
        assert_eq!(shard_error(all["n1"].as_ref().unwrap_err()).node(), Some("n1"));
    }
    assert_eq!(ping(&mut con).into_keys().collect::<Vec<_>>(), ["n0", "n2"]);
    assert!(matches!(pool.client.node_states()[1].1, NodeState::Ejected));
    let key = pool_key(&pool);
    assert_eq!(kind(con.on_key(&key, |_| Ok(()))), ShardErrorKind::Ejected);
    assert!(pool.client.node_for_key(&key).is_none());
    assert!(con.on_node("n1", |node| Ok(node.is_open())).is_ok_and(|is_open| !is_open));
}

/// A key that has no node at the moment.
fn pool_key(pool: &Pool) -> String {
    let mut keys = (0..).map(|number| format!("{number}:key"));
    keys.find(|key| pool.client.node_for_key(key).is_none()).unwrap()
}

#[test]
fn replies_that_are_owed_do_not_answer_a_node_in_hand() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(0, 0);
    let () = con.set(&key, "value").unwrap();
    con.send_packed_command(&redis::cmd("GET").arg(&key).get_packed_command()).unwrap();
    assert_eq!(con.on_node("n0", |node| Ok(say(node, "ECHO other"))), Ok("other".into()));
    assert_eq!(con.recv_response(), Ok(Value::BulkString(b"value".to_vec())));
}

#[test]
fn node_client_is_a_client_of_redis_rs() {
    let Some(pool) = Pool::start(2) else { return };
    let client: redis::Client = pool.client.node_client("n1").unwrap();
    let mut alone: redis::Connection = client.get_connection().unwrap();
    let () = alone.set("anything", 1).unwrap();
    assert_eq!(pool.direct(1).get::<_, i64>("anything").unwrap(), 1);
    assert!(pool.client.node_client("n2").is_none());
    assert!(pool.client.node_client("").is_none());
    // Its failures are its own.
    drop(pool.servers);
    assert!(redis::cmd("PING").exec(&mut alone).is_err());
    assert!(pool.client.metrics().iter().all(|node| node.failures == 0 && node.requests == 0));
}

#[test]
fn nodes_and_ring_tell_where_keys_are() {
    let Some(pool) = Pool::start(3) else { return };
    let names: Vec<_> = pool.client.nodes().iter().map(|node| node.name().to_owned()).collect();
    assert_eq!(names, ["n0", "n1", "n2"]);
    let (router, ring) = (pool.client.router(), pool.client.ring().unwrap());
    for number in 0..500 {
        let key = format!("{number}:key");
        let picked = ring.pick(router.hash_of_key(key.as_bytes()));
        assert_eq!(router.node(picked).name(), pool.client.node_for_key(&key).unwrap().name());
    }
    assert_eq!(router.live_nodes().count(), 3);
    // As in redis-rs there is one address to ask for; it is the first node's.
    let address = pool.client.get_connection_info().addr().to_string();
    assert_eq!(address, pool.servers[0].address());
}
