//! Backends that end: what waits for them is answered, and their nodes are held to account.

use std::io;

use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Purpose;
use super::backend::Stage;
use crate::health::Incident;
use crate::proxy::reply;

/// Why a connection to a node ended.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The node closed it.
    Eof,
    Io(io::Error),
    /// The name of the node's host has no address.
    Unresolved,
    /// What it sent is no reply.
    Broken(String),
    /// It refused the greeting, in these words.
    Refused(String),
    /// It has not answered for too long.
    Silent,
    /// We do not need it any more.
    Unneeded,
}

impl Core {
    /// The connection is gone, or is to be: what waits for it is answered, and the next request opens another.
    pub(crate) fn backend_closed(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        closed: Closed,
    ) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        sockets.close(Link::Backend(key));
        let was_open = backend.stage != Stage::Closed;
        backend.stage = Stage::Closed;
        backend.stream = None;
        backend.is_paused = false;
        backend.out.clear(&mut self.buffers);
        backend.rest = Vec::new();
        backend.scanner.reset();
        if was_open {
            let counters = &mut self.counters[backend.counters];
            counters.server_connections = counters.server_connections.saturating_sub(1);
        }
        let queue = std::mem::take(&mut backend.queue);
        backend.asked_keys.clear();
        let owner = backend.owner.take();
        let is_probe = queue.iter().any(|pending| pending.purpose == Purpose::Probe);
        if !matches!(closed, Closed::Unneeded)
            && (!queue.is_empty() || was_opening(&closed))
            && !is_probe
        {
            self.count_failure(key, &closed);
        } else if matches!(closed, Closed::Eof) {
            self.counters[self.backends[key].counters].server_eof += 1;
        }
        let text = reply::of_closed(&closed);
        for pending in queue {
            match pending.purpose {
                Purpose::Nothing | Purpose::Greeting | Purpose::Subscription => {}
                Purpose::Probe => self.end_probe(sockets, key, false),
                _ => self.fail(sockets, pending, text.as_bytes()),
            }
        }
        self.wake_waiting_of_closed(key);
        if let Some((session, serial)) = owner {
            self.own_backend_lost(sockets, session, serial, key);
        }
        if owner.is_some() || self.backends.get(key).is_some_and(|backend| backend.is_retired) {
            self.forget_backend(key);
        }
    }

    fn wake_waiting_of_closed(&mut self, key: usize) {
        if self.backends.contains(key) {
            self.wake_waiting(key);
        }
    }

    /// Closes a backend for which nobody waits.
    pub(super) fn drop_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        if self.backends.contains(key) {
            self.backends[key].is_retired = true;
            self.backend_closed(sockets, key, Closed::Unneeded);
        }
    }

    /// The place of a backend is free.
    fn forget_backend(&mut self, key: usize) {
        let Some(backend) = self.backends.try_remove(key) else {
            return;
        };
        self.retire_counters(backend.counters);
        if let Some(pool) = self.pools.get_mut(backend.pool) {
            for node in &mut pool.nodes {
                node.idle.retain(|&idle| idle != key);
                node.probe = node.probe.filter(|&probe| probe != key);
                for shared in &mut node.shared {
                    *shared = shared.filter(|&shared| shared != key);
                }
            }
        }
    }

    /// A connection failed with requests under way, or could not be made: one failure of the node, however many
    /// requests that were (as in nutcracker 0.5.0 `nc_server.c` `server_close`).
    pub(super) fn count_failure(&mut self, key: usize, closed: &Closed) {
        let now = self.millis();
        let backend = &mut self.backends[key];
        let counters = &mut self.counters[backend.counters];
        match closed {
            Closed::Eof => counters.server_eof += 1,
            Closed::Silent => {}
            _ => counters.server_err += 1,
        }
        backend.failures = backend.failures.saturating_add(1);
        backend.refused_until = now + backend.back_off();
        backend.refusal = reply::of_closed(closed).into_bytes();
        let is_first = backend.failures == 1;
        let pool = &self.pools[backend.pool].settings.name;
        let node = backend.member.name();
        let text = format!("pool '{pool}': node '{node}': {}", reply::describe(closed));
        self.note(if is_first { 4 } else { 6 }, text);
        let incident = match closed {
            Closed::Broken(_) => Incident::BrokenReply,
            Closed::Refused(_) => Incident::Handshake,
            Closed::Io(error) if reply::is_ours(error) => Incident::NoResources,
            _ => Incident::Io,
        };
        let backend = &mut self.backends[key];
        // A silence was counted with the requests whose time was over.
        let is_counted = matches!(closed, Closed::Silent) && backend.failed_at == self.micros;
        backend.failed_at = self.micros;
        if !is_counted {
            self.observe(key, incident);
        }
    }
}

/// Whether no connection came about.
fn was_opening(closed: &Closed) -> bool {
    matches!(closed, Closed::Unresolved | Closed::Refused(_) | Closed::Broken(_))
}
