//! Figures and defaults that the guide and the README give.

use shardwright::DistributionKind;
use shardwright::EjectMode;
use shardwright::HashFn;
use shardwright::HashKind;
use shardwright::Node;
use shardwright::Topology;

fn topology(count: usize) -> Topology {
    let nodes = (1..=count).map(|index| format!("10.0.0.{index}:6379:1").parse::<Node>().unwrap());
    Topology::new(nodes).unwrap()
}

/// How many of `keys` each node gets, the most first.
fn shares(topology: &Topology, keys: impl Iterator<Item = String>) -> Vec<usize> {
    let router = topology.router();
    let mut shares = vec![0; router.nodes().len()];
    for key in keys {
        shares[router.node_for_key(key.as_bytes()).unwrap().index()] += 1;
    }
    shares.sort_by(|a, b| b.cmp(a));
    shares
}

#[test]
fn fnv1a_64_keeps_keys_together_that_differ_at_the_end() {
    let keys = (0..100).map(|number| format!("k:{number}"));
    assert_eq!(shares(&topology(4), keys), [90, 10, 0, 0]);
}

#[test]
fn crc32_over_ketama_puts_practically_every_key_on_one_node() {
    let keys = (0..10_000).map(|number| format!("{number}:key"));
    let shares = shares(&topology(4).with_hash(HashKind::Crc32), keys);
    assert!(shares[0] > 9_900, "{shares:?}");
}

#[test]
fn some_counts_of_nodes_cost_ketama_points() {
    let points = |count: usize| topology(count).router().ring().unwrap().points().len();
    for count in [4, 10, 24, 46] {
        assert_eq!(points(count), 160 * count, "{count} nodes");
    }
    for count in [25, 47, 50, 100] {
        assert_eq!(points(count), 156 * count, "{count} nodes");
    }
}

/// Nobody may ask it.
#[derive(Debug)]
struct Untouched;

impl HashFn for Untouched {
    fn hash(&self, _: &[u8]) -> u32 {
        panic!("a hash was asked for")
    }

    fn name(&self) -> &str {
        "untouched"
    }
}

#[test]
fn one_node_hashes_nothing() {
    for kind in DistributionKind::ALL {
        let router = topology(1).with_distribution(kind).with_hash(Untouched).router();
        assert!(router.node_for_key(b"key").is_some(), "{kind}");
    }
}

#[test]
fn nothing_is_ejected_unless_it_is_asked_for() {
    assert_eq!(topology(4).eject_policy().mode(), EjectMode::Off);
}
