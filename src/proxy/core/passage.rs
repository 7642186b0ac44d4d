//! Large values that go from a node's socket to a client's, past the engine.

use super::Core;
use super::Sockets;
use super::answers::HELD;
use super::backend::Backend;
use super::backend::Purpose;
use crate::health::Incident;

/// It is not worth the while for less that is missing of a value.
pub(super) const LEAST: usize = 32 << 10;

/// The bytes that a node sends next are part of a value, and those that a client gets next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) session: usize,
    /// So many may go from socket to socket.
    pub(crate) length: usize,
}

/// What became of bytes that went past the engine.
#[derive(Debug)]
pub(crate) struct Passed {
    /// As many came from the node.
    pub(crate) count: usize,
    /// The last of them, which the client's socket did not take.
    pub(crate) left: Vec<u8>,
    /// Whether the client's connection broke.
    pub(crate) is_broken: bool,
}

impl Core {
    /// Whether what a node sends next has only to be passed on.
    pub(super) fn passage(&self, backend: &Backend) -> Option<Passage> {
        let stream = backend.stream.filter(|_| backend.rest.is_empty())?;
        let length = backend.scanner.left_of_string();
        if stream.length.saturating_add(length) > HELD {
            return None;
        }
        let pending = backend.queue.front()?;
        if length < self.passed_from || pending.purpose != Purpose::Whole {
            return None;
        }
        let session = pending.session as usize;
        let client = self.sessions.get(session).filter(|it| it.serial == pending.serial)?;
        client.out.is_empty().then_some(Passage { session, length })
    }

    /// Bytes of a [passage](Self::passage) have gone by.
    pub(crate) fn passed(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        passage: Passage,
        passed: Passed,
    ) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.heard_at = self.micros;
        backend.failures = 0;
        backend.scanner.skip(passed.count);
        if let Some(stream) = &mut backend.stream {
            stream.length = stream.length.saturating_add(passed.count);
        }
        self.counters[backend.counters].response_bytes += passed.count as u64;
        self.observe(key, Incident::Reply);
        if passed.is_broken {
            return self.session_broken(sockets, passage.session);
        }
        let Some(session) = self.sessions.get_mut(passage.session) else {
            return;
        };
        let sent = passed.count - passed.left.len();
        self.pools[session.pool].counters.client_bytes_out += sent as u64;
        if !passed.left.is_empty() {
            session.out.append(&passed.left, &mut self.buffers);
            self.pause_if_not_taken(key);
        }
    }
}
