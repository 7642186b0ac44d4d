//! A client of a pool of a nutcracker.yml.

use memcache::MemcacheError;

use super::builder::ShardedMemcacheBuilder;
use super::into_builder::IntoMemcacheTopology;
use crate::config::PoolConfig;
use crate::error::ShardError;

/// A memcached pool of a nutcracker.yml (`redis: false`, which is its default): its servers, hash,
/// distribution, hash tag, ejection and timeout. What concerns a proxy (`listen`, `backlog`,
/// `client_connections`, `preconnect` …) has no meaning in a client; `server_connections` neither: a proxy's
/// connection is shared by its clients.
///
/// Without `timeout` a request may take for ever, as there. It is an error if the pool is one of Redis
/// servers.
impl IntoMemcacheTopology for &PoolConfig {
    fn add_to(
        self,
        builder: ShardedMemcacheBuilder,
    ) -> Result<ShardedMemcacheBuilder, MemcacheError> {
        if self.redis() {
            let message = format!("pool '{}' is one of Redis servers", self.name());
            return Err(ShardError::configuration(message).into());
        }
        let builder =
            builder.rules_of(&self.topology()?).timeout(self.timeout().unwrap_or_default());
        Ok(self.servers().iter().cloned().fold(builder, ShardedMemcacheBuilder::node))
    }
}
