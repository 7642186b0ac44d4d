//! Which pools and nodes there are, as this worker knows it.

use std::sync::Arc;

use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Purpose;
use super::memcache::NAMES;
use super::pool::CommandCounters;
use super::pool::NodeCounters;
use super::pool::NodeView;
use super::pool::Pool;
use super::redis::Mode;
use super::ticket::State;
use crate::health::Incident;
use crate::node::NodeId;
use crate::proxy::settings::Endpoint;
use crate::proxy::settings::PoolSettings;
use crate::proxy::settings::Protocol;
use crate::topology::Event;
use crate::topology::Snapshot;

impl Core {
    /// Puts these pools in the place of those there are, by name. Answers the place of each. Connections of pools
    /// and nodes that stay, stay; a pool that is gone answers what it owes and takes no more.
    pub(crate) fn set_pools(
        &mut self,
        sockets: &mut impl Sockets,
        all: &[Arc<PoolSettings>],
    ) -> Vec<usize> {
        self.close_distrusted(sockets);
        let mut places = Vec::new();
        for settings in all {
            let stays = |(_, pool): &(usize, &Pool)| {
                !pool.is_removed
                    && pool.settings.name == settings.name
                    && pool.settings.protocol == settings.protocol
            };
            let mut earlier = None;
            let place = self.pools.iter().find(stays).map(|(key, _)| key);
            let place = match place {
                Some(place) => {
                    earlier = Some(Arc::clone(&self.pools[place].snapshot));
                    if self.pools[place].settings.server_connections != settings.server_connections
                    {
                        self.retire_shared(sockets, place);
                    }
                    self.pools[place].settings = Arc::clone(settings);
                    self.pools[place].snapshot = settings.topology.current();
                    place
                }
                None => {
                    let mut pool = Pool::new(Arc::clone(settings));
                    let commands = match settings.protocol {
                        Protocol::Redis => self.table.index_count(),
                        Protocol::Memcache => NAMES.len(),
                    };
                    pool.counters.commands = vec![CommandCounters::default(); commands];
                    self.pools.insert(pool)
                }
            };
            self.view_nodes(sockets, place);
            if let Some(earlier) = earlier {
                self.keep_numbers(place, &earlier);
            }
            self.move_transactions(sockets, place);
            self.moved.push(place);
            places.push(place);
        }
        let gone: Vec<usize> = self
            .pools
            .iter()
            .filter(|(key, pool)| !pool.is_removed && !places.contains(key))
            .map(|(key, _)| key)
            .collect();
        for key in gone {
            self.pools[key].is_removed = true;
            self.close_sessions(sockets, |_, session| session.pool == key);
            self.remove_pool_if_empty(sockets, key);
        }
        // Timeouts may be others.
        self.next_deadline = 0;
        places
    }

    /// Forgets a pool that is gone, when its last client is.
    pub(super) fn remove_pool_if_empty(&mut self, sockets: &mut impl Sockets, key: usize) {
        if !self.pools.get(key).is_some_and(|pool| pool.is_removed && pool.clients == 0) {
            return;
        }
        let backends: Vec<usize> = self
            .backends
            .iter()
            .filter(|(_, backend)| backend.pool == key)
            .map(|(key, _)| key)
            .collect();
        for backend in backends {
            self.drop_backend(sockets, backend);
        }
        let pool = self.pools.remove(key);
        for node in pool.nodes {
            self.retire_counters(node.counters);
        }
    }

    /// Looks whether nodes were ejected, put back or replaced: one load a pool if not.
    #[inline]
    pub(super) fn refresh_pools(&mut self) {
        for (key, pool) in &mut self.pools {
            if pool.settings.topology.generation() != pool.snapshot.generation() {
                // The members are the same ones: others come with other settings only.
                let snapshot = pool.settings.topology.current();
                let is_same = snapshot.members().len() == pool.nodes.len()
                    && snapshot
                        .members()
                        .iter()
                        .zip(&pool.nodes)
                        .all(|(member, node)| member.id() == node.member.id());
                if is_same {
                    pool.snapshot = snapshot;
                    self.moved.push(key);
                }
            }
        }
    }

    /// Makes the views of a pool's nodes anew: nodes that stay keep their connections.
    fn view_nodes(&mut self, sockets: &mut impl Sockets, key: usize) {
        let pool = &mut self.pools[key];
        let mut old = std::mem::take(&mut pool.nodes);
        for member in pool.snapshot.members() {
            let place = old.iter().position(|node| node.member.id() == member.id());
            let node = match place {
                Some(place) => old.swap_remove(place),
                None => NodeView {
                    member: Arc::clone(member),
                    shared: Vec::new(),
                    idle: Vec::new(),
                    probe: None,
                    counters: self.counters.insert(NodeCounters::default()),
                },
            };
            pool.nodes.push(node);
        }
        let mut unused: Vec<usize> = Vec::new();
        for node in &old {
            unused.extend(node.shared.iter().flatten());
            unused.extend(&node.idle);
            unused.extend(node.probe);
        }
        for backend in unused {
            self.retire_backend(sockets, backend);
        }
        for node in old {
            self.retire_counters(node.counters);
        }
    }

    /// What is under way knows nodes by the numbers they had, if there are others now.
    fn keep_numbers(&mut self, pool: usize, earlier: &Arc<Snapshot<Endpoint>>) {
        let ids = |snapshot: &Snapshot<Endpoint>| -> Vec<u64> {
            snapshot.members().iter().map(|member| member.id()).collect()
        };
        if ids(earlier) == ids(&self.pools[pool].snapshot) {
            return;
        }
        for (_, session) in self.sessions.iter_mut().filter(|(_, session)| session.pool == pool) {
            for ticket in &mut session.queue {
                if let State::Gathering(gathering) = &mut ticket.state {
                    gathering.earlier.get_or_insert_with(|| Arc::clone(earlier));
                }
            }
        }
        for (_, backend) in self.backends.iter_mut().filter(|(_, backend)| backend.pool == pool) {
            for pending in &mut backend.queue {
                if pending.purpose == Purpose::Cursor {
                    pending.purpose = Purpose::Outdated;
                }
            }
        }
    }

    /// Nodes have other numbers now, and transactions on nodes that are gone are lost.
    fn move_transactions(&mut self, sockets: &mut impl Sockets, pool: usize) {
        let mut lost = Vec::new();
        for (_, session) in &mut self.sessions {
            let Some(Mode::Transaction(transaction)) = session.mode.as_deref_mut() else {
                continue;
            };
            let Some(backend) = transaction.backend().filter(|_| session.pool == pool) else {
                continue;
            };
            let member = self.backends[backend].member.id();
            let place = self.pools[pool].nodes.iter().position(|node| node.member.id() == member);
            match place.and_then(NodeId::new) {
                Some(node) => transaction.move_to(node),
                None => lost.push(backend),
            }
        }
        for backend in lost {
            self.drop_backend(sockets, backend);
        }
    }

    /// The connections that clients share are used no more: their number changes, and with it their places.
    fn retire_shared(&mut self, sockets: &mut impl Sockets, pool: usize) {
        let nodes = self.pools[pool].nodes.iter_mut();
        let shared: Vec<usize> = nodes.flat_map(|node| node.shared.drain(..)).flatten().collect();
        for backend in shared {
            self.retire_backend(sockets, backend);
        }
    }

    /// A backend that is used no more ends when what it was asked is answered.
    pub(super) fn retire_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.is_retired = true;
        if backend.queue.is_empty() {
            return self.drop_backend(sockets, key);
        }
        // What comes next goes to another connection, and must not overtake what is on its way on this one.
        let pool = backend.pool;
        for (_, session) in &mut self.sessions {
            session.is_barred |= session.pool == pool && !session.queue.is_empty();
        }
    }

    /// Counters of a node that is gone stay while connections count in them.
    pub(super) fn retire_counters(&mut self, key: usize) {
        let is_of_node =
            |(_, pool): (usize, &Pool)| pool.nodes.iter().any(|node| node.counters == key);
        let is_used = self.backends.iter().any(|(_, backend)| backend.counters == key);
        if !is_used && !self.pools.iter().any(is_of_node) {
            self.counters.try_remove(key);
        }
    }

    /// Tells the health of a backend's node what became of a request, or of the connection.
    #[inline]
    pub(super) fn observe(&mut self, key: usize, incident: Incident) {
        let backend = &self.backends[key];
        let topology = &self.pools[backend.pool].settings.topology;
        let now = self.now;
        let event = topology.observe(&backend.member, backend.epoch, incident, || now);
        if let Some(event) = event {
            self.observed(key, &event);
        }
    }

    #[cold]
    fn observed(&mut self, key: usize, event: &Event) {
        let backend = &self.backends[key];
        let (pool, counters) = (backend.pool, backend.counters);
        let name = self.pools[pool].settings.name.clone();
        self.note(4, format!("pool '{name}': {event}"));
        if matches!(event, Event::Ejected { .. }) {
            self.pools[pool].counters.server_ejects += 1;
            self.counters[counters].server_ejected_at = self.wall_origin + self.micros;
        }
        self.refresh_pools();
    }

    /// Opens connections to all nodes of the pools that want it, before the first request.
    pub(crate) fn preconnect(&mut self, sockets: &mut impl Sockets) {
        let mut wanted = Vec::new();
        for (key, pool) in &self.pools {
            if pool.settings.preconnect {
                wanted.extend(pool.snapshot.router().live_nodes().map(|node| (key, node)));
            }
        }
        for (pool, node) in wanted {
            let backend = self.shared_backend(pool, node, 0, false);
            // A node that cannot be reached is not asked for anything yet, and so nobody is told.
            let _ = self.admit(sockets, backend);
            if self.backends.contains(backend) {
                self.mark_dirty(Link::Backend(backend));
            }
        }
    }
}
