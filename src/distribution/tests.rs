//! Properties that all distributions share.

use std::collections::HashMap;
use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn ring_nodes(names: &[(String, u32)]) -> Vec<RingNode> {
    names
        .iter()
        .enumerate()
        .map(|(index, (name, weight))| {
            let node = Node::new(crate::node::Address::tcp("h", 1))
                .with_name(name.as_str())
                .unwrap()
                .with_weight(Weight::new(*weight).unwrap());
            RingNode::new(NodeId::new(index).unwrap(), &node)
        })
        .collect()
}

fn hashes() -> impl Iterator<Item = u32> {
    (0..4000).map(|number| mix::mix(number) as u32)
}

fn named(count: usize) -> Vec<(String, u32)> {
    (0..count).map(|index| (format!("node{index}"), 1 + index as u32 % 3)).collect()
}

fn id(index: usize) -> NodeId {
    NodeId::new(index).unwrap()
}

/// The node that comes.
const NEW: &str = "new";

/// Equal ones and others.
fn weights() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        (1usize..60, 1u32..9).prop_map(|(count, weight)| vec![weight; count]),
        prop::collection::vec(1u32..9, 1..20),
    ]
}

fn with_node(names: &[(String, u32)], place: usize, weight: u32) -> Vec<(String, u32)> {
    let mut names = names.to_vec();
    names.insert(place, (NEW.into(), weight));
    names
}

fn points_by_name<'n>(
    ring: &Arc<dyn Ring>,
    names: &'n [(String, u32)],
) -> HashMap<&'n str, HashSet<u32>> {
    let mut points: HashMap<_, HashSet<_>> =
        names.iter().map(|(name, _)| (name.as_str(), HashSet::new())).collect();
    for point in ring.points() {
        points.entry(names[point.node().index()].0.as_str()).or_default().insert(point.hash());
    }
    points
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_node_that_comes_takes_keys_only_to_itself(
        weights in weights(),
        weight in 1u32..9,
        place: prop::sample::Index,
    ) {
        let old: Vec<_> = weights.iter().zip(0..).map(|(w, n)| (format!("node{n}"), *w)).collect();
        let place = place.index(old.len() + 1);
        // Jump numbers its slots in the order of the nodes, so only a node behind all others adds some.
        for (kind, place) in
            [(DistributionKind::Rendezvous, place), (DistributionKind::Jump, old.len())]
        {
            let new = with_node(&old, place, weight);
            let (before, after) = (kind.build(&ring_nodes(&old)), kind.build(&ring_nodes(&new)));
            for hash in hashes() {
                let (was, is) = (before.pick(hash).index(), after.pick(hash).index());
                let (was, is) = (&old[was].0, &new[is].0);
                prop_assert!(was == is || is == NEW, "{kind}: {hash} moved from {was} to {is}");
            }
        }
    }

    /// The points of a node are those of its name, as many as its share of the weights gives it
    /// (nutcracker.md 3.2). A node that comes changes the shares, and with them how many points the
    /// others have: with equal weights only where single precision rounds otherwise, with unequal ones
    /// nearly always. A point that vanishes, or that an old node gains, moves keys between old nodes;
    /// nothing else does.
    #[test]
    fn a_node_that_comes_to_ketama_moves_other_keys_only_where_points_come_or_go(
        weights in weights(),
        weight in 1u32..9,
        place: prop::sample::Index,
    ) {
        let old: Vec<_> = weights.iter().zip(0..).map(|(w, n)| (format!("node{n}"), *w)).collect();
        let new = with_node(&old, place.index(old.len() + 1), weight);
        let kind = DistributionKind::Ketama;
        let (before, after) = (kind.build(&ring_nodes(&old)), kind.build(&ring_nodes(&new)));
        let (had, has) = (points_by_name(&before, &old), points_by_name(&after, &new));
        for (name, had) in &had {
            let has = &has[name];
            prop_assert!(had.is_subset(has) || has.is_subset(had), "{name} has other points");
        }
        for hash in hashes() {
            let (was, is) = (before.pick(hash).index(), after.pick(hash).index());
            let (was, is) = (old[was].0.as_str(), new[is].0.as_str());
            let is_explained = was == is
                || is == NEW
                || has[was].len() < had[was].len()
                || has[is].len() > had[is].len();
            prop_assert!(is_explained, "{hash} moved from {was} to {is}");
        }
    }

    #[test]
    fn without_a_node_only_its_own_keys_move(
        count in 2usize..20,
        out in prop::collection::btree_set(0usize..20, 1..10),
    ) {
        let nodes = ring_nodes(&named(count));
        let ejected: NodeSet = out.into_iter().filter(|&index| index < count).map(id).collect();
        prop_assume!(ejected.len() < count);
        let ids: Vec<_> = nodes.iter().map(RingNode::id).collect();
        for kind in DistributionKind::ALL {
            let ring = kind.build(&nodes);
            let rest = reroute(&ring, &ids, &ejected);
            for hash in hashes() {
                let is = rest.pick(hash);
                prop_assert!(!ejected.contains(is), "{kind}");
                if kind != DistributionKind::Random {
                    let was = ring.pick(hash);
                    prop_assert!(was == is || ejected.contains(was), "{kind}: {hash}");
                }
            }
        }
    }
}

#[test]
fn ketama_keeps_all_points_where_the_shares_stay() {
    let kind = DistributionKind::Ketama;
    let moved = |weights: &[u32], weight| {
        let old: Vec<_> = weights.iter().zip(0..).map(|(w, n)| (format!("node{n}"), *w)).collect();
        let new = with_node(&old, old.len(), weight);
        let (before, after) = (kind.build(&ring_nodes(&old)), kind.build(&ring_nodes(&new)));
        let between_old = |&hash: &u32| {
            let (was, is) = (before.pick(hash), after.pick(hash));
            was != is && is != id(old.len())
        };
        hashes().filter(between_old).count()
    };
    // A node of the mean weight leaves the shares as they are.
    assert_eq!(moved(&[1, 1, 1, 1], 1), 0);
    assert_eq!(moved(&[1, 2, 3], 2), 0);
    // The 25th node of equal ones takes four points from each (nutcracker.md 3.2).
    assert_ne!(moved(&[1; 24], 1), 0);
    assert_ne!(moved(&[1, 2, 3], 1), 0);
}

#[test]
fn shares_follow_the_weights() {
    let nodes = ring_nodes(&[("a".into(), 1), ("b".into(), 2), ("c".into(), 5)]);
    for kind in [DistributionKind::Modula, DistributionKind::Rendezvous, DistributionKind::Jump] {
        let ring = kind.build(&nodes);
        let mut counts: HashMap<NodeId, f64> = HashMap::new();
        let all = 80_000;
        for number in 0..all {
            *counts.entry(ring.pick(mix::mix(number) as u32)).or_default() += 1.0;
        }
        for (index, share) in [(0, 0.125), (1, 0.25), (2, 0.625)] {
            let measured = counts[&id(index)] / all as f64;
            assert!((measured - share).abs() < 0.01, "{kind}: node {index} has {measured}");
        }
    }
}

#[test]
fn random_ignores_weights_and_hashes() {
    let ring = DistributionKind::Random.build(&ring_nodes(&[("a".into(), 9), ("b".into(), 1)]));
    let first = (0..10_000).filter(|_| ring.pick(7) == id(0)).count();
    assert!((4_700..5_300).contains(&first), "{first} of 10000 to the heavy node");
}
