//! What the proxy counts, as plain numbers: one of these a worker, added up by whoever reports.

use std::time::Duration;

use crate::health::NodeState;

/// Everything one worker has counted since it began, or all of them together.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    /// Connections ever made: listeners, clients and attempts to reach nodes.
    pub(super) total_connections: u64,
    pub(super) current_connections: u64,
    /// By name, in nutcracker's order.
    pub(super) pools: Vec<PoolStats>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PoolStats {
    pub(super) name: String,
    /// Clients that closed their connection, or said `QUIT`.
    pub(super) client_eof: u64,
    /// Clients whose connection we closed, or that broke.
    pub(super) client_err: u64,
    /// Clients connected now.
    pub(super) client_connections: u64,
    /// Clients ever accepted.
    pub(super) clients_accepted: u64,
    /// Clients that were refused, because there were too many.
    pub(super) clients_refused: u64,
    pub(super) server_ejects: u64,
    /// Requests that were answered with an error of ours because a node failed.
    pub(super) forward_error: u64,
    /// Parts of requests that went to several nodes.
    pub(super) fragments: u64,
    /// Bytes from and to clients.
    pub(super) client_bytes_in: u64,
    pub(super) client_bytes_out: u64,
    /// In nutcracker's order: by length of the name, then by its bytes.
    pub(super) nodes: Vec<NodeStats>,
    /// Those that were asked at least once, by name.
    pub(super) commands: Vec<CommandStats>,
}

#[derive(Clone, Debug)]
pub(super) struct NodeStats {
    /// Its ring name.
    pub(super) name: String,
    /// Where it is, for people.
    pub(super) address: String,
    pub(super) state: NodeState,
    /// Connections that the node closed.
    pub(super) server_eof: u64,
    /// Connections that broke, or could not be made.
    pub(super) server_err: u64,
    /// Requests that were not answered in time.
    pub(super) server_timedout: u64,
    /// Connections open now.
    pub(super) server_connections: u64,
    /// Microseconds since 1970, 0 if never.
    pub(super) server_ejected_at: u64,
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) responses: u64,
    pub(super) response_bytes: u64,
    /// Requests waiting to be sent, and their bytes.
    pub(super) in_queue: u64,
    pub(super) in_queue_bytes: u64,
    /// Requests sent and not answered, and their bytes.
    pub(super) out_queue: u64,
    pub(super) out_queue_bytes: u64,
    pub(super) ejections: u64,
    /// From the arrival of a request to the arrival of the reply.
    pub(super) latency: Histogram,
}

#[derive(Clone, Debug, Default)]
pub(super) struct CommandStats {
    /// In lower case.
    pub(super) name: String,
    pub(super) requests: u64,
    /// Replies that were errors, of nodes or of ours.
    pub(super) errors: u64,
    /// From the arrival of the request to the end of its reply.
    pub(super) latency: Histogram,
}

/// How many requests took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Histogram {
    /// Requests of up to each of [`BOUNDS`](Self::BOUNDS), and of more.
    counts: [u64; Self::BOUNDS.len() + 1],
    microseconds: u64,
}

impl Histogram {
    /// Upper bounds of the buckets, in microseconds.
    pub(super) const BOUNDS: [u32; 16] = [
        50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
        1_000_000, 2_000_000, 5_000_000,
    ];

    #[inline]
    pub(super) fn record(&mut self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = Self::BOUNDS.partition_point(|&bound| u64::from(bound) < microseconds);
        self.counts[place] += 1;
        self.microseconds = self.microseconds.saturating_add(microseconds);
    }

    /// Requests that took up to each bound and no less than the one before, then those above all.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Of all requests together.
    pub(super) fn microseconds(&self) -> u64 {
        self.microseconds
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.microseconds = self.microseconds.saturating_add(other.microseconds);
    }
}

impl Stats {
    /// Adds what another worker has counted. States of nodes are the same for all.
    pub(super) fn add(&mut self, other: Self) {
        self.total_connections += other.total_connections;
        self.current_connections += other.current_connections;
        for pool in other.pools {
            match self.pools.iter_mut().find(|mine| mine.name == pool.name) {
                Some(mine) => mine.add(pool),
                None => self.pools.push(pool),
            }
        }
    }
}

impl PoolStats {
    fn add(&mut self, other: Self) {
        self.client_eof += other.client_eof;
        self.client_err += other.client_err;
        self.client_connections += other.client_connections;
        self.clients_accepted += other.clients_accepted;
        self.clients_refused += other.clients_refused;
        self.server_ejects += other.server_ejects;
        self.forward_error += other.forward_error;
        self.fragments += other.fragments;
        self.client_bytes_in += other.client_bytes_in;
        self.client_bytes_out += other.client_bytes_out;
        for node in other.nodes {
            match self.nodes.iter_mut().find(|mine| mine.name == node.name) {
                Some(mine) => mine.add(&node),
                None => self.nodes.push(node),
            }
        }
        for command in other.commands {
            match self.commands.iter_mut().find(|mine| mine.name == command.name) {
                Some(mine) => {
                    mine.requests += command.requests;
                    mine.errors += command.errors;
                    mine.latency.add(&command.latency);
                }
                None => self.commands.push(command),
            }
        }
    }
}

impl NodeStats {
    /// Whether it gets requests. One that is probed does not.
    pub(super) fn is_live(&self) -> bool {
        self.state == NodeState::Live
    }

    fn add(&mut self, other: &Self) {
        self.server_eof += other.server_eof;
        self.server_err += other.server_err;
        self.server_timedout += other.server_timedout;
        self.server_connections += other.server_connections;
        self.server_ejected_at = self.server_ejected_at.max(other.server_ejected_at);
        self.requests += other.requests;
        self.request_bytes += other.request_bytes;
        self.responses += other.responses;
        self.response_bytes += other.response_bytes;
        self.in_queue += other.in_queue;
        self.in_queue_bytes += other.in_queue_bytes;
        self.out_queue += other.out_queue;
        self.out_queue_bytes += other.out_queue_bytes;
        self.ejections = self.ejections.max(other.ejections);
        self.latency.add(&other.latency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_below_the_first_bound_that_holds_it() {
        let mut histogram = Histogram::default();
        for microseconds in [0, 50, 51, 5_000_000, 5_000_001] {
            histogram.record(Duration::from_micros(microseconds));
        }
        assert_eq!(histogram.counts()[..2], [2, 1]);
        assert_eq!(histogram.counts()[15..], [1, 1]);
        assert_eq!((histogram.counts().iter().sum(), histogram.microseconds()), (5, 10_000_102));
    }
}
