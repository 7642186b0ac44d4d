//! `WATCH`, `MULTI` and `EXEC`, said one by one.

use redis::Commands;
use redis::ErrorKind;
use redis::ServerErrorKind;
use redis::Value;
use shardwright::ShardErrorKind;

use super::pool::Pool;
use super::pool::ask;
use super::pool::kind;
use super::pool::say;
use super::pool::shard_error;
use crate::support::eventually;

#[test]
fn the_first_key_names_the_node_of_a_transaction() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for server in 0..3 {
        let key = pool.key_on(server, 0);
        assert_eq!(say(&mut con, "MULTI"), "OK");
        assert_eq!(say(&mut con, "PING early"), "QUEUED");
        assert_eq!(say(&mut con, &format!("SET {key} 1")), "QUEUED");
        assert_eq!(say(&mut con, "ECHO late"), "QUEUED");
        assert_eq!(say(&mut con, &format!("INCR {key}")), "QUEUED");
        assert_eq!(say(&mut con, "EXEC"), "[early OK late 2]");
        assert_eq!(pool.calls(server, "exec"), 1);
    }
}

#[test]
fn a_transaction_without_a_key_is_on_the_designated_node() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for line in ["MULTI", "PING", "TIME"] {
        say(&mut con, line);
    }
    assert!(matches!(ask(&mut con, "EXEC"), Ok(Value::Array(replies)) if replies.len() == 2));
    assert_eq!(pool.calls(pool.owner("placeholder"), "exec"), 1);
    assert_eq!([say(&mut con, "MULTI"), say(&mut con, "EXEC")], ["OK", "[]"]);
}

#[test]
fn a_key_of_another_node_makes_exec_abort() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    say(&mut con, "MULTI");
    assert_eq!(say(&mut con, &format!("SET {} 1", keys[0])), "QUEUED");
    let error = ask(&mut con, &format!("SET {} 1", keys[1])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::CrossSlot));
    let error = shard_error(&error);
    assert_eq!(error.kind(), ShardErrorKind::CrossShard);
    assert_eq!(error.keys(), [keys[0].as_bytes(), keys[1].as_bytes()]);
    assert_eq!(say(&mut con, &format!("SET {} 2", keys[0])), "QUEUED");
    let error = ask(&mut con, "EXEC").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ExecAbort));
    assert_eq!(con.mget::<_, Vec<Option<i64>>>(&keys).unwrap(), [None, None]);
    assert_eq!(pool.calls_everywhere("exec"), 0);
    // Both nodes are out of it.
    for key in &keys {
        assert_eq!(say(&mut con, &format!("SET {key} 3")), "OK");
    }
}

#[test]
fn what_concerns_all_nodes_is_not_queued() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    for line in [
        "DBSIZE",
        "KEYS *",
        "FLUSHALL",
        "SCRIPT LOAD x",
        "RANDOMKEY",
        "SCAN 0",
        "SELECT 1",
        "SUBSCRIBE c",
    ] {
        say(&mut con, "MULTI");
        assert_eq!(kind(ask(&mut con, line)), ShardErrorKind::Unroutable, "{line}");
        assert!(say(&mut con, "EXEC").starts_with("EXECABORT"), "{line}");
    }
}

#[test]
fn in_a_pool_of_one_everything_is_on_one_node() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = pool.connection();
    say(&mut con, "SET a 1");
    for line in
        ["MULTI", "DBSIZE", "MSET b 2 c 3", "KEYS c", "RANDOMKEY", "SCAN 0 MATCH c", "FLUSHALL"]
    {
        say(&mut con, line);
    }
    let reply = say(&mut con, "EXEC");
    assert!(reply.starts_with("[1 OK [c] ") && reply.ends_with(" [0 [c]] OK]"), "{reply}");
    let mut pipe = redis::pipe();
    pipe.atomic().set("a", 1).cmd("DBSIZE");
    assert_eq!(pipe.query::<(String, i64)>(&mut con).unwrap(), ("OK".into(), 1));
}

#[test]
fn a_watch_guards_on_any_node() {
    let Some(pool) = Pool::start(3) else { return };
    let (mut con, mut other) = (pool.connection(), pool.connection());
    for key in pool.keys() {
        for is_changed in [true, false] {
            say(&mut con, &format!("WATCH {key}"));
            if is_changed {
                say(&mut other, &format!("SET {key} changed"));
            }
            say(&mut con, "MULTI");
            say(&mut con, &format!("SET {key} mine"));
            assert_eq!(say(&mut con, "EXEC"), if is_changed { "nil" } else { "[OK]" });
        }
    }
}

#[test]
fn a_setting_that_is_refused_changes_nothing() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for key in pool.keys() {
        for line in ["SELECT 99", "AUTH nonsense", "CLIENT SETNAME a\nb"] {
            say(&mut con, &format!("WATCH {key}"));
            assert!(ask(&mut con, line).is_err(), "{line}");
            say(&mut con, "MULTI");
            say(&mut con, &format!("INCR {key}"));
            assert!(say(&mut con, "EXEC").starts_with('['), "{line}");
        }
        assert_eq!(say(&mut con, &format!("GET {key}")), "3");
    }
}

#[test]
fn unwatch_and_discard_reach_the_node() {
    let Some(pool) = Pool::start(3) else { return };
    let (mut con, mut other) = (pool.connection(), pool.connection());
    let keys = pool.keys();
    for end in [&["UNWATCH"][..], &["MULTI", "DISCARD"], &["MULTI", "PING", "DISCARD"]] {
        // On one node after the other: nothing may be left of it on the one before.
        for key in &keys {
            say(&mut con, &format!("WATCH {key}"));
            say(&mut other, &format!("SET {key} changed"));
            for line in end {
                say(&mut con, line);
            }
            say(&mut con, "MULTI");
            say(&mut con, &format!("SET {key} mine"));
            assert_eq!(say(&mut con, "EXEC"), "[OK]");
        }
    }
}

#[test]
fn a_second_watch_on_another_node_fails_and_ends_the_first() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    assert_eq!(say(&mut con, &format!("WATCH {}", keys[0])), "OK");
    let error = ask(&mut con, &format!("WATCH {}", keys[1])).unwrap_err();
    let error = shard_error(&error);
    assert_eq!(error.kind(), ShardErrorKind::CrossShard);
    assert_eq!(error.keys(), [keys[0].as_bytes(), keys[1].as_bytes()]);
    // Whoever did not look does not get an unguarded transaction.
    say(&mut con, "MULTI");
    say(&mut con, &format!("SET {} 1", keys[0]));
    assert_eq!(kind(ask(&mut con, "EXEC")), ShardErrorKind::TransactionLost);
    assert!(!con.exists::<_, bool>(&keys[0]).unwrap());
    // Whoever tries again, can.
    say(&mut con, &format!("WATCH {}", keys[0]));
    say(&mut con, &format!("WATCH {}", keys[1]));
    assert_eq!(say(&mut con, &format!("WATCH {}", keys[1])), "OK");
    say(&mut con, "MULTI");
    say(&mut con, &format!("SET {} 1", keys[1]));
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
}

#[test]
fn a_watch_that_went_down_with_its_connection_is_not_mistaken_for_one() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(0, 0);
    let begin = |con: &mut _| {
        assert_eq!(say(con, &format!("WATCH {key}")), "OK");
        pool.disconnect_all(0);
    };
    let set = format!("SET {key} 1");
    let lost = ShardErrorKind::TransactionLost;

    begin(&mut con);
    say(&mut con, "MULTI");
    assert_eq!(kind(ask(&mut con, &set)), lost);
    assert_eq!(kind(ask(&mut con, "EXEC")), lost);

    begin(&mut con);
    say(&mut con, "MULTI");
    assert_eq!(kind(ask(&mut con, "EXEC")), lost);

    // A request in between opens the connection again, without the watch.
    begin(&mut con);
    assert_eq!(say(&mut con, &format!("GET {key}")), "nil");
    say(&mut con, "MULTI");
    assert_eq!(kind(ask(&mut con, &set)), lost);
    assert_eq!(kind(ask(&mut con, "EXEC")), lost);

    begin(&mut con);
    assert_eq!(say(&mut con, &format!("GET {key}")), "nil");
    let mut pipe = redis::pipe();
    assert_eq!(kind(pipe.atomic().set(&key, 1).query::<Value>(&mut con)), lost);

    // Only the first one is told.
    begin(&mut con);
    assert_eq!(kind(ask(&mut con, &format!("WATCH {key}"))), lost);
    assert_eq!(say(&mut con, &format!("WATCH {key}")), "OK");
    assert_eq!(say(&mut con, "UNWATCH"), "OK");

    begin(&mut con);
    assert_eq!(say(&mut con, "UNWATCH"), "OK");
    assert_eq!(say(&mut con, &format!("GET {key}")), "nil");
    say(&mut con, "MULTI");
    say(&mut con, &set);
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
}

#[test]
fn a_multi_that_went_down_with_its_connection_is_not_executed() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(0, 0);
    let set = format!("SET {key} 1");
    for queues_more in [true, false] {
        say(&mut con, "MULTI");
        assert_eq!(say(&mut con, &set), "QUEUED");
        pool.disconnect_all(0);
        if queues_more {
            assert_eq!(kind(ask(&mut con, &set)), ShardErrorKind::TransactionLost);
        }
        assert_eq!(kind(ask(&mut con, "EXEC")), ShardErrorKind::TransactionLost);
        assert!(!con.exists::<_, bool>(&key).unwrap());
    }
    say(&mut con, "MULTI");
    say(&mut con, &set);
    pool.disconnect_all(0);
    assert_eq!(say(&mut con, "DISCARD"), "OK");
    say(&mut con, "MULTI");
    say(&mut con, &set);
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
}

#[test]
fn a_killed_node_does_not_leave_a_transaction_behind() {
    let Some(mut pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    say(&mut con, &format!("WATCH {}", keys[0]));
    pool.servers[0].kill();
    say(&mut con, "MULTI");
    assert!(ask(&mut con, &format!("SET {} 1", keys[0])).is_err());
    assert_eq!(kind(ask(&mut con, "EXEC")), ShardErrorKind::TransactionLost);
    // The other node is as good as ever.
    for line in ["MULTI", &format!("SET {} 1", keys[1])] {
        say(&mut con, line);
    }
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
    assert!(ask(&mut con, &format!("WATCH {}", keys[0])).is_err());
    assert_eq!(say(&mut con, &format!("WATCH {}", keys[1])), "OK");
    assert_eq!(say(&mut con, "UNWATCH"), "OK");
    pool.servers[0].restart();
    eventually("the node is back", || ask(&mut con, &format!("WATCH {}", keys[0])).is_ok());
}

#[test]
fn what_is_watched_may_move_to_another_node() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    // A key of the first of two nodes that the third will own.
    let all = pool.client.to_builder();
    let nodes = all.configured_nodes().to_vec();
    let key = (0..).map(|number| format!("{number}:key")).find(|key| pool.owner(key) == 2).unwrap();
    pool.client.set_nodes(nodes[..2].to_vec()).unwrap();
    assert_eq!(say(&mut con, &format!("WATCH {key}")), "OK");
    pool.client.set_nodes(nodes).unwrap();
    say(&mut con, "MULTI");
    assert_eq!(kind(ask(&mut con, &format!("SET {key} 1"))), ShardErrorKind::TransactionLost);
    assert_eq!(kind(ask(&mut con, "EXEC")), ShardErrorKind::TransactionLost);
    assert_eq!(say(&mut con, &format!("SET {key} 1")), "OK");
}

#[test]
fn a_transaction_stays_open_between_requests_that_are_none_of_its_business() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    say(&mut con, &format!("WATCH {}", keys[0]));
    // Before MULTI everything else goes on as always, on all nodes.
    assert_eq!(con.mget::<_, Vec<Option<i64>>>(&keys).unwrap(), [None, None]);
    assert_eq!(say(&mut con, &format!("SET {} 1", keys[1])), "OK");
    assert_eq!(say(&mut con, "DBSIZE"), "1");
    let mut pipe = redis::pipe();
    pipe.get(&keys[0]).get(&keys[1]);
    assert_eq!(pipe.query::<Vec<Option<i64>>>(&mut con).unwrap(), [None, Some(1)]);
    for line in ["MULTI", &format!("SET {} 1", keys[0])] {
        say(&mut con, line);
    }
    // Behind MULTI a subscription has connections of its own, and leaves it alone.
    con.as_pubsub().subscribe("channel").unwrap();
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
}

#[test]
fn reset_and_quit_end_what_is_watched() {
    let Some(pool) = Pool::start(2) else { return };
    let keys = pool.keys();
    for (line, after) in [("RESET", "[OK]"), ("QUIT", "lost")] {
        let mut con = pool.connection();
        say(&mut con, &format!("WATCH {}", keys[0]));
        ask(&mut con, line).unwrap();
        // On another node it is not held up.
        assert_eq!(say(&mut con, &format!("WATCH {}", keys[1])), "OK", "{line}");
        say(&mut con, "UNWATCH");
        say(&mut con, &format!("WATCH {}", keys[0]));
        ask(&mut con, line).unwrap();
        say(&mut con, "MULTI");
        say(&mut con, &format!("SET {} mine", keys[0]));
        let exec = ask(&mut con, "EXEC");
        if after == "lost" {
            // The connection that watched is gone, and nobody asked for that to be forgotten.
            assert_eq!(kind(exec), ShardErrorKind::TransactionLost);
        } else {
            assert_eq!(super::pool::show(&exec.unwrap()), after);
        }
    }
}
