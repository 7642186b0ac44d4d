//! Nodes that speak RESP3.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::mpsc;

use redis::Commands;
use redis::PushKind;
use redis::TypedCommands;
use redis::Value;
use shardwright::ShardedConnection;

use super::pool::Pool;
use super::pool::say;

const RESP3: &str = "?protocol=resp3";

fn query(con: &mut ShardedConnection, line: &str) -> Value {
    super::pool::ask(con, line).unwrap()
}

#[test]
fn replies_have_the_types_of_resp3() {
    let Some(pool) = Pool::start_at(3, RESP3) else { return };
    let mut con = pool.connection();
    for key in pool.keys() {
        for line in [
            format!("HSET {key} field 1"),
            format!("SADD {{{key}}}s member"),
            format!("ZADD {{{key}}}z 1.5 member"),
        ] {
            assert_eq!(query(&mut con, &line), Value::Int(1));
        }
        let reply = query(&mut con, &format!("HGETALL {key}"));
        assert!(matches!(reply, Value::Map(_)), "{reply:?}");
        let reply = query(&mut con, &format!("SMEMBERS {{{key}}}s"));
        assert!(matches!(reply, Value::Set(_)), "{reply:?}");
        let reply = query(&mut con, &format!("ZSCORE {{{key}}}z member"));
        assert_eq!(reply, Value::Double(1.5));
        assert_eq!(query(&mut con, &format!("GET {key}none")), Value::Nil);
    }
    let reply = query(&mut con, "EVAL redis.setresp(3);return{double=0.5} 0");
    assert_eq!(reply, Value::Double(0.5));
}

#[test]
fn replies_of_all_nodes_are_joined_as_those_of_resp2_are() {
    let (Some(two), Some(three)) = (Pool::start(3), Pool::start_at(3, RESP3)) else { return };
    let joined = |pool: &Pool| {
        let mut con = pool.connection();
        let keys: Vec<_> = (0..30).map(|number| format!("{number}:key")).collect();
        let pairs: Vec<_> = keys.iter().map(|key| (key, 1)).collect();
        let () = Commands::mset(&mut con, &pairs).unwrap();
        let mut subscriber = pool.connection();
        let mut pubsub = subscriber.as_pubsub();
        pubsub.subscribe(&["a", "b", "c", "d", "e"]).unwrap();
        let keys: BTreeSet<String> = Commands::keys(&mut con, "*").unwrap();
        let channels: BTreeSet<String> =
            redis::cmd("PUBSUB").arg("CHANNELS").query(&mut con).unwrap();
        let mut command = redis::cmd("PUBSUB");
        let numbers: BTreeMap<String, i64> =
            command.arg("NUMSUB").arg(&["a", "b", "z"]).query(&mut con).unwrap();
        let info: BTreeMap<String, String> =
            redis::cmd("INFO").arg("server").query(&mut con).unwrap();
        let nodes: Vec<_> = info.into_keys().collect();
        let roles: BTreeMap<String, Value> = redis::cmd("ROLE").query(&mut con).unwrap();
        let scanned = Commands::scan::<String>(&mut con).unwrap().count();
        let sizes = ["DBSIZE", "SLOWLOG LEN", "WAIT 0 1", "SCRIPT EXISTS 00", "FLUSHALL"]
            .map(|line| say(&mut con, line));
        format!("{keys:?} {channels:?} {numbers:?} {nodes:?} {roles:?} {scanned} {sizes:?}")
    };
    assert_eq!(joined(&three), joined(&two));
}

#[test]
fn typed_commands_give_the_same_over_both_protocols() {
    let (Some(two), Some(three)) = (Pool::start(3), Pool::start_at(3, RESP3)) else { return };
    let (two, three) = (typed(&two), typed(&three));
    for (two, three) in two.iter().zip(&three) {
        assert_eq!(two, three);
    }
    assert_eq!((two.len(), three.len()), (27 * 3, 27 * 3));
}

/// What typed commands give, for keys on each node.
fn typed(pool: &Pool) -> Vec<String> {
    let mut con = pool.connection();
    let con = &mut con;
    let mut said = Vec::new();
    macro_rules! say {
        ($($call:expr;)*) => { $(said.push(format!("{} -> {:?}", stringify!($call), $call));)* };
    }
    for key in pool.keys() {
        let name = |suffix| format!("{{{key}}}{suffix}");
        let (s, h, l, set, z) = (&name("s"), &name("h"), &name("l"), &name("set"), &name("z"));
        say! {
            TypedCommands::set(con, s, "5");
            TypedCommands::get(con, s);
            TypedCommands::get(con, "no such key");
            TypedCommands::get_int(con, s);
            TypedCommands::incr(con, s, 1.25);
            TypedCommands::mget(con, &[s, "no such key", "a", "b"]);
            TypedCommands::exists(con, s);
            TypedCommands::expire(con, s, 100);
            TypedCommands::ttl(con, s);
            TypedCommands::persist(con, s);
            TypedCommands::hset_multiple(con, h, &[("a", "1"), ("b", "2")]);
            TypedCommands::hgetall(con, h).map(|map| map.into_iter().collect::<BTreeMap<_, _>>());
            TypedCommands::hincr(con, h, "a", 0.5);
            TypedCommands::hget(con, h, "none");
            TypedCommands::hmget(con, h, &["a", "none"]);
            TypedCommands::rpush(con, l, &["x", "y"]);
            TypedCommands::lrange(con, l, 0, -1);
            TypedCommands::llen(con, l);
            TypedCommands::sadd(con, set, &["m", "n"]);
            TypedCommands::smembers(con, set).map(|set| set.into_iter().collect::<BTreeSet<_>>());
            TypedCommands::sismember(con, set, "m");
            TypedCommands::zadd(con, z, "member", 1.5);
            TypedCommands::zscore(con, z, "member");
            TypedCommands::zrange_withscores(con, z, 0, -1);
            TypedCommands::zrank(con, z, "member");
            TypedCommands::del(con, &[s, h, l, set, z, "a", "b", "c"]);
            TypedCommands::publish(con, s, "x");
        }
    }
    said
}

#[test]
fn messages_between_replies_go_to_whom_they_are_for() {
    let Some(pool) = Pool::start_at(2, RESP3) else { return };
    let mut con = pool.connection();
    let (sender, receiver) = mpsc::channel();
    con.set_push_sender(sender);
    let keys = pool.keys();
    let mut writer = pool.connection();
    let tracking = con.on_all(|node| redis::cmd("CLIENT").arg(&["TRACKING", "on"]).exec(node));
    assert!(tracking.iter().all(|(_, result)| result.is_ok()));
    for (number, key) in keys.iter().enumerate() {
        // It is remembered who read it, and the others' writes are told.
        assert_eq!(Commands::get::<_, Option<i64>>(&mut con, key).unwrap(), None);
        let () = Commands::set(&mut writer, key, number).unwrap();
    }
    // Each way of asking reads past them: one request, several nodes, a pipeline.
    assert_eq!(Commands::get::<_, i64>(&mut con, &keys[0]).unwrap(), 0);
    assert_eq!(Commands::mget::<_, Vec<i64>>(&mut con, &keys).unwrap(), [0, 1]);
    let () = Commands::set(&mut writer, &keys[1], 11).unwrap();
    let mut pipe = redis::pipe();
    pipe.get(&keys[1]).get(&keys[0]);
    assert_eq!(pipe.query::<Vec<i64>>(&mut con).unwrap(), [11, 0]);
    let () = Commands::set(&mut writer, &keys[0], 10).unwrap();
    // And fetching later, which redis-rs's own connection does not.
    let get = redis::cmd("GET").arg(&keys[0]).get_packed_command();
    con.send_packed_command(&get).unwrap();
    assert_eq!(con.recv_response().unwrap(), Value::BulkString(b"10".to_vec()));
    let told: Vec<_> = receiver.try_iter().collect();
    assert!(told.iter().all(|push| push.kind == PushKind::Invalidate), "{told:?}");
    let invalid: Vec<_> = told.iter().map(|push| format!("{:?}", push.data)).collect();
    assert_eq!(invalid.len(), 4, "{invalid:?}");
    for (key, times) in keys.iter().zip([2, 2]) {
        let key = format!("{:?}", Value::BulkString(key.clone().into_bytes()));
        assert_eq!(invalid.iter().filter(|data| data.contains(&key)).count(), times);
    }
    // Nobody listens any more, and nothing breaks.
    drop(receiver);
    let () = Commands::set(&mut writer, &keys[0], 12).unwrap();
    assert_eq!(Commands::get::<_, i64>(&mut con, &keys[0]).unwrap(), 12);
}

#[test]
fn transactions_scripts_and_channels_work_over_it() {
    let Some(pool) = Pool::start_at(3, RESP3) else { return };
    let mut con = pool.connection();
    for key in pool.keys() {
        let (new,): (i64,) = redis::transaction(&mut con, &[&key], |con, pipe| {
            let old: Option<i64> = Commands::get(con, &key)?;
            pipe.set(&key, old.unwrap_or(0) + 1).ignore().get(&key).query(con)
        })
        .unwrap();
        assert_eq!(new, 1);
        let script = redis::Script::new("return redis.call('INCR', KEYS[1])");
        assert_eq!(script.key(&key).invoke::<i64>(&mut con).unwrap(), 2);
    }
    let mut publisher = pool.connection();
    let mut pubsub = con.as_pubsub();
    pubsub.subscribe(&["a", "b", "c", "d"]).unwrap();
    pubsub.psubscribe("p*").unwrap();
    for channel in ["a", "b", "c", "d", "pattern"] {
        assert_eq!(Commands::publish::<_, _, i64>(&mut publisher, channel, channel).unwrap(), 1);
        assert_eq!(pubsub.get_message().unwrap().get_channel_name(), channel);
    }
    assert_eq!(pubsub.ping::<String>().unwrap(), "PONG");
}

/// What was pushed, sorted: nodes are asked at the same time.
fn pushed(receiver: &mpsc::Receiver<redis::PushInfo>) -> Vec<String> {
    let text = |value: &Value| redis::from_redis_value_ref::<String>(value).unwrap();
    let line = |push: redis::PushInfo| {
        let data: Vec<_> = push.data.iter().map(text).collect();
        format!("{} {}", push.kind, data.join(" "))
    };
    let mut lines: Vec<_> = receiver.try_iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn a_connection_listens_to_channels_besides_its_requests() {
    let Some(pool) = Pool::start_at(3, RESP3) else { return };
    let mut publisher = pool.connection();
    let mut con = pool.connection();
    let (sender, receiver) = mpsc::channel();
    con.set_push_sender(sender);
    let channels = pool.keys();
    con.subscribe_resp3(&channels).unwrap();
    con.psubscribe_resp3("pattern*").unwrap();
    let confirmed = pushed(&receiver);
    assert_eq!(confirmed.len(), 3 + 3, "{confirmed:?}");
    for channel in channels.iter().map(String::as_str).chain(["pattern", "patterns"]) {
        assert_eq!(Commands::publish::<_, _, i64>(&mut publisher, channel, "news").unwrap(), 1);
    }
    // What was said to arrive with a PING does.
    let () = redis::cmd("PING").query(&mut con).unwrap();
    let mut expected: Vec<_> =
        channels.iter().map(|channel| format!("message {channel} news")).collect();
    expected.extend(["pattern", "patterns"].map(|name| format!("pmessage pattern* {name} news")));
    expected.sort();
    assert_eq!(pushed(&receiver), expected);
    for key in &channels {
        assert_eq!(Commands::incr::<_, _, i64>(&mut con, key, 1).unwrap(), 1);
    }
    con.unsubscribe_resp3(&channels[..1]).unwrap();
    con.punsubscribe_resp3(Vec::<String>::new()).unwrap();
    pushed(&receiver);
    let reached =
        channels.iter().map(String::as_str).chain(["pattern"]).map(|channel| {
            Commands::publish::<_, _, i64>(&mut publisher, channel, "more").unwrap()
        });
    assert_eq!(reached.collect::<Vec<_>>(), [0, 1, 1, 0]);
}

#[test]
fn a_link_that_is_lost_is_told_of_and_one_over_resp2_cannot_listen() {
    let (Some(two), Some(mut three)) = (Pool::start(2), Pool::start_at(2, RESP3)) else { return };
    let error = two.connection().subscribe_resp3("channel").unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::InvalidClientConfig);
    let mut con = three.connection();
    let (sender, receiver) = mpsc::channel();
    con.set_push_sender(sender);
    let keys = three.keys();
    con.subscribe_resp3(&keys).unwrap();
    assert_eq!(pushed(&receiver).len(), 2);
    three.servers[0].kill();
    let failed = keys.iter().filter(|key| Commands::get::<_, ()>(&mut con, *key).is_err());
    assert_eq!(failed.count(), 1);
    let kinds: Vec<_> = receiver.try_iter().map(|push| push.kind).collect();
    assert_eq!(kinds, [PushKind::Disconnection]);
}
