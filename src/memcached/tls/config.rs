//! What TLS connections need that all connections to a node share.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;

use super::any_certificate::AnyCertificate;
use super::options::MemcacheTlsOptions;
use crate::error::Result;
use crate::error::ShardError;
use crate::node::Address;
use crate::node::Node;

/// How one node is secured.
#[derive(Clone)]
pub(in crate::memcached) struct TlsTarget {
    options: MemcacheTlsOptions,
    pub(super) config: Arc<ClientConfig>,
    /// What its certificate has to be for.
    pub(super) name: ServerName<'static>,
}

/// Whether the files were said to be the same; what is in them does not count.
impl PartialEq for TlsTarget {
    fn eq(&self, other: &Self) -> bool {
        (&self.options, &self.name) == (&other.options, &other.name)
    }
}

impl Eq for TlsTarget {}

impl fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTarget")
            .field("options", &self.options)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The configurations that were made for a client: nodes with the same options share one.
#[derive(Default)]
pub(in crate::memcached) struct TlsConfigs {
    made: Vec<(MemcacheTlsOptions, Arc<ClientConfig>)>,
}

impl TlsConfigs {
    /// What `node` needs to be connected to as `options` have it.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration), naming the node and the file that is wrong,
    /// and nothing of what is in it.
    pub(in crate::memcached) fn target(
        &mut self,
        options: &MemcacheTlsOptions,
        node: &Node,
    ) -> Result<TlsTarget> {
        self.try_target(options, node.address()).map_err(|reason| {
            ShardError::configuration(format!("node '{}': {reason}", node.name()))
        })
    }

    fn try_target(
        &mut self,
        options: &MemcacheTlsOptions,
        address: &Address,
    ) -> std::result::Result<TlsTarget, Reason> {
        let Address::Tcp { host, .. } = address else {
            return Err("a unix socket has no TLS".into());
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|_| format!("no certificate can be for the host '{host}'"))?;
        let config = match self.made.iter().find(|(other, _)| other == options) {
            Some((_, config)) => Arc::clone(config),
            None => {
                let config = Arc::new(client_config(options)?);
                self.made.push((options.clone(), Arc::clone(&config)));
                config
            }
        };
        Ok(TlsTarget { options: options.clone(), config, name })
    }
}

/// What is wrong, behind the name of the node.
type Reason = String;

fn client_config(options: &MemcacheTlsOptions) -> std::result::Result<ClientConfig, Reason> {
    let Some(provider) = CryptoProvider::get_default().map(Arc::clone) else {
        return Err("no cryptography was chosen for TLS; before the client is built, the application calls \
                    rustls::crypto::ring::default_provider().install_default(), or aws-lc's"
            .into());
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    // A file that was named is read, even if nothing depends on it.
    let named = options.ca_file.as_deref().map(read_roots).transpose()?;
    let builder = if options.accepts_any {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        builder.with_root_certificates(named.map_or_else(system_roots, Ok)?)
    };
    let Some((path, key_path)) = &options.certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = read_certificates(path)?;
    let key = PrivateKeyDer::from_pem_file(key_path)
        .map_err(|error| unreadable(key_path, &error, "private key"))?;
    let mut config = builder.with_client_auth_cert(chain, key).map_err(|error| {
        format!("{} with the key {}: {error}", path.display(), key_path.display())
    })?;
    // memcached 1.6.18 that asks for certificates hands out sessions that it refuses to take up again, with an
    // internal error: it gives OpenSSL no session id context.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn read_roots(path: &Path) -> std::result::Result<RootCertStore, Reason> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> std::result::Result<Vec<CertificateDer<'static>>, Reason> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error, "certificate"))?;
    if certificates.is_empty() {
        return Err(unreadable(path, &pem::Error::NoItemsFound, "certificate"));
    }
    Ok(certificates)
}

/// Other errors than the system's may show what is in the file.
fn unreadable(path: &Path, error: &pem::Error, what: &str) -> Reason {
    let path = path.display();
    match error {
        pem::Error::Io(error) => format!("cannot read {path}: {error}"),
        pem::Error::NoItemsFound => format!("there is no {what} in {path}"),
        _ => format!("{path} is not in PEM"),
    }
}

fn system_roots() -> std::result::Result<RootCertStore, Reason> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that rustls does not understand is one less that is trusted.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("the system has no certificates that it trusts{why}; name a ca_path"));
    }
    Ok(roots)
}
