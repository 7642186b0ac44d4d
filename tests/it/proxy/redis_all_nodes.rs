//! Commands of Redis that concern all nodes: nutcracker knows none of them.

use super::support::Redis;
use super::support::Sides;
use super::support::assert_fits;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request_of;
use crate::support::proxy_client::requests;
use crate::support::proxy_client::strings;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

#[test]
fn a_script_is_loaded_on_every_node() {
    let Some(redis) = Redis::start(3) else { return };
    let load = request_of(&[b"SCRIPT", b"LOAD", b"return {KEYS[1], ARGV[1]}"]);
    // nutcracker closes the connection.
    let sides = Sides::start(&redis, &[]);
    sides.differ([load.clone(), requests(&["PING"])].concat(), "", &format!("$40\r\n…\r\n{PONG}"));
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        client.send(&load);
        let hash = strings(&client.reply()).remove(0);
        for node in 0..3 {
            let key = redis.key(node, "key");
            let expected = format!("*2\r\n{}{}", bulk(&key), bulk("v"));
            assert_eq!(client.ask(&format!("EVALSHA {hash} 1 {key} v")), expected);
            assert_eq!(redis.direct(node).ask(&format!("SCRIPT EXISTS {hash}")), "*1\r\n:1\r\n");
        }
        let none = "0".repeat(40);
        assert_eq!(client.ask(&format!("SCRIPT EXISTS {hash} {none}")), "*2\r\n:1\r\n:0\r\n");
        // Where it is not loaded it is missing, and not elsewhere.
        redis.direct(1).ask("SCRIPT FLUSH");
        assert_eq!(client.ask(&format!("SCRIPT EXISTS {hash}")), "*1\r\n:0\r\n");
        let key = redis.key(1, "key");
        assert_fits(&client.ask(&format!("EVALSHA {hash} 1 {key} v")), "-NOSCRIPT …\r\n");
    });
}

#[test]
fn a_script_has_all_its_keys_on_one_node() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::ours(&redis, &["hash_tag: '{}'"]).each(|proxy| {
        let mut client = proxy.client();
        for node in 0..3 {
            let tag = redis.key(node, "tag");
            let [a, b] = ["a", "b"].map(|name| format!("{{{tag}}}{name}").into_bytes());
            let script = b"redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])";
            assert_eq!(client.ask_with(&[b"EVAL", script, b"2", &a, &b, b"v"]), bulk("v"));
            let get = format!("GET {{{tag}}}a");
            assert_eq!(redis.direct(node).ask(&get), bulk("v"));
            assert_eq!(
                client.ask_with(&[b"EVAL_RO", b"return redis.call('GET', KEYS[1])", b"1", &a]),
                bulk("v")
            );
        }
        let [a, b] = [0, 1].map(|node| redis.key(node, "tag").into_bytes());
        let refused = client.ask_with(&[b"eval", b"return 1", b"2", &a, &b]);
        assert!(refused.starts_with("-ERR keys of 'eval' are on different nodes: "), "{refused}");
    });
}

#[test]
fn a_function_is_loaded_on_every_node() {
    let Some(redis) = Redis::start(2) else { return };
    let code = b"#!lua name=mine\nredis.register_function('twice', function(keys) return keys[1] .. keys[1] end)";
    Sides::ours(&redis, &["admin_commands: true"]).each(|proxy| {
        let mut client = proxy.client();
        let load: [&[u8]; 4] = [b"FUNCTION", b"LOAD", b"REPLACE", code];
        assert_eq!(client.ask_with(&load), bulk("mine"));
        for node in 0..2 {
            let key = redis.key(node, "key");
            assert_eq!(client.ask(&format!("FCALL twice 1 {key}")), bulk(&key.repeat(2)));
        }
    });
}

#[test]
fn scan_finds_every_key_once() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        let names: Vec<_> = (0..500).map(|number| format!("{}-name", number * 7919)).collect();
        assert_eq!(client.ask(&format!("MSET {} v", names.join(" v "))), OK);
        for node in 0..3 {
            assert_ne!(redis.direct(node).ask("DBSIZE"), ":0\r\n", "all nodes have some");
        }
        for options in
            ["", " COUNT 7", " COUNT 1000", " MATCH *-name", " MATCH * COUNT 50 TYPE string"]
        {
            let mut found: Vec<_> = scan(&mut client, options);
            found.sort();
            let mut expected = names.clone();
            expected.sort();
            assert_eq!(found, expected, "SCAN{options}");
        }
        let found = scan(&mut client, " MATCH 7919-*");
        assert_eq!(found, ["7919-name"]);
        assert_eq!(scan(&mut client, " TYPE set"), [""; 0]);
        assert_fits(&client.ask("SCAN x"), "-ERR …\r\n");
        assert_eq!(client.ask("PING"), PONG);
    });
}

/// All keys that a client gets from `SCAN`.
fn scan(client: &mut Client, options: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = "0".to_owned();
    for _ in 0..10_000 {
        let mut reply = strings(&client.ask(&format!("SCAN {cursor}{options}")));
        cursor = reply.remove(0);
        found.append(&mut reply);
        if cursor == "0" {
            return found;
        }
    }
    panic!("SCAN{options} does not end");
}

#[test]
fn dbsize_counts_the_keys_of_all_nodes() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask("DBSIZE"), ":0\r\n");
        for node in 0..3 {
            let names = ["a", "b"].map(|salt| redis.key(node, salt));
            assert_eq!(client.ask(&format!("MSET {} v", names.join(" v "))), OK);
        }
        assert_eq!(client.ask("DBSIZE"), ":6\r\n");
        let random = client.ask("RANDOMKEY");
        assert!(random.starts_with('$') && random != "$-1\r\n", "{random}");
    });
}

#[test]
fn what_is_for_administrators_is_refused_unless_the_pool_allows_it() {
    let Some(redis) = Redis::start(3) else { return };
    let names = [0, 1, 2].map(|node| redis.key(node, "key"));
    let set = format!("MSET {} v", names.join(" v "));
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask(&set), OK);
        for line in ["KEYS *", "FLUSHALL", "FLUSHDB", "CONFIG SET maxmemory 0", "SCRIPT FLUSH"] {
            assert_fits(&client.ask(line), "-ERR …\r\n");
        }
        assert_eq!(client.ask("DBSIZE"), ":3\r\n");
    });
    Sides::ours(&redis, &["admin_commands: true"]).each(|proxy| {
        let mut client = proxy.client();
        for line in ["FLUSHALL", "FLUSHDB", "flushall async"] {
            assert_eq!(client.ask(&set), OK);
            let mut keys = strings(&client.ask("KEYS key*"));
            keys.sort();
            let mut expected = names.to_vec();
            expected.sort();
            assert_eq!(keys, expected);
            assert_eq!(client.ask(line), OK);
            assert_eq!(client.ask("KEYS *"), "*0\r\n");
        }
        assert_eq!(client.ask("SCRIPT FLUSH"), OK);
    });
}

#[test]
fn a_dead_node_makes_what_concerns_all_an_error_and_no_more() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        redis.kill(1);
        let mut client = proxy.client();
        for line in ["DBSIZE", "SCRIPT LOAD return"] {
            assert_fits(&client.ask(line), "-ERR Connection …\r\n");
        }
        // SCAN comes to it sooner or later.
        let mut cursor = "0".to_owned();
        let reply = loop {
            let reply = client.ask(&format!("SCAN {cursor}"));
            if reply.starts_with('-') {
                break reply;
            }
            cursor = strings(&reply).remove(0);
            assert_ne!(cursor, "0");
        };
        assert_fits(&reply, "-ERR Connection refused\r\n");
        assert_eq!(client.ask("PING"), PONG);
    });
}

#[test]
fn the_proxy_tells_about_itself() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        let info = client.ask("INFO");
        assert!(info.starts_with('$') && info.contains("redis_version:"), "{info}");
        // node_redis and others wait for this.
        assert!(!info.contains("loading:1"), "{info}");
        assert!(client.ask("INFO server").contains("redis_version:"));
        assert!(client.ask("COMMAND COUNT").starts_with(':'));
        let commands = client.ask("COMMAND");
        assert!(commands.starts_with('*') && commands.contains("get"), "{commands}");
        assert!(!client.ask("COMMAND DOCS get").is_empty());
        assert!(client.ask("TIME").starts_with("*2\r\n"));
        assert_eq!(client.ask("PING"), PONG);
    });
}
