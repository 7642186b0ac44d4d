//! What all connections of a client share: its nodes and their health, and who is told.

use std::fmt;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

use super::clock;
use super::probe;
use super::probe::Probe;
use super::probe::ProbeLimit;
use super::probe::Stop;
use crate::health::Incident;
use crate::topology::Event;
use crate::topology::Member;
use crate::topology::SharedTopology;
use crate::topology::Topology;

/// Who is told of events.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// The topology, the options, and who is told of events. `E` is how a front end reaches a node, `O` what
/// its client was told.
pub(crate) struct Shared<E, O> {
    pub(crate) topology: SharedTopology<E>,
    pub(crate) options: O,
    listener: Option<Listener>,
    /// Ends the threads that wait to probe.
    stop: Arc<Stop>,
}

impl<E: Probe, O: ProbeLimit> Shared<E, O> {
    pub(crate) fn new(
        topology: Topology,
        endpoints: Vec<E>,
        options: O,
        listener: Option<Listener>,
    ) -> Self {
        let seed = RandomState::new().hash_one("jitter");
        Self {
            topology: SharedTopology::new(topology, endpoints, seed),
            options,
            listener,
            stop: Arc::default(),
        }
    }

    /// Notes what became of a request that was sent to `member` in `epoch`.
    #[inline]
    pub(crate) fn observe(
        self: &Arc<Self>,
        member: &Arc<Member<E>>,
        epoch: u64,
        incident: Incident,
    ) {
        if let Some(event) = self.topology.observe(member, epoch, incident, clock::now) {
            self.react(member, &event);
        }
    }

    #[cold]
    fn react(self: &Arc<Self>, member: &Arc<Member<E>>, event: &Event) {
        self.report(event);
        if matches!(event, Event::Ejected { .. })
            && probe::spawn(self, member, &self.stop).is_err()
            && let Some(event) = self.topology.cancel_ejection(member)
        {
            // Nobody would ever bring the node back.
            self.report(&event);
        }
    }

    /// Tells the listener. If it panics, that is its own affair: the node still has to be probed, and the
    /// replies under way have to be read, or they would answer later requests.
    pub(crate) fn report(&self, event: &Event) {
        if let Some(listener) = &self.listener {
            // The panic hook has said what there is to say.
            let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
        }
    }
}

impl<E, O> Drop for Shared<E, O> {
    fn drop(&mut self) {
        self.stop.now();
    }
}

impl<E: PartialEq, O: fmt::Debug> fmt::Debug for Shared<E, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("topology", self.topology.current().router().topology())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
