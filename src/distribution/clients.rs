//! The rings of memcached clients that are not nutcracker's.

use std::sync::Arc;

use super::Distribution;
use super::NodeOrder;
use super::NodeSet;
use super::Point;
use super::Ring;
use super::RingNode;
use super::dalli::DalliRing;
use super::ketama::KetamaRing;
use super::ketama::add_digests;
use super::ketama::weighted_points;
use super::live;
use super::modula::ModulaRing;
use super::pymemcache::PymemcacheRing;
use crate::hash::HashFn;
use crate::hash::HashKind;
use crate::node::Weight;

/// A distribution of a client; [`Preset`](crate::Preset) says which is whose.
#[derive(Clone, Debug)]
pub(crate) enum ClientDistribution {
    /// The hash modulo the number of nodes, weights ignored.
    Modula,
    /// libmemcached 1.1.4 `hosts.cc` `update_continuum` for the consistent distributions; the points are
    /// made with the key hash.
    Libmemcached(Arc<dyn HashFn>),
    /// spymemcached 2.12 `KetamaNodeLocator`; points may be made with the key hash.
    Spymemcached(Arc<dyn HashFn>),
    Dalli,
    Pymemcache,
}

/// libmemcached's `MEMCACHED_POINTS_PER_SERVER`.
const LIBMEMCACHED_POINTS: u32 = 100;
/// spymemcached's `DefaultKetamaNodeLocatorConfiguration.numReps`.
const SPYMEMCACHED_POINTS: u32 = 160;

impl Distribution for ClientDistribution {
    fn build(&self, nodes: &[RingNode]) -> Arc<dyn Ring> {
        self.build_over(nodes, is_weighted(nodes))
    }

    /// A ring with weights stays one when the nodes that are left weigh alike.
    fn rebuild(&self, nodes: &[RingNode], ejected: &NodeSet) -> Arc<dyn Ring> {
        self.build_over(&live(nodes, ejected), is_weighted(nodes))
    }

    fn name(&self) -> &str {
        match self {
            Self::Modula => "modula without weights",
            Self::Libmemcached(_) => "libmemcached's consistent",
            Self::Spymemcached(_) => "spymemcached's ketama",
            Self::Dalli => "dalli",
            Self::Pymemcache => "pymemcache",
        }
    }

    fn node_order(&self) -> NodeOrder {
        NodeOrder::AsListed
    }
}

impl ClientDistribution {
    fn build_over(&self, nodes: &[RingNode], is_weighted: bool) -> Arc<dyn Ring> {
        match self {
            Self::Modula => Arc::new(ModulaRing::new(&unweighted(nodes))),
            Self::Libmemcached(_) if is_weighted => Arc::new(KetamaRing::new(nodes)),
            Self::Libmemcached(hash) => {
                let points = hashed_points(nodes, hash, LIBMEMCACHED_POINTS);
                Arc::new(KetamaRing::first_wins(points))
            }
            Self::Spymemcached(hash) => {
                let points = spymemcached_points(nodes, hash, is_weighted);
                Arc::new(KetamaRing::last_wins(points))
            }
            Self::Dalli => Arc::new(DalliRing::new(nodes)),
            Self::Pymemcache => Arc::new(PymemcacheRing::new(nodes)),
        }
    }
}

/// Whether weights were given at all: a weight of 1 is none.
fn is_weighted(nodes: &[RingNode]) -> bool {
    nodes.iter().any(|node| node.weight() != Weight::ONE)
}

fn unweighted(nodes: &[RingNode]) -> Vec<RingNode> {
    nodes.iter().map(|node| RingNode { weight: Weight::ONE, ..node.clone() }).collect()
}

/// `count` points a node, each the hash of "name-number".
fn hashed_points(nodes: &[RingNode], hash: &dyn HashFn, count: u32) -> Vec<Point> {
    let of_node = |node: &RingNode| -> Vec<_> {
        let label = |number| format!("{}-{number}", node.name());
        (0..count)
            .map(|number| Point::new(hash.hash(label(number).as_bytes()), node.id()))
            .collect()
    };
    nodes.iter().flat_map(of_node).collect()
}

/// `setKetamaNodes`: weights want MD5; without them `KETAMA_HASH` gives four points a digest, and any
/// other hash one a number.
fn spymemcached_points(nodes: &[RingNode], hash: &dyn HashFn, is_weighted: bool) -> Vec<Point> {
    if is_weighted {
        return weighted_points(nodes);
    }
    if !is_md5(hash) {
        return hashed_points(nodes, hash, SPYMEMCACHED_POINTS);
    }
    let mut points = Vec::with_capacity(nodes.len() * SPYMEMCACHED_POINTS as usize);
    for node in nodes {
        add_digests(&mut points, node, SPYMEMCACHED_POINTS / 4);
    }
    points
}

/// A hash is known by what it does; its name is for people.
fn is_md5(hash: &dyn HashFn) -> bool {
    [b"a", b"b", b"c"].into_iter().all(|key| hash.hash(key) == HashKind::Md5.hash(key))
}
