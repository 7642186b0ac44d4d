//! Commands without a key: one reply out of those of several nodes. Each group of `src/guide/commands.md`
//! has a test.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use redis::Commands;
use redis::Value;
use shardwright::CommandRule;
use shardwright::CommandTable;
use shardwright::Gather;
use shardwright::ShardErrorKind;

use super::pool::Pool;
use super::pool::ask;
use super::pool::command;
use super::pool::kind;
use super::pool::say;
use super::pool::shard_error;

/// A pool of three with `3 * each` keys, and its connection.
fn filled(each: usize) -> Option<(Pool, shardwright::ShardedConnection)> {
    let pool = Pool::start(3)?;
    let mut con = pool.connection();
    for server in 0..3 {
        for number in 0..each {
            let () = con.set(pool.key_on(server, number), number).unwrap();
        }
    }
    Some((pool, con))
}

#[test]
fn sums() {
    let Some((pool, mut con)) = filled(4) else { return };
    assert_eq!(say(&mut con, "DBSIZE"), "12");
    assert_eq!(say(&mut con, "PUBSUB NUMPAT"), "0");
    for server in 0..3 {
        let mut direct = pool.direct(server);
        say(&mut direct, "CONFIG SET slowlog-log-slower-than 0");
        say(&mut direct, "SLOWLOG RESET");
        say(&mut direct, "PING");
        say(&mut direct, "CONFIG SET slowlog-log-slower-than -1");
    }
    assert_eq!(say(&mut con, "SLOWLOG LEN"), "6");
    assert_eq!(say(&mut con, "LATENCY RESET"), "0");
}

#[test]
fn all_elements_of_all_nodes() {
    let Some((pool, mut con)) = filled(5) else { return };
    let expected: BTreeSet<String> = (0..3)
        .flat_map(|server| (0..5).map(move |number| (server, number)))
        .map(|(server, number)| pool.key_on(server, number))
        .collect();
    let keys: Vec<String> = con.keys("*").unwrap();
    assert_eq!(keys.len(), 15);
    assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), expected);
    for server in 0..3 {
        let mut direct = pool.direct(server);
        say(&mut direct, "CONFIG SET slowlog-log-slower-than 0");
        say(&mut direct, "SLOWLOG RESET");
        say(&mut direct, "CONFIG SET slowlog-log-slower-than -1");
    }
    let log: Vec<Value> = command("SLOWLOG GET").query(&mut con).unwrap();
    assert_eq!(log.len(), 3);
    assert_eq!(say(&mut con, "ACL LOG"), "[]");
    assert_eq!(say(&mut con, "ACL LOG RESET"), "OK");
}

#[test]
fn the_smallest() {
    let Some((_pool, mut con)) = filled(1) else { return };
    assert_eq!(say(&mut con, "WAIT 0 10"), "0");
    let saved: i64 = command("LASTSAVE").query(&mut con).unwrap();
    assert!(saved > 1_000_000_000);
}

#[test]
fn a_map_by_node() {
    let Some((pool, mut con)) = filled(1) else { return };
    let info: BTreeMap<String, String> = command("INFO server").query(&mut con).unwrap();
    assert_eq!(info.keys().collect::<Vec<_>>(), ["n0", "n1", "n2"]);
    for (number, server) in pool.servers.iter().enumerate() {
        let port = format!("tcp_port:{}", server.port());
        assert!(info[&format!("n{number}")].contains(&port));
    }
    for line in
        ["CLIENT LIST", "MEMORY STATS", "MEMORY DOCTOR", "LATENCY LATEST", "ROLE", "FUNCTION STATS"]
    {
        let Value::Map(map) = ask(&mut con, line).unwrap() else { panic!("{line}") };
        assert_eq!(map.len(), 3, "{line}");
    }
}

#[test]
fn the_first_of_replies_that_are_all_the_same() {
    let Some((pool, mut con)) = filled(1) else { return };
    let sha: String = redis::cmd("SCRIPT").arg("LOAD").arg("return 1").query(&mut con).unwrap();
    for server in 0..3 {
        let exists: (bool,) =
            redis::cmd("SCRIPT").arg("EXISTS").arg(&sha).query(&mut pool.direct(server)).unwrap();
        assert!(exists.0);
    }
    for line in
        ["SCRIPT FLUSH", "CONFIG RESETSTAT", "SLOWLOG RESET", "MEMORY PURGE", "CLIENT UNPAUSE"]
    {
        assert_eq!(say(&mut con, line), "OK", "{line}");
    }
    assert_eq!(say(&mut con, &format!("SCRIPT EXISTS {sha}")), "[0]");
}

#[test]
fn one_where_all_nodes_say_one() {
    let Some((pool, mut con)) = filled(1) else { return };
    let load = |con: &mut redis::Connection, code: &str| -> String {
        redis::cmd("SCRIPT").arg("LOAD").arg(code).query(con).unwrap()
    };
    let here = load(&mut pool.direct(1), "return 'here'");
    let everywhere: Vec<String> =
        (0..3).map(|server| load(&mut pool.direct(server), "return 'everywhere'")).collect();
    let line = format!("SCRIPT EXISTS {} {here} ffff", everywhere[0]);
    assert_eq!(say(&mut con, &line), "[1 0 0]");
}

#[test]
fn the_first_success() {
    let Some((_pool, mut con)) = filled(1) else { return };
    let error = ask(&mut con, "SCRIPT KILL").unwrap_err();
    assert_eq!(error.code(), Some("NOTBUSY"));
    assert_eq!(ask(&mut con, "FUNCTION KILL").unwrap_err().code(), Some("NOTBUSY"));
}

#[test]
fn a_busy_script_is_killed_wherever_it_runs() {
    let Some((pool, mut con)) = filled(1) else { return };
    let key = pool.key_on(2, 0);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let endless = "while true do end";
            redis::cmd("EVAL").arg(endless).arg(1).arg(&key).query::<Value>(&mut pool.connection())
        });
        crate::support::eventually("the script is killed", || say(&mut con, "SCRIPT KILL") == "OK");
        let error = running.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("killed"), "{error}");
    });
}

#[test]
fn unions_and_sums_by_name() {
    let Some((pool, mut con)) = filled(1) else { return };
    let mut listener = pool.connection();
    let mut pubsub = listener.as_pubsub();
    pubsub.subscribe(&["a", "b", "c", "d", "__keyspace@0__:x"]).unwrap();
    let channels: Vec<String> = command("PUBSUB CHANNELS").query(&mut con).unwrap();
    // One of them is listened to on every node, and is in the list once.
    let mut sorted = channels.clone();
    sorted.sort();
    assert_eq!(sorted, ["__keyspace@0__:x", "a", "b", "c", "d"]);
    let line = "PUBSUB NUMSUB a b nobody __keyspace@0__:x";
    assert_eq!(say(&mut con, line), "[a 1 b 1 nobody 0 __keyspace@0__:x 3]");
    pubsub.psubscribe(&["x*", "y*"]).unwrap();
    assert_eq!(say(&mut con, "PUBSUB NUMPAT"), "6");
}

#[test]
fn one_node_after_the_other_until_a_key_is_found() {
    let Some(pool) = Pool::start(4) else { return };
    let mut con = pool.connection();
    assert_eq!(say(&mut con, "RANDOMKEY"), "nil");
    // Wherever the search begins, the only key is found.
    let key = pool.key_on(2, 0);
    let () = con.set(&key, 1).unwrap();
    for _ in 0..20 {
        assert_eq!(say(&mut con, "RANDOMKEY"), key);
    }
    let () = con.set(pool.key_on(0, 0), 1).unwrap();
    let found: BTreeSet<String> = (0..50).map(|_| say(&mut con, "RANDOMKEY")).collect();
    assert_eq!(found.len(), 2, "it does not always begin at the same node");
}

#[test]
fn a_cursor_that_nobody_handed_out_is_refused() {
    let Some((_, mut con)) = filled(1) else { return };
    let beyond = (3u64 << 52).to_string();
    for cursor in ["", "-", "-1", "words", "0x0", "99999999999999999999", &beyond] {
        let error = redis::cmd("SCAN").arg(cursor).query::<Value>(&mut con).unwrap_err();
        assert_eq!(error.detail(), Some("invalid cursor"), "{cursor:?}");
    }
}

#[test]
fn a_node_that_is_alone_reads_the_cursor_itself() {
    let Some(pool) = Pool::start(1) else { return };
    let (mut con, mut direct) = (pool.connection(), pool.direct(0));
    say(&mut con, "SET a 1");
    let large = (7u64 << 60).to_string();
    for cursor in ["", "-", "-1", "words", "0", &large] {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor);
        let (ours, theirs) = (scan.query::<Value>(&mut con), scan.query::<Value>(&mut direct));
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{cursor:?}");
    }
}

#[test]
fn the_designated_node_answers_for_all() {
    let Some((pool, mut con)) = filled(1) else { return };
    let designated = pool.owner("placeholder");
    say(&mut pool.direct(designated), "CONFIG SET maxmemory-samples 9");
    for _ in 0..5 {
        assert_eq!(say(&mut con, "CONFIG GET maxmemory-samples"), "[maxmemory-samples 9]");
    }
    for line in
        ["TIME", "COMMAND COUNT", "ACL WHOAMI", "CLIENT ID", "LOLWUT", "OBJECT HELP", "CLIENT INFO"]
    {
        let before = pool.client.metrics();
        ask(&mut con, line).unwrap();
        for (number, (before, after)) in before.iter().zip(pool.client.metrics()).enumerate() {
            let expected = u64::from(number == designated);
            assert_eq!(after.requests - before.requests, expected, "{line} on {number}");
        }
    }
}

#[test]
fn answered_without_a_node() {
    let Some((pool, mut con)) = filled(1) else { return };
    let before: u64 = pool.client.metrics().iter().map(|node| node.requests).sum();
    assert_eq!(ask(&mut con, "PING").unwrap(), Value::SimpleString("PONG".into()));
    assert_eq!(say(&mut con, "PING hello"), "hello");
    assert_eq!(say(&mut con, "ECHO hello"), "hello");
    let mut direct = pool.direct(0);
    for line in ["PING a b", "ECHO", "ECHO a b"] {
        assert_eq!(say(&mut con, line), say(&mut direct, line), "{line}");
    }
    let after: u64 = pool.client.metrics().iter().map(|node| node.requests).sum();
    assert_eq!(before, after);
    assert_eq!(say(&mut con, "QUIT"), "OK");
    let open = || pool.client.metrics().iter().map(|node| node.connections).sum::<u64>();
    assert_eq!(open(), 0);
    assert_eq!(say(&mut con, "DBSIZE"), "3");
}

#[test]
fn every_node_or_none() {
    let Some((pool, mut con)) = filled(3) else { return };
    assert_eq!(say(&mut con, "CONFIG SET maxmemory-samples 8"), "OK");
    for server in 0..3 {
        assert_eq!(
            say(&mut pool.direct(server), "CONFIG GET maxmemory-samples"),
            "[maxmemory-samples 8]"
        );
    }
    assert_eq!(say(&mut con, "SWAPDB 0 1"), "OK");
    assert_eq!(say(&mut con, "DBSIZE"), "0");
    say(&mut con, "SWAPDB 0 1");
    let library = "#!lua name=lib\nredis.register_function('one', function() return 1 end)";
    let name: String = redis::cmd("FUNCTION").arg("LOAD").arg(library).query(&mut con).unwrap();
    assert_eq!(name, "lib");
    for key in pool.keys() {
        assert_eq!(say(&mut con, &format!("FCALL one 1 {key}")), "1");
    }
    assert_eq!(say(&mut con, "FUNCTION FLUSH"), "OK");
    assert_eq!(say(&mut con, "ACL SETUSER somebody on nopass"), "OK");
    for server in 0..3 {
        assert_eq!(say(&mut pool.direct(server), "ACL USERS"), "[default somebody]");
    }
    assert_eq!(say(&mut con, "ACL DELUSER somebody"), "1");
    assert_eq!(say(&mut con, "FLUSHDB"), "OK");
    assert_eq!(say(&mut con, "DBSIZE"), "0");
    assert_eq!(say(&mut con, "FLUSHALL ASYNC"), "OK");
    assert_eq!(say(&mut con, "SAVE"), "OK");
}

#[test]
fn refused_with_the_reason() {
    let Some((pool, mut con)) = filled(1) else { return };
    let before: u64 = pool.client.metrics().iter().map(|node| node.requests).sum();
    for (line, reason) in [
        ("SUBSCRIBE c", "use as_pubsub"),
        ("PSUBSCRIBE c*", "use as_pubsub"),
        ("UNSUBSCRIBE", "use as_pubsub"),
        ("SSUBSCRIBE c", "use as_pubsub"),
        ("MONITOR", "use node_client"),
        ("SYNC", "use node_client"),
        ("PSYNC ? -1", "use node_client"),
        ("SHUTDOWN", "use on_node"),
        ("SHUTDOWN NOSAVE", "use on_node"),
        ("REPLICAOF NO ONE", "use on_node"),
        ("SLAVEOF NO ONE", "use on_node"),
        ("FAILOVER", "use on_node"),
        ("CLIENT KILL 127.0.0.1:1", "another number on each node"),
        ("CLIENT UNBLOCK 1", "another number on each node"),
        ("CLIENT REPLY OFF", "loses count"),
        ("CLIENT TRACKING ON", "invalidations"),
        ("CLIENT CACHING YES", "invalidations"),
        ("CLUSTER INFO", "no Redis Cluster"),
        ("ASKING", "no Redis Cluster"),
        ("SCRIPT DEBUG YES", "debugger"),
        ("DEBUG SLEEP 10", "use on_node"),
        ("SENTINEL MASTERS", "no sentinels"),
        ("CONFIG NOSUCH", "on_node"),
        ("CLIENT NOSUCH", "on_node"),
        ("ACL NOSUCH", "on_node"),
        ("FT.SEARCH i q", "on_node"),
        ("POST / HTTP/1.1", "closes every connection"),
    ] {
        let error = ask(&mut con, line).unwrap_err();
        assert_eq!(error.kind(), redis::ErrorKind::Client, "{line}");
        let ours = shard_error(&error);
        assert_eq!(ours.kind(), ShardErrorKind::Unroutable, "{line}");
        let text = error.to_string();
        assert!(text.contains("was not sent") && text.contains(reason), "{line}: {text}");
        assert!(!error.is_io_error(), "{line}");
    }
    let after: u64 = pool.client.metrics().iter().map(|node| node.requests).sum();
    assert_eq!(before, after);
}

#[test]
fn commands_of_modules_go_where_the_table_says() {
    let table = CommandTable::new()
        .with("MY.KEYS", CommandRule::all_nodes(Gather::Concat))
        .with("MY.SECRET", CommandRule::refused("it is a secret"))
        .with("FLUSHALL", CommandRule::refused("not here"))
        .strict();
    let Some(pool) = Pool::start_with(2, |builder| builder.command_table(table)) else { return };
    let mut con = pool.connection();
    // The servers do not know it, but all of them are asked.
    assert!(say(&mut con, "MY.KEYS x").contains("unknown command"));
    assert!(pool.client.metrics().iter().all(|node| node.requests == 1));
    assert!(ask(&mut con, "MY.SECRET").unwrap_err().to_string().contains("it is a secret"));
    assert!(ask(&mut con, "FLUSHALL").unwrap_err().to_string().contains("not here"));
    assert_eq!(kind(ask(&mut con, "MY.UNKNOWN key")), ShardErrorKind::Unroutable);
    assert!(pool.client.metrics().iter().all(|node| node.requests == 1));
    assert_eq!(say(&mut con, "SET a 1"), "OK");
}

#[test]
fn a_name_that_is_unknown_has_its_key_first() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for server in 0..3 {
        let before: Vec<_> = pool.client.metrics().iter().map(|node| node.requests).collect();
        let reply = say(&mut con, &format!("NOSUCH {}", pool.key_on(server, 0)));
        assert!(reply.contains("unknown command"), "{reply}");
        for (number, node) in pool.client.metrics().iter().enumerate() {
            assert_eq!(node.requests - before[number], u64::from(number == server));
        }
    }
}
