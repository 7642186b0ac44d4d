//! Random pipelines, the same to nutcracker and to ours: what both know they answer alike, however the
//! bytes are cut. And random bytes, which ours survives.

use super::support::Backends;
use super::support::Memcacheds;
use super::support::Redis;
use super::support::Sides;
use crate::nutcracker::random::Random;
use crate::nutcracker::seed;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::request_of;

const ROUNDS: usize = 60;

#[test]
fn random_pipelines_of_redis_are_answered_alike() {
    let Some(redis) = Redis::start(3) else { return };
    compare(&redis, &["hash_tag: '{}'"], redis_request, |transcript| transcript);
}

#[test]
fn random_pipelines_of_memcached_are_answered_alike() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    // The order of a multi-get's values is nobody's promise.
    compare(&memcacheds, &[], memcached_request, |transcript| sorted_values(&transcript));
}

#[test]
fn random_bytes_harm_nobody() {
    let Some(redis) = Redis::start(2) else { return };
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    for (backends, request) in [
        (&redis as &dyn Backends, redis_request as fn(&mut Random) -> Vec<u8>),
        (&memcacheds, memcached_request),
    ] {
        Sides::ours(backends, &["timeout: 2000"]).each(|proxy| {
            let mut random = Random(seed());
            for round in 0..200 {
                let mut bytes: Vec<u8> = (0..8).flat_map(|_| request(&mut random)).collect();
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len());
                    match random.below(3) {
                        0 => bytes[at] = *random.pick(b"\r\n*$0129:+-\0\xffaG "),
                        1 => drop(bytes.remove(at)),
                        _ => bytes.insert(at, *random.pick(b"\r\n*$0129:+-\0\xffaG ")),
                    }
                }
                // It may wait for more or not; when we have closed our half it has an end.
                let transcript = proxy.transcript(&bytes);
                let is_whole = transcript.is_empty() || transcript.ends_with("\r\n");
                assert!(is_whole, "round {round}: {transcript:?} to {}", bytes.escape_ascii());
            }
        });
    }
}

fn compare(
    backends: &dyn Backends,
    settings: &[&str],
    request: impl Fn(&mut Random) -> Vec<u8>,
    normal: impl Fn(String) -> String,
) {
    let sides = Sides::start(backends, settings);
    let mut random = Random(seed());
    let mut answered = 0;
    for _ in 0..ROUNDS {
        let bytes: Vec<u8> = (0..1 + random.below(60)).flat_map(|_| request(&mut random)).collect();
        let cuts = Random(random.below(1 << 20) as u64);
        answered +=
            sides.alike_as(&bytes, |proxy| normal(in_pieces(proxy.port(), &bytes, &cuts))).len();
    }
    assert!(answered > 1000, "{answered} bytes");
}

/// What comes back for bytes that arrive in pieces.
fn in_pieces(port: u16, bytes: &[u8], cuts: &Random) -> String {
    let mut cuts = Random(cuts.0);
    let mut client = Client::connect(port);
    let longest = *cuts.pick(&[7, 100, 100_000]);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((1 + cuts.below(longest)).min(rest.len()));
        client.send(piece);
        rest = more;
    }
    client.finish()
}

/// A request that nutcracker knows and does right.
fn redis_request(random: &mut Random) -> Vec<u8> {
    let tag = random.below(5);
    let key = |random: &mut Random| format!("{{{tag}}}k{}", random.below(3));
    let any = |random: &mut Random| format!("{{{}}}k{}", random.below(5), random.below(3));
    let number = |random: &mut Random| (random.below(7) as i64 - 3).to_string();
    let value = |random: &mut Random| {
        let length = *random.pick(&[0, 1, 2, 10, 10, 200, 5000]);
        random
            .pick(&["v", "\r\n", "$1", "12", "ключ"])
            .chars()
            .cycle()
            .take(length)
            .collect::<String>()
    };
    let form = *random.pick(&[
        "GET K",
        "SET K V",
        "SET K N",
        "APPEND K V",
        "STRLEN K",
        "GETRANGE K N N",
        "SETRANGE K 1 V",
        "INCR K",
        "INCRBY K N",
        "TYPE K",
        "DEL K",
        "DEL A A A",
        "UNLINK A A",
        "TOUCH A A A A",
        "MGET A",
        "MGET A A A A A A",
        "MSET A V",
        "MSET A V A V A N",
        "SETNX K V",
        "GETSET K V",
        "LPUSH K V N",
        "RPUSH K N",
        "LRANGE K N N",
        "LPOP K",
        "LINDEX K N",
        "LLEN K",
        "RPOPLPUSH K K",
        "HSET K f V g N",
        "HGET K f",
        "HDEL K f",
        "HLEN K",
        "HINCRBY K g N",
        "HMGET K f g h",
        "ZADD K N m",
        "ZADD K N n N o",
        "ZRANGE K 0 -1",
        "ZSCORE K m",
        "ZREM K n",
        "ZCARD K",
        "SADD K m",
        "SREM K m",
        "SCARD K",
        "SISMEMBER K m",
        "SINTER K K",
        "COPY K K",
        "EXISTS K",
        "PFADD K V",
        "SETBIT K 9 1",
        "BITCOUNT K",
        "PING",
        "TTL K",
        "PERSIST K",
        "GETDEL K",
        "SORT K",
        "EVAL return(KEYS[1]) 1 K",
        "SMISMEMBER K m n",
        "ZUNIONSTORE K 1 K",
    ]);
    let words = form.split(' ').map(|word| match word {
        "K" => key(random),
        "A" => any(random),
        "V" => value(random),
        "N" => number(random),
        word => word.to_owned(),
    });
    let words: Vec<_> = words.collect();
    request_of(&words.iter().map(String::as_bytes).collect::<Vec<_>>())
}

fn memcached_request(random: &mut Random) -> Vec<u8> {
    let key = |random: &mut Random| format!("key{}", random.below(12));
    let (a, b) = (key(random), key(random));
    let length = *random.pick(&[0, 1, 2, 10, 200, 5000]);
    let value: String = random.pick(&["v", "12", "get k "]).chars().cycle().take(length).collect();
    let flags = random.below(3);
    let quiet = if random.below(6) == 0 { " noreply" } else { "" };
    let line = match random.below(14) {
        0..=2 => format!("get {a}"),
        3 => format!("gets nothing{a}"),
        4 => format!("get {a} {b} {}", key(random)),
        5..=7 => format!("set {a} {flags} 0 {length}{quiet}\r\n{value}"),
        8 => format!("{} {a} 0 0 {length}\r\n{value}", random.pick(&["add", "replace"])),
        9 => format!("{} {a} 0 0 {length}\r\n{value}", random.pick(&["append", "prepend"])),
        10 => format!("delete {a}{quiet}"),
        11 => format!("{} {a} {}", random.pick(&["incr", "decr"]), random.below(20)),
        12 => format!("touch {a} 0"),
        _ => format!("cas {a} 0 0 {length} 1\r\n{value}"),
    };
    format!("{line}\r\n").into_bytes()
}

/// The same with the values of each reply in the order of their keys.
fn sorted_values(transcript: &str) -> String {
    let mut lines = transcript.split_inclusive("\r\n");
    let (mut sorted, mut values) = (String::new(), Vec::new());
    while let Some(line) = lines.next() {
        if line.starts_with("VALUE ") {
            values.push([line, lines.next().unwrap_or_default()].concat());
            continue;
        }
        values.sort();
        sorted += &values.concat();
        values.clear();
        sorted += line;
    }
    sorted + &values.concat()
}
