//! Transactions of which a node refuses a part: nothing is left open, and nobody is told what is not so.

use redis::ErrorKind;
use redis::ServerErrorKind;
use redis::Value;
use shardwright::ShardedConnection;

use super::pool::Pool;
use super::pool::ask;
use super::pool::say;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::reply;

/// A connection of a user who may do everything but `command`.
fn without(pool: &Pool, command: &str) -> ShardedConnection {
    let user = format!("ACL SETUSER u on >p ~* &* +@all -{command}");
    assert_eq!(say(&mut pool.direct(0), &user), "OK");
    let mut con = pool.connection();
    assert_eq!(say(&mut con, "AUTH u p"), "OK");
    con
}

#[test]
fn a_discard_that_is_refused_leaves_no_multi_open() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = without(&pool, "discard");
    say(&mut con, "SET k v");
    say(&mut con, "MULTI");
    assert_eq!(say(&mut con, "SET k w"), "QUEUED");
    assert_eq!(say(&mut con, "DISCARD"), "OK");
    assert_eq!(say(&mut con, "GET k"), "v");
    say(&mut con, "MULTI");
    assert_eq!(say(&mut con, "SET k w"), "QUEUED");
    assert!(ask(&mut con, "SET k").is_err());
    assert!(say(&mut con, "EXEC").starts_with("EXECABORT"));
    assert_eq!(say(&mut con, "GET k"), "v");
}

#[test]
fn an_unwatch_that_is_refused_leaves_nothing_watched() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = without(&pool, "unwatch");
    say(&mut con, "WATCH k");
    assert!(say(&mut con, "UNWATCH").starts_with("NOPERM"));
    say(&mut pool.direct(0), "SET k theirs");
    say(&mut con, "MULTI");
    say(&mut con, "SET k mine");
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
}

#[test]
fn an_exec_that_is_refused_leaves_no_multi_open() {
    let node = FakeNode::start(|request| {
        reply(match request.line().as_str() {
            "MULTI" => "+OK\r\n",
            "EXEC" => "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
            _ if request.connection % 2 == 0 => "+QUEUED\r\n",
            _ => "+told\r\n",
        })
    });
    let client = shardwright::ShardedClient::open(node.url()).unwrap();
    let atomic = |con: &mut ShardedConnection| {
        redis::pipe().atomic().set("k", 1).query::<Value>(con).map(|_| ()).unwrap_err();
    };
    let one_by_one = |con: &mut ShardedConnection| {
        say(con, "MULTI");
        assert_eq!(say(con, "SET k 1"), "QUEUED");
        assert!(say(con, "EXEC").starts_with("OOM"));
    };
    let on_node = |con: &mut ShardedConnection| {
        let name = con.nodes()[0].name().to_owned();
        con.on_node(&name, |node| redis::pipe().atomic().set("k", 1).query::<Value>(node))
            .unwrap_err();
    };
    for transaction in [&atomic as &dyn Fn(&mut ShardedConnection), &one_by_one, &on_node] {
        let mut con = client.get_connection().unwrap();
        transaction(&mut con);
        assert_eq!(say(&mut con, "GET k"), "told", "on a new connection");
    }
}

#[test]
fn behind_a_multi_that_is_refused_nothing_is_carried_out() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = without(&pool, "multi");
    for line in ["PING", "TIME"] {
        // One that is held back, and one that is sent.
        assert_eq!(say(&mut con, "MULTI"), "OK");
        assert_eq!(say(&mut con, line), "QUEUED");
        assert!(say(&mut con, "SET k w").starts_with("NOPERM"), "{line}");
        assert!(ask(&mut con, "INCR n").is_err());
        assert!(say(&mut con, "EXEC").starts_with("EXECABORT"), "{line}");
    }
    assert_eq!(say(&mut con, "MULTI"), "OK");
    assert_eq!(say(&mut con, "FLUSHALL"), "QUEUED");
    say(&mut pool.direct(0), "SET other 1");
    assert!(say(&mut con, "EXEC").starts_with("NOPERM"));
    assert_eq!(say(&mut pool.direct(0), "KEYS *"), "[other]");
}

#[test]
fn a_pipeline_whose_multi_was_refused_is_not_said_to_be_aborted() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = without(&pool, "multi");
    let error = redis::pipe().atomic().set("k", 1).query::<Value>(&mut con).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm));
    assert!(error.to_string().contains("were executed"), "{error}");
    assert_eq!(say(&mut con, "GET k"), "1");
}
