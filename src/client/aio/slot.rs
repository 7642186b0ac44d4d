//! The place of the links to one node.
//!
//! ```text
//!   lane: empty ──► opening ──► open ──► empty      one, or as many as configured; tasks share its link
//!                   whoever waits for it drives it, and a task while nobody does, for its own time
//!   spare: links that rest                          one request at a time has one for itself
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;

use futures_util::future::BoxFuture;
use futures_util::future::FutureExt;
use futures_util::future::Shared;
use futures_util::future::WeakShared;
use parking_lot::Mutex;

use super::link::Link;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Failure;
use crate::topology::Member;

/// The links to one node.
pub(super) struct Slot {
    pub(super) member: Arc<Member<Endpoint>>,
    lanes: Box<[Mutex<Lane>]>,
    /// Links that only one request at a time may use: one that waits on the server, or that is watching.
    spare: Mutex<Vec<Link>>,
    /// The node has left the topology: what is opened still is for who waits for it now.
    is_retired: AtomicBool,
    /// How often it was held against the node that it cannot be connected to.
    blames: AtomicU64,
}

/// The opening of a link. Many wait for it, and any of them drives it.
pub(super) type Opening = Shared<BoxFuture<'static, Result<Link, Failure>>>;

enum Lane {
    Empty,
    Open(Link),
    /// Weak: what is opened ends with those who wait for it, and at the latest when its time is up.
    Opening(WeakShared<BoxFuture<'static, Result<Link, Failure>>>),
}

/// How many links are kept for requests that want one for themselves.
const MOST_SPARE: usize = 16;

impl Slot {
    pub(super) fn new(member: &Arc<Member<Endpoint>>, lanes: usize) -> Self {
        Self {
            member: Arc::clone(member),
            lanes: (0..lanes).map(|_| Mutex::new(Lane::Empty)).collect(),
            spare: Mutex::new(Vec::new()),
            is_retired: AtomicBool::new(false),
            blames: AtomicU64::new(0),
        }
    }

    fn lane(&self, lane: usize) -> &Mutex<Lane> {
        &self.lanes[lane % self.lanes.len()]
    }

    /// The link of a lane, if it is open and may be used.
    #[inline]
    pub(super) fn ready(&self, lane: usize, session: u64) -> Option<Link> {
        match &*self.lane(lane).lock() {
            Lane::Open(link) if link.is_usable(session) => Some(link.clone()),
            _ => None,
        }
    }

    /// Joins the opening of a lane that is under way, or begins one, unless it is open by now. The lock is
    /// not held while it goes on.
    pub(super) fn opening(
        &self,
        lane: usize,
        session: u64,
        begin: impl FnOnce() -> BoxFuture<'static, Result<Link, Failure>>,
    ) -> Result<Link, Opening> {
        let mut lane = self.lane(lane).lock();
        match &*lane {
            Lane::Open(link) if link.is_usable(session) => return Ok(link.clone()),
            Lane::Opening(opening) => {
                if let Some(opening) = opening.upgrade().filter(|opening| opening.peek().is_none())
                {
                    return Err(opening);
                }
            }
            _ => {}
        }
        let opening = begin().shared();
        *lane = opening.downgrade().map_or(Lane::Empty, Lane::Opening);
        Err(opening)
    }

    /// Puts a link that has been opened into its lane.
    pub(super) fn put(&self, lane: usize, link: Link) {
        let mut lane = self.lane(lane).lock();
        *lane = if self.is_retired.load(Acquire) { Lane::Empty } else { Lane::Open(link) };
    }

    /// Puts a link back into the lane it was taken out of, unless another is there.
    pub(super) fn put_back(&self, lane: usize, link: Link) {
        let mut lane = self.lane(lane).lock();
        if matches!(*lane, Lane::Empty) && !self.is_retired.load(Acquire) {
            *lane = Lane::Open(link);
        }
    }

    /// Takes `link` out of its lane, if it is still there.
    pub(super) fn remove(&self, link: &Link) {
        for lane in &self.lanes {
            let mut lane = lane.lock();
            if matches!(&*lane, Lane::Open(open) if open.is(link)) {
                *lane = Lane::Empty;
                return;
            }
        }
    }

    /// A link that rests, for one request alone.
    pub(super) fn take_spare(&self, session: u64) -> Option<Link> {
        let mut spare = self.spare.lock();
        std::iter::from_fn(|| spare.pop()).find(|link| link.is_usable(session))
    }

    /// Lets a link rest on which nothing is under way.
    pub(super) fn put_spare(&self, link: Link) {
        let mut spare = self.spare.lock();
        if spare.len() < MOST_SPARE && !self.is_retired.load(Acquire) {
            spare.push(link);
        }
    }

    /// The links in the lanes that are open.
    pub(super) fn open_links(&self) -> Vec<Link> {
        let link = |lane: &Mutex<Lane>| match &*lane.lock() {
            Lane::Open(link) => Some(link.clone()),
            _ => None,
        };
        self.lanes.iter().filter_map(link).collect()
    }

    /// Closes all links that nothing is under way on, and the others when it is over.
    pub(super) fn close(&self) {
        for lane in &self.lanes {
            let mut lane = lane.lock();
            if let Lane::Open(link) = &*lane {
                link.state.close();
                *lane = Lane::Empty;
            }
        }
        self.spare.lock().clear();
    }

    /// Closes all links, and keeps none from now on.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Release);
        self.close();
    }

    /// How often the node was blamed so far; see [`blame`](Self::blame).
    pub(super) fn blames(&self) -> u64 {
        self.blames.load(Relaxed)
    }

    /// Whether who has waited for a connection since `blames` is to hold it against the node: nobody else
    /// has meanwhile. A connection that does not come is one failure, however many wait for it.
    pub(super) fn blame(&self, blames: u64) -> bool {
        self.blames.compare_exchange(blames, blames + 1, Relaxed, Relaxed).is_ok()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("node", self.member.name()).finish_non_exhaustive()
    }
}
