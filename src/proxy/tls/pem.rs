//! Files with certificates and keys.

use std::path::Path;

use rustls::Error;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;

/// What is wrong with a directive: its name, and a reason that shows nothing of what is in a file.
pub(super) struct Fault {
    pub(super) directive: &'static str,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(directive: &'static str, reason: impl Into<String>) -> Self {
        Self { directive, reason: reason.into() }
    }
}

/// A certificate with those that vouch for it, and its key.
#[derive(PartialEq, Eq)]
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both files, which the directives name.
    pub(super) fn read(
        certificate: (&'static str, &Path),
        key: (&'static str, &Path),
    ) -> Result<Self, Fault> {
        let chain = read_certificates(certificate.0, certificate.1)?;
        let key = PrivateKeyDer::from_pem_file(key.1)
            .map_err(|error| unreadable(key.0, key.1, &error, "private key"))?;
        Ok(Self { chain, key })
    }

    /// What rustls takes of it.
    pub(super) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

/// What rustls has against the two files of an identity.
pub(super) fn refused(
    error: &Error,
    certificate: (&'static str, &Path),
    key: (&'static str, &Path),
) -> Fault {
    match error {
        Error::InconsistentKeys(_) => {
            let (file, other) = (key.1.display(), certificate.1.display());
            Fault::new(key.0, format!("{file} is not the key to {other}"))
        }
        Error::InvalidCertificate(_) => {
            Fault::new(certificate.0, format!("{}: {error}", certificate.1.display()))
        }
        _ => Fault::new(key.0, format!("{}: {error}", key.1.display())),
    }
}

/// Reads the authorities of a file.
pub(super) fn read_roots(directive: &'static str, path: &Path) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(directive, path)? {
        roots
            .add(certificate)
            .map_err(|error| Fault::new(directive, format!("{}: {error}", path.display())))?;
    }
    Ok(roots)
}

/// The authorities that the system trusts.
pub(super) fn system_roots() -> Result<RootCertStore, Fault> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that rustls does not understand is one less that is trusted.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        let reason = format!("is needed, for the system has no certificates that it trusts{why}");
        return Err(Fault::new("server_tls_ca", reason));
    }
    Ok(roots)
}

fn read_certificates(
    directive: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(directive, path, &error, "certificate"))?;
    if certificates.is_empty() {
        return Err(unreadable(directive, path, &pem::Error::NoItemsFound, "certificate"));
    }
    Ok(certificates)
}

/// Other errors than the system's may show what is in the file.
fn unreadable(directive: &'static str, path: &Path, error: &pem::Error, what: &str) -> Fault {
    let path = path.display();
    let reason = match error {
        pem::Error::Io(error) => {
            format!("cannot read {path}: {}", crate::proxy::reply::of_io(error))
        }
        pem::Error::NoItemsFound => format!("there is no {what} in {path}"),
        _ => format!("{path} is not in PEM"),
    };
    Fault::new(directive, reason)
}
