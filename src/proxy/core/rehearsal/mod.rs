//! The engine on a stage: clients, nodes, sockets and time in memory.
//!
//! The tests of the core and the fuzz targets play here. After each turn [`check`] looks at what must hold of the
//! engine's insides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Closed;
use super::Core;
use super::Link;
use super::Reading;
use crate::distribution::DistributionKind;
use crate::hash::HashKind;
use crate::health::EjectPolicy;
use crate::node::Node;
use crate::proxy::settings::Credentials;
use crate::proxy::settings::Endpoint;
use crate::proxy::settings::PoolSettings;
use crate::proxy::settings::Protocol;
use crate::topology::SharedTopology;
use crate::topology::Topology;

mod bytes;
mod check;
mod nodes;
mod random;
mod walk;
mod wires;

pub(crate) use bytes::client_bytes;
pub(crate) use bytes::node_bytes;
pub(crate) use walk::walk;

pub(super) use nodes::array;
pub(super) use nodes::bulk;
#[cfg(test)]
pub(super) use nodes::value_of;

use nodes::Talk;
use random::Random;
use wires::Wires;
use wires::link_of;

/// Values go from socket to socket long before it is worth the while.
const PASSED_FROM: usize = 1 << 10;

/// A worker's engine with all that is around it.
pub(super) struct Stage {
    pub(super) core: Core,
    pub(super) wires: Wires,
    pub(super) now: Instant,
    /// What nodes' connections have come to, by the number of the wire.
    talks: BTreeMap<u64, Talk>,
    /// Places of the pools.
    pub(super) pools: Vec<usize>,
}

/// The rules of a pool, before it is made.
#[derive(Clone, Debug)]
pub(super) struct PoolPlan {
    pub(super) protocol: Protocol,
    pub(super) nodes: Vec<&'static str>,
    pub(super) timeout: Option<Duration>,
    pub(super) connections: usize,
    pub(super) policy: EjectPolicy,
    pub(super) password: Option<&'static str>,
    pub(super) database: u32,
    pub(super) client_connections: Option<u32>,
    pub(super) preconnect: bool,
    pub(super) misses: bool,
}

impl PoolPlan {
    pub(super) fn new(protocol: Protocol, nodes: &[&'static str]) -> Self {
        Self {
            protocol,
            nodes: nodes.to_vec(),
            timeout: Some(Duration::from_millis(400)),
            connections: 1,
            policy: EjectPolicy::new(crate::health::EjectMode::Off),
            password: None,
            database: 0,
            client_connections: None,
            preconnect: false,
            misses: false,
        }
    }

    fn topology(&self) -> (Topology, Vec<Endpoint>) {
        let line = |name: &&str| format!("10.0.0.1:6379:1 {name}").parse::<Node>();
        let nodes: Result<Vec<Node>, _> = self.nodes.iter().map(line).collect();
        let topology = Topology::new(nodes.expect("lines of nodes")).expect("there is a node");
        let topology = topology
            .with_hash(HashKind::OneAtATime)
            .with_distribution(DistributionKind::Modula)
            .with_hash_tag("{}".parse().expect("two characters"))
            .with_eject_policy(self.policy.clone());
        let endpoint = |node: &Node| Endpoint {
            address: node.address().clone(),
            protocol: self.protocol,
            credentials: self
                .password
                .map(|password| Credentials { user: None, password: password.into() }),
            database: self.database,
            tls: None,
        };
        let endpoints = topology.nodes().iter().map(endpoint).collect();
        (topology, endpoints)
    }

    /// A pool; in the place of `old`, if there is one.
    pub(super) fn settings(
        &self,
        name: &str,
        old: Option<(&PoolSettings, Instant)>,
    ) -> Arc<PoolSettings> {
        let (topology, endpoints) = self.topology();
        let topology = match old {
            Some((old, now)) => {
                old.topology.replace(topology, endpoints, now);
                Arc::clone(&old.topology)
            }
            None => Arc::new(SharedTopology::new(topology, endpoints, 1)),
        };
        Arc::new(PoolSettings {
            name: name.into(),
            protocol: self.protocol,
            timeout: self.timeout,
            client_connections: self.client_connections,
            client_idle_timeout: None,
            client_auth: None,
            database: self.database,
            preconnect: self.preconnect,
            server_connections: self.connections,
            listen_tls: None,
            admin_commands: true,
            failed_reads_are_misses: self.misses,
            topology,
        })
    }
}

impl Stage {
    pub(super) fn new(pools: &[PoolPlan]) -> Self {
        let now = origin();
        let mut stage = Self {
            core: Core::new(0, now, 0),
            wires: Wires::default(),
            now,
            talks: BTreeMap::new(),
            pools: Vec::new(),
        };
        let settings: Vec<_> = pools
            .iter()
            .enumerate()
            .map(|(number, plan)| plan.settings(&format!("pool{number}"), None))
            .collect();
        stage.wires.is_sending_ahead = true;
        stage.core.passed_from = PASSED_FROM;
        stage.core.piped_from = PASSED_FROM;
        stage.pools = stage.core.set_pools(&mut stage.wires, &settings);
        stage.core.preconnect(&mut stage.wires);
        stage.turn();
        stage
    }

    /// Puts others in the place of the pools.
    pub(super) fn replace(&mut self, pools: &[PoolPlan]) {
        let settings: Vec<_> = pools
            .iter()
            .enumerate()
            .map(|(number, plan)| {
                let name = format!("pool{number}");
                let old = self.core.pools.iter().find(|(_, pool)| {
                    !pool.is_removed
                        && pool.settings.name == name
                        && pool.settings.protocol == plan.protocol
                });
                let old = old.map(|(_, pool)| Arc::clone(&pool.settings));
                plan.settings(&name, old.as_deref().map(|old| (old, self.now)))
            })
            .collect();
        self.core.begin_turn(self.now);
        self.pools = self.core.set_pools(&mut self.wires, &settings);
        self.core.end_turn(&mut self.wires);
        check::check(self);
        self.turn();
    }

    /// A client of this pool, by its key; `None` if it is refused.
    pub(super) fn connect(&mut self, pool: usize) -> Option<usize> {
        let place = self.pools[pool];
        let key = self.core.session_opened(place)?;
        self.wires.left.remove(&key);
        self.wires.add(Link::Session(key), String::new());
        Some(key)
    }

    /// The client sends this.
    pub(super) fn send(&mut self, client: usize, bytes: &[u8]) {
        self.arrive(Link::Session(client), bytes);
        self.turn();
    }

    /// Something arrives, to be read in the next turn.
    pub(super) fn arrive(&mut self, link: Link, bytes: &[u8]) {
        if let Some(wire) = self.wires.get(link) {
            wire.inbox.extend_from_slice(bytes);
            wire.is_readable = true;
        }
    }

    /// The other side closes.
    pub(super) fn hang_up(&mut self, link: Link) {
        if let Some(wire) = self.wires.get(link) {
            wire.is_ended = true;
            wire.is_readable = true;
        }
    }

    /// What the client has got since it was asked last.
    pub(super) fn received(&mut self, client: usize) -> Vec<u8> {
        match self.wires.get(Link::Session(client)) {
            Some(wire) => std::mem::take(&mut wire.sent),
            None => self.wires.left.remove(&client).unwrap_or_default(),
        }
    }

    pub(super) fn is_open(&self, client: usize) -> bool {
        self.wires.all.contains_key(&(false, client))
    }

    /// Time passes.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.turn();
    }

    /// The connections to the node with this name.
    #[cfg(test)]
    pub(super) fn connections_to(&self, node: &str) -> Vec<usize> {
        let all = self.wires.all.iter().filter(|(_, wire)| wire.node == node);
        all.map(|((_, key), _)| *key).collect()
    }

    /// The other side's socket takes this much more.
    pub(super) fn take(&mut self, link: Link, bytes: usize) {
        let Some(wire) = self.wires.get(link) else {
            return;
        };
        wire.room = wire.room.saturating_add(bytes);
        if std::mem::take(&mut wire.is_full) {
            self.core.begin_turn(self.now);
            self.core.writable(link);
            self.core.end_turn(&mut self.wires);
        }
        self.turn();
    }

    /// A connection is made, or not.
    pub(super) fn finish_connecting(&mut self, backend: usize, is_made: bool) {
        let link = Link::Backend(backend);
        let Some(wire) = self.wires.get(link).filter(|wire| wire.is_connecting) else {
            return;
        };
        wire.is_connecting = false;
        self.core.begin_turn(self.now);
        if is_made {
            self.core.backend_opened(&mut self.wires, backend);
        } else {
            let closed = Closed::Io(wires::refused());
            self.core.backend_closed(&mut self.wires, backend, closed);
        }
        self.core.end_turn(&mut self.wires);
        self.turn();
    }

    /// What the node with this connection answers to its next request.
    pub(super) fn answer_of(&mut self, backend: usize) -> Option<Vec<u8>> {
        let protocol = self.core.pools[self.core.backends.get(backend)?.pool].settings.protocol;
        let wire = self.wires.get(Link::Backend(backend))?;
        match protocol {
            Protocol::Redis => self.talks.entry(wire.number).or_default().redis(&mut wire.sent),
            Protocol::Memcache => nodes::memcached(&mut wire.sent),
        }
    }

    /// Nodes do what they should, and time passes, until nothing more happens.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut is_quiet = true;
            let backends: Vec<usize> = self
                .wires
                .all
                .keys()
                .filter(|(is_backend, _)| *is_backend)
                .map(|at| at.1)
                .collect();
            for backend in backends {
                self.finish_connecting(backend, true);
                while let Some(answer) = self.answer_of(backend) {
                    self.arrive(Link::Backend(backend), &answer);
                    is_quiet = false;
                }
            }
            let open: Vec<_> = self.wires.all.keys().copied().collect();
            for at in open {
                let link = link_of(at);
                if self.wires.get(link).is_some_and(|wire| wire.is_full) {
                    self.take(link, usize::MAX);
                    is_quiet = false;
                }
            }
            self.turn();
            if is_quiet {
                return;
            }
        }
        panic!("there is no end");
    }

    /// One turn of a worker: what can be read is.
    pub(super) fn turn(&mut self) {
        // What is resumed at the end of a turn is read in the next one.
        for _ in 0..10_000 {
            self.core.begin_turn(self.now);
            let readable: Vec<_> = self
                .wires
                .all
                .iter()
                .filter(|(_, wire)| wire.is_readable && !wire.is_connecting)
                .map(|(key, _)| *key)
                .collect();
            let is_last = readable.is_empty();
            for at in readable {
                self.read(link_of(at));
            }
            self.core.end_turn(&mut self.wires);
            self.core.take_notes();
            check::check(self);
            if is_last {
                return;
            }
        }
        panic!("turns have no end");
    }

    fn read(&mut self, link: Link) {
        let reading = self.core.reading(link);
        let is_empty = self.wires.get(link).is_none_or(|wire| wire.inbox.is_empty());
        let mut most = 256 << 10;
        match (reading, link) {
            (Reading::Not, _) => return self.leave_unread(link),
            // It is seen to be ended.
            _ if is_empty => {}
            (Reading::Bytes(limit), _) => most = most.min(limit),
            (Reading::Passage(passage), Link::Backend(key)) => {
                let passed = self.wires.pass(key, passage);
                return self.core.passed(&mut self.wires, key, passage, passed);
            }
            (Reading::Pipe(room), Link::Session(key)) => match self.wires.fill(key, room) {
                Some(count) => return self.core.session_piped(key, count),
                None => self.core.session_unpiped(&mut self.wires, key),
            },
            (Reading::Room, Link::Session(key)) => return self.fill(key),
            (reading, link) => panic!("{link:?} is not read so: {reading:?}"),
        }
        self.read_bytes(link, most);
    }

    /// The poll tells of it once.
    fn leave_unread(&mut self, link: Link) {
        if let Some(wire) = self.wires.get(link) {
            wire.is_readable = false;
            if let Link::Session(key) = link
                && wire.is_ended
            {
                self.core.session_hung_up(&mut self.wires, key);
            }
        }
    }

    /// The rest of a large request is read to where it is sent from.
    fn fill(&mut self, key: usize) {
        let wire = self.wires.get(Link::Session(key)).expect("it is read");
        let room = self.core.session_room(key).expect("there is a large request");
        let count = room.len().min(wire.inbox.len());
        room[..count].copy_from_slice(&wire.inbox[..count]);
        wire.inbox.drain(..count);
        wire.is_readable = !wire.inbox.is_empty() || wire.is_ended;
        self.core.session_filled(&mut self.wires, key, count);
    }

    fn read_bytes(&mut self, link: Link, most: usize) {
        let Some(wire) = self.wires.get(link) else {
            return;
        };
        let count = wire.inbox.len().min(most);
        let bytes: Vec<u8> = wire.inbox.drain(..count).collect();
        wire.is_readable = !wire.inbox.is_empty() || (wire.is_ended && count > 0);
        let is_end = wire.is_ended && count == 0;
        if is_end {
            wire.is_ended = false;
        }
        match (link, is_end) {
            (_, false) if count == 0 => {}
            (Link::Session(key), false) => self.core.session_input(&mut self.wires, key, &bytes),
            (Link::Backend(key), false) => self.core.backend_input(&mut self.wires, key, &bytes),
            (Link::Session(key), true) => self.core.session_ended(&mut self.wires, key),
            (Link::Backend(key), true) => {
                self.core.backend_closed(&mut self.wires, key, Closed::Eof);
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a time to count from: what is played does not depend on it"
)]
fn origin() -> Instant {
    Instant::now()
}

/// A request in Redis's protocol.
pub(super) fn request(words: &[&str]) -> Vec<u8> {
    array(words.iter().map(|word| bulk(Some(word.as_bytes()), false)))
}
