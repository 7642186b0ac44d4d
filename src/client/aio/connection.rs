//! `redis::aio::MultiplexedConnection`'s twin.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::future::join_all;
use redis::Cmd;
use redis::Pipeline;
use redis::RedisError;
use redis::RedisFuture;
use redis::RedisResult;
use redis::Value;
use redis::aio::ConnectionLike;
use redis::aio::MultiplexedConnection;

use super::config::AsyncConnectionConfig;
use super::connecting::redis_connection;
use super::failure::Unmet;
use super::link::Link;
use super::links::Roster;
use super::links::SharedLinks;
use super::watching::Watching;
use crate::client::dispatch::Source;
use crate::client::dispatch::only_node_for;
use crate::client::dispatch::route_only_key;
use crate::client::options::ConnectMode;
use crate::client::options::Options;
use crate::client::patience::Patience;
use crate::client::shared::Shared;
use crate::client::way::Turn;
use crate::client::way::instead_of;
use crate::error::ShardError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::Node;
use crate::node::NodeId;
use crate::topology::Router;

/// A connection to all nodes that many tasks share: [`redis::aio::MultiplexedConnection`] with the keys
/// spread.
///
/// It is cloned, not locked: clones are cheap, share one connection to each node (or as many as
/// [configured](AsyncConnectionConfig::set_connections_per_node)), and are used at the same time from any
/// task or thread. A connection is opened when its node is needed, and replaced after any I/O error or
/// timeout; a node that hangs or cannot be connected to delays nobody else.
///
/// Everything that redis-rs builds on [`ConnectionLike`] works: [`AsyncCommands`](redis::AsyncCommands),
/// [`AsyncTypedCommands`](redis::AsyncTypedCommands), pipelines,
/// [`transaction_async`](redis::aio::transaction_async), `Script::invoke_async`, the scan iterators.
///
/// - A request to several nodes is made to all of them at the same time, under one deadline.
/// - A command that waits on the server (`BLPOP`) has a connection for itself while it waits, and so has
///   what is watched: `transaction_async` may run in many tasks at the same time. Use the connection that it
///   gives to its closure.
/// - A future may be dropped at any time. Its request may still be carried out, as with redis-rs; it counts
///   neither for nor against its node, and its reply is thrown away.
/// - `SELECT`, `AUTH`, `CLIENT SETNAME` and their like hold for all clones, and for connections that are opened
///   later.
///
/// # Panics
///
/// Its futures, like all of tokio's, if they are polled on a runtime of tokio's that was built without I/O or
/// timers (`enable_all`).
///
/// # Examples
///
/// ```no_run
/// use redis::AsyncCommands;
/// use shardwright::ShardedClient;
///
/// # async fn example() -> redis::RedisResult<()> {
/// let client = ShardedClient::open("redis://10.0.0.1:6379,redis://10.0.0.2:6379")?;
/// let mut connection = client.get_multiplexed_async_connection().await?;
/// let _: () = connection.mset(&[("a", 1), ("b", 2), ("c", 3)]).await?;
/// let values: Vec<i64> = connection.mget(&["c", "a", "b"]).await?;
/// assert_eq!(values, [3, 1, 2]);
/// # Ok(())
/// # }
/// ```
pub struct ShardedMultiplexedConnection {
    pub(super) links: Arc<SharedLinks>,
    pub(super) roster: Arc<Roster>,
    pub(super) lane: usize,
    response_timeout: Option<Duration>,
    /// When the whole must be over of which the present request is a part.
    pub(super) until: Deadline,
    pub(super) watching: Watching,
    pub(super) turn: Turn,
}

impl ShardedMultiplexedConnection {
    /// Opens what the connect mode wants open.
    pub(in crate::client) async fn open(
        shared: Arc<Shared>,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<Self> {
        let connection = Self::unopened(shared, config);
        connection.connect().await?;
        Ok(connection)
    }

    pub(super) async fn connect(&self) -> RedisResult<()> {
        match self.options().connect_mode {
            ConnectMode::Lazy => Ok(()),
            ConnectMode::Any => self.connect_any().await,
            ConnectMode::All => self.connect_all().await,
        }
    }

    pub(in crate::client) fn unopened(shared: Arc<Shared>, config: &AsyncConnectionConfig) -> Self {
        let links = Arc::new(SharedLinks::new(shared, config.clone()));
        Self {
            roster: links.roster(),
            lane: links.next_lane(),
            response_timeout: config.response_timeout(&links.shared.options),
            until: Deadline::NEVER,
            watching: Watching::default(),
            turn: Turn::new(),
            links,
        }
    }

    /// Tries one node after the other. Each but the last gets half of the time that is left, as the
    /// synchronous connection gives them.
    async fn connect_any(&self) -> RedisResult<()> {
        let deadline = Deadline::after(clock::now(), self.links.connection_timeout);
        let mut nodes: Vec<_> = self.router().live_nodes().collect();
        let start = self.turn.clone().next(nodes.len());
        nodes.rotate_left(start);
        let mut first_failure = None;
        let count = nodes.len();
        for (place, node) in nodes.into_iter().enumerate() {
            let left = deadline.left(clock::now());
            let limit = if place + 1 < count { left.map(|left| left / 2) } else { left };
            let patience = Patience { limit, is_blocking: false };
            match self.links.open(self.roster.slot(node), self.lane, patience).await {
                Ok(_) => return Ok(()),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        Err(first_failure.map_or_else(|| crate::plan::no_live_node().into(), RedisError::from))
    }

    async fn connect_all(&self) -> RedisResult<()> {
        let patience = Patience { limit: self.links.connection_timeout, is_blocking: false };
        let nodes = self.router().live_nodes();
        let open = nodes.map(|node| self.links.open(self.roster.slot(node), self.lane, patience));
        match join_all(open).await.into_iter().find_map(Result::err) {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// Bounds every further request of this clone as a whole.
    pub fn set_response_timeout(&mut self, timeout: Duration) {
        self.response_timeout = Some(timeout);
    }

    /// Carries out one command.
    ///
    /// # Errors
    ///
    /// If it cannot be sharded, or its node fails. What a node answers is no error here: it is
    /// [`Value::ServerError`].
    pub async fn send_packed_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.req_packed_command(command).await
    }

    /// Carries out the commands of a pipeline and returns the `count` replies behind the first `offset`.
    ///
    /// # Errors
    ///
    /// If one of them cannot be sharded, or the node of one fails.
    pub async fn send_packed_commands(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.req_packed_commands(pipeline, offset, count).await
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> &[Node] {
        self.router().nodes()
    }

    /// Which node owns which key, as this clone saw it with its last request.
    pub fn router(&self) -> &Router {
        self.roster.router()
    }

    /// The node that `command` would be sent to, or `None` if it concerns several nodes or none. Nothing is
    /// sent.
    ///
    /// # Errors
    ///
    /// What the command would be refused with.
    pub fn node_for_command(&self, command: &Cmd) -> RedisResult<Option<&Node>> {
        let table = &self.options().table;
        let node = match route_only_key(command, table, self.router()) {
            Some((_, node)) => Some(node?),
            None => only_node_for(Source::Command(command), table, self.router())?,
        };
        Ok(node.map(|node| self.router().node(node)))
    }

    /// redis-rs's own connection to the node `name` alone, a new one with what was set on this one: commands
    /// go there whatever their keys are. What fails on it does not count against the node, and it is not
    /// replaced when it breaks.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) if there is no node of that name, and if it cannot be
    /// connected to.
    pub async fn node_connection(&mut self, name: &str) -> RedisResult<MultiplexedConnection> {
        self.prepare();
        let node = self.router().id_of(name).ok_or_else(|| {
            ShardError::configuration(format!("there is no node named \"{name}\""))
        })?;
        self.connection_to(node).await
    }

    /// redis-rs's own connection to the node that owns `key`, as
    /// [`node_connection`](Self::node_connection).
    ///
    /// # Errors
    ///
    /// If the key has no node at the moment, or it cannot be connected to.
    pub async fn connection_for_key(
        &mut self,
        key: impl redis::ToRedisArgs,
    ) -> RedisResult<MultiplexedConnection> {
        self.prepare();
        let key = key.to_redis_args().concat();
        let router = self.router();
        let node = router.route(&key).map_err(|why| crate::plan::unroutable(why, router))?;
        self.connection_to(node).await
    }

    async fn connection_to(&self, node: NodeId) -> RedisResult<MultiplexedConnection> {
        let member = &self.roster.slot(node).member;
        let mut connection = redis_connection(&self.links, member).await?;
        if let Some(timeout) = self.response_timeout {
            connection.set_response_timeout(timeout);
        }
        Ok(connection)
    }

    /// Follows the topology, for a new request.
    #[inline]
    pub(super) fn prepare(&mut self) {
        // A request that was dropped half way may have left it.
        self.until = Deadline::NEVER;
        if self.links.shared.topology.generation() != self.roster.generation() {
            self.roster = self.links.follow();
        }
    }

    #[inline]
    pub(super) fn options(&self) -> &Options {
        &self.links.shared.options
    }

    /// How long a request may take.
    #[inline]
    pub(super) fn patience(&self) -> Patience {
        let limit = match self.until.at() {
            Some(_) => self.until.left(clock::now()),
            None => self.response_timeout,
        };
        Patience { limit, is_blocking: false }
    }

    /// The links that are open.
    #[cfg_attr(not(feature = "cache-aio"), allow(dead_code, reason = "caches are counted with it"))]
    pub(super) fn open_links(&self) -> Vec<Link> {
        self.roster.slots().flat_map(|(_, slot)| slot.open_links()).collect()
    }
}

impl Clone for ShardedMultiplexedConnection {
    fn clone(&self) -> Self {
        Self {
            links: Arc::clone(&self.links),
            roster: Arc::clone(&self.roster),
            lane: self.links.next_lane(),
            response_timeout: self.response_timeout,
            until: Deadline::NEVER,
            watching: self.watching.clone(),
            turn: self.turn.clone(),
        }
    }
}

impl ConnectionLike for ShardedMultiplexedConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.prepare();
        match route_only_key(command, &self.options().table, self.router()) {
            Some((is_read_only, node)) => self.execute_simply(command, node, is_read_only).boxed(),
            None => async move { self.execute(command).await }.boxed(),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.prepare();
        if pipeline.is_transaction() {
            async move { self.execute_atomic(pipeline, offset, count).await }.boxed()
        } else {
            async move { self.execute_pipeline(pipeline, offset, count).await }.boxed()
        }
    }

    /// The database that the URL of the first node names.
    fn get_db(&self) -> i64 {
        let slot = self.roster.slots().next();
        slot.map_or(0, |(_, slot)| slot.member.endpoint().info().redis_settings().db())
    }
}

impl ShardedMultiplexedConnection {
    /// A command whose only key says where it goes.
    async fn execute_simply(
        &self,
        command: &Cmd,
        node: Result<NodeId, ShardError>,
        is_read_only: bool,
    ) -> RedisResult<Value> {
        let asked = match node {
            Ok(node) => self.ask(node, command, self.patience()).await,
            Err(error) => Err(Unmet::Failed(error.into())),
        };
        match asked {
            Ok(reply) => Ok(reply),
            Err(Unmet::Failed(failure)) => instead_of(failure, is_read_only, self.options()),
            Err(Unmet::Refused(error)) => Err(error),
        }
    }
}

impl fmt::Debug for ShardedMultiplexedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedMultiplexedConnection")
            .field("nodes", &self.nodes())
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}
