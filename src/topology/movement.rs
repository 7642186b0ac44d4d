//! Which share of the hash space moves when a topology changes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Router;
use crate::distribution::Point;

/// Which share of the hash space moves when a topology changes, and from which node to which.
///
/// Shares are of the 2^32 hashes, all nodes being live. How many *keys* that is depends on how evenly
/// the hash function spreads them. Between two topologies that hash differently, or one of which picks
/// by key and not by hash, it is the share of 65,536 decimal numbers as keys: what differs for other
/// keys only (a hash tag, bytes from 0x80 on) is not seen. Between two `random` ones nothing moves, since every node has every key there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movement {
    moves: Vec<Move>,
}

/// The share that moves from one node to another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Move {
    /// Name of the node that owned the hashes.
    pub from: Arc<str>,
    /// Name of the node that owns them now.
    pub to: Arc<str>,
    /// Their share of all hashes, 0 to 1.
    pub share: f64,
}

/// How many hashes are tried where arcs cannot be measured.
const SAMPLES: u32 = 1 << 16;

impl Movement {
    /// The moves, greatest share first.
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// The share of all hashes that move, 0 to 1.
    pub fn share(&self) -> f64 {
        // An empty `sum` of floats is -0.0, which would be printed.
        self.moves.iter().fold(0.0, |sum, step| sum + step.share)
    }

    pub(super) fn between(before: &Router, after: &Router) -> Self {
        let is_random = |router: &Router| router.full_ring().serves_all_keys();
        if is_random(before) && is_random(after) {
            return Self::default();
        }
        let mut shares: BTreeMap<(&Arc<str>, &Arc<str>), f64> = BTreeMap::new();
        let mut count = |from, to, share: f64| {
            let from = before.node(from).shared_name();
            let to = after.node(to).shared_name();
            if from != to && share > 0.0 {
                *shares.entry((from, to)).or_default() += share;
            }
        };
        let by_key = |router: &Router| router.full_ring().picks_by_key();
        let hashes_alike =
            !by_key(before) && !by_key(after) && before.topology().hashes_like(after.topology());
        let (old, new) = (before.full_ring().points(), after.full_ring().points());
        if hashes_alike && !old.is_empty() && !new.is_empty() {
            for arc in arcs(old, new) {
                count(before.owner(arc.last), after.owner(arc.last), arc.share());
            }
        } else {
            for number in 0..SAMPLES {
                let share = 1.0 / f64::from(SAMPLES);
                let hash = number.wrapping_mul(0x9e37_79b9);
                if hashes_alike {
                    count(before.owner(hash), after.owner(hash), share);
                } else {
                    // One hash here says nothing about the hash there: ask for keys.
                    let key = hash.to_string();
                    let key = key.as_bytes();
                    count(before.owner_of_key(key), after.owner_of_key(key), share);
                }
            }
        }
        let mut moves: Vec<_> = shares
            .into_iter()
            .map(|((from, to), share)| Move { from: from.clone(), to: to.clone(), share })
            .collect();
        moves.sort_by(|a, b| b.share.total_cmp(&a.share));
        Self { moves }
    }
}

/// Hashes `first..=last`, owned by one node before and by one node after.
struct Arc32 {
    first: u32,
    last: u32,
}

impl Arc32 {
    fn share(&self) -> f64 {
        (f64::from(self.last) - f64::from(self.first) + 1.0) / 4_294_967_296.0
    }
}

fn arcs(old: &[Point], new: &[Point]) -> Vec<Arc32> {
    let mut ends: Vec<u32> = old.iter().chain(new).map(|point| point.hash()).collect();
    ends.push(u32::MAX);
    ends.sort_unstable();
    ends.dedup();
    let mut first = 0;
    let mut arcs = Vec::with_capacity(ends.len());
    for last in ends {
        arcs.push(Arc32 { first, last });
        first = last.wrapping_add(1);
    }
    arcs
}

impl fmt::Display for Movement {
    /// The share in percent, and the moves a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} % of the hash space moves", 100.0 * self.share())?;
        for step in &self.moves {
            write!(f, "\n  {:.2} % from {} to {}", 100.0 * step.share, step.from, step.to)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::distribution::DistributionKind;
    use crate::hash::HashKind;
    use crate::node::Node;
    use crate::topology::Topology;

    fn topology(count: usize) -> Topology {
        let nodes =
            (0..count).map(|index| format!("10.0.0.{index}:6379:1").parse::<Node>().unwrap());
        Topology::new(nodes).unwrap()
    }

    #[test]
    fn nothing_moves_between_equal_topologies() {
        let movement = topology(3).movement_to(&topology(3));
        assert_eq!(movement.to_string(), "0.00 % of the hash space moves");
    }

    #[test]
    fn nothing_moves_where_every_node_serves_every_key() {
        let random = topology(3).with_distribution(DistributionKind::Random);
        let more = topology(5).with_distribution(DistributionKind::Random);
        assert_eq!(random.movement_to(&more).moves(), []);
        assert!(random.movement_to(&topology(3)).share() > 0.5);
    }

    /// Two of them have the same name and place keys differently.
    #[derive(Debug)]
    struct Seeded(u32);

    impl crate::hash::HashFn for Seeded {
        fn hash(&self, key: &[u8]) -> u32 {
            (HashKind::Fnv1a64.hash(key) ^ self.0).wrapping_mul(0x9e37_79b9)
        }

        fn name(&self) -> &str {
            "seeded"
        }
    }

    #[test]
    fn hashes_are_compared_by_what_they_do() {
        let seeded = |seed| topology(4).with_hash(Seeded(seed));
        assert_eq!(seeded(1).movement_to(&seeded(1)).share(), 0.0);
        assert!(seeded(1).movement_to(&seeded(2)).share() > 0.6);
    }

    #[test]
    fn an_added_node_takes_about_its_share_and_only_to_itself() {
        for kind in [DistributionKind::Ketama, DistributionKind::Rendezvous, DistributionKind::Jump]
        {
            let before = topology(4).with_distribution(kind);
            let after = topology(5).with_distribution(kind);
            let movement = before.movement_to(&after);
            assert!((0.15..0.25).contains(&movement.share()), "{kind}: {}", movement.share());
            assert!(movement.moves().iter().all(|step| &*step.to == "10.0.0.4:6379"), "{kind}");
            assert_eq!(movement.moves().len(), 4);
        }
    }

    #[test]
    fn measured_arcs_agree_with_counted_keys() {
        let (before, after) = (topology(4), topology(7));
        let exact = before.movement_to(&after).share();
        let (old, new) = (before.router(), after.router());
        let moved = (0..20_000u32)
            .map(|number| number.wrapping_mul(0x9e37_79b9))
            .filter(|&hash| old.node(old.owner(hash)).name() != new.node(new.owner(hash)).name());
        let counted = moved.count() as f64 / 20_000.0;
        assert!((exact - counted).abs() < 0.01, "{exact} measured, {counted} counted");
    }

    #[test]
    fn another_hash_moves_most_keys() {
        let before = topology(4);
        let after = topology(4).with_hash(HashKind::Md5);
        let share = before.movement_to(&after).share();
        assert!((0.6..0.9).contains(&share), "{share}");
        let text = before.movement_to(&after).to_string();
        assert!(text.contains("% of the hash space moves\n  "), "{text}");
    }
}
