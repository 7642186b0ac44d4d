//! Ketama as nutcracker has it (0.5.0 `nc_ketama.c`), which is libmemcached's weighted ketama.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use super::NodeSet;
use super::Point;
use super::Ring;
use super::RingNode;
use super::buckets::Buckets;
use crate::hash::md5_digest;
use crate::node::NodeId;

/// `KETAMA_POINTS_PER_SERVER`.
const POINTS_PER_NODE: f32 = 160.0;
/// `KETAMA_POINTS_PER_HASH`: an MD5 digest gives this many points.
const POINTS_PER_DIGEST: f32 = 4.0;
/// `KETAMA_MAX_HOSTLEN` less the final NUL: `snprintf` cuts "name-number" here.
const LABEL_LIMIT: usize = 272;

/// Points on a circle of 2^32; a hash belongs to the first point not below it.
pub(super) struct KetamaRing {
    points: Vec<Point>,
    buckets: Buckets,
}

impl KetamaRing {
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        Self::first_wins(weighted_points(nodes))
    }

    /// Of equal points the one that comes first owns the hash, as glibc's `qsort` leaves them.
    pub(super) fn first_wins(mut points: Vec<Point>) -> Self {
        points.sort_by_key(|point| point.hash());
        Self::from_points(points)
    }

    /// Of equal points the one that comes last owns the hash, as in a map that is written to.
    pub(super) fn last_wins(mut points: Vec<Point>) -> Self {
        points.reverse();
        Self::first_wins(points)
    }

    /// `points` are in ascending order and not empty.
    pub(super) fn from_points(points: Vec<Point>) -> Self {
        let buckets = Buckets::new(&points);
        Self { points, buckets }
    }
}

/// The points of every node, as many as its weight gives it, in the order of `nodes`.
pub(super) fn weighted_points(nodes: &[RingNode]) -> Vec<Point> {
    let total: u32 = nodes.iter().fold(0, |sum, node| sum.wrapping_add(node.weight().as_u32()));
    let mut points = Vec::with_capacity(nodes.len() * POINTS_PER_NODE as usize);
    for node in nodes {
        let digests = digest_count(node.weight().as_u32(), total, nodes.len());
        add_digests(&mut points, node, digests);
    }
    points
}

/// Four points for each of `count` digests of "name-number".
pub(super) fn add_digests(points: &mut Vec<Point>, node: &RingNode, count: u32) {
    let mut label = Vec::with_capacity(LABEL_LIMIT);
    for number in 0..count {
        label.clear();
        write!(label, "{}-{number}", node.name()).expect("a Vec takes any bytes");
        label.truncate(LABEL_LIMIT);
        points.extend(md5_digest(&label).map(|hash| Point::new(hash, node.id())));
    }
}

/// How many digests a node of `weight` gets, in single precision and in nutcracker's order of
/// operations: `floorf(pct * 160 / 4 * nlive + 1e-10)`, where only the last addition is double.
fn digest_count(weight: u32, total: u32, nodes: usize) -> u32 {
    let share = weight as f32 / total as f32;
    let digests = share * POINTS_PER_NODE / POINTS_PER_DIGEST * nodes as f32;
    ((f64::from(digests) + 1e-10) as f32).floor() as u32
}

impl Ring for KetamaRing {
    #[inline]
    fn pick(&self, hash: u32) -> NodeId {
        self.buckets.pick(&self.points, hash)
    }

    fn without(&self, ejected: &NodeSet) -> Option<Arc<dyn Ring>> {
        let points: Vec<_> =
            self.points.iter().copied().filter(|point| !ejected.contains(point.node())).collect();
        (!points.is_empty()).then(|| Arc::new(Self::from_points(points)) as Arc<dyn Ring>)
    }

    fn points(&self) -> &[Point] {
        &self.points
    }
}

impl fmt::Debug for KetamaRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KetamaRing").field("points", &self.points.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(weights: &[u32]) -> Vec<u32> {
        let total = weights.iter().sum();
        weights.iter().map(|&weight| 4 * digest_count(weight, total, weights.len())).collect()
    }

    #[test]
    fn points_are_counted_in_single_precision() {
        // nutcracker.md 3.2.
        assert_eq!(points(&[5, 1, 2]), [300, 60, 120]);
        assert_eq!(points(&[1, 1, 2, 3, 5, 8, 13]), [32, 32, 64, 100, 168, 268, 440]);
        assert_eq!(points(&[3, 1, 2, 1, 1, 4]), [240, 80, 160, 80, 80, 320]);
        assert_eq!(points(&[100_000, 1]), [316, 0]);
    }

    #[test]
    fn equal_weights_give_156_points_at_some_sizes() {
        let short: Vec<usize> =
            (1..=200).filter(|&nodes| points(&vec![1; nodes])[0] == 156).collect();
        assert_eq!(
            short,
            [
                25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122, 142, 159, 163, 188, 193,
                200
            ]
        );
        let below_2000 = (1..2000).filter(|&nodes| points(&vec![1; nodes])[0] == 156).count();
        assert_eq!(below_2000, 207);
    }
}
