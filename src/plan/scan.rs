//! The cursor of a `SCAN` over all nodes.
//!
//! ```text
//!   63        52 51                                            0
//!   ┌───────────┬───────────────────────────────────────────────┐
//!   │ node id   │ the node's own cursor                         │
//!   └───────────┴───────────────────────────────────────────────┘
//! ```
//!
//! Nodes are scanned one after the other, each from its own cursor 0 until it answers 0 again. The
//! cursor of the whole is 0 at the beginning and at the very end, and in between it says where to go
//! on: it needs no memory on our side and survives clones of a connection and another process.

use crate::node::NodeId;
use crate::topology::Router;

/// Bits of a node's own cursor. Those of Redis and Valkey are below the size of the hash table.
const OWN_BITS: u32 = 52;

/// Where a scan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScanCursor {
    pub(crate) node: NodeId,
    /// The cursor to send to it.
    pub(crate) own: u64,
}

/// How a scan goes on from a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Scan(ScanCursor),
    /// The nodes that were left are ejected: this is the end.
    Nothing,
}

impl ScanCursor {
    /// Reads a cursor. `None` if its node does not exist, or not any more.
    ///
    /// The node may be ejected; then the scan goes on with the next live one, if there is one.
    pub(crate) fn decode(cursor: u64, router: &Router) -> Option<Next> {
        let node = NodeId::new((cursor >> OWN_BITS) as usize)?;
        if node.index() >= router.nodes().len() {
            return None;
        }
        if router.ejected().contains(node) {
            let next = next_live(node, router);
            return Some(next.map_or(Next::Nothing, |node| Next::Scan(Self { node, own: 0 })));
        }
        Some(Next::Scan(Self { node, own: cursor & ((1 << OWN_BITS) - 1) }))
    }

    /// The cursor to hand out when the node answered `own`; 0 if nothing is left to scan.
    ///
    /// `None` if it cannot be written: the node's cursor or number is too large.
    pub(crate) fn advance(self, own: u64, router: &Router) -> Option<u64> {
        let next = if own == 0 {
            match next_live(self.node, router) {
                Some(node) => Self { node, own: 0 },
                None => return Some(0),
            }
        } else {
            Self { own, ..self }
        };
        let node = next.node.index() as u64;
        let fits = next.own < 1 << OWN_BITS && node < 1 << (64 - OWN_BITS);
        fits.then_some(node << OWN_BITS | next.own)
    }
}

fn next_live(node: NodeId, router: &Router) -> Option<NodeId> {
    router.live_nodes().find(|other| *other > node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::EjectPolicy;
    use crate::topology::Topology;

    fn at(cursor: u64, router: &Router) -> ScanCursor {
        match ScanCursor::decode(cursor, router) {
            Some(Next::Scan(scan)) => scan,
            other => panic!("{cursor}: {other:?}"),
        }
    }

    #[test]
    fn ejected_nodes_are_passed_over_and_the_last_one_ends_it() {
        let nodes = (0..3).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
        let topology = Topology::new(nodes).unwrap().with_eject_policy(EjectPolicy::successor());
        let out = |node| [node].into_iter().filter_map(NodeId::new).collect();
        let router = topology.router().with_ejected(&out(1));
        assert_eq!(at(1 << 52 | 77, &router), at(2 << 52, &router));
        let router = topology.router().with_ejected(&out(2));
        assert_eq!(ScanCursor::decode(2 << 52 | 77, &router), Some(Next::Nothing));
    }

    #[test]
    fn nodes_follow_one_another_and_zero_ends_it() {
        let nodes = (0..3).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
        let router = Topology::new(nodes).unwrap().router();
        let mut cursor = 0;
        let mut asked = Vec::new();
        loop {
            let scan = at(cursor, &router);
            asked.push((scan.node.index(), scan.own));
            // Each node answers 77, then 0.
            let answer = if scan.own == 0 { 77 } else { 0 };
            cursor = scan.advance(answer, &router).unwrap();
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(asked, [(0, 0), (0, 77), (1, 0), (1, 77), (2, 0), (2, 77)]);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let nodes = (0..2).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
        let router = Topology::new(nodes).unwrap().router();
        let scan = at(0, &router);
        assert_eq!(scan.advance(1 << 52, &router), None);
        assert_eq!(ScanCursor::decode(9 << 52, &router), None);
    }
}
