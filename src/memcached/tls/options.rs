//! How a connection is secured, as an application says it.

use std::path::PathBuf;

use crate::config::MemcacheTls;
use crate::error::Result;
use crate::memcached::MemcacheNodeConfig;
use crate::node::Node;

/// How the connections to a node are secured: TLS 1.2 or 1.3, by rustls.
///
/// Unless another is said, the certificate of a node has to be vouched for by one that the system trusts, and it
/// has to be for the host (a name or an IP address) that the node is connected to at. The files are in PEM,
/// and are read when a client is built. Which cryptography is used is for the application to choose, before
/// it builds the client: `rustls::crypto::ring::default_provider().install_default()`, or aws-lc's.
///
/// # Examples
///
/// ```
/// use shardwright::{MemcacheNodeConfig, MemcacheTlsOptions, ShardedMemcache};
///
/// let tls = MemcacheTlsOptions::new()
///     .ca_file("/etc/cache/ca.pem")
///     .client_certificate("/etc/cache/client.pem", "/etc/cache/client.key");
/// let builder = ShardedMemcache::builder()
///     .node(MemcacheNodeConfig::new("cache1.internal:11211")?.tls(tls.clone()))
///     .node(MemcacheNodeConfig::new("cache2.internal:11211")?.tls(tls));
/// # Ok::<(), memcache::MemcacheError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct MemcacheTlsOptions {
    pub(super) accepts_any: bool,
    pub(super) ca_file: Option<PathBuf>,
    /// And its key.
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
}

impl MemcacheTlsOptions {
    /// What the system trusts, and no certificate of our own.
    pub fn new() -> Self {
        Self::default()
    }

    /// The certificates that may vouch for a node's, in place of those that the system trusts.
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self { ca_file: Some(path.into()), ..self }
    }

    /// The certificate that we show to a node that asks for one (with those it takes to vouch for it behind
    /// it in the file), and its key.
    pub fn client_certificate(
        self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        Self { certificate: Some((certificate.into(), key.into())), ..self }
    }

    /// Accepts any certificate: whoever can get in between reads and changes everything. It is
    /// `verify_mode=none` in a URL.
    pub fn danger_accept_any_certificate(self) -> Self {
        Self { accepts_any: true, ..self }
    }

    pub(in crate::memcached) fn of_url(tls: MemcacheTls, _node: &Node) -> Result<Self> {
        let MemcacheTls { verify, ca_path, cert_path, key_path } = tls;
        let certificate = cert_path.zip(key_path).map(|(path, key)| (path.into(), key.into()));
        Ok(Self { accepts_any: !verify, ca_file: ca_path.map(PathBuf::from), certificate })
    }
}

/// With the feature `memcache-tls`.
impl MemcacheNodeConfig {
    /// Secures the connections to the node with TLS, as the scheme `memcache+tls` does.
    pub fn tls(mut self, options: MemcacheTlsOptions) -> Self {
        self.tls = Some(options);
        self
    }
}
