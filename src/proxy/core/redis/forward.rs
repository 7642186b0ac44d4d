//! Requests on their way to the nodes.

use super::Command;
use super::Mode;
use super::Step;
use crate::command::Gather;
use crate::command::Waiting;
use crate::node::NodeId;
use crate::plan::Split;
use crate::proxy::core::Core;
use crate::proxy::core::Link;
use crate::proxy::core::Sockets;
use crate::proxy::core::backend::Pending;
use crate::proxy::core::backend::Purpose;
use crate::proxy::core::memcache::Asked;
use crate::proxy::core::ticket::Gathering;
use crate::proxy::core::ticket::How;
use crate::proxy::core::ticket::State;
use crate::proxy::core::ticket::Ticket;

impl Core {
    /// Sends a request as it is to the node's connection that the session uses.
    #[inline]
    pub(super) fn forward(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        node: NodeId,
        raw: &[u8],
        index: u16,
    ) -> Step {
        self.forward_for(sockets, key, node, raw, index, Purpose::Whole)
    }

    #[inline]
    pub(super) fn forward_for(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        node: NodeId,
        raw: &[u8],
        index: u16,
        purpose: Purpose,
    ) -> Step {
        let session = &self.sessions[key];
        let (pool, serial, is_resp3) = (session.pool, session.serial, session.is_resp3);
        let backend = self.shared_backend(pool, node, serial, is_resp3);
        if self.is_full(backend, key) {
            return Step::Stalled;
        }
        self.ask_for(sockets, key, backend, raw, index, purpose);
        Step::Done
    }

    /// Sends a request to a backend and queues a ticket for it; or answers it, if the backend takes none.
    #[inline]
    pub(in crate::proxy::core) fn ask_for(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        backend: usize,
        raw: &[u8],
        index: u16,
        purpose: Purpose,
    ) {
        let pending = self.issue(key, index, purpose, raw.len());
        match self.admit(sockets, backend) {
            Ok(()) => self.ask(sockets, backend, raw, pending),
            Err(text) => {
                self.fail(sockets, pending, &text);
                self.lose_own_backend(sockets, backend);
            }
        }
    }

    /// A backend that some session has for itself takes no request: what was said on it before is lost.
    #[cold]
    pub(super) fn lose_own_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        if let Some(backend) = self.backends.get_mut(key)
            && let Some((session, serial)) = backend.owner.take()
        {
            self.own_backend_lost(sockets, session, serial, key);
            self.drop_backend(sockets, key);
        }
    }

    /// Queues a ticket, and says what a node's queue has to know of it.
    #[inline]
    pub(in crate::proxy::core) fn issue(
        &mut self,
        key: usize,
        index: u16,
        purpose: Purpose,
        bytes: usize,
    ) -> Pending {
        let at = self.micros;
        let session = &mut self.sessions[key];
        let ticket = Ticket { state: State::Waiting, command: index, at: at as u32 };
        let ticket = session.issue(ticket);
        Pending {
            session: key as u32,
            serial: session.serial,
            ticket,
            purpose,
            at,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            asked: Asked::Line,
        }
    }

    /// Sends a request on a connection of the session's own, where it may wait.
    pub(super) fn block(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        node: NodeId,
        command: Command<'_>,
        waiting: Waiting,
    ) -> Step {
        let session = &mut self.sessions[key];
        if !session.queue.is_empty() {
            // Earlier requests are on other connections, and this one must not overtake them.
            session.is_barred = true;
            return Step::Stalled;
        }
        session.is_barred = true;
        if session.reads_no_more() || session.is_finishing {
            // It would wait for somebody else, and nobody waits for it.
            self.close_with(key, command.index, b"", false);
            return Step::Done;
        }
        let pool = session.pool;
        let backend = self.own_backend(pool, node, key);
        self.sessions[key].mode = Some(Box::new(Mode::Waiting { backend, is_blocking: true }));
        let mut pending = self.issue(key, command.index, Purpose::Release, command.raw.len());
        // Its own time comes on top of ours.
        pending.at = match waiting {
            Waiting::None => pending.at,
            Waiting::For(time) => {
                pending.at.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
            }
            Waiting::ForEver => u64::MAX,
        };
        match self.admit(sockets, backend) {
            Ok(()) => self.ask(sockets, backend, command.raw, pending),
            Err(text) => {
                self.fail(sockets, pending, &text);
                self.own_backend_done(sockets, backend, &pending);
            }
        }
        Step::Done
    }

    /// Sends each node its part.
    pub(super) fn split(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        split: Split,
    ) -> Step {
        let session = &self.sessions[key];
        let (pool, serial, is_resp3) = (session.pool, session.serial, session.is_resp3);
        let router = self.pools[pool].snapshot.router();
        if let Some(node) = split.nodes().find(|&node| router.is_refused(node)) {
            let text = super::refusal(&crate::plan::ejected(node, router));
            return self.say(key, command, &text);
        }
        // Room that is used again: there are many such requests.
        let mut backends = std::mem::take(&mut self.split_backends);
        backends.clear();
        for node in split.nodes() {
            let backend = self.shared_backend(pool, node, serial, is_resp3);
            if self.is_full(backend, key) {
                self.split_backends = backends;
                return Step::Stalled;
            }
            backends.push(backend);
        }
        self.pools[pool].counters.fragments += backends.len() as u64;
        let pending = self.issue(key, command.index, Purpose::Nothing, 0);
        // What it writes is on its way before the ticket has it, and no reply comes before we return.
        let mut failed = Vec::new();
        for (part, &backend) in backends.iter().enumerate() {
            match self.admit(sockets, backend) {
                Ok(()) => {
                    let out = self.backends[backend].out.tail(&mut self.buffers);
                    let before = out.len();
                    split.copy(part, command.args, command.raw, out);
                    let bytes = (out.len() - before) as u32;
                    let purpose = Purpose::Part(part as u16);
                    self.expect(backend, Pending { purpose, bytes, ..pending });
                    self.mark_dirty(Link::Backend(backend));
                }
                Err(text) => failed.push((part, text)),
            }
        }
        self.split_backends = backends;
        let parts = Gathering::parts_of(split.nodes());
        self.gather_for(key, &pending, Gathering::of(How::Split(split), parts));
        self.fail_parts(sockets, &pending, failed);
        Step::Done
    }

    /// Sends the request to all nodes that are not ejected.
    pub(super) fn ask_all(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        how: Option<Gather>,
    ) -> Step {
        let session = &self.sessions[key];
        let (pool, serial, is_resp3) = (session.pool, session.serial, session.is_resp3);
        let nodes: Vec<NodeId> = self.pools[pool].snapshot.router().live_nodes().collect();
        let mut backends = Vec::with_capacity(nodes.len());
        for &node in &nodes {
            let backend = self.shared_backend(pool, node, serial, is_resp3);
            if self.is_full(backend, key) {
                return Step::Stalled;
            }
            backends.push(backend);
        }
        self.pools[pool].counters.fragments += nodes.len() as u64;
        let pending = self.issue(key, command.index, Purpose::Nothing, command.raw.len());
        let how = how.map_or(How::Found, How::All);
        self.gather_for(key, &pending, Gathering::new(how, nodes.into_iter()));
        let mut failed = Vec::new();
        for (part, &backend) in backends.iter().enumerate() {
            let purpose = Purpose::Part(part as u16);
            match self.admit(sockets, backend) {
                Ok(()) => {
                    self.ask(sockets, backend, command.raw, Pending { purpose, ..pending });
                }
                Err(text) => failed.push((part, text)),
            }
        }
        self.fail_parts(sockets, &pending, failed);
        Step::Done
    }

    /// The ticket waits for several nodes.
    pub(in crate::proxy::core) fn gather_for(
        &mut self,
        key: usize,
        pending: &Pending,
        gathering: Gathering,
    ) {
        let session = &mut self.sessions[key];
        let place = session.place_of(pending.ticket);
        if let Some(ticket) = session.queue.get_mut(place) {
            ticket.state = State::Gathering(Box::new(gathering));
        }
    }

    /// Parts that could not be sent.
    pub(in crate::proxy::core) fn fail_parts(
        &mut self,
        sockets: &mut impl Sockets,
        pending: &Pending,
        failed: Vec<(usize, Vec<u8>)>,
    ) {
        for (part, text) in failed {
            let purpose = Purpose::Part(part as u16);
            self.fail(sockets, Pending { purpose, ..*pending }, &text);
        }
    }
}
