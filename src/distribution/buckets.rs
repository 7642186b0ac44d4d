//! Lookup in sorted points in constant time.

use std::hint::select_unpredictable;

use super::Point;
use crate::node::NodeId;

/// Divides the hashes into equal buckets and remembers who owns each.
///
/// ```text
/// hashes   0 ........|.........|.........|........ 2^32
/// points      a   b      c                    d
/// buckets  crowded    c then d     d      d then a
/// ```
///
/// A bucket with one point in it has two owners, one up to the point and one behind it; a bucket with
/// none has one. Both are answered from the bucket alone and without a branch: where a hash falls
/// cannot be predicted, and a wrong guess throws away what the processor has begun for the next keys.
/// Only in a crowded bucket the points are scanned. There are at least two buckets a point up to
/// 2^19 points, which are some 3,000 nodes, so that
/// few are crowded, and the cost does not grow with the number of nodes.
pub(super) struct Buckets {
    buckets: Vec<Bucket>,
    shift: u32,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// The last hash that belongs to `first`; in a crowded bucket, the point to scan from.
    limit: u32,
    first: NodeId,
    second: NodeId,
}

/// `first` of a crowded bucket: no node has this id.
const CROWDED: u16 = u16::MAX;

impl Bucket {
    /// The bucket whose last hash is `last`; `next` is the first of `points` that is not before it.
    fn new(points: &[Point], next: usize, last: u32) -> Self {
        let owner = |index: usize| points.get(index).unwrap_or(&points[0]).node();
        let limit = points.get(next).map_or(last, |point| point.hash().min(last));
        // Of equal points the first owns the hash, and the others own nothing.
        let passed = points[next..].iter().take_while(|point| point.hash() <= limit).count();
        let behind = next + passed;
        if points.get(behind).is_some_and(|point| point.hash() < last) {
            let start = u32::try_from(next).expect("2^32 points would need 27 million nodes");
            return Self { limit: start, first: NodeId::from_raw(CROWDED), second: owner(next) };
        }
        Self { limit, first: owner(next), second: owner(behind) }
    }
}

/// 32 KiB of buckets, enough for a dozen nodes.
const LEAST_BITS: u32 = 12;
const MOST_BITS: u32 = 20;

impl Buckets {
    /// Buckets over `points`, which are in ascending order and not empty.
    pub(super) fn new(points: &[Point]) -> Self {
        let wanted = (points.len() * 2).next_power_of_two().trailing_zeros();
        let bits = wanted.clamp(LEAST_BITS, MOST_BITS);
        let shift = 32 - bits;
        let mut next = 0;
        let buckets = (0..1u32 << bits).map(|bucket| {
            let first = bucket << shift;
            while points.get(next).is_some_and(|point| point.hash() < first) {
                next += 1;
            }
            Bucket::new(points, next, first | (u32::MAX >> bits))
        });
        Self { buckets: buckets.collect(), shift }
    }

    /// The node of the first of `points` not below `hash`, or of the first of all.
    ///
    /// `points` are those the buckets were made for.
    #[inline]
    pub(super) fn pick(&self, points: &[Point], hash: u32) -> NodeId {
        let bucket = self.buckets[(hash >> self.shift) as usize];
        if bucket.first.as_raw() == CROWDED {
            return scan(points, bucket.limit as usize, hash);
        }
        select_unpredictable(hash <= bucket.limit, bucket.first, bucket.second)
    }
}

/// How many points are looked at one by one before halving the rest.
const SCANNED: usize = 8;

#[cold]
fn scan(points: &[Point], start: usize, hash: u32) -> NodeId {
    let rest = &points[start..];
    for point in rest.iter().take(SCANNED) {
        if point.hash() >= hash {
            return point.node();
        }
    }
    search(points, start + SCANNED, hash)
}

/// Points that crowd into a bucket: a ring's own hash may be a bad one.
#[cold]
fn search(points: &[Point], start: usize, hash: u32) -> NodeId {
    let rest = points.get(start..).unwrap_or(&[]);
    let below = rest.partition_point(|point| point.hash() < hash);
    rest.get(below).unwrap_or(&points[0]).node()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary_search(points: &[Point], hash: u32) -> NodeId {
        let below = points.partition_point(|point| point.hash() < hash);
        points.get(below).unwrap_or(&points[0]).node()
    }

    proptest::proptest! {
        #[test]
        fn buckets_pick_what_a_binary_search_picks(
            mut hashes in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::num::u32::ANY,
                    0u32..100,
                    (0u32..1 << 10).prop_map(|low| low << 22),
                    (0u32..1 << 10).prop_map(|low| u32::MAX - low),
                    // Around the ends of a few buckets.
                    (0u32..8, 0u32..4).prop_map(|(bucket, low)| (bucket << 20 | low).wrapping_sub(2)),
                ],
                1..200,
            ),
            asked: Vec<u32>,
        ) {
            hashes.sort_unstable();
            let points: Vec<_> = hashes
                .iter()
                .enumerate()
                .map(|(index, &hash)| Point::new(hash, NodeId::new(index % 7).unwrap()))
                .collect();
            let buckets = Buckets::new(&points);
            let near = hashes.iter().flat_map(|&hash| [hash.wrapping_sub(1), hash, hash.wrapping_add(1)]);
            for hash in asked.into_iter().chain(near).chain([0, u32::MAX]) {
                proptest::prop_assert_eq!(
                    buckets.pick(&points, hash),
                    binary_search(&points, hash),
                    "hash {}", hash
                );
            }
        }
    }

    use proptest::strategy::Strategy;
}
