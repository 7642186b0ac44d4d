use proptest::prelude::*;

use super::*;
use crate::distribution::NodeSet;
use crate::hash::HashKind;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::node::NodeId;
use crate::node::Weight;
use crate::topology::Router;

fn nodes(count: usize) -> Vec<Node> {
    (0..count).map(|index| format!("10.0.0.{index}:11211:1").parse().unwrap()).collect()
}

fn weighted(weights: &[u32]) -> Vec<Node> {
    let weights = weights.iter().map(|&weight| Weight::new(weight).unwrap());
    nodes(weights.len())
        .into_iter()
        .zip(weights)
        .map(|(node, weight)| node.with_weight(weight))
        .collect()
}

fn keys() -> impl Iterator<Item = String> {
    (0..3000u32).map(|number| format!("key:{}", number.wrapping_mul(0x9e37_79b9)))
}

fn names(router: &Router) -> Vec<String> {
    keys()
        .map(|key| router.node(router.node_for_key(key.as_bytes()).unwrap()).name().to_owned())
        .collect()
}

fn out(indexes: &[usize]) -> NodeSet {
    indexes.iter().copied().filter_map(NodeId::new).collect()
}

#[test]
fn names_parse_back() {
    for preset in Preset::ALL {
        assert_eq!(preset.as_str().parse::<Preset>().unwrap(), preset);
    }
    let error = "memcached".parse::<Preset>().unwrap_err().to_string();
    assert!(error.contains("\"memcached\"") && error.contains("libmemcached_ketama"), "{error}");
}

#[test]
fn twemproxy_is_the_default() {
    let topology = Topology::new(weighted(&[1, 2, 3, 4])).unwrap();
    let preset = Preset::Twemproxy.topology(weighted(&[1, 2, 3, 4])).unwrap();
    assert_eq!(names(&preset.router()), names(&topology.router()));
}

#[test]
fn each_client_names_a_node_in_its_way() {
    for (address, presets) in [
        (Address::tcp("h", 11211), [("h", 2), ("h:11211", 3)]),
        (Address::tcp("h", 22), [("h:22", 2), ("h:22", 3)]),
    ] {
        let plain = Node::new(address);
        for preset in
            [Preset::Twemproxy, Preset::LibmemcachedKetama, Preset::LibmemcachedConsistent]
        {
            assert_eq!(preset.named(plain.clone()).name(), presets[0].0, "{preset}");
        }
        for preset in [Preset::SpymemcachedKetama, Preset::Pymemcache, Preset::Dalli] {
            assert_eq!(preset.named(plain.clone()).name(), presets[1].0, "{preset}");
        }
        for preset in Preset::ALL {
            let own = plain.clone().with_name("own").unwrap();
            assert_eq!(preset.named(own).name(), "own", "{preset}");
            let once = preset.named(plain.clone());
            assert_eq!(preset.named(once.clone()), once, "{preset}");
        }
    }
    let socket = Node::new(Address::Unix("/run/a".into()));
    assert_eq!(Preset::LibmemcachedKetama.named(socket.clone()).name(), "/run/a:0");
    assert_eq!(Preset::Pymemcache.named(socket).name(), "/run/a");
}

#[test]
fn a_host_whose_address_spymemcached_would_resolve_needs_a_name() {
    let preset = Preset::SpymemcachedKetama;
    for host in ["cache1", "::1"] {
        let node = Node::new(Address::tcp(host, 11211));
        let error = preset.topology([node.clone()]).unwrap_err().to_string();
        assert!(error.contains("needs a name") && error.contains(host), "{error}");
        preset.topology([node.clone().with_name("cache1/10.0.1.1:11211").unwrap()]).unwrap();
        Preset::Spymemcached.topology([node]).unwrap();
    }
}

#[test]
fn a_client_with_one_hash_takes_no_other() {
    for preset in [Preset::Pymemcache, Preset::Dalli, Preset::Gomemcache] {
        let error = preset.topology_with_hash(nodes(2), HashKind::Md5).unwrap_err().to_string();
        assert!(error.contains(preset.as_str()), "{error}");
    }
}

#[test]
fn a_rebuilt_ring_is_that_of_the_live_nodes_alone() {
    for preset in Preset::ALL {
        for weights in [[1; 6], [1, 2, 3, 1, 2, 3]] {
            let topology = preset.topology(weighted(&weights)).unwrap();
            let full = topology.with_eject_policy(EjectPolicy::rebuild()).router();
            let router = full.with_ejected(&out(&[1, 4]));
            let left = [0, 2, 3, 5].map(|place| full.topology().nodes()[place].clone());
            let alone = preset.topology(left).unwrap().router();
            assert_eq!(names(&router), names(&alone), "{preset}");
        }
    }
}

/// libmemcached and spymemcached decide once that there are weights.
#[test]
fn a_ring_with_weights_stays_one_when_only_equal_nodes_are_left() {
    for preset in [Preset::LibmemcachedConsistent, Preset::SpymemcachedKetama] {
        let hash = HashKind::Jenkins;
        let topology = preset.topology_with_hash(weighted(&[1, 1, 1, 5]), hash).unwrap();
        let full = topology.with_eject_policy(EjectPolicy::rebuild()).router();
        let router = full.with_ejected(&out(&[3]));
        let left = full.topology().nodes()[..3].to_vec();
        let unweighted = preset.topology_with_hash(left.clone(), hash).unwrap().router();
        assert_ne!(names(&router), names(&unweighted), "{preset}");
        let ketama = Topology::new(left).unwrap().with_hash(hash).router();
        assert_eq!(names(&router), names(&ketama), "{preset}");
    }
}

#[test]
fn the_successor_of_an_ejected_node_takes_only_its_keys() {
    for preset in Preset::ALL {
        let topology = preset.topology(weighted(&[1, 2, 3, 1, 1])).unwrap();
        let full = topology.with_eject_policy(EjectPolicy::successor()).router();
        let ejected = out(&[0, 3]);
        let router = full.with_ejected(&ejected);
        let mut moved = 0;
        for key in keys() {
            let was = full.node_for_key(key.as_bytes()).unwrap();
            let is = router.node_for_key(key.as_bytes()).unwrap();
            assert!(!ejected.contains(is), "{preset}");
            assert!(was == is || ejected.contains(was), "{preset}: {key}");
            moved += usize::from(was != is);
        }
        assert!(moved > 0, "{preset}");
        assert_eq!(names(&router.with_ejected(&NodeSet::new())), names(&full), "{preset}");
    }
}

#[test]
fn a_ring_that_picks_by_key_heeds_the_hash_tag() {
    let topology = Preset::Pymemcache.topology(nodes(5)).unwrap();
    let router = topology.with_hash_tag(HashTag::new(b'{', b'}')).router();
    for key in keys() {
        let tagged = format!("a{{{key}}}b");
        assert_eq!(router.route(tagged.as_bytes()), router.route(key.as_bytes()));
    }
}

#[test]
fn movement_counts_the_keys_of_a_ring_that_picks_by_key() {
    let pymemcache = |count| Preset::Pymemcache.topology(nodes(count)).unwrap();
    assert_eq!(pymemcache(4).movement_to(&pymemcache(4)).moves(), []);
    let movement = pymemcache(4).movement_to(&pymemcache(5));
    assert!((0.18..0.22).contains(&movement.share()), "{movement}");
    assert!(movement.moves().iter().all(|step| &*step.to == "10.0.0.4:11211"), "{movement}");
    for preset in [Preset::Dalli, Preset::Spymemcached] {
        // Node 0 of one is node 0 of the other, under another name.
        let named = |preset: Preset| {
            preset.topology(nodes(4).into_iter().map(|node| Preset::Dalli.named(node)))
        };
        let movement = named(Preset::Pymemcache).unwrap().movement_to(&named(preset).unwrap());
        assert!((0.6..0.9).contains(&movement.share()), "{preset}: {movement}");
    }
}

/// A ring of a user that looks at keys and has no successors.
#[derive(Debug)]
struct ByLength;

#[derive(Debug)]
struct ByLengthRing(Vec<NodeId>);

impl Distribution for ByLength {
    fn build(&self, nodes: &[crate::distribution::RingNode]) -> Arc<dyn crate::distribution::Ring> {
        Arc::new(ByLengthRing(nodes.iter().map(crate::distribution::RingNode::id).collect()))
    }

    fn name(&self) -> &str {
        "by length"
    }
}

impl crate::distribution::Ring for ByLengthRing {
    fn pick(&self, _hash: u32) -> NodeId {
        self.0[0]
    }

    fn picks_by_key(&self) -> bool {
        true
    }

    fn pick_key(&self, key: &[u8]) -> NodeId {
        self.0[key.len() % self.0.len()]
    }
}

#[test]
fn keys_of_an_ejected_node_are_rerouted_by_key_too() {
    let topology = Topology::new(nodes(4)).unwrap().with_distribution(ByLength);
    let full = topology.with_eject_policy(EjectPolicy::successor()).router();
    let ejected = out(&[0, 2]);
    let router = full.with_ejected(&ejected);
    for length in 0..300 {
        let key = vec![b'x'; length];
        let (was, is) = (full.route(&key).unwrap(), router.route(&key).unwrap());
        assert_eq!(was.index(), length % 4);
        assert!(!ejected.contains(is) && (was == is || ejected.contains(was)));
    }
}

fn naive_pymemcache(nodes: &[Node], key: &str) -> String {
    let score = |node: &&Node| {
        let text: Vec<u8> =
            format!("{}-{key}", node.name()).chars().map(|letter| letter as u32 as u8).collect();
        (ClientHashKind::Murmur3.hash(&text), node.name().to_owned())
    };
    nodes.iter().max_by_key(score).unwrap().name().to_owned()
}

fn naive_consistent(nodes: &[Node], hash: u32) -> String {
    let points = nodes.iter().enumerate().flat_map(|(index, node)| {
        let point =
            move |number| HashKind::OneAtATime.hash(format!("{}-{number}", node.name()).as_bytes());
        (0..100).map(move |number| (point(number), index))
    });
    let points: std::collections::BTreeSet<_> = points.collect();
    let found = points.range((hash, 0)..).next().or(points.first()).unwrap();
    nodes[found.1].name().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pymemcache_picks_what_a_naive_one_picks(count in 2usize..12, keys: Vec<String>) {
        let router = Preset::Pymemcache.topology(nodes(count)).unwrap().router();
        for key in keys {
            let node = router.node(router.node_for_key(key.as_bytes()).unwrap());
            prop_assert_eq!(node.name(), naive_pymemcache(router.nodes(), &key), "{:?}", key);
        }
    }

    #[test]
    fn libmemcached_picks_what_a_naive_one_picks(count in 2usize..12, keys: Vec<Vec<u8>>) {
        let router = Preset::LibmemcachedConsistent.topology(nodes(count)).unwrap().router();
        for key in keys {
            let node = router.node(router.node_for_key(&key).unwrap());
            let naive = naive_consistent(router.nodes(), router.hash_of_key(&key));
            prop_assert_eq!(node.name(), naive, "{:?}", key);
        }
    }

    #[test]
    fn many_keys_are_routed_like_one(keys: Vec<Vec<u8>>, count in 1usize..8, preset in 0usize..9) {
        let router = Preset::ALL[preset].topology(nodes(count)).unwrap().router();
        let mut routed = vec![None; keys.len()];
        router.route_many(keys.iter().map(Vec::as_slice), |index, node| routed[index] = Some(node));
        let alone: Vec<_> = keys.iter().map(|key| Some(router.route(key))).collect();
        prop_assert_eq!(routed, alone);
    }
}
