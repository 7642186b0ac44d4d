//! A client of a pool of a nutcracker.yml.

use redis::ConnectionAddr;
use redis::IntoConnectionInfo;
use redis::RedisConnectionInfo;
use redis::RedisResult;

use super::builder::ShardedClientBuilder;
use super::into_builder::IntoTopology;
use super::node_config::NodeConfig;
use crate::config::PoolConfig;
use crate::error::ShardError;
use crate::node::Address;

/// A Redis pool of a nutcracker.yml: its servers, hash, distribution, hash tag, ejection and timeout, with
/// `redis_auth` and `redis_db` for every node. What concerns a proxy (`listen`, `backlog`,
/// `client_connections`, `preconnect`, `server_connections` …) has no meaning in a client.
///
/// It is an error if the pool is one of memcached servers (`redis: false`, which is nutcracker's default).
impl IntoTopology for &PoolConfig {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        if !self.redis() {
            return Err(ShardError::configuration(format!(
                "pool '{}' is one of memcached servers; it does not say \"redis: true\"",
                self.name()
            ))
            .into());
        }
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(self.redis_db()));
        if let Some(password) = self.redis_auth() {
            settings = settings.set_password(password);
        }
        let mut builder = ShardedClientBuilder::new().rules_of(&self.topology()?);
        for node in self.servers() {
            let address = match node.address() {
                Address::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
                Address::Unix(path) => ConnectionAddr::Unix(path.into()),
            };
            let info = address.into_connection_info()?.set_redis_settings(settings.clone());
            let weight = node.weight().as_u32();
            builder = builder.node(NodeConfig::new(info)?.name(node.name()).weight(weight)?);
        }
        Ok(match self.timeout() {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        })
    }
}

impl IntoTopology for PoolConfig {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        (&self).into_builder()
    }
}
