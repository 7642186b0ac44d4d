//! What the tests of the control plane use in place of workers.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::Workers;
use crate::config::NutcrackerConfig;
use crate::health::NodeState;
use crate::proxy::stats::Histogram;
use crate::proxy::stats::NodeStats;
use crate::proxy::stats::PoolStats;
use crate::proxy::stats::Stats;

/// Zeros, for pools and their nodes of these names.
pub(super) fn stats(pools: &[(&str, &[&str])]) -> Stats {
    let pools = pools.iter().map(|(name, nodes)| PoolStats {
        name: (*name).into(),
        nodes: nodes.iter().map(|name| node(name)).collect(),
        ..PoolStats::default()
    });
    Stats { pools: pools.collect(), ..Stats::default() }
}

fn node(name: &str) -> NodeStats {
    NodeStats {
        name: name.into(),
        address: "127.0.0.1:6379".into(),
        state: NodeState::Live,
        server_eof: 0,
        server_err: 0,
        server_timedout: 0,
        server_connections: 0,
        server_ejected_at: 0,
        requests: 0,
        request_bytes: 0,
        responses: 0,
        response_bytes: 0,
        in_queue: 0,
        in_queue_bytes: 0,
        out_queue: 0,
        out_queue_bytes: 0,
        ejections: 0,
        latency: Histogram::default(),
    }
}

/// Workers that do nothing but remember what they were asked.
#[derive(Default)]
pub(super) struct FakeWorkers {
    pub(super) stats: Mutex<Stats>,
    /// What the next reloads answer: an error, if there is one.
    pub(super) refusal: Mutex<Option<String>>,
    /// The first pools' names of the configurations that were put in place.
    pub(super) reloads: Mutex<Vec<String>>,
    pub(super) drains: AtomicU32,
    pub(super) is_finished: AtomicBool,
    pub(super) has_lost_one: AtomicBool,
}

impl Workers for FakeWorkers {
    fn stats(&self) -> Stats {
        self.stats.lock().clone()
    }

    fn reload(&self, config: NutcrackerConfig) -> Result<Vec<String>, String> {
        if let Some(refusal) = self.refusal.lock().clone() {
            return Err(refusal);
        }
        let name = config.pools()[0].name().to_owned();
        self.reloads.lock().push(name.clone());
        Ok(vec![format!("pool '{name}' is there")])
    }

    fn drain(&self) {
        self.drains.fetch_add(1, Ordering::SeqCst);
    }

    fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::SeqCst)
    }

    fn has_lost_one(&self) -> bool {
        self.has_lost_one.load(Ordering::SeqCst)
    }
}
