//! What a pool of redis-servers answers without asking one.

use super::support::Redis;
use super::support::Sides;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";
const NO_AUTH: &str = "-NOAUTH Authentication required\r\n";
const INVALID: &str = "-ERR invalid password\r\n";
const NO_PASSWORD: &str = "-ERR Client sent AUTH, but no password is set\r\n";

/// Row 24.
#[test]
fn ping_is_answered_with_all_nodes_down() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::start(&redis, &[]).each(|proxy| {
        redis.kill(0);
        redis.kill(1);
        let pings = requests(&["PING", "ping", "PiNg"]);
        assert_eq!(proxy.transcript(&pings), PONG.repeat(3));
    });
}

/// Row 25.
#[test]
fn ping_gives_its_message_back() {
    let Some(redis) = Redis::start(1) else { return };
    let sides = Sides::start(&redis, &[]);
    sides.differ(requests(&["PING hello", "PING"]), "", &format!("{}{PONG}", bulk("hello")));
    let wrong = "-ERR wrong number of arguments for 'ping' command\r\n";
    sides.differ(requests(&["PING a b", "PING"]), "", &format!("{wrong}{PONG}"));
}

/// Row 26.
#[test]
fn quit_is_acknowledged_after_the_replies_owed() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    let (a, b) = (redis.key(0, "a"), redis.key(1, "b"));
    // The SET behind it is neither answered nor done.
    let set = format!("SET {a} 1");
    let get = format!("GET {b}");
    let last = format!("SET {b} late");
    sides.each(|proxy| {
        let reply = proxy.transcript(&requests(&[&set, &get, "PING", "QUIT", &last]));
        let owed = format!("{OK}$-1\r\n{PONG}");
        let expected = if proxy.is_ours() { format!("{owed}{OK}") } else { owed };
        assert_eq!(reply, expected);
        assert_eq!(redis.direct(1).ask(&get), "$-1\r\n");

        // It is the proxy that closes.
        let mut client = proxy.client();
        client.send(request("QUIT"));
        assert_eq!(client.rest(), if proxy.is_ours() { OK } else { "" });
    });
}

/// Row 27.
#[test]
fn auth_without_a_password_is_an_error_of_its_own() {
    let Some(redis) = Redis::start(1) else { return };
    let sides = Sides::start(&redis, &[]);
    let reply = sides.alike(requests(&["AUTH x", "auth yy", "SET k v", "GET k"]));
    assert_eq!(reply, format!("{}{OK}{}", NO_PASSWORD.repeat(2), bulk("v")));
}

/// Rows 28 and 29.
#[test]
fn a_password_opens_the_pool_and_a_wrong_one_closes_it_again() {
    let Some(redis) = Redis::start_with(2, &["--requirepass", "sesame"]) else { return };
    let behind = Locked(&redis);
    let sides = Sides::start(&behind, &["redis_auth: sesame"]);
    let (a, b) = (redis.key(0, "a"), redis.key(1, "b"));
    let (set, get) = (format!("SET {a} v"), format!("GET {a}"));
    let many = format!("MGET {a} {b}");
    let reply = sides.alike(requests(&[
        &get,
        "PING",
        "LOLWUT",
        &many,
        "AUTH wrong",
        &get,
        "AUTH sesame",
        &set,
        &get,
        &many,
        "PING",
        "AUTH wrong",
        &get,
        "PING",
        "AUTH sesame",
        &get,
    ]));
    let expected = [
        &NO_AUTH.repeat(4),
        INVALID,
        NO_AUTH,
        OK,
        OK,
        &bulk("v"),
        "*2\r\n$1\r\nv\r\n$-1\r\n",
        PONG,
        INVALID,
        NO_AUTH,
        NO_AUTH,
        OK,
        &bulk("v"),
    ];
    assert_eq!(reply, expected.concat());
}

/// Row 29: QUIT needs no password.
#[test]
fn who_has_no_password_may_leave() {
    let Some(redis) = Redis::start(1) else { return };
    let sides = Sides::start(&redis, &["redis_auth: sesame"]);
    sides.differ(requests(&["QUIT"]), "", OK);
}

/// Row 28: nutcracker closes the connection; Redis 6 and later know users.
#[test]
fn auth_with_a_user_is_understood() {
    let Some(redis) = Redis::start_with(1, &["--requirepass", "sesame"]) else { return };
    let behind = Locked(&redis);
    let sides = Sides::start(&behind, &["redis_auth: sesame"]);
    sides.differ(requests(&["AUTH default sesame", "PING"]), "", &format!("{OK}{PONG}"));
    sides.each(|proxy| {
        let reply = proxy.transcript(&requests(&["AUTH somebody sesame", "PING"]));
        if proxy.is_ours() {
            assert!(reply.starts_with('-') && reply.ends_with(NO_AUTH), "{reply}");
        } else {
            assert_eq!(reply, "");
        }
    });
}

/// Servers that want a password, `sesame`.
struct Locked<'a>(&'a Redis);

impl super::support::Backends for Locked<'_> {
    fn lines(&self, settings: &[&str]) -> String {
        self.0.pool(settings)
    }

    fn renew(&self) {
        for node in 0..self.0.ports().len() {
            let mut client = self.0.direct(node);
            assert_eq!(client.ask("AUTH sesame"), OK);
            assert_eq!(client.ask("FLUSHALL"), OK);
        }
    }
}
