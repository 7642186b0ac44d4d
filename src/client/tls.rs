//! Certificates for nodes that speak TLS.

use redis::IntoConnectionInfo;
use redis::RedisResult;
use redis::TlsCertificates;

use super::ShardedClient;
use super::into_builder::IntoTopology;
use super::node_config::NodeConfig;

impl NodeConfig {
    /// A node at a `rediss://` address, with certificates of your own: a root, a client's, or both.
    ///
    /// # Errors
    ///
    /// What redis-rs says if it is no such address, or if a certificate cannot be read.
    pub fn with_tls(
        info: impl IntoConnectionInfo,
        certificates: TlsCertificates,
    ) -> RedisResult<Self> {
        let client = redis::Client::build_with_tls(info, certificates)?;
        Self::new(client.get_connection_info().clone())
    }
}

impl ShardedClient {
    /// Makes a client whose nodes all speak TLS with these certificates, as
    /// [`redis::Client::build_with_tls`] does for one.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and what redis-rs says of an address that is not `rediss://` or of a
    /// certificate.
    pub fn build_with_tls<T: IntoTopology>(
        nodes: T,
        certificates: TlsCertificates,
    ) -> RedisResult<Self> {
        let builder = nodes.into_builder()?;
        let nodes = builder.configured_nodes().iter();
        let nodes = nodes.map(|node| node.clone().secured(certificates.clone()));
        let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
        nodes.into_iter().fold(builder.clear_nodes(), |builder, node| builder.node(node)).build()
    }
}

impl NodeConfig {
    fn secured(self, certificates: TlsCertificates) -> RedisResult<Self> {
        let client = redis::Client::build_with_tls(self.connection_info().clone(), certificates)?;
        Ok(self.with_info(client.get_connection_info().clone()))
    }
}
