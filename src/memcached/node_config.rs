//! One node of a client, as it is configured.

use std::fmt;
use std::sync::Arc;

use memcache::MemcacheError;

use super::endpoint::Endpoint;
use super::endpoint::Target;
use super::endpoint::User;
use super::options::MemcacheProtocol;
use super::tls::MemcacheTlsOptions;
use super::tls::TlsConfigs;
use crate::config::MemcacheUrl;
use crate::config::MemcacheUrlNode;
use crate::config::Rules;
use crate::error::Result;
use crate::error::ShardError;
use crate::node::Node;
use crate::node::Weight;

/// One node: how it is connected to, under which name it is placed on the ring, and its weight.
///
/// # Examples
///
/// ```
/// use shardwright::{MemcacheNodeConfig, ShardedMemcache};
///
/// let cache = ShardedMemcache::builder()
///     .node(MemcacheNodeConfig::new("memcache://10.0.0.1:11211")?.name("cache1")?)
///     .node(MemcacheNodeConfig::new("memcache://10.0.0.2:11211")?.name("cache2")?.weight(2)?)
///     .build()?;
/// assert_eq!(cache.nodes().len(), 2);
/// # Ok::<(), memcache::MemcacheError>(())
/// ```
#[derive(Clone)]
pub struct MemcacheNodeConfig {
    node: Node,
    pub(super) tls: Option<MemcacheTlsOptions>,
    user: Option<User>,
    is_nodelay: bool,
}

impl MemcacheNodeConfig {
    /// A node at a URL of one server, as [`memcache::Client::connect`] takes it. Its timeouts and protocol are
    /// those of a whole client, and do not count here.
    ///
    /// # Errors
    ///
    /// `BadURL`, saying what is wrong.
    pub fn new(url: &str) -> Result<Self, MemcacheError> {
        let url = MemcacheUrl::from_urls([url])?;
        let count = url.nodes.len();
        match (url.nodes.into_iter().next(), url.rules) {
            (Some(node), Rules::Unsaid) => Ok(Self::of_url(node)?),
            _ => {
                let message =
                    format!("this is the URL of a client with nodes ({count}), not of one");
                Err(ShardError::configuration(message).into())
            }
        }
    }

    pub(super) fn of_url(url: MemcacheUrlNode) -> Result<Self> {
        let MemcacheUrlNode { node, tls, username, password, nodelay } = url;
        let tls = tls.map(|tls| MemcacheTlsOptions::of_url(tls, &node)).transpose()?;
        let user = username.zip(password).map(|(name, password)| User { name, password });
        Ok(Self { node, tls, user, is_nodelay: nodelay })
    }

    /// The name that places the node on the ring; without one it is nutcracker's (`host:port`, and `host`
    /// alone for port 11211). Give names, and a node can move to another address without moving its keys.
    ///
    /// # Errors
    ///
    /// `BadURL` if it is empty.
    pub fn name(self, name: &str) -> Result<Self, MemcacheError> {
        Ok(Self { node: self.node.with_name(name)?, ..self })
    }

    /// The node's share of the keys, relative to the others (1).
    ///
    /// # Errors
    ///
    /// `BadURL` for zero.
    pub fn weight(self, weight: u32) -> Result<Self, MemcacheError> {
        let weight = Weight::new(weight)
            .ok_or_else(|| ShardError::configuration("the weight of a node is not zero"))?;
        Ok(Self { node: self.node.with_weight(weight), ..self })
    }

    /// The user name and the password for a server that was started with `-Y` (none). They are sent over
    /// the connection as they are; any other server stores them as a value under the key `auth`.
    pub fn user(self, name: &str, password: &str) -> Self {
        let user = User { name: name.to_owned(), password: password.to_owned() };
        Self { user: Some(user), ..self }
    }

    /// Whether TCP sends at once what there is to send (true).
    pub fn nodelay(self, nodelay: bool) -> Self {
        Self { is_nodelay: nodelay, ..self }
    }

    /// The node as the core knows it.
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// How it is reached.
    ///
    /// # Errors
    ///
    /// If it cannot be reached as the TLS options have it.
    pub(super) fn endpoint(
        &self,
        protocol: MemcacheProtocol,
        configs: &mut TlsConfigs,
    ) -> Result<Endpoint> {
        let Self { node, tls, user, is_nodelay } = self;
        let tls =
            tls.as_ref().map(|options| configs.target(options, node)).transpose()?.map(Arc::new);
        let (address, user) = (node.address().clone(), user.clone());
        Ok(Endpoint::new(Target { address, tls, user, is_nodelay: *is_nodelay, protocol }))
    }
}

/// A node of the core: an address, a name and a weight.
impl From<Node> for MemcacheNodeConfig {
    fn from(node: Node) -> Self {
        Self { node, tls: None, user: None, is_nodelay: true }
    }
}

impl fmt::Debug for MemcacheNodeConfig {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcacheNodeConfig")
            .field("node", &self.node)
            .field("tls", &self.tls)
            .field("user", &self.user.as_ref().map(|user| &user.name))
            .field("is_nodelay", &self.is_nodelay)
            .finish()
    }
}
