//! A pool as one worker sees it: the rules, the nodes at the moment, and what was counted.

use std::sync::Arc;

use super::super::settings::Endpoint;
use super::super::settings::PoolSettings;
use super::super::stats::Histogram;
use crate::topology::Member;
use crate::topology::Snapshot;

/// A pool of one worker.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: Arc<PoolSettings>,
    pub(super) snapshot: Arc<Snapshot<Endpoint>>,
    /// By node id.
    pub(super) nodes: Vec<NodeView>,
    pub(super) counters: PoolCounters,
    /// Clients connected now.
    pub(super) clients: usize,
    /// Whether it is gone from the configuration: its clients are answered what they are owed.
    pub(super) is_removed: bool,
}

/// A node and this worker's connections to it.
#[derive(Debug)]
pub(super) struct NodeView {
    pub(super) member: Arc<Member<Endpoint>>,
    /// Backends that all clients share, those of RESP3 behind those of RESP2.
    pub(super) shared: Vec<Option<usize>>,
    /// Backends that were some client's own, and are free.
    pub(super) idle: Vec<usize>,
    /// The backend that probes it.
    pub(super) probe: Option<usize>,
    /// Place of its counters.
    pub(super) counters: usize,
}

#[derive(Debug, Default)]
pub(super) struct PoolCounters {
    pub(super) client_eof: u64,
    pub(super) client_err: u64,
    pub(super) clients_accepted: u64,
    pub(super) clients_refused: u64,
    pub(super) server_ejects: u64,
    pub(super) forward_error: u64,
    pub(super) fragments: u64,
    pub(super) client_bytes_in: u64,
    pub(super) client_bytes_out: u64,
    /// By place in the command table.
    pub(super) commands: Vec<CommandCounters>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct CommandCounters {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) latency: Histogram,
}

/// What is counted of a node; it stays when the node's name and endpoint do.
#[derive(Debug, Default)]
pub(super) struct NodeCounters {
    pub(super) server_eof: u64,
    pub(super) server_err: u64,
    pub(super) server_timedout: u64,
    pub(super) server_connections: u64,
    pub(super) server_ejected_at: u64,
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) responses: u64,
    pub(super) response_bytes: u64,
    pub(super) latency: Histogram,
}

impl Pool {
    pub(super) fn new(settings: Arc<PoolSettings>) -> Self {
        let snapshot = settings.topology.current();
        Self {
            settings,
            snapshot,
            nodes: Vec::new(),
            counters: PoolCounters::default(),
            clients: 0,
            is_removed: false,
        }
    }

    /// The place of a node's connection that the session with this serial number uses. It is always the same
    /// one, so that its requests keep their order.
    #[inline]
    pub(super) fn place(&self, serial: u32, is_resp3: bool) -> usize {
        let count = self.settings.server_connections;
        let own = if count == 1 { 0 } else { serial as usize % count };
        own + if is_resp3 { count } else { 0 }
    }
}
