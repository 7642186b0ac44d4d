//! What all threads of a traffic test share: the client, and what is done to its nodes.

use std::array;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use shardwright::EjectMode;
use shardwright::EjectPolicy;
use shardwright::Event;
use shardwright::Router;
use shardwright::ShardedClient;

use super::super::builder;
use super::witness::Witness;
use crate::support::redis_server::RedisServer;

pub const NODES: usize = 4;
/// The deadline of every request.
pub const LIMIT: Duration = Duration::from_millis(250);
pub const FAILURE_LIMIT: u32 = 3;
pub const RETRY: Duration = Duration::from_millis(150);
pub const LONGEST_RETRY: Duration = Duration::from_millis(300);

/// The client, and what is done to its nodes.
pub struct Scene {
    pub client: ShardedClient,
    pub mode: EjectMode,
    pub events: Arc<Mutex<Vec<Event>>>,
    pub is_over: AtomicBool,
    /// With all nodes live.
    home: Router,
    troubles: Mutex<Vec<Trouble>>,
    /// How often each node has lost its data, and a little: raised before it does and after.
    losses: [AtomicU64; NODES],
    witnesses: Vec<Arc<Witness>>,
}

/// A node in trouble: its requests may fail.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    node: usize,
    from: Instant,
    /// Open while it lasts.
    to: Option<Instant>,
}

/// How often each node has lost its data.
pub type Losses = [u64; NODES];

impl Scene {
    pub fn new(servers: &[RedisServer], mode: EjectMode, query: &str) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let policy = EjectPolicy::new(mode)
            .failure_limit(FAILURE_LIMIT)
            .retry_timeout(RETRY)
            .max_retry_timeout(LONGEST_RETRY);
        let listening = Arc::clone(&events);
        let client = builder(servers.iter().map(|server| server.url() + query))
            .hash_tag("{}".parse().unwrap())
            .timeout(LIMIT)
            .eject(policy)
            .listener(move |event| listening.lock().unwrap().push(event.clone()))
            .build()
            .unwrap();
        Self {
            home: client.router(),
            client,
            mode,
            events,
            is_over: AtomicBool::new(false),
            troubles: Mutex::default(),
            losses: array::from_fn(|_| AtomicU64::new(0)),
            witnesses: servers.iter().map(Witness::of).collect(),
        }
    }

    /// The node that owns `key` when all live.
    pub fn home(&self, key: &str) -> usize {
        let node = self.home.node_for_key(key.as_bytes()).expect("all are live");
        number(self.home.node(node).name())
    }

    /// From now on requests to `node` may fail.
    pub fn begin_trouble(&self, node: usize) {
        self.troubles.lock().unwrap().push(Trouble { node, from: Instant::now(), to: None });
    }

    /// From now on none may.
    pub fn end_trouble(&self) {
        let mut troubles = self.troubles.lock().unwrap();
        troubles.last_mut().expect("there was one").to = Some(Instant::now());
    }

    /// Whether `node` was in trouble at some moment between `start` and `end`.
    pub fn was_troubled(&self, node: usize, start: Instant, end: Instant) -> bool {
        let troubles = self.troubles.lock().unwrap();
        let overlaps =
            |trouble: &Trouble| trouble.from <= end && trouble.to.is_none_or(|to| to >= start);
        troubles.iter().any(|trouble| trouble.node == node && overlaps(trouble))
    }

    /// How long before `end` the last trouble of `node` was over.
    pub fn since_trouble(&self, node: usize, end: Instant) -> Option<Duration> {
        let troubles = self.troubles.lock().unwrap();
        let last = troubles.iter().rfind(|trouble| trouble.node == node)?;
        last.to.map(|to| end.saturating_duration_since(to))
    }

    /// Whether keys at home on `node` may have been elsewhere.
    pub fn may_have_moved(&self, node: usize) -> bool {
        let troubles = self.troubles.lock().unwrap();
        self.mode.moves_keys() && troubles.iter().any(|trouble| trouble.node == node)
    }

    /// `node` loses its data about now.
    pub fn count_loss(&self, node: usize) {
        self.losses[node].fetch_add(1, SeqCst);
    }

    pub fn losses(&self) -> Losses {
        array::from_fn(|node| self.losses[node].load(SeqCst))
    }

    /// For how long between `start` and `end` the server of `node` was slow.
    pub fn slowness(&self, node: usize, start: Instant, end: Instant) -> Duration {
        self.witnesses[node].slowness(start, end)
    }
}

/// The number of the node `n<number>`.
pub fn number(name: &str) -> usize {
    name[1..].parse().expect("nodes are named n0, n1 …")
}
