//! The ring of Dalli (3 to 5, `lib/dalli/ring.rb`).

use std::fmt;
use std::sync::Arc;

use super::NodeSet;
use super::Point;
use super::Ring;
use super::RingNode;
use super::ketama::KetamaRing;
use crate::hash::sha1_start;
use crate::node::NodeId;

/// `POINTS_PER_SERVER`.
const POINTS_PER_NODE: u64 = 160;

/// Points of SHA-1 on a circle of 2^32; a hash belongs to the last point not above it.
pub(super) struct DalliRing {
    /// Where they are in Dalli, in ascending order and each hash once.
    points: Vec<Point>,
    shifted: KetamaRing,
}

impl DalliRing {
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        let total: u64 = nodes.iter().map(|node| u64::from(node.weight().as_u32())).sum();
        let mut points = Vec::with_capacity(nodes.len() * POINTS_PER_NODE as usize);
        for node in nodes {
            let share = nodes.len() as u64 * POINTS_PER_NODE * u64::from(node.weight().as_u32());
            let count = (share as f64 / total as f64).floor() as u64;
            let label = |number| format!("{}:{number}", node.name());
            let point = |number| Point::new(sha1_start(label(number).as_bytes()), node.id());
            points.extend((0..count).map(point));
        }
        points.sort_by_key(|point| point.hash());
        Self::from_points(points)
    }

    /// `points` are in ascending order and not empty.
    fn from_points(mut points: Vec<Point>) -> Self {
        // Of equal points the last is found, going down from above.
        points.reverse();
        points.dedup_by_key(|point| point.hash());
        points.reverse();
        Self { shifted: KetamaRing::from_points(shift(&points)), points }
    }
}

/// The ring that picks upwards what `points` pick downwards: a node owns what lies below the next
/// point, so its point moves to just before that one.
fn shift(points: &[Point]) -> Vec<Point> {
    let owners = points.iter().cycle().skip(points.len() - 1);
    let shifted = points.iter().zip(owners);
    let mut shifted: Vec<_> = shifted
        .map(|(next, owner)| Point::new(next.hash().wrapping_sub(1), owner.node()))
        .collect();
    // Before zero is the end.
    shifted.sort_by_key(|point| point.hash());
    shifted
}

impl Ring for DalliRing {
    #[inline]
    fn pick(&self, hash: u32) -> NodeId {
        self.shifted.pick(hash)
    }

    fn without(&self, ejected: &NodeSet) -> Option<Arc<dyn Ring>> {
        let live = self.points.iter().copied().filter(|point| !ejected.contains(point.node()));
        let points: Vec<_> = live.collect();
        (!points.is_empty()).then(|| Arc::new(Self::from_points(points)) as Arc<dyn Ring>)
    }

    fn points(&self) -> &[Point] {
        self.shifted.points()
    }
}

impl fmt::Debug for DalliRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DalliRing").field("points", &self.points.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The greatest point not above `hash`, or the last of all.
    fn naive(points: &[Point], hash: u32) -> NodeId {
        let below = points.iter().rfind(|point| point.hash() <= hash);
        below.unwrap_or(&points[points.len() - 1]).node()
    }

    proptest! {
        #[test]
        fn shifted_points_pick_what_dalli_picks(
            mut hashes in prop::collection::vec(
                prop_oneof![any::<u32>(), 0u32..9, (0u32..9).prop_map(|low| u32::MAX - low)],
                1..60,
            ),
            asked: Vec<u32>,
            out in 0usize..5,
        ) {
            hashes.sort_unstable();
            let points: Vec<_> = hashes
                .iter()
                .enumerate()
                .map(|(index, &hash)| Point::new(hash, NodeId::new(index % 5).unwrap()))
                .collect();
            let ring = DalliRing::from_points(points.clone());
            let near = hashes.iter().flat_map(|&hash| [hash.wrapping_sub(1), hash, hash.wrapping_add(1)]);
            let asked: Vec<_> = asked.into_iter().chain(near).chain([0, u32::MAX]).collect();
            for &hash in &asked {
                prop_assert_eq!(ring.pick(hash), naive(&points, hash), "hash {}", hash);
            }
            let out = NodeId::new(out).unwrap();
            let Some(rest) = ring.without(&[out].into_iter().collect()) else { return Ok(()) };
            for &hash in &asked {
                let (was, is) = (ring.pick(hash), rest.pick(hash));
                prop_assert!(is != out && (was == is || was == out), "hash {}", hash);
            }
        }
    }
}
