//! From a hash to a node: the rings alone.

use std::sync::Arc;

use shardwright::DistributionKind;
use shardwright::Ring;

use super::List;
use super::inputs::SIZES;
use super::inputs::hashes;
use super::inputs::topology;

pub(super) fn add_to(list: &mut List<'_>) {
    for count in SIZES {
        let ketama = move || ring(DistributionKind::Ketama, count);
        list.add_pair(format!("pick/ketama/{count}"), || {
            (hashes(), pick(ketama()), binary_search(ketama()))
        });
        list.add_pair(format!("pick/binary_search/{count}"), || {
            (hashes(), binary_search(ketama()), pick(ketama()))
        });
        list.add_pair(format!("pick/modula/{count}"), || {
            let modulo = move |hash: &u32| hash % count as u32;
            (hashes(), pick(ring(DistributionKind::Modula, count)), modulo)
        });
        for kind in [DistributionKind::Rendezvous, DistributionKind::Jump] {
            list.add_pair(format!("pick/{kind}/{count}"), || {
                (hashes(), pick(ring(kind, count)), pick(ring(kind, count)))
            });
        }
    }
}

fn pick(ring: Arc<dyn Ring>) -> impl Fn(&u32) -> u32 + Clone {
    move |hash| ring.pick(*hash).index() as u32
}

/// What ketama would cost without its buckets, and what it has to answer.
pub(super) fn binary_search(ring: Arc<dyn Ring>) -> impl Fn(&u32) -> u32 + Clone {
    move |hash| {
        let points = ring.points();
        let below = points.partition_point(|point| point.hash() < *hash);
        points.get(below).unwrap_or(&points[0]).node().index() as u32
    }
}

fn ring(kind: DistributionKind, count: usize) -> Arc<dyn Ring> {
    let router = topology(count).with_distribution(kind).router();
    Arc::clone(router.ring().expect("nothing is ejected"))
}
