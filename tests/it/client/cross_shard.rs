//! Commands that need all their keys on one node.

use redis::ErrorKind;
use redis::ServerErrorKind;
use shardwright::ShardErrorKind;

use super::pool::Pool;
use super::pool::ask;
use super::pool::kind;
use super::pool::say;
use super::pool::shard_error;

/// Commands with the keys `A` and `B`, as they are sent.
const MULTI_KEY: &[&str] = &[
    "BITOP AND A B",
    "BLMOVE A B LEFT LEFT 1",
    "BLMPOP 1 2 A B LEFT",
    "BLPOP A B 1",
    "BRPOP A B 1",
    "BRPOPLPUSH A B 1",
    "BZMPOP 1 2 A B MIN",
    "BZPOPMAX A B 1",
    "BZPOPMIN A B 1",
    "COPY A B",
    "EVAL return 2 A B",
    "EVALSHA ffff 2 A B",
    "EVALSHA_RO ffff 2 A B",
    "EVAL_RO return 2 A B",
    "FCALL f 2 A B",
    "FCALL_RO f 2 A B",
    "GEORADIUS A 1 1 1 km STORE B",
    "GEORADIUSBYMEMBER A m 1 km STOREDIST B",
    "GEOSEARCHSTORE A B FROMLONLAT 1 1 BYRADIUS 1 km",
    "LCS A B",
    "LMOVE A B LEFT LEFT",
    "LMPOP 2 A B LEFT",
    "MIGRATE 127.0.0.1 1  0 1 KEYS A B",
    "MSETNX A 1 B 2",
    "PFCOUNT A B",
    "PFMERGE A B",
    "RENAME A B",
    "RENAMENX A B",
    "RPOPLPUSH A B",
    "SDIFF A B",
    "SDIFFSTORE A B",
    "SINTER A B",
    "SINTERCARD 2 A B",
    "SINTERSTORE A B",
    "SMOVE A B member",
    "SORT A STORE B",
    "SUNION A B",
    "SUNIONSTORE A B",
    "XREAD STREAMS A B 0 0",
    "XREAD COUNT 1 BLOCK 1 STREAMS A B 0 0",
    "XREADGROUP GROUP g c STREAMS A B > >",
    "ZDIFF 2 A B",
    "ZDIFFSTORE A 1 B",
    "ZINTER 2 A B",
    "ZINTERCARD 2 A B",
    "ZINTERSTORE A 1 B",
    "ZMPOP 2 A B MIN",
    "ZRANGESTORE A B 0 1",
    "ZUNION 2 A B",
    "ZUNIONSTORE A 1 B",
    "WATCH A B",
];

fn with_keys(line: &str, one: &str, other: &str) -> String {
    let word = |word: &str| match word {
        "A" => one.to_owned(),
        "B" => other.to_owned(),
        word => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn keys_on_two_nodes_are_refused_and_nothing_is_sent() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let (one, other) = (pool.key_on(0, 0), pool.key_on(1, 0));
    let before: u64 = pool.client.metrics().iter().map(|node| node.requests).sum();
    for line in MULTI_KEY {
        let error = ask(&mut con, &with_keys(line, &one, &other)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::CrossSlot), "{line}: {error}");
        assert_eq!(error.code(), Some("CROSSSLOT"));
        assert!(!error.is_io_error() && !error.is_connection_dropped(), "{line}");
        let ours = shard_error(&error);
        assert_eq!(ours.kind(), ShardErrorKind::CrossShard, "{line}");
        let mut keys = ours.keys().to_vec();
        keys.sort();
        assert_eq!(keys, [one.as_bytes(), other.as_bytes()], "{line}");
        let name = line.split(' ').next().unwrap();
        let text = error.to_string();
        for part in [name, &one, &other, "'n0'", "'n1'"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        assert_eq!(pool.calls_everywhere(name), 0, "{line}");
    }
    let after: u64 = pool.client.metrics().iter().map(|node| node.requests).sum();
    assert_eq!(before, after);
}

#[test]
fn keys_with_one_tag_go_to_their_node() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    for server in 0..2 {
        let tag = pool.key_on(server, 0);
        let (one, other) = (format!("{{{tag}}}1"), format!("{{{tag}}}2"));
        for line in
            MULTI_KEY.iter().filter(|line| !line.starts_with('B') || line.starts_with("BITOP"))
        {
            let line = with_keys(line, &one, &other);
            let before: Vec<_> = pool.client.metrics().iter().map(|node| node.requests).collect();
            let reply = ask(&mut con, &line);
            assert!(
                reply.as_ref().err().is_none_or(|error| !error.is_io_error()),
                "{line}: {reply:?}"
            );
            say(&mut con, "UNWATCH");
            let after: Vec<_> = pool.client.metrics().iter().map(|node| node.requests).collect();
            assert!(after[server] > before[server], "{line}");
            assert_eq!(after[1 - server], before[1 - server], "{line}");
        }
    }
}

#[test]
fn a_crossing_command_refuses_the_whole_pipeline() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let (one, other) = (pool.key_on(0, 0), pool.key_on(1, 0));
    let mut pipe = redis::pipe();
    pipe.set(&one, 1).set(&other, 2).cmd("SINTER").arg(&one).arg(&other).ignore_errors();
    assert_eq!(kind(pipe.query::<Vec<redis::Value>>(&mut con)), ShardErrorKind::CrossShard);
    assert_eq!(pool.calls_everywhere("set"), 0);
    assert_eq!(say(&mut con, &format!("SET {one} 1")), "OK");
}

#[test]
fn patterns_of_sort_must_stay_on_the_node() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    say(&mut con, "RPUSH {a}list 1 2");
    say(&mut con, "MSET {a}w1 20 {a}w2 10");
    assert_eq!(say(&mut con, "SORT {a}list BY {a}w* GET # GET {a}w*"), "[2 10 1 20]");
    assert_eq!(say(&mut con, "SORT {a}list BY nosort GET #"), "[1 2]");
    for line in ["SORT {a}list BY w_*", "SORT {a}list GET w_*", "SORT_RO {a}list BY {a*}"] {
        let error = ask(&mut con, line).unwrap_err();
        assert_eq!(shard_error(&error).kind(), ShardErrorKind::CrossShard, "{line}");
    }
}

#[test]
fn in_a_pool_of_one_nothing_crosses() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = pool.connection();
    for line in MULTI_KEY.iter().filter(|line| !line.starts_with("BL") && !line.starts_with("BR")) {
        let reply = ask(&mut con, &with_keys(line, "1:key", "2:key"));
        let is_ours = reply.as_ref().err().and_then(shardwright::ShardError::of);
        assert!(is_ours.is_none(), "{line}: {reply:?}");
        say(&mut con, "UNWATCH");
    }
    assert_eq!(say(&mut con, "SORT list BY weight_* GET name_*"), "[]");
}
