//! Passwords and databases of the nodes: `redis_auth` and `redis_db`.

use super::support::Redis;
use super::support::assert_fits;
use super::support::before_fakes;
use super::support::pool;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::reply;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::requests;
use crate::support::redis_server::RedisServer;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

/// Row 67.
#[test]
fn with_a_password_too_the_data_is_in_the_database() {
    for program in Program::chosen() {
        let Some(redis) = Redis::start_with(1, &["--requirepass", "sesame"]) else { return };
        let pool = redis.pool(&["redis_auth: sesame", "redis_db: 3"]);
        let proxy = Proxy::start(program, &[pool]);
        let transcript = proxy.transcript(&requests(&["AUTH sesame", "SET k v", "GET k"]));
        assert_eq!(transcript, format!("{OK}{OK}{}", bulk("v")));
        let database = if proxy.is_ours() { 3 } else { 0 };
        assert_eq!(holders(&mut sesame(&redis), "k"), [database]);
    }
}

/// Row 67: without a password it always was.
#[test]
fn the_data_is_in_the_database() {
    for program in Program::chosen() {
        let Some(redis) = Redis::start(2) else { return };
        let proxy = Proxy::start(program, &[redis.pool(&["redis_db: 5"])]);
        let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
        assert_eq!(proxy.client().ask(&format!("MSET {a} v {b} v")), OK);
        assert_eq!(holders(&mut redis.direct(0), &a), [5]);
        assert_eq!(holders(&mut redis.direct(1), &b), [5]);
        // Connections that are made later too.
        redis.kill(0);
        let mut client = proxy.client();
        assert!(client.ask(&format!("GET {a}")).starts_with("-ERR "));
        redis.restart(0);
        eventually("it is back", || client.ask(&format!("SET {a} w")) == OK);
        assert_eq!(holders(&mut redis.direct(0), &a), [5]);
    }
}

/// Row 68.
#[test]
fn over_a_unix_socket_the_data_is_in_the_database() {
    for program in Program::chosen() {
        let Some(server) = RedisServer::start() else { return };
        let line = format!("{}:1 node0", server.socket().display());
        let pool = pool(&["redis: true", "redis_db: 2"], &[line]);
        let proxy = Proxy::start(program, &[pool]);
        assert_eq!(proxy.client().ask("SET k v"), OK);
        let mut direct = Client::connect(server.port());
        assert_eq!(holders(&mut direct, "k"), [if proxy.is_ours() { 2 } else { 0 }]);
    }
}

/// Row 68.
#[test]
fn a_database_that_is_not_there_gets_no_traffic() {
    for program in Program::chosen() {
        let Some(redis) = Redis::start(1) else { return };
        let proxy = Proxy::start(program, &[redis.pool(&["redis_db: 99"])]);
        let mut client = proxy.client();
        let reply = client.ask("SET k v");
        if proxy.is_ours() {
            assert!(reply.starts_with("-ERR DB index is out of range"), "{reply}");
            assert_fits(&client.ask("MGET k l"), "-ERR …\r\n");
            assert_eq!(client.ask("PING"), PONG);
            assert_eq!(holders(&mut redis.direct(0), "k"), [0; 0]);
        } else {
            assert_eq!(reply, OK);
            assert_eq!(holders(&mut redis.direct(0), "k"), [0]);
        }
    }
}

/// Row 67: no traffic when AUTH fails.
#[test]
fn a_wrong_password_gets_no_traffic() {
    for program in Program::chosen() {
        let Some(redis) = Redis::start_with(1, &["--requirepass", "other"]) else { return };
        let proxy = Proxy::start(program, &[redis.pool(&["redis_auth: sesame"])]);
        let mut client = proxy.client();
        assert_eq!(client.ask("AUTH sesame"), OK, "it is that of the proxy");
        let reply = client.ask("SET k v");
        assert!(reply.starts_with("-WRONGPASS ") || reply.starts_with("-NOAUTH "), "{reply}");
        assert_eq!(client.ask("PING"), PONG);
    }
}

/// Rows 67 and 68: AUTH, then SELECT, and only then what clients ask.
#[test]
fn nothing_is_sent_before_both_have_been_answered() {
    let make = || {
        let script = |request: &Request| match request.line() {
            line if line.starts_with("AUTH") => reply(OK),
            line if line.starts_with("SELECT") => reply("-ERR DB index is out of range\r\n"),
            _ => reply(OK),
        };
        vec![FakeNode::start_rude(script)]
    };
    before_fakes(&["redis: true", "redis_auth: sesame", "redis_db: 3"], make, |proxy, nodes| {
        let mut client = proxy.client();
        assert_eq!(client.ask("AUTH sesame"), OK);
        let replies = [(); 3].map(|()| client.ask("SET k v"));
        if proxy.is_ours() {
            let is_told = |reply: &String| reply.starts_with("-ERR DB index is out of range");
            assert!(replies.iter().all(is_told), "{replies:?}");
            assert_eq!(nodes[0].lines(), [""; 0]);
        }
    });
}

/// Row 67: who the proxy says it is.
#[test]
fn the_commands_of_the_client_do_not_change_the_connection_to_a_node() {
    for program in Program::chosen() {
        if program == Program::Nutcracker {
            continue;
        }
        let Some(redis) = Redis::start(1) else { return };
        let proxy = Proxy::start(program, &[redis.pool(&["redis_db: 4"])]);
        let mut client = proxy.client();
        assert_eq!(client.ask("SELECT 4"), OK);
        let refused = client.ask("SELECT 0");
        assert!(refused.starts_with("-ERR "), "{refused}");
        assert_eq!(client.ask("SET k v"), OK);
        assert_eq!(proxy.client().ask("GET k"), bulk("v"));
        assert_eq!(holders(&mut redis.direct(0), "k"), [4]);
    }
}

fn sesame(redis: &Redis) -> Client {
    let mut client = redis.direct(0);
    assert_eq!(client.ask("AUTH sesame"), OK);
    client
}

/// The databases that have a key.
fn holders(client: &mut Client, key: &str) -> Vec<usize> {
    let mut has = |database: &usize| {
        assert_eq!(client.ask(&format!("SELECT {database}")), OK);
        client.ask(&format!("EXISTS {key}")) == ":1\r\n"
    };
    (0..16).filter(|database| has(database)).collect()
}
