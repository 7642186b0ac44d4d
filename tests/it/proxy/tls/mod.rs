//! The proxy with TLS: to real servers that speak it, and with clients, with certificates made by openssl.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::support::pool;
use crate::support::certificates;
use crate::support::free_port;
use crate::support::is_installed;
use crate::support::memcached::Memcached;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::redis_server::RedisServer;
use crate::support::scratch;

mod clients;
mod files;
mod memcacheds;
mod nodes;
mod reload;

/// Certificates in a directory of their own.
struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// For `localhost` and 127.0.0.1, or nothing if there is no openssl.
    fn make() -> Option<Self> {
        if !is_installed("openssl") {
            return None;
        }
        let directory = scratch();
        certificates::make(&directory, "DNS:localhost,IP:127.0.0.1");
        Some(Self { directory })
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Puts others in their places, by another authority.
    fn renew(&self) {
        certificates::make(&self.directory, "DNS:localhost,IP:127.0.0.1");
    }

    /// The lines of a pool that trusts the authority, and further ones in which `@` is the directory.
    fn settings(&self, settings: &[&str]) -> Vec<String> {
        let own = ["server_tls: true", "server_tls_ca: @/ca.crt"];
        let all = own.iter().chain(settings);
        all.map(|setting| setting.replace('@', self.directory.to_str().unwrap())).collect()
    }

    /// Redises that speak TLS on the ports that are answered with them.
    fn redises(&self, count: usize, arguments: &[&str]) -> Option<Vec<(RedisServer, u16)>> {
        let start = |_| {
            let port = free_port();
            let own = [
                ["--tls-port", &port.to_string()],
                ["--tls-cert-file", &self.path("node.crt")],
                ["--tls-key-file", &self.path("node.key")],
                ["--tls-ca-cert-file", &self.path("ca.crt")],
            ];
            let arguments = [own.as_flattened(), arguments].concat();
            Some((RedisServer::start_with(&arguments)?, port))
        };
        (0..count).map(start).collect()
    }

    /// Memcacheds that speak TLS, with further options (`,ssl_…`) in which `@` is the directory.
    fn memcacheds(&self, count: usize, options: &str) -> Option<Vec<Memcached>> {
        let options = format!("ssl_chain_cert=@/node.crt,ssl_key=@/node.key{options}")
            .replace('@', self.directory.to_str().unwrap());
        let arguments = ["-Z", "-I", "4m", "-m", "256", "-o", options.as_str()];
        (0..count).map(|_| Memcached::start_with(&arguments)).collect()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The lines of a pool of servers on these ports.
fn pool_of(settings: &[String], host: &str, ports: &[u16]) -> String {
    let lines = ports.iter().enumerate().map(|(node, port)| format!("{host}:{port}:1 node{node}"));
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    pool(&settings, &lines.collect::<Vec<_>>())
}

/// Ours in front of Redises with TLS.
fn before_redises(settings: &[String], ports: &[u16]) -> Proxy {
    let settings = [&["redis: true".to_owned()], settings].concat();
    Proxy::start(Program::Ours, &[pool_of(&settings, "127.0.0.1", ports)])
}

fn ports(redises: &[(RedisServer, u16)]) -> Vec<u16> {
    redises.iter().map(|(_, port)| *port).collect()
}

/// A client that speaks TLS.
struct TlsClient {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsClient {
    fn connect(port: u16, certificates: &Certificates) -> Self {
        Self::connect_with(port, certificates, false)
    }

    /// With a certificate of its own, or without.
    fn connect_with(port: u16, certificates: &Certificates, shows_one: bool) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        Self::new(stream, certificates, shows_one)
    }

    fn new(stream: TcpStream, certificates: &Certificates, shows_one: bool) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(certificates.path("ca.crt")).unwrap() {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if shows_one {
            let chain = CertificateDer::pem_file_iter(certificates.path("client.crt")).unwrap();
            let key = PrivateKeyDer::from_pem_file(certificates.path("client.key")).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream: BufReader::new(StreamOwned::new(connection, stream)) }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()
    }

    /// Sends requests and reads as much as the expected reply has.
    fn exchange(&mut self, request: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
        self.send(request).unwrap();
        self.expect(expected);
    }

    #[track_caller]
    fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut reply = vec![0; expected.len()];
        self.stream.read_exact(&mut reply).unwrap();
        let shown = |bytes: &[u8]| bytes[..bytes.len().min(200)].escape_ascii().to_string();
        assert!(reply == expected, "{}, not {}", shown(&reply), shown(expected));
    }

    /// Sends a request and reads a line.
    fn line(&mut self, request: impl AsRef<[u8]>) -> std::io::Result<String> {
        self.send(request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line)
    }

    /// All that comes until the other side has said that it is the end; an error if it has not.
    fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }

    /// Says that nothing more comes, and still reads.
    fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        self.stream.get_mut().conn.send_close_notify();
        self.stream.get_mut().flush()?;
        self.rest()
    }
}

/// A value that is long and not alike everywhere.
fn value(length: usize) -> Vec<u8> {
    (0..length).map(|place| b'a' + (place % 23) as u8).collect()
}

/// Lengths around what a record, a buffer and a large value are.
const LENGTHS: [usize; 16] = [
    0, 1, 100, 1000, 4096, 10_000, 16_000, 16_340, 16_384, 16_385, 20_000, 32_768, 50_000, 65_536,
    200_000, 1_000_000,
];
