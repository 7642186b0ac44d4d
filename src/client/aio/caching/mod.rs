//! redis-rs's client-side caching.

use redis::caching::CacheConfig;
use redis::caching::CacheStatistics;

use super::ShardedMultiplexedConnection;
use super::config::AsyncConnectionConfig;

impl AsyncConnectionConfig {
    /// Caches replies on the client's side, for each connection as many as `config` says. It needs RESP3.
    ///
    /// A command whose keys are on several nodes is cached as the mode has it: what the command itself was told
    /// (`CommandCacheConfig`) redis-rs shows nobody.
    pub fn set_cache_config(self, config: CacheConfig) -> Self {
        self.with(|redis| redis.set_cache_config(config))
    }
}

#[cfg(feature = "connection-manager")]
mod manager;

impl ShardedMultiplexedConnection {
    /// What the caches of all connections that are open have counted together, or `None` if there is no
    /// cache. A connection that breaks takes its cache and its counts with it.
    pub fn get_cache_statistics(&self) -> Option<CacheStatistics> {
        let statistics = self.open_links().into_iter();
        let statistics = statistics.filter_map(|link| link.delegate()?.get_cache_statistics());
        statistics.reduce(|mut sum, other| {
            sum.hit += other.hit;
            sum.miss += other.miss;
            sum.invalidate += other.invalidate;
            sum
        })
    }
}
