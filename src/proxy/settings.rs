//! What a pool is at run time: the rules of its configuration, and the nodes that all workers share.

use std::sync::Arc;
use std::time::Duration;

use super::tls::ListenerTls;
use super::tls::NodeTls;
use crate::node::Address;
use crate::topology::SharedTopology;

/// What is spoken with clients and nodes of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Redis,
    Memcache,
}

/// What is said on a new connection to a node.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// How a node is reached. A node whose endpoint changes is another node as far as its connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: Address,
    pub(super) protocol: Protocol,
    pub(super) credentials: Option<Credentials>,
    /// Of a Redis; 0 needs no word.
    pub(super) database: u32,
    /// With what was in the files: a node that is secured otherwise is another one as well.
    pub(super) tls: Option<NodeTls>,
}

/// The rules of a pool, replaced whole when the configuration changes.
#[derive(Debug)]
pub(super) struct PoolSettings {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    /// How long a request may take, connecting and waiting included.
    pub(super) timeout: Option<Duration>,
    pub(super) client_connections: Option<u32>,
    pub(super) client_idle_timeout: Option<Duration>,
    /// What clients have to say.
    pub(super) client_auth: Option<String>,
    /// Of all nodes of a Redis pool, and what `SELECT` may name.
    pub(super) database: u32,
    pub(super) preconnect: bool,
    /// Connections to a node, of one worker.
    pub(super) server_connections: usize,
    pub(super) admin_commands: bool,
    /// Whether keys of a failing memcached are misses.
    pub(super) failed_reads_are_misses: bool,
    /// How clients are spoken to, if not as they are.
    pub(super) listen_tls: Option<ListenerTls>,
    pub(super) topology: Arc<SharedTopology<Endpoint>>,
}
