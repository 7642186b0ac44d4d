//! What is answered to whom: the JSON, the metrics, the health.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Workers;
use super::clock;
use super::connection::Asked;
use super::http::Reply;
use super::http::Status;
use super::process::Resources;
use super::prometheus;
use super::stats_json::About;
use super::stats_json::stats_json;
use crate::proxy::host;
use crate::proxy::stats::NodeStats;
use crate::proxy::stats::Stats;

/// Workers that take longer than this to tell what they have counted are not asked twice in one turn.
const SLOW: Duration = Duration::from_millis(100);

/// There is no configuration without a pool.
const NOBODY: &str = "no worker answers\n";

/// Writes the reports.
pub(super) struct Reports {
    workers: Arc<dyn Workers>,
    hostname: String,
    began: Instant,
    /// The same since 1970.
    started: Duration,
    /// What workers told that were slow, for whoever else asks in this turn: otherwise a worker that hangs would
    /// cost each of them a second.
    told: Option<Stats>,
}

impl Reports {
    pub(super) fn new(workers: Arc<dyn Workers>) -> Self {
        let (began, started) = (clock::now(), clock::since_1970());
        Self { workers, hostname: host::name(), began, started, told: None }
    }

    /// From now on the workers are asked again.
    pub(super) fn begin_turn(&mut self) {
        self.told = None;
    }

    /// nutcracker's report.
    pub(super) fn json(&mut self) -> String {
        let about = About {
            source: self.hostname.clone(),
            uptime: self.began.elapsed(),
            timestamp: clock::since_1970(),
        };
        stats_json(&about, &self.stats())
    }

    /// The reply to an HTTP request, as it goes out.
    pub(super) fn reply(&mut self, asked: Asked, is_draining: bool) -> Vec<u8> {
        let started = self.started;
        let request = match asked {
            Ok(request) => request,
            Err(status) => return Reply::from(status).to_bytes(false),
        };
        let reply = match &request.path[..] {
            "/metrics" => metrics(&self.stats(), started),
            "/stats" => {
                Reply { status: Status::Fine, content_type: "application/json", body: self.json() }
            }
            "/healthz" if is_draining => Reply::text(Status::Unavailable, "draining\n".into()),
            "/healthz" => health(&self.stats()),
            _ => Reply::from(Status::NotFound),
        };
        reply.to_bytes(request.is_head)
    }

    fn stats(&mut self) -> Cow<'_, Stats> {
        if self.told.is_none() {
            let asked = clock::now();
            let stats = self.workers.stats();
            if asked.elapsed() < SLOW {
                return Cow::Owned(stats);
            }
            self.told = Some(stats);
        }
        Cow::Borrowed(self.told.as_ref().expect("it was told just now"))
    }
}

fn metrics(stats: &Stats, started: Duration) -> Reply {
    if stats.pools.is_empty() {
        // Zeros would be taken for another process's.
        return Reply::text(Status::Unavailable, NOBODY.into());
    }
    let body = prometheus::metrics(stats, &Resources::read(), started);
    Reply { status: Status::Fine, content_type: prometheus::CONTENT_TYPE, body }
}

/// Fine as long as each pool has a node that gets requests.
fn health(stats: &Stats) -> Reply {
    if stats.pools.is_empty() {
        return Reply::text(Status::Unavailable, NOBODY.into());
    }
    let pools = stats.pools.iter().filter(|pool| !pool.nodes.iter().any(NodeStats::is_live));
    let pools: Vec<_> = pools.map(|pool| &pool.name[..]).collect();
    if pools.is_empty() {
        return Reply::text(Status::Fine, "ok\n".into());
    }
    Reply::text(Status::Unavailable, format!("no live node: {}\n", pools.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::NodeState;
    use crate::proxy::control::fake::stats;

    #[test]
    fn when_no_worker_answers_there_are_no_metrics() {
        let started = Duration::ZERO;
        assert_eq!(metrics(&Stats::default(), started).status, Status::Unavailable);
        let reply = metrics(&stats(&[("a", &["one"])]), started);
        assert_eq!((reply.status, reply.content_type), (Status::Fine, prometheus::CONTENT_TYPE));
    }

    #[test]
    fn a_pool_is_healthy_as_long_as_one_node_is_live() {
        let mut stats = stats(&[("a", &["one", "two"]), ("b", &["three"]), ("c", &["four"])]);
        stats.pools[0].nodes[0].state = NodeState::Ejected;
        let reply = health(&stats);
        assert_eq!((reply.status, &reply.body[..]), (Status::Fine, "ok\n"));

        stats.pools[1].nodes[0].state = NodeState::Probing;
        stats.pools[2].nodes[0].state = NodeState::Ejected;
        let reply = health(&stats);
        assert_eq!((reply.status, &reply.body[..]), (Status::Unavailable, "no live node: b, c\n"));

        let reply = health(&Stats::default());
        assert_eq!(reply.status, Status::Unavailable);
    }
}
