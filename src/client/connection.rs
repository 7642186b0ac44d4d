//! `redis::Connection`'s twin.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::time::Duration;

use redis::Cmd;
use redis::ConnectionLike;
use redis::ErrorKind;
use redis::PushInfo;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;

use super::dispatch::Source;
use super::dispatch::only_node_for;
use super::dispatch::route_only_key;
use super::failure::Failure;
use super::flight::Flight;
use super::links::Links;
use super::node_connection::NodeConnection;
use super::options::ConnectMode;
use super::patience::Patience;
use super::pubsub::ShardedPubSub;
use super::shared::Shared;
use super::transaction::Transaction;
use super::way::Turn;
use super::way::instead_of;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::Node;
use crate::plan::unroutable;
use crate::topology::Router;

/// A connection to all nodes: [`redis::Connection`] with the keys spread.
///
/// Everything that redis-rs builds on [`ConnectionLike`] works: [`Commands`](redis::Commands),
/// [`TypedCommands`](redis::TypedCommands), pipelines, [`redis::transaction`], `redis::Script`, the scan
/// iterators, r2d2. The guide says command by command what happens on several nodes.
///
/// It holds at most one socket a node, opened when it is needed and again after a failure; what was set
/// on the connection (`SELECT`, `AUTH`, `CLIENT SETNAME` …) is set on every new socket too.
///
/// # Examples
///
/// ```no_run
/// use redis::Commands;
/// use shardwright::ShardedClient;
///
/// let client = ShardedClient::open("redis://10.0.0.1:6379,redis://10.0.0.2:6379")?;
/// let mut connection = client.get_connection()?;
/// let _: () = connection.mset(&[("a", 1), ("b", 2), ("c", 3)])?;
/// let values: Vec<i64> = connection.mget(&["c", "a", "b"])?;
/// assert_eq!(values, [3, 1, 2]);
/// # Ok::<(), redis::RedisError>(())
/// ```
pub struct ShardedConnection {
    pub(super) links: Links,
    pub(super) transaction: Transaction,
    pub(super) flights: VecDeque<Flight>,
    read_timeout: Timeout,
    /// The read timeout, if the application has set it: that of the client is for requests.
    pub(super) message_timeout: Timeout,
    write_timeout: Timeout,
    /// When the whole must be over of which the present request is a part.
    pub(super) until: Deadline,
    database: i64,
    pub(super) turn: Turn,
}

/// A timeout that can be set through a shared reference, in nanoseconds; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Timeout(AtomicU64);

impl Timeout {
    pub(super) fn set(&self, timeout: Option<Duration>) -> RedisResult<()> {
        if timeout == Some(Duration::ZERO) {
            let what = "cannot set a 0 duration timeout";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what).into());
        }
        let nanoseconds =
            timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(nanoseconds, Relaxed);
        Ok(())
    }

    #[inline]
    pub(super) fn get(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }
}

impl ShardedConnection {
    /// Opens what the connect mode wants open. `limit` bounds the whole.
    pub(super) fn open(shared: Arc<Shared>, limit: Option<Duration>) -> RedisResult<Self> {
        let mode = shared.options.connect_mode;
        let mut connection = Self::unopened(shared);
        match mode {
            ConnectMode::Lazy => {}
            ConnectMode::Any => connection.connect_any(limit)?,
            ConnectMode::All => connection.connect_all(limit)?,
        }
        Ok(connection)
    }

    pub(super) fn unopened(shared: Arc<Shared>) -> Self {
        let read_timeout = Timeout::default();
        let _ = read_timeout.set(shared.options.timeout);
        let links = Links::new(shared);
        let database = links.database(0);
        Self {
            links,
            transaction: Transaction::default(),
            flights: VecDeque::new(),
            read_timeout,
            message_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            until: Deadline::NEVER,
            database,
            turn: Turn::new(),
        }
    }

    /// Tries one node after the other. Each but the last gets half of the time that is left: a node that
    /// does not answer must not use up what the next one needs, and equal shares would leave a large pool
    /// too little for a single slow handshake.
    fn connect_any(&mut self, limit: Option<Duration>) -> RedisResult<()> {
        let deadline = Deadline::after(clock::now(), limit);
        let nodes: Vec<_> = self.router().live_nodes().collect();
        let start = self.turn.next(nodes.len());
        let mut first_failure = None;
        for offset in 0..nodes.len() {
            let node = nodes[(start + offset) % nodes.len()];
            let limit = match deadline.left(clock::now()) {
                left if offset + 1 == nodes.len() => left,
                Some(left) => Some(left / 2),
                None => Some(NODE_PATIENCE),
            };
            match self.links.connect(&[node], limit).pop() {
                Some(failure) => first_failure = first_failure.or(Some(failure)),
                None => return Ok(()),
            }
        }
        match first_failure {
            Some(failure) => Err(failure.into()),
            None => {
                Err(ShardError::new(ShardErrorKind::NoLiveNode, "every node is ejected").into())
            }
        }
    }

    fn connect_all(&mut self, limit: Option<Duration>) -> RedisResult<()> {
        let nodes: Vec<_> = self.router().live_nodes().collect();
        match self.links.connect(&nodes, limit).into_iter().next() {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// Bounds every further request as a whole, from the first connection it needs to its last reply,
    /// in place of the client's own timeout; `None` waits for ever.
    ///
    /// redis-rs bounds each reply, so that a pipeline of twenty commands may take twenty times as long;
    /// here it is the request. As there, a [`ShardedPubSub`] that is made afterwards waits so long for each message.
    ///
    /// # Errors
    ///
    /// For a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> RedisResult<()> {
        self.message_timeout.set(timeout)?;
        self.read_timeout.set(timeout)
    }

    /// Bounds every further request as [`set_read_timeout`](Self::set_read_timeout) does; the shorter of
    /// both counts, since writing and reading overlap here.
    ///
    /// # Errors
    ///
    /// For a timeout of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> RedisResult<()> {
        self.write_timeout.set(timeout)
    }

    /// Sends the RESP3 push messages of all nodes to `sender`. They are read together with replies, so
    /// they arrive when the connection is used. A message does not say which node it is from.
    pub fn set_push_sender(&mut self, sender: Sender<PushInfo>) {
        self.links.set_push_sender(sender);
    }

    /// Begins to listen to channels; see [`ShardedPubSub`].
    pub fn as_pubsub(&mut self) -> ShardedPubSub<'_> {
        ShardedPubSub::new(self)
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> &[Node] {
        self.router().nodes()
    }

    /// Which node owns which key, as this connection sees it now.
    pub fn router(&self) -> &Router {
        self.links.router()
    }

    /// The node that `command` would be sent to, as this connection sees it now, or `None` if it concerns
    /// several nodes or none. Nothing is sent, and an open transaction plays no part.
    ///
    /// # Errors
    ///
    /// What the command would be refused with: its keys are on several nodes, its node is ejected, there is
    /// no node for such a command.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let client = shardwright::ShardedClient::open("redis://10.0.0.1,redis://10.0.0.2")?;
    /// # let connection = client.get_connection()?;
    /// let node = connection.node_for_command(redis::cmd("INCR").arg("visits"))?;
    /// println!("{}", node.map_or("several nodes", |node| node.name()));
    /// # Ok::<(), redis::RedisError>(())
    /// ```
    pub fn node_for_command(&self, command: &Cmd) -> RedisResult<Option<&Node>> {
        let node = match route_only_key(command, &self.options().table, self.router()) {
            Some((_, node)) => Some(node?),
            None => only_node_for(Source::Command(command), &self.options().table, self.router())?,
        };
        Ok(node.map(|node| self.router().node(node)))
    }

    /// Runs `use_it` on a connection to the node `name` alone: commands go there whatever their keys are.
    ///
    /// # Errors
    ///
    /// [`Configuration`](ShardErrorKind::Configuration) if there is no node of that name, and what
    /// `use_it` answers.
    pub fn on_node<T>(
        &mut self,
        name: &str,
        use_it: impl FnOnce(&mut NodeConnection<'_>) -> RedisResult<T>,
    ) -> RedisResult<T> {
        self.prepare();
        let node = self.router().id_of(name).ok_or_else(|| {
            ShardError::configuration(format!("there is no node named \"{name}\""))
        })?;
        use_it(&mut NodeConnection::new(self, node))
    }

    /// Runs `use_it` on a connection to the node that owns `key` alone.
    ///
    /// # Errors
    ///
    /// If the key has no node at the moment, and what `use_it` answers.
    pub fn on_key<T>(
        &mut self,
        key: impl redis::ToRedisArgs,
        use_it: impl FnOnce(&mut NodeConnection<'_>) -> RedisResult<T>,
    ) -> RedisResult<T> {
        self.prepare();
        let key = key.to_redis_args().concat();
        let router = self.router();
        let node = router.route(&key).map_err(|why| unroutable(why, router))?;
        use_it(&mut NodeConnection::new(self, node))
    }

    /// Runs `use_it` on a connection to each node in turn that is not ejected. One that fails does not
    /// keep the others from it.
    pub fn on_all<T>(
        &mut self,
        mut use_it: impl FnMut(&mut NodeConnection<'_>) -> RedisResult<T>,
    ) -> Vec<(Node, RedisResult<T>)> {
        self.prepare();
        let nodes: Vec<_> = self.router().live_nodes().collect();
        let each = nodes.into_iter().map(|node| {
            let description = self.router().node(node).clone();
            (description, use_it(&mut NodeConnection::new(self, node)))
        });
        each.collect()
    }

    /// Follows the topology and takes home what [`send_packed_command`](Self::send_packed_command) left
    /// on its way.
    pub(super) fn prepare(&mut self) {
        self.prepare_request();
        self.until = Deadline::NEVER;
    }

    /// The same for one request: what it takes is taken off its time.
    #[inline]
    fn prepare_request(&mut self) {
        self.until = Deadline::NEVER;
        if !self.flights.is_empty() {
            self.land_all();
        }
        self.links.refresh();
    }

    /// Begins what goes step by step and has one deadline. It holds until the next request begins.
    pub(super) fn begin(&mut self) -> Deadline {
        self.until = Deadline::NEVER;
        self.until = Deadline::after(clock::now(), self.patience().limit);
        self.until
    }

    /// How long a request may take.
    #[inline]
    pub(super) fn patience(&self) -> Patience {
        let limit = match (self.read_timeout.get(), self.write_timeout.get()) {
            (Some(read), Some(write)) => Some(read.min(write)),
            (read, write) => read.or(write),
        };
        if self.until.at().is_some() {
            let limit = self.until.left(clock::now());
            return Patience { limit, is_blocking: false };
        }
        Patience { limit, is_blocking: false }
    }
}

/// How long one of several nodes is tried, where one will do and there is no timeout.
const NODE_PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn empty_command() -> RedisError {
    RedisError::from((ErrorKind::Client, "empty command"))
}

impl ConnectionLike for ShardedConnection {
    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.prepare_request();
        if self.transaction.is_idle()
            && !command.is_no_response()
            && let Some((is_read_only, node)) =
                route_only_key(command, &self.options().table, self.links.router())
        {
            let reply = node.map_err(Failure::from).and_then(|node| {
                let mut bytes = self.links.buffer();
                command.write_packed_command(&mut bytes);
                self.links.ask_one(node, bytes, self.patience())
            });
            return reply.or_else(|failure| instead_of(failure, is_read_only, self.options()));
        }
        self.execute(Source::Command(command))
    }

    fn req_packed_command(&mut self, bytes: &[u8]) -> RedisResult<Value> {
        self.prepare_request();
        self.execute(Source::Packed(bytes))
    }

    fn req_packed_commands(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.prepare_request();
        if offset == 0 {
            self.execute_pipeline(bytes, count)
        } else {
            self.execute_atomic(bytes, offset, count)
        }
    }

    fn get_db(&self) -> i64 {
        self.database
    }

    /// Whether a node is live; no request is sent, so a dead node does not make a pool throw its
    /// connections away.
    fn check_connection(&mut self) -> bool {
        self.prepare();
        self.is_open()
    }

    /// Whether a node is live. Links that broke are opened again when they are needed, so there is nothing
    /// that a new connection would do better.
    fn is_open(&self) -> bool {
        self.router().live_nodes().next().is_some()
    }
}

impl redis::PubSubCommands for ShardedConnection {
    fn subscribe<C, F, U>(&mut self, channels: C, func: F) -> RedisResult<U>
    where
        F: FnMut(redis::Msg) -> redis::ControlFlow<U>,
        C: redis::ToRedisArgs,
    {
        let mut pubsub = self.as_pubsub();
        pubsub.subscribe(channels)?;
        pubsub.run(func)
    }

    fn psubscribe<P, F, U>(&mut self, patterns: P, func: F) -> RedisResult<U>
    where
        F: FnMut(redis::Msg) -> redis::ControlFlow<U>,
        P: redis::ToRedisArgs,
    {
        let mut pubsub = self.as_pubsub();
        pubsub.psubscribe(patterns)?;
        pubsub.run(func)
    }
}

impl std::fmt::Debug for ShardedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardedConnection")
            .field("nodes", &self.nodes())
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}
