//! The links of one asynchronous connection and all its clones.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

use futures_util::future::FutureExt;
use parking_lot::Mutex;

use super::config::AsyncConnectionConfig;
use super::connecting::connect;
use super::failure::connect_failure;
use super::link::Link;
use super::runtime::Task;
use super::runtime::detach;
use super::runtime::within;
use super::slot::Slot;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Failure;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::failure::incident;
use crate::client::patience::Patience;
use crate::client::pubsub::Subscriptions;
use crate::client::session::Session;
use crate::client::shared::Shared;
use crate::client::wire::WireError;
use crate::command::SessionCommand;
use crate::health::Incident;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::topology::Member;
use crate::topology::Router;
use crate::topology::Snapshot;

/// What the clones of a connection share.
pub(super) struct SharedLinks {
    pub(super) shared: Arc<Shared>,
    pub(super) config: AsyncConnectionConfig,
    pub(super) connection_timeout: Option<Duration>,
    roster: Mutex<Arc<Roster>>,
    session: Mutex<Session>,
    /// Raised with each change of the session.
    session_version: AtomicU64,
    /// Held by who changes the session: of two at the same time each node would keep another one.
    pub(super) session_turn: futures_util::lock::Mutex<()>,
    next_lane: AtomicUsize,
    /// What is to be listened to, and the task that sees to it.
    pub(super) wanted: Mutex<Subscriptions>,
    pub(super) keeper: Mutex<Option<Task>>,
}

/// The topology, and the slot of each of its nodes.
pub(super) struct Roster {
    snapshot: Arc<Snapshot<Endpoint>>,
    /// By node id.
    slots: Vec<Arc<Slot>>,
}

impl Roster {
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.snapshot.generation()
    }

    #[inline]
    pub(super) fn router(&self) -> &Router {
        self.snapshot.router()
    }

    #[inline]
    pub(super) fn slot(&self, node: NodeId) -> &Arc<Slot> {
        &self.slots[node.index()]
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (NodeId, &Arc<Slot>)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| Some((NodeId::new(index)?, slot)))
    }

    /// The node whose member has this id now.
    pub(super) fn node_of_member(&self, member: u64) -> Option<NodeId> {
        let place = self.slots.iter().position(|slot| slot.member.id() == member);
        place.and_then(NodeId::new)
    }
}

impl SharedLinks {
    pub(super) fn new(shared: Arc<Shared>, config: AsyncConnectionConfig) -> Self {
        let snapshot = shared.topology.current();
        let lanes = config.connections_per_node();
        let slots = snapshot.members().iter().map(|member| Arc::new(Slot::new(member, lanes)));
        let roster = Roster { slots: slots.collect(), snapshot };
        Self {
            connection_timeout: config.connection_timeout(&shared.options),
            shared,
            config,
            roster: Mutex::new(Arc::new(roster)),
            session: Mutex::default(),
            session_version: AtomicU64::new(0),
            session_turn: futures_util::lock::Mutex::new(()),
            next_lane: AtomicUsize::new(0),
            wanted: Mutex::default(),
            keeper: Mutex::new(None),
        }
    }

    pub(super) fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.lock())
    }

    /// The roster as the topology is now. Slots of nodes that stay are kept, and those of nodes that went
    /// are closed.
    #[cold]
    pub(super) fn follow(&self) -> Arc<Roster> {
        let mut roster = self.roster.lock();
        let snapshot = self.shared.topology.current();
        if roster.generation() == snapshot.generation() {
            return Arc::clone(&roster);
        }
        let lanes = self.config.connections_per_node();
        let slot = |member: &Arc<Member<Endpoint>>| match roster.node_of_member(member.id()) {
            Some(node) => Arc::clone(roster.slot(node)),
            None => Arc::new(Slot::new(member, lanes)),
        };
        let slots = snapshot.members().iter().map(slot).collect();
        let new = Arc::new(Roster { snapshot, slots });
        let gone = std::mem::replace(&mut *roster, Arc::clone(&new));
        drop(roster);
        for (_, slot) in gone.slots() {
            if new.node_of_member(slot.member.id()).is_none() {
                slot.retire();
            }
        }
        new
    }

    /// The lane of another clone.
    pub(super) fn next_lane(&self) -> usize {
        self.next_lane.fetch_add(1, Relaxed)
    }

    #[inline]
    pub(super) fn session_version(&self) -> u64 {
        self.session_version.load(Acquire)
    }

    /// What was set on the connection, and its version.
    pub(super) fn session(&self) -> (Session, u64) {
        let session = self.session.lock();
        (session.clone(), self.session_version())
    }

    /// Remembers a command that was carried out on `told`. Links that have not heard of it are not used any
    /// more.
    pub(super) fn remember(&self, kind: SessionCommand, args: &[&[u8]], told: &[Link]) {
        let mut session = self.session.lock();
        session.remember(kind, args);
        let version = self.session_version() + 1;
        for link in told {
            link.state.set_session(version);
        }
        self.session_version.store(version, Release);
    }

    /// The link of a lane, opened if need be within the patience of the caller.
    ///
    /// # Errors
    ///
    /// If it cannot be opened in time.
    pub(super) async fn open(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        lane: usize,
        patience: Patience,
    ) -> Result<Link, Failure> {
        let deadline = Deadline::after(clock::now(), patience.limit);
        let (blames, epoch) = (slot.blames(), slot.member.epoch());
        loop {
            // One opening for all, so it is not bounded by what one of them has left.
            let limit = self.connection_timeout;
            let mut is_new = false;
            let begin = || {
                is_new = true;
                self.clone().begin(Arc::clone(slot), lane, limit).boxed()
            };
            let left = deadline.left(clock::now());
            let opened = match left {
                Some(Duration::ZERO) => None,
                _ => match slot.opening(lane, self.session_version(), begin) {
                    Ok(link) => return Ok(link),
                    // Whoever opens it says what went wrong; the others need not wait longer than they
                    // want to. All may give up before it is open: then the next ones find it open.
                    Err(opening) => {
                        if is_new {
                            let longest = limit.unwrap_or(LONGEST_OPENING);
                            detach(within(Some(longest), opening.clone()).map(drop));
                        }
                        within(left.map(|left| left.saturating_add(SLACK)), opening).await
                    }
                },
            };
            match opened {
                Some(Ok(link)) if link.has_heard(self.session_version()) => return Ok(link),
                // Something was set when it was open already.
                Some(Ok(_)) => {}
                Some(Err(failure)) => return Err(failure),
                None => {
                    let error = WireError::Deadline;
                    let incident = incident(&error, Phase::Connecting, patience);
                    if incident != Incident::NoTime && slot.blame(blames) {
                        self.observe(&slot.member, epoch, incident);
                    }
                    return Err(failure_of(&slot.member, error, Phase::Connecting, deadline));
                }
            }
        }
    }

    /// A link for one request alone: one that rests, or a new one.
    pub(super) async fn open_aside(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        patience: Patience,
    ) -> Result<Link, Failure> {
        match slot.take_spare(self.session_version()) {
            Some(link) => Ok(link),
            None => {
                let epoch = slot.member.epoch();
                let opened = connect(self, &slot.member, self.opening_limit(patience)).await;
                opened.map_err(|error| {
                    let deadline = Deadline::after(clock::now(), self.opening_limit(patience));
                    let (failure, incident) = connect_failure(&slot.member, error, deadline);
                    self.observe(&slot.member, epoch, incident);
                    failure
                })
            }
        }
    }

    fn opening_limit(&self, patience: Patience) -> Option<Duration> {
        match (self.connection_timeout, patience.limit) {
            (Some(limit), Some(patience)) => Some(limit.min(patience)),
            (limit, patience) => limit.or(patience),
        }
    }

    /// Opens the link of a lane.
    async fn begin(
        self: Arc<Self>,
        slot: Arc<Slot>,
        lane: usize,
        limit: Option<Duration>,
    ) -> Result<Link, Failure> {
        let (blames, epoch) = (slot.blames(), slot.member.epoch());
        match connect(&self, &slot.member, limit).await {
            Ok(link) => {
                slot.put(lane, link.clone());
                Ok(link)
            }
            Err(error) => {
                let deadline = Deadline::after(clock::now(), limit);
                let (failure, incident) = connect_failure(&slot.member, error, deadline);
                if slot.blame(blames) {
                    self.observe(&slot.member, epoch, incident);
                }
                Err(failure)
            }
        }
    }

    #[inline]
    pub(super) fn observe(&self, member: &Arc<Member<Endpoint>>, epoch: u64, incident: Incident) {
        self.shared.observe(member, epoch, incident);
    }
}

/// The timers of an opening and of who waits for it begin at the same time; the one that knows more is
/// to end first.
const SLACK: Duration = Duration::from_millis(2);

/// How long a connection goes on being opened that nobody waits for, where nothing bounds it.
const LONGEST_OPENING: Duration = Duration::from_secs(10);

impl fmt::Debug for SharedLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLinks")
            .field("config", &self.config)
            .field("session", &*self.session.lock())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("nodes", &self.router().nodes()).finish_non_exhaustive()
    }
}
