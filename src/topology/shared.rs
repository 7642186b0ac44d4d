//! The topology that many threads use and a few change.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::time::Instant;

use parking_lot::Mutex;

use super::Event;
use super::Movement;
use super::NodeMetrics;
use super::Router;
use super::Topology;
use super::counters::Counters;
use crate::distribution::NodeSet;
use crate::health::EjectMode;
use crate::health::Incident;
use crate::health::NodeHealth;
use crate::health::NodeState;
use crate::health::Outcome;
use crate::node::Node;
use crate::node::NodeId;

/// A topology shared by all connections of a client.
///
/// `E` is what a front end needs to reach a node: an address with its credentials, say. Nodes whose
/// name and endpoint stay keep their member, and with it their connections, counters and health, when
/// the topology is replaced.
#[derive(Debug)]
pub(crate) struct SharedTopology<E> {
    control: Mutex<Control<E>>,
    generation: AtomicU64,
}

#[derive(Debug)]
struct Control<E> {
    snapshot: Arc<Snapshot<E>>,
    /// By node id.
    health: Vec<NodeHealth>,
    next_member: u64,
    randomness: u64,
}

/// What one request sees: who the nodes are, and which of them owns a key.
#[derive(Debug)]
pub(crate) struct Snapshot<E> {
    generation: u64,
    router: Router,
    /// By node id.
    members: Arc<[Arc<Member<E>>]>,
}

/// A node at run time; it outlives the snapshots it is in.
#[derive(Debug)]
pub(crate) struct Member<E> {
    id: u64,
    name: Arc<str>,
    endpoint: E,
    counters: Counters,
    /// Raised with each ejection and reinstatement, so that a request that began before one says
    /// nothing about the time after it.
    epoch: AtomicU64,
    /// Whether failures are counted that a reply would have to forget.
    is_suspected: AtomicBool,
}

impl<E> Snapshot<E> {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    pub(crate) fn members(&self) -> &[Arc<Member<E>>] {
        &self.members
    }

    pub(crate) fn member(&self, node: NodeId) -> &Arc<Member<E>> {
        &self.members[node.index()]
    }
}

impl<E> Member<E> {
    /// Unlike a [`NodeId`] it stays with the node, and is never given to another one.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn endpoint(&self) -> &E {
        &self.endpoint
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// To be read before a request is sent and given to [`SharedTopology::observe`] with its end.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }
}

impl<E: PartialEq> SharedTopology<E> {
    /// `endpoints` are those of the nodes as listed; `seed` starts the jitter of the probes.
    pub(crate) fn new(topology: Topology, endpoints: Vec<E>, seed: u64) -> Self {
        let mut next_member = 0;
        let members = join(&topology, endpoints, &[], &mut next_member);
        let health = members.iter().map(|_| NodeHealth::new()).collect();
        let snapshot = Arc::new(Snapshot { generation: 0, router: topology.router(), members });
        Self {
            control: Mutex::new(Control { snapshot, health, next_member, randomness: seed }),
            generation: AtomicU64::new(0),
        }
    }

    /// Changes whenever [`current`](Self::current) would answer another snapshot.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    pub(crate) fn current(&self) -> Arc<Snapshot<E>> {
        Arc::clone(&self.control.lock().snapshot)
    }

    /// Tells the health of `member` what became of a request that was sent in `epoch`.
    ///
    /// A reply of a node without failures costs one load.
    #[inline]
    pub(crate) fn observe(
        &self,
        member: &Member<E>,
        epoch: u64,
        incident: Incident,
        now: impl FnOnce() -> Instant,
    ) -> Option<Event> {
        match incident.outcome() {
            Outcome::Answered if !member.is_suspected.load(Relaxed) => None,
            Outcome::Unknown => None,
            outcome => self.observe_slowly(member, epoch, outcome, now()),
        }
    }

    #[cold]
    fn observe_slowly(
        &self,
        member: &Member<E>,
        epoch: u64,
        outcome: Outcome,
        now: Instant,
    ) -> Option<Event> {
        let mut control = self.control.lock();
        let node = control.place_of(member)?;
        if member.epoch() != epoch {
            return None;
        }
        if outcome == Outcome::Answered {
            control.health[node.index()].forget_failures();
            member.is_suspected.store(false, Relaxed);
            return None;
        }
        let snapshot = Arc::clone(&control.snapshot);
        let policy = snapshot.router.topology().eject_policy();
        if policy.mode() == EjectMode::Off {
            return None;
        }
        member.is_suspected.store(true, Relaxed);
        if !control.health[node.index()].count_failure(policy) {
            return None;
        }
        let ejected = control.ejected();
        let node_name = Arc::clone(&member.name);
        if !policy.permits_another(ejected.len(), control.health.len()) {
            let is_news = control.health[node.index()].keep();
            return is_news.then_some(Event::FailedOpen { node: node_name });
        }
        let jitter = control.random();
        let retry_in = control.health[node.index()].eject(policy, now, jitter);
        member.is_suspected.store(false, Relaxed);
        member.epoch.fetch_add(1, Relaxed);
        member.counters.count_ejection();
        self.publish(&mut control);
        Some(Event::Ejected { node: node_name, retry_in })
    }

    /// When the next probe of `member` is due; `None` if it is live, probed or gone.
    pub(crate) fn probe_due(&self, member: &Member<E>) -> Option<Instant> {
        let control = self.control.lock();
        let node = control.place_of(member)?;
        control.health[node.index()].probe_due()
    }

    /// Claims the probe of `member` that is due.
    pub(crate) fn begin_probe(&self, member: &Member<E>, now: Instant) -> Option<Event> {
        let mut control = self.control.lock();
        let node = control.place_of(member)?;
        control.health[node.index()]
            .begin_probe(now)
            .then(|| Event::Probing { node: Arc::clone(&member.name) })
    }

    /// Ends the probe that [`begin_probe`](Self::begin_probe) claimed.
    pub(crate) fn end_probe(
        &self,
        member: &Member<E>,
        was_answered: bool,
        now: Instant,
    ) -> Option<Event> {
        let mut control = self.control.lock();
        let node = control.place_of(member)?;
        let name = Arc::clone(&member.name);
        if was_answered {
            let after = control.health[node.index()].reinstate(now)?;
            member.epoch.fetch_add(1, Relaxed);
            self.publish(&mut control);
            return Some(Event::Reinstated { node: name, after });
        }
        let jitter = control.random();
        let snapshot = Arc::clone(&control.snapshot);
        let policy = snapshot.router.topology().eject_policy();
        let retry_in = control.health[node.index()].fail_probe(policy, now, jitter)?;
        Some(Event::ProbeFailed { node: name, retry_in })
    }

    /// Puts an ejected node back without a probe, because there is nobody to probe it.
    pub(crate) fn cancel_ejection(&self, member: &Member<E>) -> Option<Event> {
        let mut control = self.control.lock();
        let node = control.place_of(member)?;
        control.health[node.index()] = NodeHealth::new();
        member.epoch.fetch_add(1, Relaxed);
        self.publish(&mut control);
        Some(Event::FailedOpen { node: Arc::clone(&member.name) })
    }

    /// Puts `topology` in place of the present one. Requests under way end on the old snapshot.
    ///
    /// Ejected nodes that stay, stay ejected, unless the new policy ejects none or would have none left.
    pub(crate) fn replace(
        &self,
        topology: Topology,
        endpoints: Vec<E>,
        now: Instant,
    ) -> (Movement, Vec<Event>) {
        let router = topology.router();
        // Comparing large rings takes its time, in which requests that fail must not wait for the lock.
        let before = self.current();
        let mut movement = Movement::between(&before.router, &router);
        let mut control = self.control.lock();
        let old = Arc::clone(&control.snapshot);
        if !Arc::ptr_eq(&before.members, &old.members) {
            movement = Movement::between(&old.router, &router);
        }
        let members = join(&topology, endpoints, &old.members, &mut control.next_member);
        let mut health: Vec<_> = members
            .iter()
            .map(|member| match control.place_of(member) {
                Some(node) => control.health[node.index()].clone(),
                None => NodeHealth::new(),
            })
            .collect();
        let mode = topology.eject_policy().mode();
        let none_is_live = health.iter().all(|health| !health.is_live());
        let mut reinstated = Vec::new();
        if mode == EjectMode::Off || (mode.moves_keys() && none_is_live) {
            for (member, health) in members.iter().zip(&mut health) {
                if let Some(after) = std::mem::replace(health, NodeHealth::new()).out_for(now) {
                    member.epoch.fetch_add(1, Relaxed);
                    reinstated.push(Event::Reinstated { node: Arc::clone(&member.name), after });
                }
            }
        }
        let changed = Event::TopologyChanged {
            added: names_missing_in(&old.members, &members),
            removed: names_missing_in(&members, &old.members),
            movement: movement.clone(),
        };
        control.health = health;
        control.snapshot = Arc::new(Snapshot { generation: old.generation, router, members });
        self.publish(&mut control);
        (movement, std::iter::once(changed).chain(reinstated).collect())
    }

    pub(crate) fn metrics(&self) -> Vec<NodeMetrics> {
        let control = self.control.lock();
        let nodes = control.snapshot.router.nodes().iter().zip(control.snapshot.members.iter());
        nodes
            .zip(&control.health)
            .map(|((node, member), health)| member.counters.metrics(node.clone(), health.state()))
            .collect()
    }

    pub(crate) fn states(&self) -> Vec<(Node, NodeState)> {
        let control = self.control.lock();
        let nodes = control.snapshot.router.nodes().iter().cloned();
        nodes.zip(control.health.iter().map(NodeHealth::state)).collect()
    }

    /// Makes a snapshot of what `control` says now.
    fn publish(&self, control: &mut Control<E>) {
        let old = &control.snapshot;
        let generation = old.generation + 1;
        let router = old.router.with_ejected(&control.ejected());
        let members = Arc::clone(&old.members);
        control.snapshot = Arc::new(Snapshot { generation, router, members });
        self.generation.store(generation, Release);
    }
}

impl<E> Control<E> {
    fn place_of(&self, member: &Member<E>) -> Option<NodeId> {
        let place = self.snapshot.members.iter().position(|other| other.id == member.id);
        place.and_then(NodeId::new)
    }

    fn ejected(&self) -> NodeSet {
        let health = self.health.iter().enumerate();
        health
            .filter(|(_, health)| !health.is_live())
            .filter_map(|(index, _)| NodeId::new(index))
            .collect()
    }

    /// A Weyl sequence: good enough for jitter.
    fn random(&mut self) -> u64 {
        self.randomness = self.randomness.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.randomness
    }
}

/// The members of `topology`, by node id: those of `old` that have the name and the endpoint, new
/// ones otherwise.
fn join<E: PartialEq>(
    topology: &Topology,
    endpoints: Vec<E>,
    old: &[Arc<Member<E>>],
    next_member: &mut u64,
) -> Arc<[Arc<Member<E>>]> {
    let mut endpoints: Vec<_> = endpoints.into_iter().map(Some).collect();
    let mut members = Vec::with_capacity(topology.nodes().len());
    for place in topology.numbering() {
        let node = &topology.nodes()[place];
        let endpoint = endpoints[place].take().expect("each node is numbered once");
        let stays =
            |member: &&Arc<Member<E>>| *member.name == *node.name() && member.endpoint == endpoint;
        members.push(old.iter().find(stays).cloned().unwrap_or_else(|| {
            *next_member += 1;
            Arc::new(Member {
                id: *next_member,
                name: Arc::clone(node.shared_name()),
                endpoint,
                counters: Counters::default(),
                epoch: AtomicU64::new(0),
                is_suspected: AtomicBool::new(false),
            })
        }));
    }
    members.into()
}

fn names_missing_in<E>(members: &[Arc<Member<E>>], others: &[Arc<Member<E>>]) -> Vec<Arc<str>> {
    let is_missing =
        |other: &&Arc<Member<E>>| members.iter().all(|member| member.name != other.name);
    others.iter().filter(is_missing).map(|other| Arc::clone(&other.name)).collect()
}

#[cfg(test)]
mod tests;
