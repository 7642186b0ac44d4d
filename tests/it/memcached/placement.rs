//! Keys are where other clients put them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write as _;
use std::net::TcpStream;

use serde_json::Value;
use shardwright::DistributionKind;
use shardwright::HashKind;
use shardwright::MemcacheProtocol;
use shardwright::Node;
use shardwright::Preset;
use shardwright::ShardedMemcache;
use shardwright::ShardedMemcacheBuilder;
use shardwright::Weight;

use super::PATIENT;
use super::builder;
use crate::presets::NodeSets;
use crate::presets::keys;
use crate::presets::lines;
use crate::presets::text;
use crate::support::free_port;
use crate::support::memcached::Memcached;
use crate::support::nutcracker::Nutcracker;

fn with_nodes(nodes: &[Node]) -> ShardedMemcacheBuilder {
    nodes.iter().cloned().fold(ShardedMemcache::builder(), ShardedMemcacheBuilder::node)
}

/// The keys that nutcracker was asked for, in the order of its answers.
fn nutcracker_keys() -> Vec<Vec<u8>> {
    let bytes = |line: &Value| {
        let hex = text(line, "key_hex");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>()
    };
    let is_sendable = |key: &Vec<u8>| {
        (1..=250).contains(&key.len()) && !key.iter().any(|byte| b" \r\n\0".contains(byte))
    };
    lines("nutcracker/keys.jsonl").iter().map(bytes).filter(is_sendable).collect()
}

#[test]
fn memcached_pools_of_nutcracker_place_keys_alike() {
    let keys = nutcracker_keys();
    let records = lines("nutcracker/memcache.jsonl");
    assert_eq!(records.len(), 30);
    let mut compared = 0;
    for record in records {
        let pool = &record["pool"];
        let servers = pool["servers"].as_array().unwrap().iter();
        let nodes: Vec<Node> =
            servers.map(|line| line.as_str().unwrap().parse().unwrap()).collect();
        let mut builder = with_nodes(&nodes)
            .hash(text(pool, "hash").parse::<HashKind>().unwrap())
            .distribution(text(pool, "distribution").parse::<DistributionKind>().unwrap());
        if let Some(tag) = pool["hash_tag"].as_str() {
            builder = builder.hash_tag(tag.parse().unwrap());
        }
        let cache = builder.build().unwrap();
        let map = record["map"].as_array().unwrap();
        assert_eq!(map.len(), keys.len());
        for (key, place) in keys.iter().zip(map) {
            // Keys are text in this client.
            let Ok(key) = std::str::from_utf8(key) else { continue };
            let owner = cache.node_for_key(key).unwrap();
            let expected = &nodes[place.as_u64().unwrap() as usize];
            assert_eq!(owner.name(), expected.name(), "{key:?} in {}", record["set"]);
            compared += 1;
        }
    }
    assert_eq!(compared, 30 * 252);
}

/// Compares where a client with `preset` has the keys with where the record has them.
fn compare(preset: Preset, record: &Value, sets: &NodeSets, keys: &[Vec<u8>]) -> usize {
    let nodes = sets.of(record);
    let cache = with_nodes(&nodes).preset(preset).build().unwrap();
    for (key, place) in keys.iter().zip(text(record, "map").chars()) {
        let key = std::str::from_utf8(key).unwrap();
        let owner = cache.node_for_key(key).unwrap();
        let expected = &nodes[place.to_digit(36).unwrap() as usize];
        assert_eq!(
            owner.address(),
            expected.address(),
            "{preset}: {key:?} in {}",
            record["nodeset"]
        );
    }
    keys.len()
}

#[test]
fn presets_place_keys_as_the_clients_they_are_called_after() {
    let (keys, sets) = (keys(), NodeSets::read());
    let mut rings = 0;
    for record in lines("clients/php_memcached.jsonl") {
        let preset = match text(&record, "config") {
            "default" => Preset::LibmemcachedModula,
            "OPT_DISTRIBUTION=CONSISTENT" => Preset::LibmemcachedConsistent,
            "OPT_LIBKETAMA_COMPATIBLE=true" => Preset::LibmemcachedKetama,
            _ => continue,
        };
        rings += compare(preset, &record, &sets, &keys) / keys.len();
    }
    for record in lines("clients/spymemcached.jsonl") {
        let settings = (text(&record, "locator"), text(&record, "hash"), text(&record, "format"));
        let preset = match settings {
            ("ArrayModNodeLocator", "NATIVE_HASH", _) => Preset::Spymemcached,
            ("KetamaNodeLocator", "KETAMA_HASH", "SPYMEMCACHED")
                if record["host_named"] != true && record["weights_map"] != true =>
            {
                Preset::SpymemcachedKetama
            }
            _ => continue,
        };
        let is_weighted = sets.of(&record).iter().any(|node| node.weight() != Weight::ONE);
        if record["host_named"] != true && !is_weighted {
            rings += compare(preset, &record, &sets, &keys) / keys.len();
        }
    }
    for (preset, file) in [
        (Preset::Pymemcache, "clients/pymemcache.jsonl"),
        (Preset::Dalli, "clients/dalli.jsonl"),
        (Preset::Gomemcache, "clients/gomemcache.jsonl"),
    ] {
        for record in lines(file) {
            rings += compare(preset, &record, &sets, &keys) / keys.len();
        }
    }
    // Of spymemcached those without weights.
    assert_eq!(rings, 3 * 8 + 2 * 6 + 3 * 8);
}

fn one_hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn what_memcache_client_stored_is_found() {
    let Some(servers) = Memcached::start_many(3) else { return };
    let urls: Vec<_> = servers.iter().map(Memcached::url).collect();
    let own: fn(&str) -> u64 = |key| key.bytes().map(u64::from).sum::<u64>() << 31;
    for hash in [one_hash, own] {
        let theirs = memcache::ClientBuilder::new().add_server(urls.clone()).unwrap();
        let theirs = theirs.with_hash_function(hash).build().unwrap();
        let ours = builder(&servers).with_hash_function(hash).build().unwrap();
        theirs.flush().unwrap();
        for number in 0..200 {
            let keys = [format!("theirs:{number}"), format!("ours:{number}")];
            theirs.set(&keys[0], number, 0).unwrap();
            ours.set(&keys[1], number, 0).unwrap();
            assert_eq!(ours.get::<u32>(&keys[0]).unwrap(), Some(number), "{keys:?}");
            assert_eq!(theirs.get::<u32>(&keys[1]).unwrap(), Some(number), "{keys:?}");
        }
        let counts = ours.stats().unwrap();
        let counts = counts.iter().map(|(_, stats)| stats["curr_items"].parse::<u32>().unwrap());
        assert!(counts.clone().all(|count| count > 30), "{:?}", counts.collect::<Vec<_>>());
    }
    // Without a function of one's own.
    let theirs = memcache::Client::connect(urls).unwrap();
    let ours = builder(&servers).with_hash_function(one_hash).build().unwrap();
    for number in 0..100 {
        theirs.set(&format!("{number}"), number, 0).unwrap();
        assert_eq!(ours.get::<u32>(&format!("{number}")).unwrap(), Some(number));
    }
}

/// A plain connection to nutcracker.
struct Plain(BufReader<TcpStream>);

impl Plain {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENT)).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, request: &str) -> String {
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn set(&mut self, key: &str, value: &str) {
        let request = format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
        assert_eq!(self.ask(&request), "STORED");
    }

    fn get(&mut self, key: &str) -> Option<String> {
        let first = self.ask(&format!("get {key}\r\n"));
        if first == "END" {
            return None;
        }
        assert!(first.starts_with(&format!("VALUE {key} 0 ")), "{first}");
        let value = self.line();
        assert_eq!(self.line(), "END");
        Some(value)
    }
}

/// How the servers of a pool are listed: with weights and names, or without.
const POOLS: [(&str, &str, &str, bool); 6] = [
    ("fnv1a_64", "ketama", "", false),
    ("md5", "ketama", "{}", true),
    ("murmur", "ketama", "", true),
    ("crc32a", "modula", "", false),
    ("jenkins", "modula", "", true),
    ("fnv1_32", "ketama", "", false),
];

#[test]
fn what_went_through_nutcracker_is_found_and_the_other_way_round() {
    let Some(servers) = Memcached::start_many(4) else { return };
    let line = |(number, server): (usize, &Memcached), is_named| {
        let address = server.address();
        match is_named {
            true => format!("{address}:{} cache{}", 1 + number % 3, 9 - number),
            false => format!("{address}:1"),
        }
    };
    let listed = |is_named: bool| -> Vec<String> {
        servers.iter().enumerate().map(|server| line(server, is_named)).collect()
    };
    let listening = RefCell::new(Vec::new());
    let config = |port| {
        let mut ports = listening.borrow_mut();
        *ports = (1..POOLS.len()).map(|_| free_port()).chain([port]).collect();
        let mut text = String::new();
        for (number, ((hash, distribution, tag, is_named), port)) in
            POOLS.iter().zip(&*ports).enumerate()
        {
            writeln!(text, "pool{number}:\n  listen: 127.0.0.1:{port}\n  hash: {hash}").unwrap();
            writeln!(text, "  distribution: {distribution}").unwrap();
            if !tag.is_empty() {
                writeln!(text, "  hash_tag: \"{tag}\"").unwrap();
            }
            writeln!(text, "  servers:").unwrap();
            for line in listed(*is_named) {
                writeln!(text, "   - {line}").unwrap();
            }
        }
        text
    };
    let Some(_nutcracker) = Nutcracker::start(config) else { return };
    for ((hash, distribution, tag, is_named), &port) in POOLS.iter().zip(&*listening.borrow()) {
        let nodes: Vec<Node> = listed(*is_named).iter().map(|line| line.parse().unwrap()).collect();
        let mut builder = with_nodes(&nodes)
            .timeout(PATIENT)
            .hash(hash.parse::<HashKind>().unwrap())
            .distribution(distribution.parse::<DistributionKind>().unwrap());
        if !tag.is_empty() {
            builder = builder.hash_tag(tag.parse().unwrap());
        }
        let cache = builder.build().unwrap();
        let mut plain = Plain::connect(port);
        cache.flush().unwrap();
        let mut owners = std::collections::BTreeSet::new();
        for number in 0..150 {
            let [theirs, ours] =
                ["t", "o"].map(|who| format!("{who}{{user:{}}}:{number}", number / 2));
            plain.set(&theirs, &theirs);
            cache.set(&ours, &*ours, 0).unwrap();
            assert_eq!(cache.get::<String>(&theirs).unwrap(), Some(theirs.clone()));
            assert_eq!(plain.get(&ours), Some(ours.clone()));
            owners.insert(cache.node_for_key(&theirs).unwrap().name().to_owned());
        }
        assert_eq!(owners.len(), 4, "{hash} {distribution}");
        // nutcracker in between, as one node.
        let through = Node::new(shardwright::Address::tcp("127.0.0.1", port));
        let through = ShardedMemcache::builder().node(through).timeout(PATIENT);
        let through = through.protocol(MemcacheProtocol::Ascii).build().unwrap();
        for number in 0..50 {
            let key = format!("o{{user:{}}}:{number}", number / 2);
            assert_eq!(through.get::<String>(&key).unwrap(), Some(key));
        }
    }
}
