//! What an asynchronous connection can be told.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use redis::PushInfo;
use redis::aio::AsyncPushSender;
use redis::io::AsyncDNSResolver;

use crate::client::options::Options;

/// What an asynchronous connection can be told: [`redis::AsyncConnectionConfig`] with what several nodes
/// need besides. It holds for the connections to all nodes.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use shardwright::{AsyncConnectionConfig, ShardedClient};
///
/// # async fn example() -> redis::RedisResult<()> {
/// let client = ShardedClient::open("redis://10.0.0.1:6379,redis://10.0.0.2:6379")?;
/// let config = AsyncConnectionConfig::new()
///     .set_response_timeout(Some(Duration::from_millis(200)))
///     .set_connections_per_node(2);
/// let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a configuration does nothing by itself"]
pub struct AsyncConnectionConfig {
    /// redis-rs's own, with whatever does not concern us.
    pub(super) redis: redis::AsyncConnectionConfig,
    response_timeout: Choice,
    connection_timeout: Choice,
    /// Whether something was set that only redis-rs's own connection knows.
    is_for_redis_rs: bool,
    /// Whether requests wait for their turn.
    has_turns: bool,
    push_listener: Option<PushListener>,
    connections_per_node: NonZeroUsize,
}

/// Who gets push messages, and from which node they are.
pub(super) type PushListener = Arc<dyn Fn(&str, PushInfo) + Send + Sync>;

#[derive(Clone, Copy, Debug, Default)]
enum Choice {
    /// What the client says, or else redis-rs's own default.
    #[default]
    Inherited,
    Made(Option<Duration>),
}

impl Choice {
    fn or(self, inherited: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Inherited => inherited,
            Self::Made(limit) => limit,
        }
    }
}

/// redis-rs 1.8's own defaults (`client.rs` `DEFAULT_RESPONSE_TIMEOUT`, `DEFAULT_CONNECTION_TIMEOUT`).
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

impl Default for AsyncConnectionConfig {
    fn default() -> Self {
        Self {
            // A request is bounded as a whole, which only we can do.
            redis: redis::AsyncConnectionConfig::new()
                .set_response_timeout(None)
                .set_connection_timeout(None),
            response_timeout: Choice::default(),
            connection_timeout: Choice::default(),
            is_for_redis_rs: false,
            has_turns: false,
            push_listener: None,
            connections_per_node: NonZeroUsize::MIN,
        }
    }
}

impl AsyncConnectionConfig {
    /// The settings of redis-rs, but for timeouts that the client was given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds a new connection to a node, handshake included; `None` does not. Without it the client's
    /// [`connect_timeout`](crate::ShardedClientBuilder::connect_timeout) holds, or else a second.
    pub fn set_connection_timeout(self, timeout: Option<Duration>) -> Self {
        Self { connection_timeout: Choice::Made(timeout), ..self }
    }

    /// Bounds a request as a whole, from a connection it has to wait for to the last reply of the last
    /// node; `None` does not. Without it the client's [`timeout`](crate::ShardedClientBuilder::timeout)
    /// holds, or else half a second. A command that waits on the server gets that time on top.
    pub fn set_response_timeout(self, timeout: Option<Duration>) -> Self {
        Self { response_timeout: Choice::Made(timeout), ..self }
    }

    /// Sends the push messages of all nodes to `sender`. It needs RESP3 (`?protocol=resp3`); without it
    /// connecting fails. A message does not say which node it is from:
    /// [`set_node_push_listener`](Self::set_node_push_listener) does.
    pub fn set_push_sender(self, sender: impl AsyncPushSender) -> Self {
        self.set_node_push_listener(move |_, message| drop(sender.send(message)))
    }

    /// Calls `listener` with each push message and the name of the node it is from. It must not block:
    /// the connection waits for it. It needs RESP3.
    pub fn set_node_push_listener(
        self,
        listener: impl Fn(&str, PushInfo) + Send + Sync + 'static,
    ) -> Self {
        Self { push_listener: Some(Arc::new(listener)), ..self }
    }

    /// How many connections each node gets (1). Clones of a connection are spread over them; more than
    /// one helps where a single task that writes and parses is the bottleneck. Zero is one.
    pub fn set_connections_per_node(self, count: usize) -> Self {
        Self { connections_per_node: NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN), ..self }
    }

    /// Resolves the names of nodes. See redis-rs's setting of this name, as for those below.
    pub fn set_dns_resolver(self, resolver: impl AsyncDNSResolver) -> Self {
        self.with(|redis| redis.set_dns_resolver(resolver))
    }

    /// How many requests to a node wait to be written before those who send more have to wait (50).
    pub fn set_pipeline_buffer_size(self, size: usize) -> Self {
        self.with(|redis| redis.set_pipeline_buffer_size(size))
    }

    /// How many requests may be under way on each connection at the same time (no limit).
    pub fn set_concurrency_limit(self, limit: usize) -> Self {
        let config = self.with(|redis| redis.set_concurrency_limit(limit));
        Self { has_turns: true, ..config }
    }

    /// How many bytes are collected before they are written even while there are more.
    pub fn set_write_backpressure_boundary(self, boundary: usize) -> Self {
        self.with(|redis| redis.set_write_backpressure_boundary(boundary))
    }

    pub(super) fn with(
        self,
        change: impl FnOnce(redis::AsyncConnectionConfig) -> redis::AsyncConnectionConfig,
    ) -> Self {
        Self { redis: change(self.redis), is_for_redis_rs: true, ..self }
    }

    /// How long a request may take on a connection of a client with `options`.
    pub(super) fn response_timeout(&self, options: &Options) -> Option<Duration> {
        self.response_timeout.or(options.timeout.or(Some(RESPONSE_TIMEOUT)))
    }

    /// How long connecting may take.
    pub(super) fn connection_timeout(&self, options: &Options) -> Option<Duration> {
        let limit = options.connect_timeout.or(options.timeout);
        self.connection_timeout.or(limit.or(Some(CONNECTION_TIMEOUT)))
    }

    pub(super) fn is_for_redis_rs(&self) -> bool {
        self.is_for_redis_rs || self.push_listener.is_some()
    }

    pub(super) fn has_turns(&self) -> bool {
        self.has_turns
    }

    pub(super) fn push_listener(&self) -> Option<PushListener> {
        self.push_listener.clone()
    }

    pub(super) fn connections_per_node(&self) -> usize {
        self.connections_per_node.get()
    }
}

impl fmt::Debug for AsyncConnectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncConnectionConfig")
            .field("response_timeout", &self.response_timeout)
            .field("connection_timeout", &self.connection_timeout)
            .field("connections_per_node", &self.connections_per_node)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_last_and_nearest_holds() {
        let second = Duration::from_secs(1);
        let plain = Options::default();
        let told = Options { timeout: Some(second * 3), ..Options::default() };
        let config = AsyncConnectionConfig::new();
        assert_eq!(config.response_timeout(&plain), Some(second / 2));
        assert_eq!(config.connection_timeout(&plain), Some(second));
        assert_eq!(config.response_timeout(&told), Some(second * 3));
        assert_eq!(config.connection_timeout(&told), Some(second * 3));
        let config = config.set_response_timeout(None).set_connection_timeout(Some(second * 2));
        assert_eq!(config.response_timeout(&told), None);
        assert_eq!(config.connection_timeout(&told), Some(second * 2));
    }
}
