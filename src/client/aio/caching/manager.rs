//! The same under the manager's name.

use redis::caching::CacheConfig;
use redis::caching::CacheStatistics;

use crate::client::aio::manager::ConnectionManagerConfig;
use crate::client::aio::manager::ShardedConnectionManager;

impl ConnectionManagerConfig {
    /// See [`AsyncConnectionConfig::set_cache_config`](crate::AsyncConnectionConfig::set_cache_config).
    pub fn set_cache_config(self, config: CacheConfig) -> Self {
        self.with(|connection| connection.set_cache_config(config))
    }
}

impl ShardedConnectionManager {
    /// See [`ShardedMultiplexedConnection::get_cache_statistics`](crate::ShardedMultiplexedConnection::get_cache_statistics).
    pub fn get_cache_statistics(&self) -> Option<CacheStatistics> {
        self.connection().get_cache_statistics()
    }
}
