//! Which nodes of a pool of redis-servers are asked, and what becomes of their replies.

use super::support::Redis;
use super::support::Sides;
use super::support::before_fakes;
use super::support::key_on;
use super::support::owner;
use super::support::router;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::proxy_client::array;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

/// Row 35.
#[test]
fn keys_behind_their_number_are_found() {
    let Some(redis) = Redis::start(3) else { return };
    let sides = Sides::start(&redis, &["hash_tag: '{}'"]);
    // nutcracker takes the number for a key.
    let tag = redis.key((owner(&router(3), "2") + 1) % 3, "t");
    let add = format!("ZADD {{{tag}}}a 1 x 2 y");
    let more = format!("ZADD {{{tag}}}b 3 y");
    for (command, expected) in
        [("ZUNION", array(&["x", "y"])), ("ZINTER", array(&["y"])), ("ZDIFF", array(&["x"]))]
    {
        let line = format!("{command} 2 {{{tag}}}a {{{tag}}}b");
        let theirs = ":2\r\n:1\r\n*0\r\n";
        sides.differ(requests(&[&add, &more, &line]), theirs, &format!(":2\r\n:1\r\n{expected}"));
    }
}

/// Row 36.
#[test]
fn exists_counts_on_all_nodes() {
    let Some(redis) = Redis::start(3) else { return };
    let sides = Sides::start(&redis, &[]);
    let [a, b, c] = [0, 1, 2].map(|node| redis.key(node, "key"));
    let set = format!("MSET {a} 1 {b} 2 {c} 3");
    let exists = format!("EXISTS {a} {b} {c} {a} none");
    sides.differ(requests(&[&set, &exists]), "+OK\r\n:2\r\n", "+OK\r\n:4\r\n");
    // Row 36: with its keys on one node there is no difference.
    assert_eq!(sides.alike(requests(&[&set, &format!("EXISTS {a} {a}")])), "+OK\r\n:2\r\n");
}

/// Row 37.
#[test]
fn keys_on_different_nodes_are_an_error_that_names_them() {
    let Some(redis) = Redis::start(3) else { return };
    let [a, b] = [0, 1].map(|node| redis.key(node, "key"));
    let sides = Sides::start(&redis, &[]);
    for command in ["sinter", "sunion", "sdiff", "pfcount"] {
        let fill = [format!("SADD {a} x"), format!("PFADD {b} x")];
        let line = format!("{command} {a} {b}");
        sides.each(|proxy| {
            let transcript = proxy.transcript(&requests(&[&fill[0], &fill[1], &line, "PING"]));
            assert!(transcript.starts_with(":1\r\n:1\r\n"), "{transcript}");
            if proxy.is_ours() {
                let error = transcript.trim_start_matches(":1\r\n");
                let beginning = format!("-ERR keys of '{command}' are on different nodes: ");
                assert!(error.starts_with(&beginning), "{error}");
                assert!(error.contains(&a) && error.contains(&b), "{error}");
                assert!(error.ends_with(&format!("\r\n{PONG}")), "{error}");
                assert_eq!(error.matches("\r\n").count(), 2, "{error}");
            }
        });
    }
    let writes = [
        format!("smove {a} {b} x"),
        format!("rpoplpush {a} {b}"),
        format!("lmove {a} {b} LEFT LEFT"),
        format!("sinterstore {a} {b}"),
        format!("pfmerge {a} {b}"),
        format!("copy {a} {b}"),
        format!("zunionstore {a} 2 {a} {b}"),
        format!("sort {a} STORE {b}"),
        format!("eval return 2 {a} {b}"),
        format!("bitop and {a} {a} {b}"),
        format!("rename {a} {b}"),
        format!("msetnx {a} 1 {b} 2"),
    ];
    Sides::ours(&redis, &[]).each(|proxy| {
        for line in &writes {
            let transcript = proxy.transcript(&requests(&[line, "PING"]));
            let command = line.split(' ').next().unwrap();
            let beginning = format!("-ERR keys of '{command}' are on different nodes: ");
            assert!(transcript.starts_with(&beginning), "{transcript}");
            assert!(transcript.contains(&a) && transcript.contains(&b), "{transcript}");
            assert!(transcript.ends_with(&format!("\r\n{PONG}")), "{transcript}");
        }
        for node in 0..3 {
            assert_eq!(redis.direct(node).ask("DBSIZE"), ":0\r\n", "nothing was sent");
        }
    });
}

/// Row 37: on one node they run.
#[test]
fn keys_on_one_node_are_passed_on_untouched() {
    let Some(redis) = Redis::start(3) else { return };
    let sides = Sides::start(&redis, &["hash_tag: '{}'"]);
    for tag in ["a", "b", "c", "d"] {
        let lines = [
            "SADD {T}s x y",
            "SADD {T}t y z",
            "SINTER {T}s {T}t",
            "SUNIONSTORE {T}u {T}s {T}t",
            "SMOVE {T}s {T}t x",
            "SCARD {T}t",
            "RPUSH {T}l 3 1 2",
            "RPOPLPUSH {T}l {T}m",
            "LMOVE {T}l {T}m LEFT RIGHT",
            "LRANGE {T}m 0 -1",
            "SORT {T}m STORE {T}n",
            "PFADD {T}p a b",
            "PFADD {T}q c",
            "PFCOUNT {T}p {T}q",
            "PFMERGE {T}r {T}p {T}q",
            "ZADD {T}z 1 a",
            "ZADD {T}y 2 a",
            "ZUNIONSTORE {T}x 2 {T}z {T}y",
            "ZSCORE {T}x a",
            "COPY {T}x {T}w",
            "EVAL return{KEYS[1],KEYS[2],ARGV[1]} 2 {T}s {T}t v",
            "GEOADD {T}g 13.4 52.5 b",
            "GEOSEARCHSTORE {T}h {T}g FROMMEMBER b BYRADIUS 1 km",
            "ZRANGESTORE {T}i {T}z 0 -1",
            "EXISTS {T}s {T}t {T}u",
        ];
        let lines = lines.map(|line| line.replace("{T}", &format!("{{{tag}}}")));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let reply = sides.alike(requests(&lines));
        assert!(!reply.contains("-ERR"), "{reply}");
        assert!(reply.ends_with(":1\r\n:1\r\n:3\r\n"), "{reply}");
    }
}

/// Row 38.
#[test]
fn mget_answers_in_the_order_of_the_request() {
    let Some(redis) = Redis::start(3) else { return };
    let sides = Sides::start(&redis, &[]);
    let names: Vec<_> =
        (0..40).map(|number| redis.key(number % 3, &format!("key{number}-"))).collect();
    let pairs: Vec<_> = names.iter().map(|name| format!("{name} value-of-{name}")).collect();
    let set = format!("MSET {}", pairs.join(" "));
    let list = "SADD set member";
    let asked = |step: usize| {
        // Duplicates, keys without a value, and one that has no string.
        let names = (0..97).map(|number| match number {
            17 => "set".to_owned(),
            _ if number % 9 == 4 => format!("none{number}"),
            _ => names[number * step % names.len()].clone(),
        });
        names.collect::<Vec<_>>().join(" ")
    };
    let gets = [1, 7, 11].map(|step| format!("MGET {}", asked(step)));
    let reply = sides.alike(requests(&[&set, list, &gets[0], &gets[1], &gets[2], "PING"]));
    let value = |name: &str| match name.starts_with("key") {
        true => bulk(&format!("value-of-{name}")),
        false => "$-1\r\n".to_owned(),
    };
    let arrays = gets.map(|get| {
        let values: String = get.split(' ').skip(1).map(value).collect();
        format!("*97\r\n{values}")
    });
    assert_eq!(reply, format!("{OK}:1\r\n{}{PONG}", arrays.concat()));
    // A single key is not split; nor has it another reply.
    let reply =
        sides.alike(requests(&["MSET key1 one", "MGET key1", "MGET none", "mget key1 key1"]));
    assert_eq!(reply, "+OK\r\n*1\r\n$3\r\none\r\n*1\r\n$-1\r\n*2\r\n$3\r\none\r\n$3\r\none\r\n");
}

/// Row 39.
#[test]
fn counts_of_all_nodes_are_summed() {
    let Some(redis) = Redis::start(3) else { return };
    let sides = Sides::start(&redis, &[]);
    let names: Vec<_> =
        (0..20).map(|number| redis.key(number % 3, &format!("key{number}-"))).collect();
    let (first, some, more) = (&names[0], names[..3].join(" "), names[3..7].join(" "));
    let one = &names[7];
    let names = names.join(" ");
    let set = format!("MSET {} v", names.replace(' ', " v "));
    let lines = [
        set.clone(),
        format!("TOUCH {names} none"),
        format!("DEL {some} {first} none"),
        format!("UNLINK {more} none"),
        format!("TOUCH {names}"),
        format!("del {one}"),
        format!("DEL {names}"),
        format!("DEL {names}"),
        set,
        format!("MSET {one} again"),
        format!("GET {one}"),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let expected = ":20\r\n:3\r\n:4\r\n:13\r\n:1\r\n:12\r\n:0\r\n";
    assert_eq!(sides.alike(requests(&lines)), format!("{OK}{expected}{OK}{OK}$5\r\nagain\r\n"));
}

/// Row 40.
#[test]
fn a_node_gets_one_fragment_with_its_keys_in_the_order_of_the_request() {
    let script = |request: &Request| -> Vec<Step> {
        match request.args[0].to_ascii_lowercase().as_slice() {
            b"mget" => {
                let values =
                    request.args[1..].iter().map(|key| bulk(&String::from_utf8_lossy(key)));
                reply(format!("*{}\r\n{}", request.args.len() - 1, values.collect::<String>()))
            }
            b"mset" => reply(OK),
            _ => reply(format!(":{}\r\n", request.args.len() - 1)),
        }
    };
    let make = || (0..3).map(|_| FakeNode::start(script)).collect();
    before_fakes(&["redis: true"], make, |proxy, nodes| {
        let keys: Vec<_> =
            (0..30).map(|number| key_on(3, number % 3, &format!("key{number}-"))).collect();
        let mut client = proxy.client();
        let all = keys.join(" ");
        let values: Vec<_> = keys.iter().map(String::as_str).collect();
        assert_eq!(client.ask(&format!("MGET {all}")), array(&values));
        assert_eq!(client.ask(&format!("MSET {} v", all.replace(' ', " v "))), OK);
        assert_eq!(client.ask(&format!("DEL {all}")), ":30\r\n");
        assert_eq!(client.ask(&format!("TOUCH {all}")), ":30\r\n");
        for (number, node) in nodes.iter().enumerate() {
            let own = keys.iter().filter(|key| owner(&router(3), key) == number);
            let own: Vec<_> = own.map(String::as_str).collect();
            let own = own.join(" ");
            let pairs = format!("mset {} v", own.replace(' ', " v "));
            let expected =
                [format!("mget {own}"), pairs, format!("del {own}"), format!("touch {own}")];
            let lines: Vec<_> = node.lines().iter().map(|line| line.to_lowercase()).collect();
            assert_eq!(lines, expected);
        }
    });
}
