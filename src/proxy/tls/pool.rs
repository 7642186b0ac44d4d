//! What the directives of one pool come to.

use super::ListenerTls;
use super::NodeTls;
use super::node::NodesTls;
use super::pem::Fault;
use crate::config::PoolConfig;
use crate::node::Address;

/// TLS of a pool, its files having been read.
pub(in crate::proxy) struct PoolTls {
    /// In the order of the servers.
    nodes: Vec<Option<NodeTls>>,
    listener: Option<ListenerTls>,
}

impl PoolTls {
    /// Reads the files that the pool names.
    ///
    /// # Errors
    ///
    /// What is wrong with them, with the line, the names of the pool, the directive and the file, and nothing of what is in it.
    pub(in crate::proxy) fn read(config: &PoolConfig) -> Result<Self, String> {
        Self::try_read(config)
            .map_err(|Fault { directive, reason }| format!("{}: {reason}", config.blame(directive)))
    }

    fn try_read(config: &PoolConfig) -> Result<Self, Fault> {
        let nodes = config.server_tls().then(|| NodesTls::read(config)).transpose()?;
        let node = |address: &Address| match (&nodes, address) {
            (Some(nodes), Address::Tcp { host, .. }) => nodes.node(host).map(Some),
            // Those on unix sockets are spoken to as they are.
            _ => Ok(None),
        };
        Ok(Self {
            nodes: config
                .servers()
                .iter()
                .map(|server| node(server.address()))
                .collect::<Result<_, _>>()?,
            listener: ListenerTls::read(config)?,
        })
    }

    /// How the server at this place in the pool is spoken to, if that is with TLS.
    pub(in crate::proxy) fn node(&self, place: usize) -> Option<NodeTls> {
        self.nodes.get(place)?.clone()
    }

    /// How clients are spoken to.
    pub(in crate::proxy) fn listener(&self) -> Option<ListenerTls> {
        self.listener.clone()
    }
}
