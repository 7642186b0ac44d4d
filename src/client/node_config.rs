//! One node of a client, as it is configured.

use redis::ConnectionInfo;
use redis::IntoConnectionInfo;
use redis::RedisResult;

use super::endpoint::Endpoint;
use crate::error::Result;
use crate::error::ShardError;
use crate::node::Node;
use crate::node::Weight;

/// One node: how redis-rs connects to it, under which name it is placed on the ring, and its weight.
///
/// # Examples
///
/// ```
/// use shardwright::{NodeConfig, ShardedClient};
///
/// let client = ShardedClient::builder()
///     .node(NodeConfig::new("redis://10.0.0.1:6379")?.name("server1"))
///     .node(NodeConfig::new("redis://user:secret@10.0.0.2:6379/1")?.name("server2").weight(2)?)
///     .build()?;
/// assert_eq!(client.nodes().len(), 2);
/// # Ok::<(), redis::RedisError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NodeConfig {
    info: ConnectionInfo,
    name: Option<String>,
    weight: Weight,
}

impl NodeConfig {
    /// A node at what redis-rs takes for an address: a URL, a [`ConnectionInfo`], …
    ///
    /// # Errors
    ///
    /// What redis-rs says if it is none.
    pub fn new(info: impl IntoConnectionInfo) -> RedisResult<Self> {
        Ok(Self { info: info.into_connection_info()?, name: None, weight: Weight::ONE })
    }

    /// The name that places the node on the ring; without one it is nutcracker's (`host:port`, and `host`
    /// alone for port 11211). Give names, and a node can move to another address without moving its keys.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The node's share of the keys, relative to the others (1).
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) for zero.
    pub fn weight(self, weight: u32) -> RedisResult<Self> {
        let weight = Weight::new(weight)
            .ok_or_else(|| ShardError::configuration("the weight of a node is not zero"))?;
        Ok(Self { weight, ..self })
    }

    /// How redis-rs connects to it.
    pub fn connection_info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// The same node, connected to in another way.
    #[cfg_attr(
        not(any(feature = "tls-native-tls", feature = "tls-rustls")),
        allow(dead_code, reason = "certificates are the only other way")
    )]
    pub(super) fn with_info(self, info: ConnectionInfo) -> Self {
        Self { info, ..self }
    }

    /// The node as the core knows it, and the rest.
    pub(super) fn split(self) -> Result<(Node, Endpoint)> {
        let endpoint = Endpoint::new(self.info);
        let node = Node::new(endpoint.address()?).with_weight(self.weight);
        let node = match self.name {
            Some(name) => node.with_name(name)?,
            None => node,
        };
        Ok((node, endpoint))
    }
}
