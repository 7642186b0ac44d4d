//! The stats port, and the port for HTTP beside it.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::support::Backends;
use super::support::Memcacheds;
use super::support::Redis;
use super::support::Sides;
use super::support::before_fakes;
use super::support::pool;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::free_port;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::requests;
use crate::support::redis_server::RedisServer;

/// What we count and nutcracker does not. It comes behind everything of nutcracker's in an object.
const OURS: [&str; 7] = [
    "live",
    "ejections",
    "latency_microseconds",
    "clients_accepted",
    "clients_refused",
    "client_bytes_in",
    "client_bytes_out",
];

/// Row 71.
#[test]
fn the_numbers_stand_where_nutcracker_has_them() {
    let Some(redis) = Redis::start(3) else { return };
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let mut layouts = Vec::new();
    for program in Program::chosen() {
        // The second pool has its own ring names, and its nodes not in their order.
        let ports = memcacheds.ports();
        let names =
            [format!("127.0.0.1:{}:1 longer", ports[0]), format!("127.0.0.1:{}:1 a", ports[1])];
        let pools = [redis.pool(&[]), pool(&["redis: false"], &names)];
        let proxy = Proxy::start(program, &pools);
        let text = proxy.stats_text();
        assert!(text.ends_with("}\n"), "{text:?}");
        let stats = proxy.stats();
        assert_eq!(stats["service"], "nutcracker");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs().abs_diff(stats["timestamp"].as_u64().unwrap());
        assert!(age <= 2 && stats["uptime"].as_u64().unwrap() <= 30, "{text}");
        layouts.push(layout(&text));
    }
    assert!(layouts.windows(2).all(|pair| pair[0] == pair[1]), "{layouts:#?}");
    let beginning = r#"{"service":"", "source":"", "version":"", "uptime":0, "timestamp":0, "total_connections":0, "curr_connections":0, "pool000": {"client_eof":0, "client_err":0, "client_connections":0, "server_ejects":0, "forward_error":0, "fragments":0, "node0": {"server_eof":0, "#;
    assert!(layouts[0].starts_with(beginning), "{}", layouts[0]);
    assert!(layouts[0].contains(r#""fragments":0, "a": {"server_eof":0"#), "{}", layouts[0]);
}

/// The text without our fields, and with every value empty or zero.
fn layout(text: &str) -> String {
    let mut pieces = text.split('"');
    let mut layout = pieces.next().unwrap().to_owned();
    while let (Some(name), Some(rest)) = (pieces.next(), pieces.next()) {
        let digits: String = rest.chars().filter(|c| !c.is_ascii_digit()).collect();
        if OURS.contains(&name) {
            // `, ` in front goes with it; what closes behind it stays.
            layout.truncate(layout.len() - 2);
            layout += digits.trim_start_matches(':');
            continue;
        }
        let is_value = layout.ends_with(':');
        let name = if is_value { "" } else { name };
        let value = if rest.starts_with(':')
            && rest.len() > 1
            && rest[1..].starts_with(|c: char| c.is_ascii_digit())
        {
            format!(":0{}", &digits[1..])
        } else {
            rest.to_owned()
        };
        layout += &format!("\"{name}\"{value}");
    }
    layout
}

/// Row 71: the same traffic makes the same numbers.
#[test]
fn what_is_counted_is_the_same() {
    let Some(redis) = Redis::start(2) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    let mut all = Vec::new();
    for program in Program::chosen() {
        redis.renew();
        let proxy = Proxy::start(program, &[redis.pool(&[])]);
        let mut client = proxy.client();
        for line in
            [format!("SET {a} value"), format!("GET {a}"), format!("GET {b}"), "PING".into()]
        {
            client.ask(&line);
        }
        let mut leaving = proxy.client();
        leaving.ask(&format!("DEL {b}"));
        drop(leaving);
        let mut quitting = proxy.client();
        quitting.send(requests(&["PING", "QUIT"]));
        quitting.rest();
        // One that came to see whether it listens, one that left and one that quit.
        eventually("all is counted", || {
            proxy.pool_stat("client_eof") == 3 && proxy.node_stat("node0", "responses") == 2
        });
        let stats = proxy.stats();
        let pool = &stats["pool000"];
        let mut numbers = vec![
            ("curr_connections".to_owned(), stats["curr_connections"].clone()),
            ("total_connections".to_owned(), stats["total_connections"].clone()),
        ];
        numbers.extend(own_numbers(pool));
        for node in ["node0", "node1"] {
            numbers.extend(own_numbers(&pool[node]));
        }
        all.push((program, numbers));
        drop(client);
    }
    for pair in all.windows(2) {
        assert_eq!(pair[0].1, pair[1].1, "{:?} and {:?}", pair[0].0, pair[1].0);
    }
}

/// The numbers of an object but for ours.
fn own_numbers(object: &Value) -> Vec<(String, Value)> {
    let fields = object.as_object().expect("it is there").iter();
    let fields = fields.filter(|(name, value)| value.is_number() && !OURS.contains(&name.as_str()));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Row 71: the gauges of the queues.
#[test]
fn what_is_on_its_way_is_counted() {
    let make = || {
        let script = |request: &Request| match request.key().as_str() {
            "hang" => vec![Step::Hang],
            key => reply(bulk(key)),
        };
        vec![FakeNode::start(script)]
    };
    before_fakes(&["redis: true"], make, |proxy, _| {
        let mut client = proxy.client();
        assert_eq!(client.ask("GET k"), bulk("k"));
        client.send(request("GET hang"));
        eventually("it waits for its reply", || proxy.node_stat("node0", "out_queue") == 1);
        let length = request("GET hang").len() as i64;
        assert_eq!(proxy.node_stat("node0", "out_queue_bytes"), length);
        assert_eq!(proxy.node_stat("node0", "in_queue"), 0);
        assert_eq!(proxy.node_stat("node0", "server_connections"), 1);
    });
}

/// Row 71: failures.
#[test]
fn failures_are_counted() {
    let make = || {
        let script = |request: &Request| match request.key().as_str() {
            "hang" => vec![Step::Hang],
            "close" => vec![Step::Close],
            key => reply(bulk(key)),
        };
        vec![FakeNode::start(script)]
    };
    before_fakes(&["redis: true", "timeout: 200"], make, |proxy, _| {
        let mut client = proxy.client();
        assert!(client.ask("GET close").starts_with("-ERR "));
        eventually("it is counted", || proxy.node_stat("node0", "server_eof") == 1);
        eventually("it is asked again", || client.ask("GET k") == bulk("k"));
        eventually("it is counted", || proxy.pool_stat("forward_error") >= 1);
        let failed = proxy.pool_stat("forward_error");
        assert!(client.ask("GET hang").starts_with("-ERR "));
        eventually("it is counted", || proxy.node_stat("node0", "server_timedout") == 1);
        eventually("it is counted", || proxy.pool_stat("forward_error") == failed + 1);
    });
    let refused = format!("127.0.0.1:{}:1 node0", free_port());
    for program in Program::chosen() {
        let proxy =
            Proxy::start(program, &[pool(&["redis: true"], std::slice::from_ref(&refused))]);
        assert_eq!(proxy.client().ask("GET k"), "-ERR Connection refused\r\n");
        eventually("it is counted", || proxy.node_stat("node0", "server_err") == 1);
        eventually("it is counted", || proxy.pool_stat("forward_error") == 1);
    }
}

/// Row 72.
#[test]
fn fragments_are_counted() {
    let Some(redis) = Redis::start(3) else { return };
    let keys = [0, 1, 2].map(|node| redis.key(node, "key"));
    Sides::start(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        for _ in 0..2 {
            client.ask(&format!("MGET {}", keys.join(" ")));
        }
        let asked = || [0, 1, 2].map(|node| proxy.node_stat(&format!("node{node}"), "requests"));
        eventually("they are counted", || asked() == [2, 2, 2]);
        assert_eq!(proxy.pool_stat("fragments"), if proxy.is_ours() { 6 } else { 0 });
    });
}

/// Row 73.
#[test]
fn connections_to_unix_sockets_are_counted_as_others() {
    for program in Program::chosen() {
        let Some(mut server) = RedisServer::start() else { return };
        let line = format!("{}:1 node0", server.socket().display());
        let proxy = Proxy::start(program, &[pool(&["redis: true"], &[line])]);
        let mut client = proxy.client();
        assert_eq!(client.ask("SET k v"), "+OK\r\n");
        let connections = || proxy.node_stat("node0", "server_connections");
        eventually("it is connected", || connections() == i64::from(proxy.is_ours()));
        server.kill();
        eventually("it is noticed", || connections() == if proxy.is_ours() { 0 } else { -1 });
    }
}

/// Row 71: the new endpoint.
#[test]
fn over_http_there_is_more() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let http = free_port();
    let arguments = ["--http", &http.to_string()];
    let proxy = Proxy::start_with(Program::Ours, &[redis.pool(&[])], &arguments);
    let keys = [0, 1].map(|node| redis.key(node, "key"));
    let mut client = proxy.client();
    assert!(client.ask(&format!("MGET {}", keys.join(" "))).starts_with("*2\r\n"));
    assert!(client.ask(&format!("GET {}", keys[0])).starts_with("$-1"));
    assert!(client.ask("FOO").starts_with("-ERR "));

    assert!(get(http, "/healthz").0.starts_with("HTTP/1.1 200 "));
    let (head, body) = get(http, "/stats");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(layout(&body), layout(&proxy.stats_text()));
    assert!(get(http, "/none").0.starts_with("HTTP/1.1 404 "));

    let mut metrics = String::new();
    eventually("it is counted", || {
        metrics = get(http, "/metrics").1;
        let is_it = |line: &str| line.contains("\"get\"") && line.ends_with(" 1");
        metrics.lines().any(is_it)
    });
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(
            value.parse::<f64>().is_ok() && name.starts_with("shardwright_")
                || name.starts_with("process_"),
            "{line}"
        );
    }
    for word in
        ["pool=\"pool000\"", "node=\"node0\"", "command=\"mget\"", "_bucket{", "le=\"+Inf\""]
    {
        assert!(metrics.contains(word), "no {word}:\n{metrics}");
    }
}

/// The head and the body of what comes back.
fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the HTTP port listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no reply: {text:?}"));
    (head.to_owned(), body.to_owned())
}
