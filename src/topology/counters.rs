//! Counters of each node, cheap enough for every request.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use crate::health::NodeState;
use crate::node::Node;

/// What one node was asked and answered, since it joined the topology.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeMetrics {
    /// The node.
    pub node: Node,
    /// Whether it may be used.
    pub state: NodeState,
    /// Requests sent, a fragment counting as one and so each command of a pipeline.
    pub requests: u64,
    /// Requests that failed: I/O errors, deadlines, broken replies; once a request, however many commands it
    /// had. A reply never is a failure.
    pub failures: u64,
    /// Bytes written, asynchronous connections to Redis left out.
    pub bytes_sent: u64,
    /// Bytes read, asynchronous connections to Redis left out.
    pub bytes_received: u64,
    /// Requests sent and not answered yet.
    pub in_flight: u64,
    /// Connections open now.
    pub connections: u64,
    /// How often it was ejected.
    pub ejections: u64,
}

/// The counters of one node: the running tallies of its connections, and the sum of ended ones.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    running: Mutex<Vec<Arc<Tally>>>,
    ended: Tally,
    shared: SharedTally,
    ejections: AtomicU64,
}

/// What one connection counts.
///
/// Only its owner writes it, so that counting is plain loads and stores on memory no other thread
/// writes: a shared counter would cost a locked instruction, and a cache miss under load.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: AtomicU64,
    failures: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    in_flight: AtomicU64,
    connections: AtomicU64,
}

impl Tally {
    pub(crate) fn sent(&self, requests: u64, bytes: usize) {
        add(&self.requests, requests);
        add(&self.in_flight, requests);
        add(&self.bytes_sent, bytes as u64);
    }

    pub(crate) fn answered(&self, requests: u64, bytes: usize) {
        subtract(&self.in_flight, requests);
        add(&self.bytes_received, bytes as u64);
    }

    /// `abandoned` requests will get no reply.
    pub(crate) fn failed(&self, abandoned: u64) {
        add(&self.failures, 1);
        subtract(&self.in_flight, abandoned);
    }

    pub(crate) fn connected(&self) {
        add(&self.connections, 1);
    }

    pub(crate) fn disconnected(&self) {
        subtract(&self.connections, 1);
    }

    fn absorb(&self, other: &Self) {
        // Other connections may end at the same time.
        self.requests.fetch_add(other.requests.load(Relaxed), Relaxed);
        self.failures.fetch_add(other.failures.load(Relaxed), Relaxed);
        self.bytes_sent.fetch_add(other.bytes_sent.load(Relaxed), Relaxed);
        self.bytes_received.fetch_add(other.bytes_received.load(Relaxed), Relaxed);
    }
}

/// What connections count that many tasks, or many threads, share. redis-rs's connections do not tell their
/// bytes.
#[derive(Debug, Default)]
pub(crate) struct SharedTally(Tally);

#[cfg_attr(
    not(any(feature = "_aio", feature = "memcache")),
    allow(dead_code, reason = "shared connections count here")
)]
/// Requests under way; they are over when this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'t> {
    tally: &'t SharedTally,
    requests: u64,
}

#[cfg_attr(
    not(any(feature = "_aio", feature = "memcache")),
    allow(dead_code, reason = "shared connections count here")
)]
impl SharedTally {
    pub(crate) fn begin(&self, requests: u64) -> UnderWay<'_> {
        self.0.requests.fetch_add(requests, Relaxed);
        self.0.in_flight.fetch_add(requests, Relaxed);
        UnderWay { tally: self, requests }
    }

    pub(crate) fn failed(&self) {
        self.0.failures.fetch_add(1, Relaxed);
    }

    #[cfg_attr(
        not(feature = "memcache"),
        allow(dead_code, reason = "redis-rs does not tell bytes")
    )]
    pub(crate) fn moved(&self, sent: usize, received: usize) {
        self.0.bytes_sent.fetch_add(sent as u64, Relaxed);
        self.0.bytes_received.fetch_add(received as u64, Relaxed);
    }

    pub(crate) fn connected(&self) {
        self.0.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.tally.0.in_flight.fetch_sub(self.requests, Relaxed);
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(number), Relaxed);
}

fn subtract(counter: &AtomicU64, number: u64) {
    counter.store(counter.load(Relaxed).saturating_sub(number), Relaxed);
}

impl Counters {
    /// A tally for one connection; give it back with [`end`](Self::end).
    pub(crate) fn begin(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.running.lock().push(Arc::clone(&tally));
        tally
    }

    /// The tally of the connections that many tasks share.
    #[cfg_attr(
        not(any(feature = "_aio", feature = "memcache")),
        allow(dead_code, reason = "shared connections use it")
    )]
    pub(crate) fn shared(&self) -> &SharedTally {
        &self.shared
    }

    pub(crate) fn end(&self, tally: &Arc<Tally>) {
        let mut running = self.running.lock();
        if let Some(place) = running.iter().position(|other| Arc::ptr_eq(other, tally)) {
            running.swap_remove(place);
            self.ended.absorb(tally);
        }
    }

    pub(super) fn count_ejection(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    #[cfg_attr(
        not(feature = "proxy"),
        allow(dead_code, reason = "the proxy counts the rest itself")
    )]
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    pub(super) fn metrics(&self, node: Node, state: NodeState) -> NodeMetrics {
        let running = self.running.lock();
        let sum = |counter: fn(&Tally) -> &AtomicU64| {
            let tallies = running.iter().map(|tally| counter(tally).load(Relaxed));
            let rest = [&self.ended, &self.shared.0].map(|tally| counter(tally).load(Relaxed));
            tallies.sum::<u64>() + rest.iter().sum::<u64>()
        };
        NodeMetrics {
            node,
            state,
            requests: sum(|tally| &tally.requests),
            failures: sum(|tally| &tally.failures),
            bytes_sent: sum(|tally| &tally.bytes_sent),
            bytes_received: sum(|tally| &tally.bytes_received),
            in_flight: sum(|tally| &tally.in_flight),
            connections: sum(|tally| &tally.connections),
            ejections: self.ejections.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_dropped_is_not_under_way() {
        let counters = Counters::default();
        counters.shared().connected();
        let two = counters.shared().begin(2);
        let one = counters.shared().begin(1);
        drop(two);
        let metrics = counters.metrics("h:1:1".parse().unwrap(), NodeState::Live);
        assert_eq!((metrics.requests, metrics.in_flight, metrics.connections), (3, 1, 1));
        drop(one);
        counters.shared().failed();
        let metrics = counters.metrics("h:1:1".parse().unwrap(), NodeState::Live);
        assert_eq!((metrics.in_flight, metrics.failures), (0, 1));
    }

    #[test]
    fn what_ended_connections_counted_stays() {
        let counters = Counters::default();
        let (first, second) = (counters.begin(), counters.begin());
        first.connected();
        first.sent(2, 100);
        first.answered(1, 30);
        first.failed(1);
        second.sent(1, 50);
        let metrics = || counters.metrics("h:1:1".parse().unwrap(), NodeState::Live);
        assert_eq!((metrics().requests, metrics().in_flight, metrics().connections), (3, 1, 1));
        first.disconnected();
        counters.end(&first);
        counters.end(&first);
        let metrics = metrics();
        assert_eq!((metrics.requests, metrics.failures, metrics.bytes_sent), (3, 1, 150));
        assert_eq!((metrics.bytes_received, metrics.in_flight, metrics.connections), (30, 1, 0));
    }
}
