//! `redis::aio::ConnectionManager`'s twin.

use std::time::Duration;

use redis::Cmd;
use redis::ErrorKind;
use redis::Pipeline;
use redis::RedisFuture;
use redis::RedisResult;
use redis::ToRedisArgs;
use redis::Value;
use redis::aio::AsyncPushSender;
use redis::aio::ConnectionLike;

use super::AsyncConnectionConfig;
use super::ShardedMultiplexedConnection;
use super::runtime::sleep;
use crate::client::ShardedClient;

/// [`redis::aio::ConnectionManager`] with the keys spread: a [`ShardedMultiplexedConnection`] under its name.
///
/// That connection opens what is missing and replaces what breaks anyway, so only the beginning differs:
/// [`new`](Self::new) tries again, with pauses that grow, until a node answers. Later requests fail at once
/// where redis-rs's manager keeps them waiting for as many attempts to reconnect (9.5 s by default).
#[derive(Clone, Debug)]
pub struct ShardedConnectionManager {
    connection: ShardedMultiplexedConnection,
}

/// What a [`ShardedConnectionManager`] can be told: [`redis::aio::ConnectionManagerConfig`], for all nodes.
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing by itself"]
pub struct ConnectionManagerConfig {
    connection: AsyncConnectionConfig,
    exponent_base: f32,
    min_delay: Duration,
    max_delay: Option<Duration>,
    number_of_retries: usize,
    has_push_sender: bool,
    resubscribes: bool,
}

impl Default for ConnectionManagerConfig {
    /// The retries of redis-rs 1.8 (`connection_manager.rs`).
    fn default() -> Self {
        Self {
            connection: AsyncConnectionConfig::new(),
            exponent_base: 2.0,
            min_delay: Duration::from_millis(100),
            max_delay: None,
            number_of_retries: 6,
            has_push_sender: false,
            resubscribes: false,
        }
    }
}

impl ConnectionManagerConfig {
    /// redis-rs's settings, but for timeouts that the client was given.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pause before the second attempt to connect, with which the later ones grow (100 ms).
    pub fn set_min_delay(self, min_delay: Duration) -> Self {
        Self { min_delay, ..self }
    }

    /// The longest pause between two attempts (none).
    pub fn set_max_delay(self, time: Duration) -> Self {
        Self { max_delay: Some(time), ..self }
    }

    /// By what each pause is longer than the one before it (2).
    pub fn set_exponent_base(self, base: f32) -> Self {
        Self { exponent_base: base, ..self }
    }

    /// How often it is tried again to reach a first node (6).
    pub fn set_number_of_retries(self, amount: usize) -> Self {
        Self { number_of_retries: amount, ..self }
    }

    /// See [`AsyncConnectionConfig::set_response_timeout`].
    pub fn set_response_timeout(self, duration: Option<Duration>) -> Self {
        self.with(|connection| connection.set_response_timeout(duration))
    }

    /// See [`AsyncConnectionConfig::set_connection_timeout`].
    pub fn set_connection_timeout(self, duration: Option<Duration>) -> Self {
        self.with(|connection| connection.set_connection_timeout(duration))
    }

    /// See [`AsyncConnectionConfig::set_push_sender`].
    pub fn set_push_sender(self, sender: impl AsyncPushSender) -> Self {
        let config = self.with(|connection| connection.set_push_sender(sender));
        Self { has_push_sender: true, ..config }
    }

    /// Listens again to channels after a connection was lost; which is done here in any case.
    pub fn set_automatic_resubscription(self) -> Self {
        Self { resubscribes: true, ..self }
    }

    /// See [`AsyncConnectionConfig::set_connections_per_node`].
    pub fn set_connections_per_node(self, count: usize) -> Self {
        self.with(|connection| connection.set_connections_per_node(count))
    }

    /// See [`AsyncConnectionConfig::set_pipeline_buffer_size`].
    pub fn set_pipeline_buffer_size(self, size: usize) -> Self {
        self.with(|connection| connection.set_pipeline_buffer_size(size))
    }

    /// See [`AsyncConnectionConfig::set_concurrency_limit`].
    pub fn set_concurrency_limit(self, limit: usize) -> Self {
        self.with(|connection| connection.set_concurrency_limit(limit))
    }

    /// See [`AsyncConnectionConfig::set_write_backpressure_boundary`].
    pub fn set_write_backpressure_boundary(self, boundary: usize) -> Self {
        self.with(|connection| connection.set_write_backpressure_boundary(boundary))
    }

    /// The pause before the second attempt to connect.
    pub fn min_delay(&self) -> Duration {
        self.min_delay
    }

    /// The longest pause between two attempts.
    pub fn max_delay(&self) -> Option<Duration> {
        self.max_delay
    }

    /// By what each pause is longer than the one before it.
    pub fn exponent_base(&self) -> f32 {
        self.exponent_base
    }

    /// How often it is tried again to reach a first node.
    pub fn number_of_retries(&self) -> usize {
        self.number_of_retries
    }

    /// How long a request may take, unless the client says otherwise.
    pub fn response_timeout(&self) -> Option<Duration> {
        self.connection.response_timeout(&Default::default())
    }

    /// How long connecting may take, unless the client says otherwise.
    pub fn connection_timeout(&self) -> Option<Duration> {
        self.connection.connection_timeout(&Default::default())
    }

    /// Whether it was asked to listen again after a connection was lost.
    pub fn automatic_resubscription(&self) -> bool {
        self.resubscribes
    }

    pub(super) fn with(
        self,
        change: impl FnOnce(AsyncConnectionConfig) -> AsyncConnectionConfig,
    ) -> Self {
        Self { connection: change(self.connection), ..self }
    }

    /// The pause before the attempt `number`, the second being 0: as redis-rs's, but without chance.
    fn pause(&self, number: usize) -> Duration {
        let factor = self.exponent_base.max(1.0).powf(number as f32);
        let pause = Duration::try_from_secs_f32(self.min_delay.as_secs_f32() * factor);
        let longest = self.max_delay.unwrap_or(Duration::from_secs(60));
        pause.unwrap_or(longest).min(longest)
    }
}

impl ShardedConnectionManager {
    /// Connects, trying again as the default configuration says.
    ///
    /// # Errors
    ///
    /// If no node answers in the end.
    pub async fn new(client: ShardedClient) -> RedisResult<Self> {
        Self::new_with_config(client, ConnectionManagerConfig::new()).await
    }

    /// Connects, trying again as `config` says.
    ///
    /// # Errors
    ///
    /// If no node answers in the end, or `config` contradicts itself.
    pub async fn new_with_config(
        client: ShardedClient,
        config: ConnectionManagerConfig,
    ) -> RedisResult<Self> {
        let manager = Self::new_lazy_with_config(client, config.clone())?;
        let mut retry = 0;
        loop {
            match manager.connection.connect().await {
                Ok(()) => return Ok(manager),
                Err(error) if retry >= config.number_of_retries || !error.is_io_error() => {
                    return Err(error);
                }
                Err(_) => sleep(config.pause(retry)).await,
            }
            retry += 1;
        }
    }

    /// Connects to nothing before the first request.
    ///
    /// # Errors
    ///
    /// If `config` contradicts itself.
    pub fn new_lazy_with_config(
        client: ShardedClient,
        config: ConnectionManagerConfig,
    ) -> RedisResult<Self> {
        if config.resubscribes && !config.has_push_sender {
            let what = "automatic resubscription needs a push sender to receive messages";
            return Err((ErrorKind::Client, what).into());
        }
        let shared = client.shared.clone();
        let connection = ShardedMultiplexedConnection::unopened(shared, &config.connection);
        Ok(Self { connection })
    }

    /// See [`ShardedMultiplexedConnection::send_packed_command`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_packed_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.connection.send_packed_command(command).await
    }

    /// See [`ShardedMultiplexedConnection::send_packed_commands`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_packed_commands(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.connection.send_packed_commands(pipeline, offset, count).await
    }

    /// See [`ShardedMultiplexedConnection::subscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.connection.subscribe(channels).await
    }

    /// See [`ShardedMultiplexedConnection::unsubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.connection.unsubscribe(channels).await
    }

    /// See [`ShardedMultiplexedConnection::psubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn psubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.connection.psubscribe(patterns).await
    }

    /// See [`ShardedMultiplexedConnection::punsubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn punsubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.connection.punsubscribe(patterns).await
    }

    /// The connection itself, with all it can do besides.
    pub fn into_inner(self) -> ShardedMultiplexedConnection {
        self.connection
    }

    #[cfg_attr(not(feature = "cache-aio"), allow(dead_code, reason = "caches are counted with it"))]
    pub(super) fn connection(&self) -> &ShardedMultiplexedConnection {
        &self.connection
    }
}

impl ConnectionLike for ShardedConnectionManager {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

impl ShardedClient {
    /// A connection that many tasks share, under redis-rs's name; see [`ShardedConnectionManager`].
    ///
    /// # Errors
    ///
    /// If no node answers after seven attempts.
    pub async fn get_connection_manager(&self) -> RedisResult<ShardedConnectionManager> {
        ShardedConnectionManager::new(self.clone()).await
    }

    /// The same, connecting to nothing before the first request.
    ///
    /// # Errors
    ///
    /// If `config` contradicts itself.
    pub fn get_connection_manager_lazy(
        &self,
        config: ConnectionManagerConfig,
    ) -> RedisResult<ShardedConnectionManager> {
        ShardedConnectionManager::new_lazy_with_config(self.clone(), config)
    }

    /// The same, with settings of its own.
    ///
    /// # Errors
    ///
    /// If no node answers in the end, or `config` contradicts itself.
    pub async fn get_connection_manager_with_config(
        &self,
        config: ConnectionManagerConfig,
    ) -> RedisResult<ShardedConnectionManager> {
        ShardedConnectionManager::new_with_config(self.clone(), config).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let config = ConnectionManagerConfig::new().set_max_delay(Duration::from_millis(500));
        let pauses: Vec<_> = (0..4).map(|number| config.pause(number).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 500]);
        let config = ConnectionManagerConfig::new().set_exponent_base(1e30);
        assert_eq!(config.pause(6), Duration::from_secs(60));
    }
}
