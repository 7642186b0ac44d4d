//! Probes: what brings an ejected node back.

use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use super::clock;
use super::shared::Shared;
use crate::topology::Member;

/// How a node is asked whether it is back.
pub(crate) trait Probe: PartialEq + Send + Sync + 'static {
    /// Whether a new connection to it can be made, and what is asked first is answered, within `limit`.
    fn answers(&self, limit: Duration) -> bool;
}

/// How long that may take.
pub(crate) trait ProbeLimit: Send + Sync + 'static {
    fn probe_limit(&self) -> Duration;
}

/// How long it may take if nothing else is bounded.
pub(crate) const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Ends the waiting of threads.
#[derive(Debug, Default)]
pub(super) struct Stop {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn now(&self) {
        *self.is_over.lock() = true;
        self.changed.notify_all();
    }

    /// Waits until `until`; true if it is over before.
    fn wait_until(&self, until: Instant) -> bool {
        let mut is_over = self.is_over.lock();
        while !*is_over && !self.changed.wait_until(&mut is_over, until).timed_out() {}
        *is_over
    }
}

/// Starts the thread that probes `member` until it is back, or gone from the topology, or the client is
/// dropped.
///
/// A thread a node, and only while the node is out: no request pays for a probe, and a node that hangs
/// delays the probes of no other.
pub(super) fn spawn<E: Probe, O: ProbeLimit>(
    shared: &Arc<Shared<E, O>>,
    member: &Arc<Member<E>>,
    stop: &Arc<Stop>,
) -> io::Result<()> {
    let (shared, member, stop) = (Arc::downgrade(shared), Arc::clone(member), Arc::clone(stop));
    let name = "shardwright-probe".to_owned();
    thread::Builder::new().name(name).spawn(move || run(&shared, &member, &stop)).map(drop)
}

fn run<E: Probe, O: ProbeLimit>(shared: &Weak<Shared<E, O>>, member: &Member<E>, stop: &Stop) {
    while let Some(due) = upgrade(shared, |shared| shared.topology.probe_due(member)) {
        if stop.wait_until(due) {
            return;
        }
        let claimed = upgrade(shared, |shared| {
            let event = shared.topology.begin_probe(member, clock::now())?;
            shared.report(&event);
            Some(shared.options.probe_limit())
        });
        let Some(limit) = claimed else { continue };
        // The client may be dropped meanwhile; it does not wait for us.
        let is_back = member.endpoint().answers(limit);
        upgrade(shared, |shared| {
            let event = shared.topology.end_probe(member, is_back, clock::now())?;
            shared.report(&event);
            Some(())
        });
    }
}

fn upgrade<E, O, T>(
    shared: &Weak<Shared<E, O>>,
    use_it: impl FnOnce(&Shared<E, O>) -> Option<T>,
) -> Option<T> {
    use_it(&*shared.upgrade()?)
}
