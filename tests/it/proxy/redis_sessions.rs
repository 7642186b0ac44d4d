//! What the proxy knows of a client of a redis pool: its protocol, its name, its database.

use super::support::Redis;
use super::support::Sides;
use super::support::assert_fits;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

/// Row 30: for these nutcracker closes the connection.
#[test]
fn what_clients_say_first_is_understood() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    let greetings = [
        ("CLIENT SETINFO LIB-NAME it", OK),
        ("CLIENT SETINFO LIB-VER 1.0", OK),
        ("CLIENT SETNAME me", OK),
        ("SELECT 0", OK),
        ("ECHO hello", "$5\r\nhello\r\n"),
        ("RESET", "+RESET\r\n"),
        ("HELLO 2", "*14\r\n"),
        ("HELLO 3", "%7\r\n"),
        ("HELLO", "*14\r\n"),
        ("INFO", "$"),
        ("COMMAND DOCS", ""),
        ("COMMAND COUNT", ":"),
    ];
    for (line, beginning) in greetings {
        sides.each(|proxy| {
            let transcript = proxy.transcript(&requests(&[line, "PING"]));
            if proxy.is_ours() {
                assert!(transcript.starts_with(beginning), "{line}: {transcript:?}");
                assert!(transcript.ends_with(PONG), "{line}: {transcript:?}");
            } else {
                assert_eq!(transcript, "", "{line}");
            }
        });
    }
}

#[test]
fn a_client_has_a_name_and_a_number() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let (mut one, mut other) = (proxy.client(), proxy.client());
        assert_eq!(one.ask("CLIENT GETNAME"), "$-1\r\n");
        assert_eq!(one.ask("CLIENT SETNAME one"), OK);
        assert_eq!(other.ask("client setname other"), OK);
        assert_eq!(one.ask("CLIENT GETNAME"), bulk("one"));
        assert_eq!(other.ask("CLIENT GETNAME"), bulk("other"));
        assert_fits(&one.ask_with(&[b"CLIENT", b"SETNAME", b"with space"]), "-ERR …\r\n");
        assert_eq!(one.ask("CLIENT GETNAME"), bulk("one"));
        let numbers = [&mut one, &mut other].map(|client| client.ask("CLIENT ID"));
        assert!(numbers[0] != numbers[1] && numbers[0].starts_with(':'), "{numbers:?}");
        assert_eq!(one.ask("CLIENT ID"), numbers[0]);
        assert_fits(&one.ask("CLIENT SETINFO LIB-COLOUR red"), "-ERR …\r\n");
        // No node has heard of it.
        assert_eq!(one.ask("RESET"), "+RESET\r\n");
        assert_eq!(one.ask("CLIENT GETNAME"), "$-1\r\n");
        assert_eq!(one.ask(&format!("SET {} v", redis.key(0, "k"))), OK);
        let list = redis.direct(0).ask("CLIENT LIST");
        assert!(!list.contains("name=one") && !list.contains("name=other"), "{list}");
    });
}

#[test]
fn only_the_database_of_the_pool_can_be_selected() {
    let Some(redis) = Redis::start(1) else { return };
    for (setting, own) in [("redis_db: 0", "0"), ("redis_db: 7", "7")] {
        Sides::ours(&redis, &[setting]).each(|proxy| {
            let mut client = proxy.client();
            assert_eq!(client.ask(&format!("SELECT {own}")), OK);
            for other in ["1", "99"] {
                let error = client.ask(&format!("SELECT {other}"));
                assert!(error.starts_with("-ERR DB index is out of range"), "{error}");
            }
            for wrong in ["SELECT x", "SELECT -1", "SELECT", "SELECT 0 0"] {
                assert_fits(&client.ask(wrong), "-ERR …\r\n");
            }
            assert_eq!(client.ask("PING"), PONG);
        });
    }
}

#[test]
fn a_client_of_resp_3_gets_replies_of_resp_3() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let (mut new, mut old) = (proxy.client(), proxy.client());
        let hello = new.ask("HELLO 3");
        assert!(hello.starts_with("%7\r\n") && hello.contains("$5\r\nproto\r\n:3\r\n"), "{hello}");
        for node in 0..3 {
            let [h, s, z, n] = ["h", "s", "z", "n"].map(|salt| redis.key(node, salt));
            assert_eq!(new.ask(&format!("HSET {h} f v")), ":1\r\n");
            assert_eq!(new.ask(&format!("SADD {s} m")), ":1\r\n");
            assert_eq!(new.ask(&format!("ZADD {z} 1.5 m")), ":1\r\n");
            assert_eq!(new.ask(&format!("HGETALL {h}")), "%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
            assert_eq!(old.ask(&format!("HGETALL {h}")), "*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
            assert_eq!(new.ask(&format!("SMEMBERS {s}")), "~1\r\n$1\r\nm\r\n");
            assert_eq!(old.ask(&format!("SMEMBERS {s}")), "*1\r\n$1\r\nm\r\n");
            assert_eq!(new.ask(&format!("ZSCORE {z} m")), ",1.5\r\n");
            assert_eq!(old.ask(&format!("ZSCORE {z} m")), "$3\r\n1.5\r\n");
            assert_eq!(new.ask(&format!("GET {n}")), "_\r\n");
            assert_eq!(old.ask(&format!("GET {n}")), "$-1\r\n");
        }
        let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
        assert_eq!(new.ask(&format!("SET {a} v")), OK);
        assert_eq!(new.ask(&format!("MGET {a} {b}")), "*2\r\n$1\r\nv\r\n_\r\n");
        assert_eq!(old.ask(&format!("MGET {a} {b}")), "*2\r\n$1\r\nv\r\n$-1\r\n");
        assert_eq!(new.ask(&format!("DEL {a} {b}")), ":1\r\n");
        // And back again.
        let hello = new.ask("HELLO 2");
        assert!(hello.starts_with("*14\r\n") && hello.contains("$5\r\nproto\r\n:2\r\n"), "{hello}");
        assert_eq!(new.ask(&format!("GET {a}")), "$-1\r\n");
        assert_fits(&new.ask("HELLO 4"), "-NOPROTO …\r\n");
        assert_fits(&new.ask("HELLO x"), "-…\r\n");
        assert_eq!(new.ask("PING"), PONG);
    });
}

#[test]
fn hello_may_bring_a_password_and_a_name() {
    let Some(redis) = Redis::start_with(1, &["--requirepass", "sesame"]) else { return };
    if !crate::support::proxy::Program::Ours.is_chosen() {
        return;
    }
    let pools = [redis.pool(&["redis_auth: sesame"])];
    let proxy = crate::support::proxy::Proxy::start(crate::support::proxy::Program::Ours, &pools);
    let mut client = proxy.client();
    assert_fits(&client.ask("HELLO 3"), "-NOAUTH …\r\n");
    assert_fits(&client.ask("HELLO 3 AUTH default wrong"), "-…\r\n");
    assert_fits(&client.ask("GET k"), "-NOAUTH …\r\n");
    let hello = client.ask("HELLO 3 AUTH default sesame SETNAME me");
    assert!(hello.starts_with('%'), "{hello}");
    assert_eq!(client.ask("CLIENT GETNAME"), bulk("me"));
    assert_eq!(client.ask("GET k"), "_\r\n");
}

/// Section 4.1: nutcracker closes the connection.
#[test]
fn commands_may_be_typed_in() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    sides.differ("PING\r\n", "", PONG);
    sides.differ("set k v\r\nget k\r\n", "", &format!("{OK}{}", bulk("v")));
    sides.differ("PING\nPING\n", "", &PONG.repeat(2));
    sides.differ("  set   k   \"a b\"  \r\n get k\r\n", "", &format!("{OK}{}", bulk("a b")));
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    sides.differ(format!("mget {a} {b}\r\n"), "", "*2\r\n$-1\r\n$-1\r\n");
    sides.differ("foo\r\nPING\r\n", "", &format!("-ERR unknown command 'foo'…\r\n{PONG}"));
    sides.differ("set k \"a\r\nPING\r\n", "", "-ERR Protocol error: …\r\n");
}
