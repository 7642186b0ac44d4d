//! What is set on a connection holds on all its nodes, and on those it opens later.

use redis::Commands;
use redis::ConnectionLike;
use redis::Value;
use shardwright::ConnectMode;
use shardwright::ShardedClient;

use super::pool::Pool;
use super::pool::ask;
use super::pool::command;
use super::pool::node;
use super::pool::say;
use crate::support::redis_server::RedisServer;

/// What `CLIENT LIST` says of each connection of the pool that is not asking: one line a node.
fn lines(pool: &Pool, word: &str) -> Vec<usize> {
    let count = |server| {
        let text: String = command("CLIENT LIST").query(&mut pool.direct(server)).unwrap();
        text.lines().filter(|line| line.split(' ').any(|part| part == word)).count()
    };
    (0..pool.servers.len()).map(count).collect()
}

/// Asks every node once, so that all are connected to.
fn touch(pool: &Pool, con: &mut impl ConnectionLike) {
    for key in pool.keys() {
        redis::cmd("EXISTS").arg(key).exec(con).unwrap();
    }
}

#[test]
fn the_database_holds_on_new_links_and_after_a_break() {
    let Some(mut pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    // One link is open, the others will be.
    assert_eq!(say(&mut con, "SELECT 2"), "OK");
    for key in &keys {
        let () = con.set(key, "two").unwrap();
    }
    for (server, key) in keys.iter().enumerate() {
        let mut direct = pool.direct(server);
        assert_eq!(say(&mut direct, "DBSIZE"), "0");
        say(&mut direct, "SELECT 2");
        assert_eq!(say(&mut direct, &format!("GET {key}")), "two");
        pool.disconnect_all(server);
    }
    assert_eq!(con.mget::<_, Vec<String>>(&keys).unwrap(), ["two"; 3]);
    pool.servers[1].restart();
    super::pool::rest();
    let () = con.set(&keys[1], "again").unwrap();
    assert_eq!(lines(&pool, "db=2"), [1, 1, 1]);
    // As redis-rs's, it is the URL's.
    assert_eq!(con.get_db(), 0);
    // Another connection has its own.
    assert_eq!(pool.connection().get::<_, Option<String>>(&keys[0]).unwrap(), None);
}

#[test]
fn a_database_that_does_not_exist_changes_nothing() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for open_all in [false, true] {
        say(&mut con, "SELECT 4");
        if open_all {
            touch(&pool, &mut con);
        }
        for wrong in ["SELECT 99", "SELECT x", "SELECT -1", "SELECT"] {
            let theirs = say(&mut pool.direct(0), wrong);
            assert!(theirs.starts_with("ERR"), "{theirs}");
            assert_eq!(say(&mut con, wrong), theirs);
            touch(&pool, &mut con);
            assert_eq!(lines(&pool, "db=4"), [1, 1, 1], "after {wrong}");
        }
    }
}

#[test]
fn a_select_that_one_node_refuses_is_undone_on_the_others() {
    let Some(small) = RedisServer::start_with(&["--databases", "4"]) else { return };
    let Some(big) = RedisServer::start() else { return };
    let servers = vec![big, small];
    let client = super::pool::builder(&servers, "/1").build().unwrap();
    let pool = Pool { servers, client };
    let mut con = pool.connection();
    touch(&pool, &mut con);
    assert_eq!(say(&mut con, "SELECT 9"), "ERR DB index is out of range");
    touch(&pool, &mut con);
    assert_eq!(lines(&pool, "db=1"), [1, 1]);
    assert_eq!(lines(&pool, "db=9"), [0, 0]);
}

#[test]
fn a_pipeline_that_selects_goes_on_in_that_database() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let mut pipe = redis::pipe();
    pipe.set(&keys[0], "zero").cmd("SELECT").arg(5);
    for key in &keys {
        pipe.set(key, "five");
    }
    pipe.mget(&keys).cmd("SELECT").arg(0).mget(&keys);
    let replies: Vec<Value> = pipe.query(&mut con).unwrap();
    let text = |text: &str| Value::BulkString(text.into());
    assert_eq!(replies[5], Value::Array(vec![text("five"), text("five"), text("five")]));
    assert_eq!(replies[7], Value::Array(vec![text("zero"), Value::Nil, Value::Nil]));
}

#[test]
fn a_password_given_later_holds_on_all_nodes() {
    let start = || RedisServer::start_with(&["--requirepass", "s3cret"]);
    let Some(servers) = (0..3).map(|_| start()).collect::<Option<Vec<_>>>() else { return };
    let client = super::pool::builder(&servers, "").build().unwrap();
    let keys: Vec<_> = (0..60).map(|number| format!("{number}:key")).collect();
    let mut con = client.get_connection().unwrap();
    assert_eq!(say(&mut con, "GET key"), "NOAUTH Authentication required.");
    assert!(say(&mut con, "AUTH wrong").starts_with("WRONGPASS "));
    assert_eq!(say(&mut con, "GET key"), "NOAUTH Authentication required.");
    assert_eq!(say(&mut con, "AUTH s3cret"), "OK");
    let () = con.mset(&keys.iter().map(|key| (key, 1)).collect::<Vec<_>>()).unwrap();
    for server in &servers {
        let mut direct = redis::Client::open(server.url().replace("//", "//:s3cret@"))
            .unwrap()
            .get_connection()
            .unwrap();
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).exec(&mut direct).unwrap();
    }
    super::pool::rest();
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), vec![1; 60]);
    // One that is refused does not take the place of the one that was not.
    assert!(say(&mut con, "AUTH wrong").starts_with("WRONGPASS "));
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), vec![1; 60]);
    // Nothing of it shows.
    assert!(!format!("{con:?}").contains("s3cret"));
}

#[test]
fn a_name_and_flags_hold_on_all_nodes() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for line in ["CLIENT SETNAME first", "CLIENT SETNAME me", "CLIENT NO-EVICT on"] {
        assert_eq!(say(&mut con, line), "OK");
    }
    for line in ["CLIENT SETINFO lib-name mine", "CLIENT SETINFO lib-ver 7"] {
        // Redis 7.0 has no such subcommand and says so; later ones do.
        let _ = ask(&mut con, line);
    }
    touch(&pool, &mut con);
    assert_eq!(lines(&pool, "name=me"), [1, 1, 1]);
    assert_eq!(lines(&pool, "flags=e"), [1, 1, 1]);
    assert_eq!(say(&mut con, "CLIENT GETNAME"), "me");
    for server in 0..3 {
        pool.disconnect_all(server);
    }
    touch(&pool, &mut con);
    assert_eq!(lines(&pool, "name=me"), [1, 1, 1]);
    assert_eq!(lines(&pool, "flags=e"), [1, 1, 1]);
    // It is of this connection only.
    touch(&pool, &mut pool.connection());
    assert_eq!(lines(&pool, "name=me"), [1, 1, 1]);
    assert_eq!(say(&mut con, "RESET"), "RESET");
    touch(&pool, &mut con);
    assert_eq!(lines(&pool, "name=me"), [0, 0, 0]);
    assert_eq!(lines(&pool, "flags=e"), [0, 0, 0]);
}

#[test]
fn the_protocol_holds_on_all_nodes() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let hello: Value = redis::cmd("HELLO").arg(3).query(&mut con).unwrap();
    assert!(matches!(hello, Value::Map(_)), "{hello:?}");
    for around in 0..2 {
        for (server, key) in pool.keys().iter().enumerate() {
            let () = con.hset(key, "field", 1).unwrap();
            let reply: Value = redis::cmd("HGETALL").arg(key).query(&mut con).unwrap();
            assert!(matches!(reply, Value::Map(_)), "{around}: {reply:?}");
            pool.disconnect_all(server);
        }
    }
    redis::cmd("HELLO").arg(2).exec(&mut con).unwrap();
    for key in pool.keys() {
        let reply: Value = redis::cmd("HGETALL").arg(key).query(&mut con).unwrap();
        assert!(matches!(reply, Value::Array(_)), "{reply:?}");
    }
}

#[test]
fn a_session_of_a_connection_that_is_not_open_yet_is_checked_by_one_node() {
    let lazy = |builder: shardwright::ShardedClientBuilder| builder.connect_mode(ConnectMode::Lazy);
    let Some(pool) = Pool::start_with(2, lazy) else { return };
    let mut con = pool.connection();
    assert_eq!(say(&mut con, "SELECT 99"), "ERR DB index is out of range");
    assert_eq!(say(&mut con, "SELECT 3"), "OK");
    touch(&pool, &mut con);
    assert_eq!(lines(&pool, "db=3"), [1, 1]);
}

#[test]
fn nodes_may_have_databases_of_their_own() {
    let Some(servers) = RedisServer::start_many(2) else { return };
    let client = ShardedClient::builder()
        .node(node(0, &servers[0], "1"))
        .node(node(1, &servers[1], "2"))
        .build()
        .unwrap();
    let pool = Pool { servers, client };
    let mut con = pool.connection();
    touch(&pool, &mut con);
    assert_eq!((lines(&pool, "db=1"), lines(&pool, "db=2")), (vec![1, 0], vec![0, 1]));
    assert_eq!(con.get_db(), 1, "the first node's");
}

#[test]
fn what_hello_says_takes_the_place_of_what_was_said_before() {
    let Some(pool) = Pool::start(2) else { return };
    for server in 0..2 {
        for user in ["alice", "bob"] {
            let line = format!("ACL SETUSER {user} on >p ~* &* +@all");
            assert_eq!(say(&mut pool.direct(server), &line), "OK");
        }
    }
    let renew = |con: &mut shardwright::ShardedConnection| {
        let state = |con: &mut _| {
            let map = matches!(ask(con, "CONFIG GET port"), Ok(Value::Map(_)));
            (say(con, "ACL WHOAMI"), say(con, "CLIENT GETNAME"), map)
        };
        touch(&pool, con);
        let before = state(con);
        for server in 0..2 {
            pool.disconnect_all(server);
        }
        touch(&pool, con);
        assert_eq!(state(con), before);
        before
    };
    let mut con = pool.connection();
    let expect = |user: &str, name: &str, map| (user.to_owned(), name.to_owned(), map);
    for (line, expected) in [
        ("AUTH alice p", expect("alice", "nil", false)),
        ("CLIENT SETNAME a", expect("alice", "a", false)),
        ("HELLO 3 SETNAME b AUTH bob p", expect("bob", "b", true)),
        ("HELLO", expect("bob", "b", true)),
        ("CLIENT SETNAME c", expect("bob", "c", true)),
        ("HELLO 2 AUTH alice p", expect("alice", "c", false)),
        ("HELLO 3", expect("alice", "c", true)),
    ] {
        ask(&mut con, line).unwrap();
        assert_eq!(renew(&mut con), expected, "{line}");
    }
}

#[test]
fn a_password_given_later_takes_the_place_of_the_urls() {
    let start = || RedisServer::start_with(&["--requirepass", "old"]);
    for options in ["", "?protocol=resp3"] {
        let Some(server) = start() else { return };
        let url = format!("{}{options}", server.url().replace("//", "//:old@"));
        let client = ShardedClient::open(url).unwrap();
        let mut con = client.get_connection().unwrap();
        assert_eq!(say(&mut con, "SELECT 3"), "OK");
        assert_eq!(say(&mut con, "CONFIG SET requirepass new"), "OK");
        assert_eq!(say(&mut con, "AUTH new"), "OK");
        let () = con.set("key", "value").unwrap();
        let kill = "CLIENT KILL TYPE normal SKIPME no";
        let _ = con.on_key("key", |node| ask(node, kill));
        super::pool::rest();
        assert_eq!(say(&mut con, "GET key"), "value", "{options}");
        // So is the user of the URL, whose password is the old one.
        assert_eq!(say(&mut con, "ACL WHOAMI"), "default");
    }
}

#[test]
fn a_pipeline_ends_where_a_database_could_not_be_selected() {
    let policies = [shardwright::PartialFailure::Fail, shardwright::PartialFailure::PerCommand];
    for policy in policies {
        let change = |builder: shardwright::ShardedClientBuilder| {
            builder.connect_mode(ConnectMode::All).partial_failure(policy)
        };
        let Some(mut pool) = Pool::start_with(2, change) else { return };
        let key = pool.key_on(1, 0);
        for lines in [
            &["SELECT 5", "SET"][..],
            &["AUTH default p", "SET"],
            &["CLIENT SETNAME n", "MULTI", "SET", "EXEC"],
        ] {
            let mut con = pool.connection();
            let mut pipe = redis::pipe();
            for line in lines {
                match *line {
                    "SET" => pipe.set(&key, 1),
                    line => pipe.add_command(command(line)),
                };
            }
            pool.servers[0].kill();
            assert!(pipe.query::<Value>(&mut con).is_err(), "{lines:?}");
            pool.servers[0].restart();
            assert_eq!(say(&mut pool.direct(1), "DBSIZE"), "0", "{lines:?}");
        }
    }
}

#[test]
fn a_pipeline_whose_transaction_cannot_select_ends_it() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(1, 0);
    let mut pipe = redis::pipe();
    pipe.cmd("MULTI").set(&key, 1).cmd("SELECT").arg(5).set(&key, 2).cmd("EXEC");
    assert!(pipe.query::<Value>(&mut con).is_err());
    // Nothing of it is open.
    assert_eq!(say(&mut con, &format!("GET {key}")), "nil");
    assert!(say(&mut con, "EXEC").contains("without MULTI"));
}
