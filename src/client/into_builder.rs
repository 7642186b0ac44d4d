//! What a client can be opened with.

use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::RedisResult;

use super::builder::ShardedClientBuilder;
use super::node_config::NodeConfig;

/// What describes the nodes of a client, as [`redis::IntoConnectionInfo`] describes one server.
pub trait IntoTopology {
    /// A builder with these nodes, and with whatever else was said.
    ///
    /// # Errors
    ///
    /// If it describes no nodes.
    fn into_builder(self) -> RedisResult<ShardedClientBuilder>;
}

impl IntoTopology for ShardedClientBuilder {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Ok(self)
    }
}

impl IntoTopology for &str {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        let mut builder = ShardedClientBuilder::new();
        for url in self.split(',') {
            builder = builder.node(NodeConfig::new(url)?);
        }
        Ok(builder)
    }
}

impl IntoTopology for String {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        self.as_str().into_builder()
    }
}

impl IntoTopology for ConnectionInfo {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Ok(ShardedClientBuilder::new().node(NodeConfig::new(self)?))
    }
}

impl IntoTopology for ConnectionAddr {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Ok(ShardedClientBuilder::new().node(NodeConfig::new(self)?))
    }
}

impl<T: Into<String>> IntoTopology for (T, u16) {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Ok(ShardedClientBuilder::new().node(NodeConfig::new(self)?))
    }
}

impl IntoTopology for NodeConfig {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Ok(ShardedClientBuilder::new().node(self))
    }
}

/// The nodes of all of them, and the settings of the first.
impl<T: IntoTopology> IntoTopology for Vec<T> {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        let mut items = self.into_iter();
        let mut builder = match items.next() {
            Some(first) => first.into_builder()?,
            None => ShardedClientBuilder::new(),
        };
        for item in items {
            for node in item.into_builder()?.configured_nodes() {
                builder = builder.node(node.clone());
            }
        }
        Ok(builder)
    }
}

impl<T: IntoTopology, const N: usize> IntoTopology for [T; N] {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Vec::from(self).into_builder()
    }
}

impl<T: IntoTopology + Clone> IntoTopology for &[T] {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        self.to_vec().into_builder()
    }
}
