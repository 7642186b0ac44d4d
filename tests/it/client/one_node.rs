//! A node's connection shares a socket with the pool's: nothing that is said on it may show there.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use redis::Commands;
use redis::ConnectionLike;
use redis::ErrorKind;
use redis::RedisResult;
use redis::Value;
use shardwright::NodeConnection;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::pool::Pool;
use super::pool::ask;
use super::pool::kind;
use super::pool::node;
use super::pool::say;
use crate::support::redis_server::RedisServer;

/// Something that is asked of a node.
type Ask<'a> = dyn Fn(&mut NodeConnection<'_>) -> RedisResult<Value> + 'a;

fn packed(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| super::pool::command(line).get_packed_command()).collect()
}

fn client_id(con: &mut shardwright::ShardedConnection) -> i64 {
    con.on_node("n0", |node| redis::cmd("CLIENT").arg("ID").query(node)).unwrap()
}

#[test]
fn a_watch_whose_socket_broke_lets_nothing_through() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(0, 0);
    let steps: [fn(&mut NodeConnection<'_>, &str) -> RedisResult<Value>; 3] = [
        |node, key| redis::pipe().atomic().set(key, "mine").query(node),
        |node, key| node.set(key, "mine"),
        |node, _| ask(node, "PING"),
    ];
    for step in steps {
        let outcome = con.on_node("n0", |node| {
            assert_eq!(say(node, &format!("WATCH {key}")), "OK");
            let () = pool.direct(0).set(&key, "theirs")?;
            pool.disconnect_all(0);
            let outcome = step(node, &key);
            // And nothing further.
            assert!(step(node, &key).is_err());
            outcome
        });
        assert_eq!(kind(outcome), ShardErrorKind::Node);
        assert_eq!(pool.direct(0).get::<_, String>(&key).unwrap(), "theirs");
        // The next one begins anew.
        assert_eq!(con.get::<_, String>(&key).unwrap(), "theirs");
    }
}

#[test]
fn what_is_set_on_a_node_is_over_with_the_closure() {
    let Some(pool) = Pool::start(2) else { return };
    let key = pool.key_on(0, 0);
    for server in 0..2 {
        let user = "ACL SETUSER other on >p ~* &* +@all";
        assert_eq!(say(&mut pool.direct(server), user), "OK");
    }
    let mut con = pool.connection();
    let () = con.set(&key, "value").unwrap();
    for line in ["MULTI", "SELECT 5", "AUTH other p", "HELLO 3", "CLIENT SETNAME other", "RESET"] {
        let show = |node: &mut NodeConnection<'_>| {
            ask(node, line).unwrap();
            if line == "SELECT 5" {
                assert_eq!(say(node, &format!("GET {key}")), "nil", "it holds inside");
            }
        };
        for panics in [false, true] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                con.on_node("n0", |node| {
                    show(node);
                    assert!(!panics, "as an application does");
                    Ok(())
                })
            }));
            assert_eq!(outcome.is_err(), panics);
            assert_eq!(say(&mut con, &format!("GET {key}")), "value", "{line}");
            let whoami = con.on_node("n0", |node| Ok(say(node, "ACL WHOAMI"))).unwrap();
            let name = con.on_node("n0", |node| Ok(say(node, "CLIENT GETNAME"))).unwrap();
            assert_eq!((whoami.as_str(), name.as_str()), ("default", "nil"), "{line}");
            let map = con.on_key(&key, |node| ask(node, "CONFIG GET port")).unwrap();
            assert!(matches!(map, Value::Array(_)), "{line}: {map:?}");
        }
        con.on_all(|node| {
            show(node);
            Ok(())
        });
        assert_eq!(say(&mut con, &format!("GET {key}")), "value", "{line}");
    }
}

#[test]
fn what_takes_a_connection_over_is_refused_on_a_node_too() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = pool.connection();
    let id = client_id(&mut con);
    for (line, advice) in [
        ("MONITOR", "use node_client"),
        ("SYNC", "use node_client"),
        ("PSYNC ? -1", "use node_client"),
        ("CLIENT REPLY OFF", "use node_client"),
        ("SUBSCRIBE c", "use as_pubsub"),
        ("UNSUBSCRIBE", "use as_pubsub"),
    ] {
        let error = con.on_node("n0", |node| ask(node, line)).unwrap_err();
        assert!(error.to_string().contains(advice), "{line}: {error}");
        assert_eq!(kind(Err::<(), _>(error)), ShardErrorKind::Unroutable, "{line}");
    }
    assert_eq!(client_id(&mut con), id);
}

#[test]
fn as_many_commands_are_sent_to_a_node_as_replies_are_wanted() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = pool.connection();
    let () = con.set("key", "value").unwrap();
    let two = packed(&["PING", "BLPOP list 0.1"]);
    let asks: [&Ask<'_>; 5] = [
        &|node| node.req_packed_command(&two),
        &|node| node.req_packed_commands(&two, 0, 1).map(Value::Array),
        &|node| node.req_packed_commands(&two, 0, 3).map(Value::Array),
        &|node| node.req_packed_commands(&two, usize::MAX, 2).map(Value::Array),
        &|node| node.req_packed_command(b"PING\r\n"),
    ];
    for ask in asks {
        assert_eq!(kind(con.on_node("n0", ask)), ShardErrorKind::Unroutable);
        assert_eq!(con.get::<_, String>("key").unwrap(), "value");
    }
    let empty = con.on_node("n0", |node| redis::Cmd::new().query::<Value>(node));
    assert_eq!(empty.unwrap_err().kind(), ErrorKind::Client);
}

#[test]
fn an_open_multi_of_the_pool_gets_nothing_from_a_node_in_hand() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = pool.connection();
    say(&mut con, "MULTI");
    assert_eq!(say(&mut con, "SET key 1"), "QUEUED");
    let got = con.on_node("n0", |node| ask(node, "GET key"));
    assert_eq!(kind(got), ShardErrorKind::Unroutable);
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
    // What is only watched is no hindrance, and stays watched.
    say(&mut con, "WATCH key");
    assert_eq!(con.on_node("n0", |node| Ok(say(node, "GET key"))), Ok("1".into()));
    let () = pool.direct(0).set("key", 2).unwrap();
    say(&mut con, "MULTI");
    say(&mut con, "SET key 3");
    assert_eq!(say(&mut con, "EXEC"), "nil");
}

#[test]
fn a_whole_transaction_on_a_node_costs_no_socket() {
    let Some(pool) = Pool::start(1) else { return };
    let mut con = pool.connection();
    let id = client_id(&mut con);
    let both: (i64, i64) = con
        .on_node("n0", |node| redis::pipe().atomic().incr("a", 1).incr("b", 1).query(node))
        .unwrap();
    assert_eq!(both, (1, 1));
    let wrong =
        con.on_node("n0", |node| redis::pipe().atomic().cmd("NOSUCHCOMMAND").query::<Value>(node));
    assert_eq!(wrong.unwrap_err().code(), Some("EXECABORT"));
    assert_eq!(client_id(&mut con), id);
    let () =
        con.on_node("n0", |node| redis::pipe().atomic().cmd("SELECT").arg(3).query(node)).unwrap();
    assert_ne!(client_id(&mut con), id);
    assert_eq!(say(&mut con, "GET a"), "1");
}

#[test]
fn a_node_in_hand_names_its_own_database() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let nodes = [node(0, &servers[0], "1"), node(1, &servers[1], "2")];
    let client =
        nodes.into_iter().fold(ShardedClient::builder(), |builder, node| builder.node(node));
    let mut con = client.build().unwrap().get_connection().unwrap();
    let databases = con.on_all(|node| Ok(node.get_db())).into_iter();
    assert_eq!(databases.map(|(_, database)| database.unwrap()).collect::<Vec<_>>(), [1, 2]);
}
