//! Probes: one request that tells whether an ejected node is back.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::Sockets;
use super::backend::Pending;
use super::backend::Purpose;
use crate::node::NodeId;
use crate::proxy::reply;
use crate::proxy::settings::Endpoint;
use crate::topology::Member;

/// How long a probe takes at most, where requests may take for ever.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(1);

impl Core {
    /// Sends the probes that are due.
    pub(super) fn probe_ejected(&mut self, sockets: &mut impl Sockets) {
        let mut due: Vec<(usize, NodeId, Arc<Member<Endpoint>>)> = Vec::new();
        for (key, pool) in &self.pools {
            for node in pool.snapshot.router().ejected().iter() {
                let view = &pool.nodes[node.index()];
                let when = pool.settings.topology.probe_due(&view.member);
                if view.probe.is_none() && when.is_some_and(|when| when <= self.now) {
                    due.push((key, node, Arc::clone(&view.member)));
                }
            }
        }
        for (pool, node, member) in due {
            let settings = Arc::clone(&self.pools[pool].settings);
            // Another worker may have been faster.
            let Some(event) = settings.topology.begin_probe(&member, self.now) else {
                continue;
            };
            self.note(6, format!("pool '{}': {event}", settings.name));
            let backend = self.new_backend(pool, node, false);
            self.pools[pool].nodes[node.index()].probe = Some(backend);
            match self.admit(sockets, backend) {
                Ok(()) => {
                    let pending = Pending::of_nobody(Purpose::Probe, self.micros);
                    let deadline = settings.timeout.unwrap_or(PROBE_LIMIT).as_micros() as u64;
                    self.next_deadline = self.next_deadline.min(self.micros + deadline);
                    self.ask(sockets, backend, reply::probe(settings.protocol), pending);
                }
                Err(_) => self.end_probe(sockets, backend, false),
            }
        }
    }

    /// The probe was answered, or was not.
    pub(super) fn end_probe(&mut self, sockets: &mut impl Sockets, key: usize, was_answered: bool) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.is_retired = true;
        backend.queue.clear();
        let (pool, member) = (backend.pool, Arc::clone(&backend.member));
        let settings = Arc::clone(&self.pools[pool].settings);
        let event = settings.topology.end_probe(&member, was_answered, self.now);
        if let Some(event) = event {
            self.note(5, format!("pool '{}': {event}", settings.name));
        }
        if was_answered {
            self.forget_refusals(&member);
        }
        self.drop_backend(sockets, key);
        self.refresh_pools();
    }

    /// The node is back: it is asked again at once.
    fn forget_refusals(&mut self, member: &Member<Endpoint>) {
        for (_, backend) in &mut self.backends {
            if backend.member.id() == member.id() {
                backend.failures = 0;
                backend.refused_until = 0;
            }
        }
    }
}
