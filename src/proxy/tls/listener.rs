//! TLS with clients.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::crypto::ring;
use rustls::pki_types::TrustAnchor;
use rustls::server::WebPkiClientVerifier;

use super::pem::Fault;
use super::pem::Identity;
use super::pem::read_roots;
use super::pem::refused;
use super::session::TlsSession;
use super::session::failed;
use crate::config::PoolConfig;

/// How the clients of a pool are spoken to.
#[derive(Clone)]
pub(in crate::proxy) struct ListenerTls {
    config: Arc<ServerConfig>,
    files: Arc<Files>,
}

/// What was in the files.
#[derive(PartialEq, Eq)]
struct Files {
    identity: Identity,
    /// Of clients; without, they need no certificate.
    roots: Option<Vec<TrustAnchor<'static>>>,
}

impl ListenerTls {
    /// Nothing if clients of the pool speak without TLS.
    pub(super) fn read(config: &PoolConfig) -> Result<Option<Self>, Fault> {
        let files = config.listen_tls_cert().zip(config.listen_tls_key());
        let Some((certificate, key)) = files else {
            return Ok(None);
        };
        let (certificate, key) = (("listen_tls_cert", certificate), ("listen_tls_key", key));
        let identity = Identity::read(certificate, key)?;
        let roots = config.listen_tls_client_ca();
        let roots = roots.map(|path| read_roots("listen_tls_client_ca", path)).transpose()?;
        let anchors = roots.as_ref().map(|roots| roots.roots.clone());
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::new("listen_tls_cert", error.to_string()))?;
        let builder = match roots {
            None => builder.with_no_client_auth(),
            Some(roots) => builder.with_client_cert_verifier(verifier(roots, provider)?),
        };
        let (chain, private) = identity.parts();
        let config = builder
            .with_single_cert(chain, private)
            .map_err(|error| refused(&error, certificate, key))?;
        let files = Files { identity, roots: anchors };
        Ok(Some(Self { config: Arc::new(config), files: Arc::new(files) }))
    }

    /// A new connection's part of it.
    ///
    /// # Errors
    ///
    /// If rustls cannot make one of the configuration.
    pub(in crate::proxy) fn session(&self) -> io::Result<TlsSession> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).map_err(failed)?;
        Ok(TlsSession::new(connection.into(), None))
    }
}

/// Whether the same was in the files.
impl PartialEq for ListenerTls {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerTls").finish_non_exhaustive()
    }
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, Fault> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| Fault::new("listen_tls_client_ca", error.to_string()))
}
