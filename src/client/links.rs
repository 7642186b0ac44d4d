//! The links of one connection: one to each node, opened when needed, and requests over them.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use redis::ProtocolVersion;
use redis::PushInfo;
use redis::Value;

use super::endpoint::Endpoint;
use super::failure::Failure;
use super::failure::Phase;
use super::failure::failure_of;
use super::failure::incident;
use super::patience::Patience;
use super::session::Session;
use super::shared::Shared;
use super::slot::Slot;
use super::wire::Job;
use super::wire::Link;
use super::wire::WireError;
use super::wire::exchange;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::health::Incident;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::topology::Member;
use crate::topology::Router;
use crate::topology::Snapshot;

/// One connection's links, and what is said on them.
#[derive(Debug)]
pub(crate) struct Links {
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot<Endpoint>>,
    /// By node id.
    slots: Vec<Slot>,
    session: Session,
    /// Buffers to write into.
    spare: Vec<Vec<u8>>,
    push_sender: Option<Sender<PushInfo>>,
}

/// What one node is asked: `requests` requests, as bytes.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) node: NodeId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) requests: usize,
}

/// What a node made of what it was asked.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) node: NodeId,
    /// All its replies; if it failed, those it gave before.
    pub(crate) replies: Vec<Value>,
    pub(crate) failure: Option<Failure>,
}

impl Links {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let snapshot = shared.topology.current();
        let slots = snapshot.members().iter().map(Slot::new).collect();
        Self {
            shared,
            snapshot,
            slots,
            session: Session::default(),
            spare: Vec::new(),
            push_sender: None,
        }
    }

    /// Follows the topology: links to nodes that stay are kept, those to nodes that went are closed.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        if self.shared.topology.generation() != self.snapshot.generation() {
            self.follow();
        }
    }

    #[cold]
    fn follow(&mut self) {
        self.snapshot = self.shared.topology.current();
        let mut old = std::mem::take(&mut self.slots);
        let slot = |member: &Arc<Member<Endpoint>>| match old
            .iter()
            .position(|slot| slot.member.id() == member.id())
        {
            Some(place) => old.swap_remove(place),
            None => Slot::new(member),
        };
        self.slots = self.snapshot.members().iter().map(slot).collect();
        old.iter_mut().for_each(Slot::close);
        if let Some(sender) = &self.push_sender {
            self.slots.iter_mut().for_each(|slot| slot.set_push_sender(sender));
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    #[inline]
    pub(crate) fn router(&self) -> &Router {
        self.snapshot.router()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(crate) fn set_push_sender(&mut self, sender: Sender<PushInfo>) {
        self.slots.iter_mut().for_each(|slot| slot.set_push_sender(&sender));
        self.push_sender = Some(sender);
    }

    pub(crate) fn has_push_sender(&self) -> bool {
        self.push_sender.is_some()
    }

    /// The protocol that the URL of the first node asks for.
    pub(crate) fn protocol(&self) -> ProtocolVersion {
        let slot = self.slots.first();
        slot.map_or(ProtocolVersion::RESP2, |slot| {
            slot.member.endpoint().info().redis_settings().protocol()
        })
    }

    /// A buffer to write a request into.
    #[inline]
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a buffer back, unless it has grown out of proportion.
    #[inline]
    fn recycle(&mut self, mut buffer: Vec<u8>) {
        const LARGEST: usize = 256 << 10;
        if buffer.capacity() <= LARGEST && self.spare.len() < self.slots.len() {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// The serial number of the link to `node`, if it is open.
    pub(crate) fn link_serial(&self, node: NodeId) -> Option<u64> {
        self.slots.get(node.index())?.link.as_ref().map(Link::serial)
    }

    /// Whether the link to `node` is still the one with this serial number, and may be used.
    pub(crate) fn holds(&mut self, node: NodeId, serial: u64) -> bool {
        let Some(slot) = self.slots.get_mut(node.index()) else {
            return false;
        };
        slot.close_if_unusable(clock::now());
        slot.link.as_ref().is_some_and(|link| link.serial() == serial)
    }

    /// The node whose member has this id now.
    pub(crate) fn node_of_member(&self, member: u64) -> Option<NodeId> {
        let place = self.slots.iter().position(|slot| slot.member.id() == member);
        place.and_then(NodeId::new)
    }

    /// The id of the member that `node` is now.
    pub(crate) fn member_of_node(&self, node: NodeId) -> u64 {
        self.slots[node.index()].member.id()
    }

    /// The database that the URL of the node at `place` names.
    pub(crate) fn database(&self, place: usize) -> i64 {
        let slot = self.slots.get(place);
        slot.map_or(0, |slot| slot.member.endpoint().info().redis_settings().db())
    }

    /// The nodes that links are open to.
    pub(crate) fn open_nodes(&self) -> impl Iterator<Item = NodeId> {
        let slots = self.slots.iter().enumerate();
        slots.filter(|(_, slot)| slot.link.is_some()).filter_map(|(index, _)| NodeId::new(index))
    }

    /// Closes the link to `node`, if it is open.
    pub(crate) fn close(&mut self, node: NodeId) {
        if let Some(slot) = self.slots.get_mut(node.index()) {
            slot.close();
        }
    }

    /// Sends one request and waits for its reply.
    ///
    /// # Errors
    ///
    /// If the node could not be reached or did not answer; its link is closed then.
    #[inline]
    pub(crate) fn ask_one(
        &mut self,
        node: NodeId,
        bytes: Vec<u8>,
        patience: Patience,
    ) -> Result<Value, Failure> {
        let now = clock::now();
        let deadline = Deadline::after(now, patience.limit);
        let slot = &mut self.slots[node.index()];
        slot.close_if_unusable(now);
        let Some(link) = &mut slot.link else {
            return self.ask_one_slowly(node, bytes, patience);
        };
        let epoch = slot.member.epoch();
        slot.tally.sent(1, bytes.len());
        let push_sender = &self.push_sender;
        let mut on_push = |push| forward(push_sender.as_ref(), push);
        let outcome =
            link.send(&bytes, 1, deadline).and_then(|()| link.receive(deadline, &mut on_push));
        let result = match outcome {
            Ok((reply, length)) => {
                slot.tally.answered(1, length);
                self.shared.observe(&slot.member, epoch, Incident::Reply);
                Ok(reply)
            }
            Err(error) => {
                slot.close();
                slot.tally.failed(1);
                let incident = incident(&error, Phase::Talking, patience);
                self.shared.observe(&slot.member, epoch, incident);
                Err(failure_of(&slot.member, error, Phase::Talking, deadline))
            }
        };
        self.recycle(bytes);
        result
    }

    /// Sends `requests` requests over the link that is open and waits for their replies. No new link is
    /// opened: what the old one remembers is what counts.
    ///
    /// # Errors
    ///
    /// If there is no link, or it breaks; it is closed then, and no reply is owed.
    pub(crate) fn ask_open(
        &mut self,
        node: NodeId,
        bytes: &[u8],
        requests: usize,
        patience: Patience,
    ) -> Result<Vec<Value>, Failure> {
        let deadline = Deadline::after(clock::now(), patience.limit);
        let slot = &mut self.slots[node.index()];
        let Some(link) = &mut slot.link else {
            return Err(slot.no_reply("the connection is closed"));
        };
        slot.sent_in = slot.member.epoch();
        slot.tally.sent(requests as u64, bytes.len());
        let push_sender = &self.push_sender;
        let mut on_push = |push| forward(push_sender.as_ref(), push);
        let mut replies = Vec::with_capacity(requests);
        let mut outcome = link.send(bytes, requests, deadline);
        let mut left = deadline;
        while outcome.is_ok() && replies.len() < requests {
            outcome = link.receive(left, &mut on_push).map(|(reply, length)| {
                slot.tally.answered(1, length);
                replies.push(reply);
            });
            let now = clock::now();
            left = Deadline::after(now, deadline.left(now));
        }
        match outcome {
            Ok(()) => {
                self.shared.observe(&slot.member, slot.sent_in, Incident::Reply);
                Ok(replies)
            }
            Err(error) => {
                Err(self.hang_up(node, error, requests - replies.len(), deadline, patience))
            }
        }
    }

    #[cold]
    fn ask_one_slowly(
        &mut self,
        node: NodeId,
        bytes: Vec<u8>,
        patience: Patience,
    ) -> Result<Value, Failure> {
        let mut answers = self.ask(vec![Ask { node, bytes, requests: 1 }], patience);
        let mut answer = answers.pop().expect("each ask has an answer");
        match answer.failure {
            Some(failure) => Err(failure),
            None => Ok(answer.replies.pop().expect("a job that is finished has all its replies")),
        }
    }

    /// Opens the links to `nodes` at the same time, within `limit`. Returns the failures.
    pub(crate) fn connect(&mut self, nodes: &[NodeId], limit: Option<Duration>) -> Vec<Failure> {
        let patience = Patience { limit, is_blocking: false };
        let ask = |&node: &NodeId| Ask { node, bytes: Vec::new(), requests: 0 };
        let answers = self.ask(nodes.iter().map(ask).collect(), patience);
        answers.into_iter().filter_map(|answer| answer.failure).collect()
    }

    /// Opens the links to those of `nodes` that have none, at the same time. Returns for each node what
    /// failed.
    pub(crate) fn open(&mut self, nodes: &[NodeId], patience: Patience) -> Vec<Option<Failure>> {
        let now = clock::now();
        let mut missing = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            let slot = &mut self.slots[node.index()];
            if slot.flying == 0 {
                slot.close_if_unusable(now);
            }
            if slot.link.is_none() {
                missing.push((place, Ask { node: *node, bytes: Vec::new(), requests: 0 }));
            }
        }
        let mut failures = vec![None; nodes.len()];
        if !missing.is_empty() {
            let (places, asks): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
            for (place, answer) in places.into_iter().zip(self.ask(asks, patience)) {
                failures[place] = answer.failure;
            }
        }
        failures
    }

    /// Writes to `node`, whose link is open, without waiting for the replies, which
    /// [`receive`](Self::receive) reads.
    pub(crate) fn send(
        &mut self,
        node: NodeId,
        bytes: &[u8],
        requests: usize,
        patience: Patience,
    ) -> Result<(), Failure> {
        let deadline = Deadline::after(clock::now(), patience.limit);
        let slot = &mut self.slots[node.index()];
        let Some(link) = &mut slot.link else {
            return Err(slot.no_reply("the connection is closed"));
        };
        slot.tally.sent(requests as u64, bytes.len());
        slot.sent_in = slot.member.epoch();
        match link.send(bytes, requests, deadline) {
            Ok(()) => {
                slot.flying += requests;
                Ok(())
            }
            Err(error) => Err(self.hang_up(node, error, requests, deadline, patience)),
        }
    }

    /// Reads the next reply that `node` owes.
    pub(crate) fn receive(&mut self, node: NodeId, patience: Patience) -> Result<Value, Failure> {
        let deadline = Deadline::after(clock::now(), patience.limit);
        let slot = &mut self.slots[node.index()];
        let link = match &mut slot.link {
            Some(link) if slot.lost == 0 && slot.flying > 0 => link,
            _ => {
                // Another link's reply would be another request's.
                if slot.lost > 0 {
                    slot.lost -= 1;
                    slot.tally.failed(1);
                }
                return Err(slot.no_reply("the connection that owed the reply is closed"));
            }
        };
        slot.flying -= 1;
        let push_sender = &self.push_sender;
        match link.receive(deadline, &mut |push| forward(push_sender.as_ref(), push)) {
            Ok((reply, length)) => {
                slot.tally.answered(1, length);
                self.shared.observe(&slot.member, slot.sent_in, Incident::Reply);
                Ok(reply)
            }
            Err(error) => Err(self.hang_up(node, error, 1, deadline, patience)),
        }
    }

    /// What is said of a reply that was owed by a node that is no longer in the topology.
    pub(crate) fn gone(&self) -> Failure {
        let message = "the node that owed the reply was removed from the topology";
        ShardError::new(ShardErrorKind::Node, message).into()
    }

    fn hang_up(
        &mut self,
        node: NodeId,
        error: WireError,
        abandoned: usize,
        deadline: Deadline,
        patience: Patience,
    ) -> Failure {
        let slot = &mut self.slots[node.index()];
        slot.close();
        slot.tally.failed(abandoned as u64);
        let incident = incident(&error, Phase::Talking, patience);
        self.shared.observe(&slot.member, slot.sent_in, incident);
        failure_of(&slot.member, error, Phase::Talking, deadline)
    }

    /// Asks several nodes at the same time; the answers come in the order of `asks`. One deadline bounds
    /// the whole, and a node that fails costs the others nothing.
    pub(crate) fn ask(&mut self, asks: Vec<Ask>, patience: Patience) -> Vec<Answer> {
        let now = clock::now();
        let deadline = Deadline::after(now, patience.limit);
        let options = &self.shared.options;
        let connect_limit = options.connect_timeout.or(options.timeout);
        let connect_by = Deadline::after(now, connect_limit).or_earlier(deadline);
        let mut asked = Vec::with_capacity(asks.len());
        let mut jobs = Vec::with_capacity(asks.len());
        for Ask { node, bytes, requests } in asks {
            let slot = &mut self.slots[node.index()];
            asked.push(Asked { node, epoch: slot.member.epoch(), requests });
            slot.tally.sent(requests as u64, 0);
            jobs.push(match slot.take(now) {
                Some(link) => Job::on(link, bytes, requests),
                None => {
                    let info = slot.member.endpoint().info().clone();
                    Job::connecting(info, self.session.clone(), connect_by, bytes, requests)
                }
            });
        }
        let push_sender = self.push_sender.clone();
        exchange(&mut jobs, deadline, &mut |push| forward(push_sender.as_ref(), push));
        let bounds = Bounds { connect_by, deadline, patience };
        let jobs = asked.into_iter().zip(jobs);
        jobs.map(|(asked, job)| self.conclude(asked, job, bounds)).collect()
    }

    fn conclude(&mut self, asked: Asked, job: Job, bounds: Bounds) -> Answer {
        let Asked { node, epoch, requests } = asked;
        let (phase, deadline) = if job.is_connected() {
            (Phase::Talking, bounds.deadline)
        } else {
            (Phase::Connecting, bounds.connect_by)
        };
        let (done, buffer) = job.into_done();
        let slot = &mut self.slots[node.index()];
        let answered = done.replies.len();
        slot.tally.sent(0, done.sent);
        slot.tally.answered(answered as u64, done.received);
        let (failure, incident) = match done.link {
            Ok(link) if requests > 0 => {
                slot.put(link);
                (None, Some(Incident::Reply))
            }
            // Nothing was asked: that the node answers requests is not known. A link on which something
            // was sent that wants no reply may get one, which would answer the next request.
            Ok(link) => {
                if done.sent == 0 {
                    slot.put(link);
                }
                (None, None)
            }
            Err(error) => {
                if phase == Phase::Talking {
                    slot.tell_of_loss();
                }
                slot.tally.failed((requests - answered.min(requests)) as u64);
                let incident = incident(&error, phase, bounds.patience);
                (Some(failure_of(&slot.member, error, phase, deadline)), Some(incident))
            }
        };
        if let Some(incident) = incident {
            self.shared.observe(&slot.member, epoch, incident);
        }
        self.recycle(buffer);
        Answer { node, replies: done.replies, failure }
    }
}

/// An ask under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    node: NodeId,
    epoch: u64,
    requests: usize,
}

/// What bounds asks under way.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    connect_by: Deadline,
    deadline: Deadline,
    patience: Patience,
}

fn forward(sender: Option<&Sender<PushInfo>>, push: Value) {
    if let (Some(sender), Value::Push { kind, data }) = (sender, push) {
        // Nobody listens any more: that is the listener's choice.
        let _ = sender.send(PushInfo { kind, data });
    }
}
