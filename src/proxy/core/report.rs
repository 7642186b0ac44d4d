//! What was counted, for those who ask.

use super::Core;
use super::backend::Backend;
use super::backend::Purpose;
use super::backend::Stage;
use super::memcache::NAMES;
use super::pool::Pool;
use crate::health::NodeState;
use crate::proxy::settings::Protocol;
use crate::proxy::stats::CommandStats;
use crate::proxy::stats::NodeStats;
use crate::proxy::stats::PoolStats;
use crate::proxy::stats::Stats;

/// Requests and bytes that wait to be sent, and those that wait to be answered.
#[derive(Debug, Default)]
struct Queues {
    waiting: u64,
    waiting_bytes: u64,
    sent: u64,
    sent_bytes: u64,
}

impl Core {
    /// What this worker has counted until now.
    pub(crate) fn stats(&self) -> Stats {
        let open = |(_, backend): &(usize, &Backend)| backend.stage != Stage::Closed;
        let pools = self.pools.iter().filter(|(_, pool)| !pool.is_removed);
        // A listener is one, too.
        let listeners = pools.clone().count() as u64;
        let current = self.sessions.len() + self.backends.iter().filter(open).count();
        Stats {
            total_connections: self.total_connections + listeners,
            current_connections: current as u64 + listeners,
            pools: pools.map(|(key, pool)| self.stats_of(key, pool)).collect(),
        }
    }

    fn stats_of(&self, key: usize, pool: &Pool) -> PoolStats {
        let counters = &pool.counters;
        let states = pool.settings.topology.states();
        let commands = counters.commands.iter().enumerate();
        PoolStats {
            name: pool.settings.name.clone(),
            client_eof: counters.client_eof,
            client_err: counters.client_err,
            client_connections: pool.clients as u64,
            clients_accepted: counters.clients_accepted,
            clients_refused: counters.clients_refused,
            server_ejects: counters.server_ejects,
            forward_error: counters.forward_error,
            fragments: counters.fragments,
            client_bytes_in: counters.client_bytes_in,
            client_bytes_out: counters.client_bytes_out,
            nodes: (0..pool.nodes.len())
                .map(|place| {
                    let state = states.get(place).map_or(NodeState::Live, |(_, state)| *state);
                    self.stats_of_node(key, pool, place, state)
                })
                .collect(),
            commands: commands
                .filter(|(_, command)| command.requests > 0)
                .map(|(index, command)| CommandStats {
                    name: match pool.settings.protocol {
                        Protocol::Redis => self.table.name_of(index),
                        Protocol::Memcache => NAMES[index].to_string(),
                    },
                    requests: command.requests,
                    errors: command.errors,
                    latency: command.latency.clone(),
                })
                .collect(),
        }
    }

    fn stats_of_node(&self, key: usize, pool: &Pool, place: usize, state: NodeState) -> NodeStats {
        let view = &pool.nodes[place];
        let counters = &self.counters[view.counters];
        let mut queues = Queues::default();
        for (_, backend) in &self.backends {
            if backend.pool == key && backend.counters == view.counters {
                queues.add(backend);
            }
        }
        let metrics = view.member.counters();
        NodeStats {
            name: view.member.name().to_string(),
            address: view.member.endpoint().address.to_string(),
            state,
            server_eof: counters.server_eof,
            server_err: counters.server_err,
            server_timedout: counters.server_timedout,
            server_connections: counters.server_connections,
            server_ejected_at: counters.server_ejected_at,
            requests: counters.requests,
            request_bytes: counters.request_bytes,
            responses: counters.responses,
            response_bytes: counters.response_bytes,
            in_queue: queues.waiting,
            in_queue_bytes: queues.waiting_bytes,
            out_queue: queues.sent,
            out_queue_bytes: queues.sent_bytes,
            ejections: metrics.ejections(),
            latency: counters.latency.clone(),
        }
    }
}

impl Queues {
    /// The last requests in the queue are those whose bytes are still here.
    fn add(&mut self, backend: &Backend) {
        let mut unsent = backend.out.len() as u64;
        self.waiting_bytes += unsent;
        let asked = backend.queue.iter().filter(|pending| {
            !matches!(pending.purpose, Purpose::Subscription | Purpose::Greeting)
        });
        for pending in asked.rev() {
            let bytes = u64::from(pending.bytes);
            if unsent > 0 {
                self.waiting += 1;
                unsent = unsent.saturating_sub(bytes.max(1));
            } else {
                self.sent += 1;
                self.sent_bytes += bytes;
            }
        }
    }
}
