//! Placements recorded from the real nutcracker 0.5.0 (tests/golden/README.md).

use serde_json::Value;
use shardwright::CharSign;
use shardwright::EjectPolicy;
use shardwright::HashFn;
use shardwright::HashKind;
use shardwright::Node;
use shardwright::Topology;

use crate::support::golden;

fn lines(file: &str) -> Vec<Value> {
    let text = golden(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn keys() -> Vec<Vec<u8>> {
    lines("nutcracker/keys.jsonl").iter().map(|line| bytes(&line["key_hex"])).collect()
}

/// The topology of a recorded pool, and for each node its place in the file.
fn topology(pool: &Value) -> Topology {
    let servers = pool["servers"].as_array().unwrap();
    let nodes = servers.iter().map(|line| line.as_str().unwrap().parse::<Node>().unwrap());
    let hash: HashKind = pool["hash"].as_str().unwrap().parse().unwrap();
    let distribution: shardwright::DistributionKind =
        pool["distribution"].as_str().unwrap().parse().unwrap();
    let mut topology =
        Topology::new(nodes).unwrap().with_hash(hash).with_distribution(distribution);
    if let Some(tag) = pool["hash_tag"].as_str() {
        topology = topology.with_hash_tag(tag.parse().unwrap());
    }
    topology
}

/// The place in the file of the node that owns `key`.
fn place(router: &shardwright::Router, key: &[u8]) -> usize {
    let owner = router.node(router.node_for_key(key).unwrap());
    router.topology().nodes().iter().position(|node| node.name() == owner.name()).unwrap()
}

fn map(record: &Value) -> Vec<usize> {
    record["map"].as_array().unwrap().iter().map(|place| place.as_u64().unwrap() as usize).collect()
}

#[test]
fn the_twelve_hashes_are_those_of_nutcracker() {
    let records = lines("nutcracker/hash_values.jsonl");
    assert_eq!(records.len(), 330);
    for record in records {
        let key = bytes(&record["key_hex"]);
        for kind in HashKind::ALL {
            let expected = record[kind.as_str()].as_u64().unwrap() as u32;
            let hash = if key.is_empty() { 0 } else { kind.hash(&key) };
            assert_eq!(hash, expected, "{kind} of {}", key.escape_ascii());
        }
    }
}

#[test]
fn hashes_with_unsigned_chars_are_those_of_a_build_for_arm() {
    let records = lines("clients/twemproxy_hashkit_unsigned_char.jsonl");
    assert_eq!(records.len(), 5556);
    for record in records {
        let key = bytes(&record["key_hex"]);
        let kind: HashKind = record["hash"].as_str().unwrap().parse().unwrap();
        let hash = kind.with_char_sign(CharSign::Unsigned).hash(&key);
        let expected = record["value"].as_u64().unwrap() as u32;
        assert_eq!(hash, expected, "{kind} of {}", key.escape_ascii());
    }
}

#[test]
fn every_recorded_pool_places_every_key_alike() {
    let keys = keys();
    let records = lines("nutcracker/routes.jsonl");
    assert_eq!(records.len(), 240);
    for record in records {
        let router = topology(&record["pool"]).router();
        let placed: Vec<_> = keys.iter().map(|key| place(&router, key)).collect();
        assert_eq!(placed, map(&record), "{} {}", record["set"], record["pool"]);
    }
}

#[test]
fn memcached_pools_place_keys_alike() {
    let is_sendable = |key: &&Vec<u8>| {
        (1..=250).contains(&key.len()) && !key.iter().any(|byte| b" \r\n\0".contains(byte))
    };
    let keys = keys();
    let keys: Vec<_> = keys.iter().filter(is_sendable).collect();
    let records = lines("nutcracker/memcache.jsonl");
    assert_eq!(records.len(), 30);
    for record in records {
        let router = topology(&record["pool"]).router();
        let placed: Vec<_> = keys.iter().map(|key| place(&router, key)).collect();
        assert_eq!(placed, map(&record), "{} {}", record["set"], record["pool"]);
    }
}

#[test]
fn the_ring_after_an_ejection_is_that_of_the_nodes_left() {
    let keys = keys();
    let records = lines("nutcracker/ejects.jsonl");
    assert_eq!(records.len(), 42);
    for record in records {
        let full = topology(&record["pool"]).with_eject_policy(EjectPolicy::rebuild());
        let ejected: Vec<_> = record["ejected"]
            .as_array()
            .unwrap()
            .iter()
            .map(|place| place.as_u64().unwrap())
            .collect();
        let left = full.nodes().iter().enumerate();
        let left = left.filter(|(place, _)| !ejected.contains(&(*place as u64)));
        let rest = full.clone().with_nodes(left.map(|(_, node)| node.clone())).unwrap().router();
        let router = full.router();
        let expected = map(&record);
        for (key, expected) in keys.iter().zip(&expected) {
            // The recorded pool had more than one server, so it hashed, even with one left.
            let owner = rest.node(rest.node_for_key(key).unwrap());
            assert_eq!(
                owner.name(),
                full.nodes()[*expected].name(),
                "{} {}",
                record["set"],
                record["pool"]
            );
        }
        let placed = keys.iter().map(|key| place(&router, key));
        let moved = placed.zip(&expected).filter(|(was, is)| was != *is).count();
        assert_eq!(moved as u64, record["moved"].as_u64().unwrap(), "{}", record["set"]);
    }
}

#[test]
fn weighted_ketama_is_that_of_the_clients_of_memcached() {
    let keys = golden("clients/keys.txt").unwrap();
    let keys: Vec<_> = keys.lines().collect();
    let records = lines("clients/weighted_ketama.jsonl");
    assert_eq!((keys.len(), records.len()), (449, 88));
    for record in records {
        let servers = record["servers"].as_array().unwrap().iter();
        let nodes = servers.map(|line| line.as_str().unwrap().parse::<Node>().unwrap());
        let hash: HashKind = record["hash"].as_str().unwrap().parse().unwrap();
        let router = Topology::new(nodes).unwrap().with_hash(hash).router();
        let places: Vec<_> = keys.iter().map(|key| place(&router, key.as_bytes())).collect();
        assert_eq!(places, map(&record), "{} on {}", record["client"], record["servers"]);
    }
}
