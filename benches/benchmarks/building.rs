//! What happens when the nodes change: rings are built, and what moves is worked out.

use shardwright::DistributionKind;

use super::List;
use super::inputs::topology;

pub(super) fn add_to(list: &mut List<'_>) {
    for (kind, count, owner_of_zero) in [
        (DistributionKind::Ketama, 4, 2),
        (DistributionKind::Ketama, 100, 45),
        (DistributionKind::Modula, 100, 0),
        (DistributionKind::Rendezvous, 100, 34),
        (DistributionKind::Jump, 100, 0),
    ] {
        list.add(format!("build/{kind}/{count}"), owner_of_zero, || {
            let topology = topology(count).with_distribution(kind);
            move || {
                let router = topology.router();
                router.ring().map_or(u64::MAX, |ring| ring.pick(0).index() as u64)
            }
        });
    }
    for (count, millionths) in [(4, 195_974), (100, 32_689)] {
        list.add(format!("movement/{count}"), millionths, || {
            let (before, after) = (topology(count), topology(count + 1));
            move || (1e6 * before.movement_to(&after).share()) as u64
        });
    }
}
