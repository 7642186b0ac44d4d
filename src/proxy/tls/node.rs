//! TLS to nodes.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;

use super::pem::Fault;
use super::pem::Identity;
use super::pem::read_roots;
use super::pem::refused;
use super::pem::system_roots;
use super::records::Records;
use super::session::TlsSession;
use super::session::failed;
use crate::config::PoolConfig;

/// How one node is secured.
#[derive(Clone)]
pub(in crate::proxy) struct NodeTls {
    /// What its certificate has to be for.
    name: ServerName<'static>,
    nodes: NodesTls,
}

/// What the nodes of a pool have in common.
#[derive(Clone)]
pub(super) struct NodesTls {
    config: Arc<ClientConfig>,
    files: Arc<Files>,
    is_memcached: bool,
    /// The name that all certificates are to be for.
    name: Option<ServerName<'static>>,
}

/// What was in the files: a node that is secured otherwise is another one.
#[derive(PartialEq, Eq)]
struct Files {
    roots: Vec<rustls::pki_types::TrustAnchor<'static>>,
    identity: Option<Identity>,
}

impl NodeTls {
    /// A new connection's part of it.
    ///
    /// # Errors
    ///
    /// If rustls cannot make one of the configuration.
    pub(in crate::proxy) fn session(&self) -> io::Result<TlsSession> {
        let config = Arc::clone(&self.nodes.config);
        let connection = ClientConnection::new(config, self.name.clone()).map_err(failed)?;
        let records = self.nodes.is_memcached.then(Records::default);
        Ok(TlsSession::new(connection.into(), records))
    }
}

impl PartialEq for NodeTls {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.nodes.files == other.nodes.files
    }
}

impl Eq for NodeTls {}

impl fmt::Debug for NodeTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeTls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NodesTls {
    pub(super) fn read(config: &PoolConfig) -> Result<Self, Fault> {
        let name = config
            .server_tls_name()
            .map(|name| server_name("server_tls_name", name))
            .transpose()?;
        let roots = match config.server_tls_ca() {
            Some(path) => read_roots("server_tls_ca", path)?,
            None => system_roots()?,
        };
        let files = config.server_tls_cert().zip(config.server_tls_key());
        let (certificate, key) = files.unzip();
        let named = certificate
            .map(|path| ("server_tls_cert", path))
            .zip(key.map(|path| ("server_tls_key", path)));
        let identity = named.map(|(one, other)| Identity::read(one, other)).transpose()?;
        let files = Files { roots: roots.roots.clone(), identity };
        Ok(Self {
            config: Arc::new(client_config(roots, files.identity.as_ref(), named)?),
            files: Arc::new(files),
            is_memcached: !config.redis(),
            name,
        })
    }

    /// The node at `host`.
    pub(super) fn node(&self, host: &str) -> Result<NodeTls, Fault> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name("servers", host)?,
        };
        Ok(NodeTls { name, nodes: self.clone() })
    }
}

/// A file and the directive that names it.
type Named<'a> = (&'static str, &'a Path);

fn client_config(
    roots: RootCertStore,
    identity: Option<&Identity>,
    named: Option<(Named<'_>, Named<'_>)>,
) -> Result<ClientConfig, Fault> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new("server_tls", error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match identity.zip(named) {
        None => builder.with_no_client_auth(),
        Some((identity, (certificate, key))) => {
            let (chain, private) = identity.parts();
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| refused(&error, certificate, key))?
        }
    };
    // Connections are few and live long; and memcached 1.6.18 that asks for certificates hands out sessions that it
    // refuses to take up again.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server_name(directive: &'static str, name: &str) -> Result<ServerName<'static>, Fault> {
    ServerName::try_from(name.to_string())
        .map_err(|_| Fault::new(directive, format!("no certificate can be for '{name}'")))
}
