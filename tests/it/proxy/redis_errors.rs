//! Requests that a pool of redis-servers cannot do: nutcracker closes the connection without a word,
//! also of replies that it owes; we answer each and go on.

use super::support::Redis;
use super::support::Sides;
use super::support::assert_fits;
use crate::support::eventually;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

/// Commands that nutcracker knows with exactly one, two, three and four arguments.
const EXACT: [&str; 4] = [
    "DECR DUMP GET GETDEL HGETALL HKEYS HLEN HVALS INCR LLEN PERSIST PTTL SCARD SMEMBERS STRLEN TTL \
     TYPE ZCARD",
    "APPEND DECRBY EXPIRE EXPIREAT GETBIT GETSET HEXISTS HGET HSTRLEN INCRBY INCRBYFLOAT LINDEX \
     PEXPIRE PEXPIREAT RPOPLPUSH SETNX SISMEMBER ZRANK ZREVRANK ZSCORE",
    "GETRANGE HINCRBY HINCRBYFLOAT HSETNX LRANGE LREM LSET LTRIM PSETEX SETBIT SETEX SETRANGE SMOVE \
     ZCOUNT ZINCRBY ZLEXCOUNT ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE",
    "LINSERT LMOVE",
];

/// Rows 30 and 32.
#[test]
fn an_unknown_command_is_an_error_among_the_other_replies() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    for unknown in ["FOO", "FOO a", "FOO a b c", "foo", "SELECTED 1", "GET2 k"] {
        let name = unknown.split(' ').next().unwrap();
        let lines = ["SET k v", "GET k", unknown, "PING", "GET k"];
        let value = bulk("v");
        let ours = format!("{OK}{value}-ERR unknown command '{name}'…\r\n{PONG}{value}");
        sides.differ(requests(&lines), "", &ours);
    }
    // What was owed is done all the same; nutcracker closes before that.
    sides.each(|proxy| {
        proxy.transcript(&requests(&["SET k v", "FOO"]));
        eventually("the node has the value", || {
            [0, 1].iter().any(|&node| redis.direct(node).ask("GET k") == bulk("v"))
        });
    });
}

/// Row 30: commands that exist, but must not be done behind a proxy.
#[test]
fn a_command_that_is_not_for_clients_of_a_proxy_is_refused() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    let refused = [
        "MONITOR",
        "SYNC",
        "PSYNC ? -1",
        "SHUTDOWN NOSAVE",
        "REPLICAOF NO ONE",
        "SLAVEOF NO ONE",
        "CONFIG SET maxmemory 1",
        "DEBUG SEGFAULT",
        "DEBUG SLEEP 0",
        "FAILOVER",
        "KEYS *",
        "FLUSHALL",
        "FLUSHDB",
        "flushall async",
        "MIGRATE 127.0.0.1 1 k 0 10",
        "SWAPDB 0 1",
    ];
    for line in refused {
        let lines = ["SET k v", line, "PING", "GET k"];
        let ours = format!("{OK}-ERR …\r\n{PONG}{}", bulk("v"));
        sides.differ(requests(&lines), "", &ours);
    }
}

/// Row 31.
#[test]
fn a_wrong_number_of_arguments_is_redis_own_error() {
    let Some(redis) = Redis::start(1) else { return };
    let sides = Sides::start(&redis, &[]);
    for (few, names) in EXACT.iter().enumerate() {
        for name in names.split_whitespace() {
            let line = [name, "k", "1", "2"][..=few].join(" ");
            let error = wrong_number(name);
            sides.differ(requests(&[&line, "PING"]), "", &format!("{error}{PONG}"));
        }
    }
    // nutcracker leaves it to the server when a key is there.
    for line in ["SET k", "HSET k f", "LPUSH k", "ZADD k 1", "SADD k"] {
        let error = wrong_number(line.split(' ').next().unwrap());
        let reply = sides.alike(requests(&[line, "PING"]));
        assert_eq!(reply, format!("{error}{PONG}"));
    }
    for line in ["SET", "HSET", "LPUSH", "ZADD", "EXISTS", "ECHO", "ECHO a b", "EVAL", "EVAL x"] {
        let error = wrong_number(line.split(' ').next().unwrap());
        sides.differ(requests(&[line, "PING"]), "", &format!("{error}{PONG}"));
    }
}

/// Row 31: these take more in later versions of Redis.
#[test]
fn newer_options_are_passed_on() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    sides.differ(
        requests(&["SET k v", "EXPIRE k 10 NX", "EXPIRE k 10 NX", "TTL k"]),
        "",
        &format!("{OK}:1\r\n:0\r\n:10\r\n"),
    );
    sides.differ(
        requests(&["LPUSH l a", "ZRANK l a b", "PING"]),
        "",
        &format!(":1\r\n-…\r\n{PONG}"),
    );
    sides.differ(requests(&["GETEX", "PING"]), "", &format!("{}{PONG}", wrong_number("GETEX")));
}

/// Row 33.
#[test]
fn vectors_without_keys_or_values_are_errors() {
    let Some(redis) = Redis::start(2) else { return };
    let sides = Sides::start(&redis, &[]);
    for line in ["MSET", "MSET a", "MSET a 1 b", "MSET a 1 b 2 c", "MGET", "DEL", "UNLINK", "TOUCH"]
    {
        let error = wrong_number(line.split(' ').next().unwrap());
        let ours = format!("{error}{PONG}*2\r\n$-1\r\n$-1\r\n");
        sides.differ(requests(&[line, "PING", "MGET a b"]), "", &ours);
    }
}

/// Row 34.
#[test]
fn a_script_needs_no_keys() {
    let Some(redis) = Redis::start(3) else { return };
    let sides = Sides::start(&redis, &[]);
    let script = |numkeys: &'static str| {
        let request = request_of(&[b"EVAL", b"return {#KEYS, ARGV[1]}", numkeys.as_bytes(), b"x"]);
        [request, request_of(&[b"PING"])].concat()
    };
    sides.differ(script("0"), "", &format!("*2\r\n:0\r\n$1\r\nx\r\n{PONG}"));
    for numkeys in ["-1", "abc", ""] {
        sides.differ(script(numkeys), "", &format!("-ERR …\r\n{PONG}"));
    }
    // More keys than arguments. nutcracker lets the server say it.
    sides.each(|proxy| assert_fits(&proxy.transcript(&script("2")), &format!("-ERR …\r\n{PONG}")));
}

/// Section 4.1: what is no request. Replies owed come first, then the reason, then we close.
#[test]
fn a_broken_frame_is_told_and_closes_the_connection() {
    let Some(redis) = Redis::start(2) else { return };
    let broken: [&[u8]; 9] = [
        b"*x\r\n",
        b"*1x\r\n",
        b"*1\r\n+PING\r\n",
        b"*1\r\n:4\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$-1\r\n",
        b"*2\r\n$3\r\nGET\r\n*1\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$4\r\nPINGS\r\n",
    ];
    // nutcracker waits for some of these.
    let too_long: [&[u8]; 5] = [
        b"*99999999999999999999\r\n",
        b"*2147483648\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$4294967300\r\nPING\r\n",
    ];
    Sides::start(&redis, &[]).each(|proxy| {
        let too_long = if proxy.is_ours() { &too_long[..] } else { &[] };
        for &bytes in broken.iter().chain(too_long) {
            let mut client = proxy.client();
            client
                .send([&requests(&["SET k v", "GET k"]), bytes, &request("SET k broken")].concat());
            let reply = client.rest();
            if proxy.is_ours() {
                let expected = format!("{OK}{}-ERR Protocol error: …\r\n", bulk("v"));
                assert_fits(&reply, &expected);
            } else {
                assert_eq!(reply, "");
            }
            let value = proxy.client().ask("GET k");
            assert_eq!(value, bulk("v"), "{}", bytes.escape_ascii());
        }
    });
}

/// Section 4.1: bytes that are missing may still come; what never comes is no request.
#[test]
fn half_a_request_is_forgotten_with_its_client() {
    let Some(redis) = Redis::start(1) else { return };
    let sides = Sides::start(&redis, &[]);
    let whole = requests(&["SET k v", "SET k w"]);
    let length = request("SET k v").len();
    for cut in length..whole.len() {
        assert_eq!(sides.alike(&whole[..cut]), OK, "{cut} bytes");
    }
    sides.each(|proxy| {
        let mut client = proxy.client();
        for byte in &whole {
            client.send([*byte]);
        }
        assert_eq!(client.reply() + &client.reply(), OK.repeat(2));
    });
}

/// Section 4.1: empty requests are nothing, as they are to Redis.
#[test]
fn requests_of_nothing_are_skipped() {
    let Some(redis) = Redis::start(1) else { return };
    let sides = Sides::start(&redis, &[]);
    for nothing in ["*0\r\n", "*-1\r\n", "\r\n"] {
        let bytes = [&request("PING"), nothing.as_bytes(), &request("PING")].concat();
        sides.differ(bytes, "", &PONG.repeat(2));
    }
}

fn wrong_number(name: &str) -> String {
    format!("-ERR wrong number of arguments for '{}' command\r\n", name.to_lowercase())
}
