//! Lookup in sorted points in constant time.

use super::Point;
use crate::node::NodeId;

/// Divides the hashes into equal buckets and remembers where each bucket begins among the points.
///
/// ```text
/// hashes   0 ........|.........|.........|......... 2^32
/// points      a b         c                 a
/// buckets  search a   search c  node a     search a     (four buckets, each an entry)
/// ```
///
/// A bucket that no point divides belongs to one node as a whole, and its entry is that node: one
/// memory access. In another bucket the points from the entry on are scanned. There are at least four
/// buckets a point, so that most lookups take the first way and few scan more than one point: the
/// cost does not grow with the number of nodes.
pub(super) struct Buckets {
    entries: Vec<Entry>,
    shift: u32,
}

#[derive(Clone, Copy)]
struct Entry(u32);

const DIRECT: u32 = 1 << 31;

enum Found {
    Node(NodeId),
    From(usize),
}

impl Entry {
    fn node(node: NodeId) -> Self {
        Self(DIRECT | u32::from(node.as_raw()))
    }

    fn from(index: usize) -> Self {
        // 2^31 points would need 13 million nodes.
        Self(index as u32 & !DIRECT)
    }

    #[inline]
    fn read(self) -> Found {
        if self.0 & DIRECT != 0 {
            Found::Node(NodeId::from_raw(self.0 as u16))
        } else {
            Found::From(self.0 as usize)
        }
    }
}

const LEAST_BITS: u32 = 8;
const MOST_BITS: u32 = 20;

impl Buckets {
    /// Buckets over `points`, which are in ascending order and not empty.
    pub(super) fn new(points: &[Point]) -> Self {
        let wanted = (points.len() * 4).next_power_of_two().trailing_zeros();
        let bits = wanted.clamp(LEAST_BITS, MOST_BITS);
        let shift = 32 - bits;
        let mut entries = Vec::with_capacity(1 << bits);
        let mut next = 0;
        for bucket in 0..1u64 << bits {
            let start = bucket << shift;
            let end = (bucket + 1) << shift;
            while points.get(next).is_some_and(|point| u64::from(point.hash()) < start) {
                next += 1;
            }
            // A point on the last hash of the bucket owns all of it.
            let divided = points.get(next).is_some_and(|point| u64::from(point.hash()) < end - 1);
            entries.push(if divided {
                Entry::from(next)
            } else {
                Entry::node(points.get(next).unwrap_or(&points[0]).node())
            });
        }
        Self { entries, shift }
    }

    /// The node of the first of `points` not below `hash`, or of the first of all.
    ///
    /// `points` are those the buckets were made for.
    #[inline]
    pub(super) fn pick(&self, points: &[Point], hash: u32) -> NodeId {
        match self.entries[(hash >> self.shift) as usize].read() {
            Found::Node(node) => node,
            Found::From(start) => scan(points, start, hash),
        }
    }
}

/// How many points are looked at one by one before halving the rest.
const SCANNED: usize = 8;

#[inline]
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
