//! Jump consistent hash (Lamping and Veach 2014).

use std::fmt;

use super::Ring;
use super::RingNode;
use super::modula::Slots;
use crate::node::NodeId;

/// As many slots as the weights sum up to, in the order the nodes were listed: a node appended at
/// the end takes its share from the others, and nothing moves between them.
pub(super) struct JumpRing {
    slots: Slots,
}

impl JumpRing {
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        Self { slots: Slots::new(nodes) }
    }
}

impl Ring for JumpRing {
    fn pick(&self, hash: u32) -> NodeId {
        self.slots.owner(jump(u64::from(hash), self.slots.count()))
    }
}

impl fmt::Debug for JumpRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JumpRing").field("slots", &self.slots.count()).finish_non_exhaustive()
    }
}

/// Slot of `key` among `slots`: each jump goes to the next size at which the key would move.
fn jump(mut key: u64, slots: u32) -> u32 {
    let mut slot: i64 = -1;
    let mut next: i64 = 0;
    while next < i64::from(slots) {
        slot = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((slot + 1) as f64 * ((1u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as i64;
    }
    slot as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_equals_the_c_code_of_the_paper() {
        // The function of the paper's figure 1, compiled with gcc 12.2 on x86-64.
        let slots = [1, 2, 11, 60, 1000];
        for (key, expected) in [
            (0, [0, 0, 0, 0, 0]),
            (1, [0, 0, 6, 55, 549]),
            (0xdead_beef, [0, 1, 5, 16, 285]),
            (0xffff_ffff, [0, 0, 5, 5, 875]),
            (10_863_919_174_838_991, [0, 1, 6, 21, 830]),
        ] {
            assert_eq!(slots.map(|slots| jump(key, slots)), expected, "key {key}");
        }
    }
}
