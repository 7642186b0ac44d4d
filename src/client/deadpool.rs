//! Pools of asynchronous connections, managed by deadpool.

use deadpool::managed::Manager;
use deadpool::managed::Metrics;
use deadpool::managed::RecycleResult;
use redis::RedisError;
use redis::RedisResult;

use super::ShardedClient;
use super::aio::AsyncConnectionConfig;
use super::aio::ShardedMultiplexedConnection;

/// Hands out [`ShardedMultiplexedConnection`]s to a pool of deadpool's.
///
/// Whether a connection is of use is answered without asking a node: see the guide on pools.
///
/// # Examples
///
/// ```no_run
/// use deadpool::managed::Pool;
/// use redis::AsyncCommands;
/// use shardwright::{DeadpoolManager, ShardedClient};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ShardedClient::open("redis://10.0.0.1:6379,redis://10.0.0.2:6379")?;
/// let pool: Pool<DeadpoolManager> = Pool::builder(DeadpoolManager::new(client)).max_size(4).build()?;
/// let mut connection = pool.get().await?;
/// let () = connection.set("key", 42).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DeadpoolManager {
    client: ShardedClient,
    config: AsyncConnectionConfig,
}

impl DeadpoolManager {
    /// A manager of connections of `client`.
    pub fn new(client: ShardedClient) -> Self {
        Self::with_config(client, AsyncConnectionConfig::new())
    }

    /// The same, with settings for each connection.
    pub fn with_config(client: ShardedClient, config: AsyncConnectionConfig) -> Self {
        Self { client, config }
    }
}

impl Manager for DeadpoolManager {
    type Type = ShardedMultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<ShardedMultiplexedConnection> {
        self.client.get_multiplexed_async_connection_with_config(&self.config).await
    }

    async fn recycle(
        &self,
        _connection: &mut ShardedMultiplexedConnection,
        _metrics: &Metrics,
    ) -> RecycleResult<RedisError> {
        Ok(self.client.look_for_life()?)
    }
}
