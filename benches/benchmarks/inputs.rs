//! Keys, hashes and topologies that the benchmarks share.

use std::rc::Rc;

use shardwright::Node;
use shardwright::Topology;

/// How many keys or hashes a pass goes through: too many for a branch predictor to learn by heart, few
/// enough to stay in the second-level cache.
pub(super) const COUNT: usize = 16_384;

/// How many nodes the topologies have.
pub(super) const SIZES: [usize; 3] = [4, 10, 100];

pub(super) type Key = [u8; 20];

/// Keys that differ in ten digits. The digits do not count up: `fnv1a_64` keeps keys together that
/// differ only at the end.
pub(super) fn keys() -> Rc<[Key]> {
    let key = |number| format!("bench:key:{number:010}").into_bytes().try_into();
    hashes().iter().map(|number| key(number).expect("ten characters and ten digits")).collect()
}

/// Numbers from all over the 32 bits, without a pattern (SplitMix64).
pub(super) fn hashes() -> Rc<[u32]> {
    let mix = |number: u64| {
        let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number >> 32) as u32
    };
    (1..=COUNT as u64).map(mix).collect()
}

/// `count` nodes of weight 1 under nutcracker's defaults.
pub(super) fn topology(count: usize) -> Topology {
    let nodes = (0..count).map(|index| format!("10.0.0.{index}:6379:1").parse::<Node>());
    Topology::new(nodes.map(|node| node.expect("the line is that of a node")))
        .expect("a topology can have so many nodes")
}
