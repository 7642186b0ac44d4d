//! Real clients of both protocols: each is a program that is run against the proxy.

use std::process::Command;
use std::process::Output;

use super::support::Memcacheds;
use super::support::Redis;
use super::support::Sides;
use crate::support::is_installed;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;

#[test]
fn redis_cli() {
    let Some(redis) = Redis::start(3) else { return };
    if !is_installed("redis-cli") {
        return;
    }
    Sides::ours(&redis, &[]).each(|proxy| {
        let cli = |arguments: &[&str]| {
            let port = proxy.port().to_string();
            let output = run(Command::new("redis-cli").args(["-p", &port]).args(arguments));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(cli(&["ping"]), "PONG\n");
        assert_eq!(cli(&["set", "k", "v"]), "OK\n");
        assert_eq!(cli(&["get", "k"]), "v\n");
        assert_eq!(cli(&["-3", "hset", "h", "f", "v"]), "1\n");
        assert_eq!(cli(&["-3", "--json", "hgetall", "h"]), "{\"f\":\"v\"}\n");
        assert_eq!(cli(&["-n", "0", "mget", "k", "none"]), "v\n\n");
        assert_eq!(cli(&["--no-auth-warning", "dbsize"]), "2\n");
        let mut keys: Vec<_> = cli(&["--scan"]).lines().map(str::to_owned).collect();
        keys.sort();
        assert_eq!(keys, ["h", "k"]);
        assert!(cli(&["info"]).contains("redis_version:"));
    });
}

/// nutcracker too, as far as it goes.
#[test]
fn redis_benchmark() {
    let Some(redis) = Redis::start(3) else { return };
    if !is_installed("redis-benchmark") {
        return;
    }
    Sides::start(&redis, &[]).each(|proxy| {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &proxy.port().to_string(), "-q", "-n", "2000", "-c", "20", "-P", "4"]);
        command.args(["-r", "1000"]);
        let tests = match proxy.is_ours() {
            true => {
                "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset"
            }
            false => "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset",
        };
        let output = run(command.args(["-t", tests]));
        let text = String::from_utf8_lossy(&output.stdout);
        let tests = text.matches("requests per second").count();
        assert!(tests >= 14, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains("Error"), "{text}");
    });
}

/// The conformance test of libmemcached, for the text protocol.
#[test]
fn memcapable() {
    let Some(memcacheds) = Memcacheds::start(1) else { return };
    // Debian calls it so, to keep it apart from another one.
    let name = if cfg!(target_os = "macos") { "memcapable" } else { "memccapable" };
    if !is_installed(name) {
        return;
    }
    // It flushes.
    Sides::ours(&memcacheds, &["admin_commands: true"]).each(|proxy| {
        let port = proxy.port().to_string();
        let mut command = Command::new(name);
        let output = command.args(["-h", "127.0.0.1", "-p", &port, "-a"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let failed: Vec<_> = text.lines().filter(|line| line.contains("[FAIL]")).collect();
        assert!(failed.is_empty() && text.contains("[pass]"), "{text}");
        assert!(output.status.success(), "{text}");
    });
}

/// redis-py.
#[test]
fn redis_py() {
    let Some(redis) = Redis::start(3) else { return };
    let Some(python) = python_with("redis") else { return };
    let script = include_str!("clients/with_redis.py");
    for protocol in ["2", "3"] {
        Sides::ours(&redis, &["hash_tag: '{}'"]).each(|proxy| {
            let port = proxy.port().to_string();
            run(Command::new(python).args(["-c", script, &port, protocol]));
        });
    }
}

/// What go-redis 9 says on a new connection, each line at once: a server need not know `CLIENT MAINT_NOTIFICATIONS`,
/// but the connection has to live on.
#[test]
fn the_handshake_of_go_redis() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::ours(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        let hello = client.ask("HELLO 3");
        assert!(hello.starts_with('%') && hello.contains("$5\r\nproto\r\n:3\r\n"), "{hello}");
        assert_eq!(client.ask("CLIENT SETNAME application"), "+OK\r\n");
        let reply = client.ask("CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip");
        assert!(reply.starts_with("-ERR "), "{reply}");
        let library = ["LIB-NAME go-redis(,go1.24)", "LIB-VER 9.16.0"]
            .map(|pair| request(&format!("CLIENT SETINFO {pair}")));
        client.send(library.concat());
        assert_eq!([client.reply(), client.reply()], ["+OK\r\n", "+OK\r\n"]);
        assert_eq!(client.ask("SET k v"), "+OK\r\n");
        assert_eq!(client.ask("GET none"), "_\r\n");
        assert_eq!(client.ask("CLIENT GETNAME"), bulk("application"));
    });
}

/// For JavaScript.
#[test]
fn node_redis() {
    let Some(redis) = Redis::start(3) else { return };
    let Some(directories) = node_modules("redis") else { return };
    let script = include_str!("clients/with_node_redis.js");
    Sides::ours(&redis, &["hash_tag: '{}'"]).each(|proxy| {
        let port = proxy.port().to_string();
        run(Command::new("node").env("NODE_PATH", directories).args(["-e", script, &port]));
    });
}

#[test]
fn pymemcache() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    let Some(python) = python_with("pymemcache") else { return };
    let script = include_str!("clients/with_pymemcache.py");
    Sides::ours(&memcacheds, &["admin_commands: true"]).each(|proxy| {
        run(Command::new(python).args(["-c", script, &proxy.port().to_string()]));
    });
}

/// A Python that has the module. If there is none, the test is skipped, or under CI fails.
fn python_with(module: &str) -> Option<&'static str> {
    if !is_installed("python3") {
        return None;
    }
    // Debian's own has Debian's packages, and need not be the first one.
    let has = |python: &&str| {
        let output = Command::new(python).args(["-c", &format!("import {module}")]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has);
    if python.is_none() {
        let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!is_ci, "Python has no {module}; run script/bootstrap");
        eprintln!("SKIPPED: Python has no {module}; run script/bootstrap");
    }
    python
}

/// Where Node.js finds the module. If it does not, the test is skipped, or under CI fails.
fn node_modules(module: &str) -> Option<&'static str> {
    // Debian's packages put them into the second one, which a Node.js of somebody else does not know.
    const DIRECTORIES: &str = "/usr/lib/nodejs:/usr/share/nodejs";
    if !is_installed("node") {
        return None;
    }
    let mut node = Command::new("node");
    node.env("NODE_PATH", DIRECTORIES).args(["-e", &format!("require('{module}')")]);
    let has = node.output().is_ok_and(|output| output.status.success());
    if !has {
        let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!is_ci, "Node.js has no {module}; run script/bootstrap");
        eprintln!("SKIPPED: Node.js has no {module}; run script/bootstrap");
    }
    has.then_some(DIRECTORIES)
}

/// Runs a program that is to succeed.
fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it is installed");
    let [text, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}:\n{text}\n{errors}");
    output
}
