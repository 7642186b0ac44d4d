//! Placements recorded from the clients of memcached that the presets stand for
//! (tests/golden/README.md).

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use shardwright::Address;
use shardwright::ClientHashKind;
use shardwright::DistributionKind;
use shardwright::HashFn;
use shardwright::HashKind;
use shardwright::Node;
use shardwright::Preset;
use shardwright::Topology;
use shardwright::Weight;

use crate::support::golden;

/// Keys of `keys.txt`.
const KEYS: usize = 449;

pub fn lines(file: &str) -> Vec<Value> {
    let text = golden(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn keys() -> Vec<Vec<u8>> {
    let text = golden("clients/keys.txt").unwrap();
    let keys: Vec<_> = text.lines().map(|key| key.as_bytes().to_vec()).collect();
    assert_eq!(keys.len(), KEYS);
    keys
}

/// The recorded lists of nodes.
pub struct NodeSets(HashMap<String, Vec<Node>>);

impl NodeSets {
    pub fn read() -> Self {
        let sets = lines("clients/nodesets.jsonl").into_iter().map(|record| {
            let nodes = record["nodes"].as_array().unwrap().iter();
            let nodes = nodes.map(|line| line.as_str().unwrap().parse().unwrap());
            (text(&record, "nodeset").to_owned(), nodes.collect())
        });
        let sets = Self(sets.collect());
        assert_eq!(sets.0.len(), 8);
        sets
    }

    pub fn of(&self, record: &Value) -> Vec<Node> {
        self.0[text(record, "nodeset")].clone()
    }
}

pub fn text<'r>(record: &'r Value, field: &str) -> &'r str {
    record[field].as_str().unwrap()
}

/// Counts the keys that go where `record` says, and fails if one does not.
fn compare(topology: &Topology, keys: &[Vec<u8>], record: &Value) -> usize {
    let router = topology.router();
    let map = text(record, "map").as_bytes();
    assert_eq!(map.len(), keys.len());
    let mut short = record.clone();
    short["map"] = Value::Null;
    for (key, &place) in keys.iter().zip(map) {
        let place = char::from(place).to_digit(36).unwrap() as usize;
        let owner = router.node(router.node_for_key(key).unwrap()).name();
        assert_eq!(owner, topology.nodes()[place].name(), "{} in {short}", key.escape_ascii());
    }
    keys.len()
}

fn tcp(node: &Node) -> (&str, u16) {
    match node.address() {
        Address::Tcp { host, port } => (host, *port),
        other => panic!("{other} in a recorded list"),
    }
}

fn renamed(nodes: Vec<Node>, name: impl Fn(&str, u16) -> String) -> Vec<Node> {
    let rename = |node: Node| {
        let (host, port) = tcp(&node);
        let name = name(host, port);
        node.with_name(name).unwrap()
    };
    nodes.into_iter().map(rename).collect()
}

/// A hash under libmemcached's name.
fn libmemcached_hash(name: &str) -> Arc<dyn HashFn> {
    match name {
        "default" => Arc::new(HashKind::OneAtATime),
        "crc" => Arc::new(HashKind::Crc32),
        "murmur3" => Arc::new(ClientHashKind::LibmemcachedMurmur3),
        name => Arc::new(name.parse::<HashKind>().unwrap()),
    }
}

/// A hash under spymemcached's name.
fn spymemcached_hash(name: &str) -> Arc<dyn HashFn> {
    match name {
        "NATIVE_HASH" => Arc::new(ClientHashKind::JavaString),
        "CRC_HASH" => Arc::new(HashKind::Crc32),
        "FNV1_64_HASH" => Arc::new(ClientHashKind::SpymemcachedFnv1_64),
        "FNV1A_64_HASH" => Arc::new(ClientHashKind::SpymemcachedFnv1a64),
        "FNV1_32_HASH" => Arc::new(ClientHashKind::SpymemcachedFnv1_32),
        "FNV1A_32_HASH" => Arc::new(ClientHashKind::SpymemcachedFnv1a32),
        "KETAMA_HASH" => Arc::new(HashKind::Md5),
        other => panic!("no hash is called {other}"),
    }
}

#[test]
fn hashes_are_those_of_the_clients() {
    let keys = keys();
    let mut compared = 0;
    for record in lines("clients/hashes.jsonl") {
        let name = text(&record, "hash");
        let hash = match text(&record, "client") {
            "libmemcached" => libmemcached_hash(name),
            "spymemcached" => spymemcached_hash(name),
            "pymemcache" => Arc::new(ClientHashKind::Murmur3),
            other => panic!("no client is called {other}"),
        };
        let values = record["values"].as_array().unwrap();
        assert_eq!(values.len(), KEYS);
        for (key, value) in keys.iter().zip(values).filter(|(_, value)| !value.is_null()) {
            let found = u64::from(hash.hash(key));
            assert_eq!(Some(found), value.as_u64(), "{name} of {}", key.escape_ascii());
            compared += 1;
        }
    }
    assert_eq!(compared, 10 * 449 + 8 * 362);
}

#[test]
fn libmemcached_is_that_of_libmemcached() {
    let (keys, sets) = (keys(), NodeSets::read());
    let mut compared: HashMap<String, usize> = HashMap::new();
    for record in lines("clients/libmemcached.jsonl") {
        let (nodes, hash) = (sets.of(&record), libmemcached_hash(text(&record, "hash")));
        let distribution = text(&record, "distribution");
        let topology = match distribution {
            "modula" => Preset::LibmemcachedModula.topology_with_hash(nodes, hash),
            "consistent_ketama" => Preset::LibmemcachedConsistent.topology_with_hash(nodes, hash),
            "KETAMA_WEIGHTED" => Preset::LibmemcachedKetama.topology_with_hash(nodes, hash),
            // The same ring under other names.
            "ketama_spy" => {
                let nodes = renamed(nodes, |host, port| format!("/{host}:{port}"));
                Preset::LibmemcachedConsistent.topology_with_hash(nodes, hash)
            }
            other => panic!("no distribution is called {other}"),
        };
        *compared.entry(distribution.into()).or_default() +=
            compare(&topology.unwrap(), &keys, &record);
    }
    let expected =
        [("modula", 80), ("consistent_ketama", 80), ("KETAMA_WEIGHTED", 32), ("ketama_spy", 80)];
    let expected = expected.map(|(name, rings)| (name.to_owned(), rings * KEYS));
    assert_eq!(compared, expected.into());
}

#[test]
fn libmemcached_presets_are_those_of_php() {
    let (keys, sets) = (keys(), NodeSets::read());
    let mut compared = 0;
    for record in lines("clients/php_memcached.jsonl") {
        let nodes = sets.of(&record);
        let topology = match text(&record, "config") {
            "default" => Preset::LibmemcachedModula.topology(nodes),
            "OPT_DISTRIBUTION=CONSISTENT" => Preset::LibmemcachedConsistent.topology(nodes),
            "OPT_LIBKETAMA_COMPATIBLE=true" => Preset::LibmemcachedKetama.topology(nodes),
            "OPT_LIBKETAMA_COMPATIBLE=true+HASH_FNV1A_32" => {
                Preset::LibmemcachedKetama.topology_with_hash(nodes, HashKind::Fnv1a32)
            }
            other => panic!("no configuration is called {other}"),
        };
        compared += compare(&topology.unwrap(), &keys, &record);
    }
    assert_eq!(compared, 32 * KEYS);
}

/// Weights that a map gave are 2 where all are alike: there they say no more than that there is a map.
fn with_map(nodes: Vec<Node>) -> Vec<Node> {
    let two = Weight::new(2).unwrap();
    let is_equal = nodes.iter().all(|node| node.weight() == Weight::ONE);
    nodes.into_iter().map(|node| if is_equal { node.with_weight(two) } else { node }).collect()
}

#[test]
fn spymemcached_is_that_of_spymemcached() {
    let (keys, sets) = (keys(), NodeSets::read());
    let mut compared: HashMap<String, usize> = HashMap::new();
    for record in lines("clients/spymemcached.jsonl") {
        let (mut nodes, hash) = (sets.of(&record), spymemcached_hash(text(&record, "hash")));
        if record["weights_map"] == true {
            nodes = with_map(nodes);
        }
        let (locator, format) = (text(&record, "locator"), text(&record, "format"));
        let ketama = Preset::SpymemcachedKetama;
        let topology = match (locator, format, record["host_named"] == true) {
            ("ArrayModNodeLocator", ..) => Preset::Spymemcached.topology_with_hash(nodes, hash),
            (_, "SPYMEMCACHED", false) => ketama.topology_with_hash(nodes, hash),
            (_, "SPYMEMCACHED", true) => {
                let nodes = renamed(nodes, |host, port| format!("{host}/{host}:{port}"));
                ketama.topology_with_hash(nodes, hash)
            }
            // Its names are nutcracker's, and not the preset's: one setting after another.
            (_, "LIBMEMCACHED", _) => Topology::new(nodes).map(|topology| {
                topology
                    .with_distribution(ketama.distribution_with_hash(Arc::clone(&hash)))
                    .with_hash(hash)
                    .with_node_order(ketama.node_order())
            }),
            other => panic!("{other:?} is not known"),
        };
        *compared.entry(format!("{locator} {format}")).or_default() +=
            compare(&topology.unwrap(), &keys, &record);
    }
    let expected = [
        ("ArrayModNodeLocator -", 7 * 8),
        ("KetamaNodeLocator SPYMEMCACHED", 7 * 28),
        ("KetamaNodeLocator LIBMEMCACHED", 7 * 28),
    ];
    let expected = expected.map(|(name, rings)| (name.to_owned(), rings * KEYS));
    assert_eq!(compared, expected.into());
}

#[test]
fn spymemcached_presets_are_its_connection_factories() {
    let (keys, sets) = (keys(), NodeSets::read());
    let mut compared = [0; 2];
    for record in lines("clients/spymemcached.jsonl") {
        let settings = (text(&record, "locator"), text(&record, "hash"), text(&record, "format"));
        let (place, preset) = match settings {
            ("ArrayModNodeLocator", "NATIVE_HASH", _) => (0, Preset::Spymemcached),
            ("KetamaNodeLocator", "KETAMA_HASH", "SPYMEMCACHED") => (1, Preset::SpymemcachedKetama),
            _ => continue,
        };
        let nodes = sets.of(&record);
        let is_weighted = nodes.iter().any(|node| node.weight() != Weight::ONE);
        if record["host_named"] == true || (place == 1 && record["weights_map"] != is_weighted) {
            continue;
        }
        compared[place] += compare(&preset.topology(nodes).unwrap(), &keys, &record);
    }
    assert_eq!(compared, [8 * KEYS, 8 * KEYS]);
}

#[test]
fn three_clients_are_those_that_were_recorded() {
    let (keys, sets) = (keys(), NodeSets::read());
    for (preset, file) in [
        (Preset::Pymemcache, "clients/pymemcache.jsonl"),
        (Preset::Dalli, "clients/dalli.jsonl"),
        (Preset::Gomemcache, "clients/gomemcache.jsonl"),
    ] {
        let records = lines(file).into_iter();
        let compared: usize = records
            .map(|record| compare(&preset.topology(sets.of(&record)).unwrap(), &keys, &record))
            .sum();
        assert_eq!(compared, 8 * KEYS, "{preset}");
    }
}

#[test]
fn pymemcache_places_text_and_bytes_alike() {
    let sets = NodeSets::read();
    let records = lines("clients/pymemcache_other_keys.jsonl");
    let keys = records[0]["keys_hex"].as_array().unwrap().iter().map(|key| {
        let key = key.as_str().unwrap();
        let byte = |at| u8::from_str_radix(&key[at..at + 2], 16).unwrap();
        (0..key.len()).step_by(2).map(byte).collect::<Vec<u8>>()
    });
    let keys: Vec<_> = keys.collect();
    let texts = keys.iter().filter(|key| std::str::from_utf8(key).is_ok()).count();
    assert_eq!((texts, keys.len()), (131, 179));
    let compared: usize = records[1..]
        .iter()
        .map(|record| {
            compare(&Preset::Pymemcache.topology(sets.of(record)).unwrap(), &keys, record)
        })
        .sum();
    assert_eq!(compared, 8 * 179);
}

/// Dalli picks downwards: a node owns what lies between its point and the next, the point included.
#[test]
fn dalli_has_the_points_of_dalli() {
    let sets = NodeSets::read();
    let mut compared = 0;
    for record in lines("clients/dalli.jsonl") {
        let topology = Preset::Dalli.topology(sets.of(&record)).unwrap();
        let router = topology.router();
        let ring = router.ring().unwrap();
        assert_eq!(ring.points().len() as u64, record["points"].as_u64().unwrap());
        for point in record["first_points"].as_array().unwrap() {
            let [hash, place] = [0, 1].map(|field| point[field].as_u64().unwrap() as u32);
            assert_eq!(ring.pick(hash).index(), place as usize);
            assert!(ring.points().iter().any(|point| point.hash() == hash - 1), "{hash}");
            compared += 1;
        }
    }
    assert_eq!(compared, 8 * 4);
}

#[test]
fn twemproxy_is_nutcracker() {
    let hex = |line: &Value| {
        let key = text(line, "key_hex");
        let byte = |at| u8::from_str_radix(&key[at..at + 2], 16).unwrap();
        (0..key.len()).step_by(2).map(byte).collect::<Vec<u8>>()
    };
    let keys: Vec<_> = lines("nutcracker/keys.jsonl").iter().map(hex).collect();
    let mut compared = 0;
    for record in lines("nutcracker/routes.jsonl") {
        let pool = &record["pool"];
        if text(pool, "hash") != HashKind::default().as_str()
            || text(pool, "distribution") != DistributionKind::default().as_str()
        {
            continue;
        }
        let servers = pool["servers"].as_array().unwrap().iter();
        let nodes = servers.map(|line| line.as_str().unwrap().parse::<Node>().unwrap());
        let mut topology = Preset::Twemproxy.topology(nodes).unwrap();
        if let Some(tag) = pool["hash_tag"].as_str() {
            topology = topology.with_hash_tag(tag.parse().unwrap());
        }
        let router = topology.router();
        for (key, place) in keys.iter().zip(record["map"].as_array().unwrap()) {
            let owner = router.node(router.node_for_key(key).unwrap());
            let expected = &topology.nodes()[place.as_u64().unwrap() as usize];
            assert_eq!(owner.name(), expected.name(), "{} {}", key.escape_ascii(), record["set"]);
            compared += 1;
        }
    }
    assert_eq!(compared, 10 * 330);
}
