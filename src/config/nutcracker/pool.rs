//! One pool of a `nutcracker.yml`.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::Listen;
use super::ServerCredentials;
use super::complaint::Position;
use crate::config::FailedReads;
use crate::distribution::DistributionKind;
use crate::error::Result;
use crate::hash::HashKind;
use crate::health::EjectMode;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::node::Node;
use crate::topology::Topology;

/// The directives of a pool, as far as the file has them. `listen` moves to the [`PoolConfig`].
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) listen: Option<Listen>,
    pub(super) hash: Option<HashKind>,
    pub(super) hash_tag: Option<HashTag>,
    pub(super) distribution: Option<DistributionKind>,
    pub(super) timeout: Option<u32>,
    pub(super) backlog: Option<u32>,
    pub(super) client_connections: Option<u32>,
    pub(super) redis: Option<bool>,
    pub(super) redis_auth: Option<String>,
    pub(super) redis_db: Option<u32>,
    pub(super) tcpkeepalive: Option<bool>,
    pub(super) reuseport: Option<bool>,
    pub(super) preconnect: Option<bool>,
    pub(super) auto_eject_hosts: Option<bool>,
    pub(super) server_connections: Option<u32>,
    pub(super) server_retry_timeout: Option<u32>,
    pub(super) server_failure_limit: Option<u32>,
    pub(super) servers: Vec<Node>,
    /// Of each server, in their order.
    pub(super) credentials: Vec<Option<ServerCredentials>>,
    // Those that nutcracker does not have:
    pub(super) admin_commands: Option<bool>,
    pub(super) client_idle_timeout: Option<u32>,
    pub(super) eject_mode: Option<EjectMode>,
    pub(super) failed_reads: Option<FailedReads>,
    pub(super) listen_tls_cert: Option<String>,
    pub(super) listen_tls_key: Option<String>,
    pub(super) listen_tls_client_ca: Option<String>,
    pub(super) server_auth: Option<String>,
    pub(super) server_user: Option<String>,
    pub(super) server_tls: Option<bool>,
    pub(super) server_tls_ca: Option<String>,
    pub(super) server_tls_cert: Option<String>,
    pub(super) server_tls_key: Option<String>,
    pub(super) server_tls_name: Option<String>,
}

impl Settings {
    /// What is said to servers that have no credentials of their own.
    pub(super) fn common_credentials(&self) -> Option<ServerCredentials> {
        let password = self.server_auth.as_ref().or(self.redis_auth.as_ref())?;
        Some(ServerCredentials::new(self.server_user.as_deref(), password))
    }
}

impl fmt::Debug for Settings {
    /// All of them, without the passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("hash", &self.hash)
            .field("hash_tag", &self.hash_tag)
            .field("distribution", &self.distribution)
            .field("timeout", &self.timeout)
            .field("backlog", &self.backlog)
            .field("client_connections", &self.client_connections)
            .field("redis", &self.redis)
            .field("redis_auth", &self.redis_auth.as_ref().map(|_| "redacted"))
            .field("redis_db", &self.redis_db)
            .field("tcpkeepalive", &self.tcpkeepalive)
            .field("reuseport", &self.reuseport)
            .field("preconnect", &self.preconnect)
            .field("auto_eject_hosts", &self.auto_eject_hosts)
            .field("server_connections", &self.server_connections)
            .field("server_retry_timeout", &self.server_retry_timeout)
            .field("server_failure_limit", &self.server_failure_limit)
            .field("servers", &self.servers)
            .field("credentials", &self.credentials)
            .field("admin_commands", &self.admin_commands)
            .field("client_idle_timeout", &self.client_idle_timeout)
            .field("eject_mode", &self.eject_mode)
            .field("failed_reads", &self.failed_reads)
            .field("listen_tls_cert", &self.listen_tls_cert)
            .field("listen_tls_key", &self.listen_tls_key)
            .field("listen_tls_client_ca", &self.listen_tls_client_ca)
            .field("server_auth", &self.server_auth.as_ref().map(|_| "redacted"))
            .field("server_user", &self.server_user)
            .field("server_tls", &self.server_tls)
            .field("server_tls_ca", &self.server_tls_ca)
            .field("server_tls_cert", &self.server_tls_cert)
            .field("server_tls_key", &self.server_tls_key)
            .field("server_tls_name", &self.server_tls_name)
            .finish()
    }
}

/// One pool of a [`NutcrackerConfig`](crate::NutcrackerConfig): a name, nodes, and one accessor for
/// each directive, which answers nutcracker's default where the file has none.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    name: String,
    listen: Listen,
    settings: Settings,
    /// Where each directive stands in the file.
    positions: HashMap<String, Position>,
}

impl PoolConfig {
    pub(super) fn new(
        name: String,
        listen: Listen,
        settings: Settings,
        positions: HashMap<String, Position>,
    ) -> Self {
        Self { name, listen, settings, positions }
    }

    /// What stands in front of a complaint about a directive: `line 3, column 3: pool 'a': directive "listen"`.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "the proxy complains"))]
    pub(crate) fn blame(&self, directive: &str) -> String {
        let at = self.positions.get(directive).map(|at| format!("{at}: ")).unwrap_or_default();
        format!("{at}pool '{}': directive \"{directive}\"", self.name)
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `listen`: where a proxy accepts clients of this pool.
    pub fn listen(&self) -> &Listen {
        &self.listen
    }

    /// `hash`: the function that hashes keys (`fnv1a_64`).
    pub fn hash(&self) -> HashKind {
        self.settings.hash.unwrap_or_default()
    }

    /// `hash_tag`: the two bytes around the part of a key that is hashed (none).
    pub fn hash_tag(&self) -> Option<HashTag> {
        self.settings.hash_tag
    }

    /// `distribution`: the rule from a hash to a node (`ketama`).
    pub fn distribution(&self) -> DistributionKind {
        self.settings.distribution.unwrap_or_default()
    }

    /// `timeout`: how long a request may take, connecting and waiting included. `None`, from no
    /// directive or from 0, is for ever.
    pub fn timeout(&self) -> Option<Duration> {
        self.settings.timeout.filter(|&timeout| timeout > 0).map(milliseconds)
    }

    /// `backlog`: how many connections may wait to be accepted (512).
    pub fn backlog(&self) -> u32 {
        self.settings.backlog.unwrap_or(512)
    }

    /// `client_connections`: how many clients may be connected, if that is limited. nutcracker reads
    /// the number and ignores it.
    pub fn client_connections(&self) -> Option<u32> {
        self.settings.client_connections
    }

    /// `redis`: whether the nodes speak the Redis protocol, not memcached's (false).
    pub fn redis(&self) -> bool {
        self.settings.redis.unwrap_or(false)
    }

    /// `redis_auth`: the password that a proxy asks of its clients (none), and which is said to the nodes
    /// too, if nothing else is: see [`server_credentials`](Self::server_credentials).
    pub fn redis_auth(&self) -> Option<&str> {
        self.settings.redis_auth.as_deref()
    }

    /// `redis_db`: the number of the database on the nodes (0).
    pub fn redis_db(&self) -> u32 {
        self.settings.redis_db.unwrap_or(0)
    }

    /// `tcpkeepalive`: whether TCP looks after idle connections (false).
    pub fn tcpkeepalive(&self) -> bool {
        self.settings.tcpkeepalive.unwrap_or(false)
    }

    /// `reuseport`: whether several processes may listen (false). nutcracker 0.5.0 does not know this
    /// directive; its next version does.
    pub fn reuseport(&self) -> bool {
        self.settings.reuseport.unwrap_or(false)
    }

    /// `preconnect`: whether connections to the nodes are opened before the first request (false).
    pub fn preconnect(&self) -> bool {
        self.settings.preconnect.unwrap_or(false)
    }

    /// `auto_eject_hosts`: whether nodes that fail are ejected (false).
    pub fn auto_eject_hosts(&self) -> bool {
        self.settings.auto_eject_hosts.unwrap_or(false)
    }

    /// `eject_mode`: what becomes of the keys of a node that is ejected (`rebuild`); `Off` without
    /// `auto_eject_hosts`. Not in nutcracker.
    pub fn eject_mode(&self) -> EjectMode {
        if self.auto_eject_hosts() {
            self.settings.eject_mode.unwrap_or(EjectMode::Rebuild)
        } else {
            EjectMode::Off
        }
    }

    /// `server_connections`: how many connections to a node there may be (1); never 0.
    pub fn server_connections(&self) -> u32 {
        self.settings.server_connections.unwrap_or(1)
    }

    /// `server_retry_timeout`: how long a node stays ejected (30 s).
    pub fn server_retry_timeout(&self) -> Duration {
        milliseconds(self.settings.server_retry_timeout.unwrap_or(30_000))
    }

    /// `server_failure_limit`: how many failures in a row eject a node (2).
    pub fn server_failure_limit(&self) -> u32 {
        self.settings.server_failure_limit.unwrap_or(2)
    }

    /// `servers`: the nodes, in the order of the file, which does not matter for placement.
    pub fn servers(&self) -> &[Node] {
        &self.settings.servers
    }

    /// What is said to each of the [`servers`](Self::servers), in their order: the `user:password@` in front
    /// of the server itself, or else `server_user` with `server_auth`, or without that with `redis_auth`.
    /// For memcacheds both are there or neither.
    pub fn server_credentials(&self) -> &[Option<ServerCredentials>] {
        &self.settings.credentials
    }

    /// `server_user`: the name under which a proxy makes itself known to nodes that have no credentials of
    /// their own (none). Not in nutcracker.
    pub fn server_user(&self) -> Option<&str> {
        self.settings.server_user.as_deref()
    }

    /// `server_auth`: the password that is said to such nodes (that of `redis_auth`). Not in nutcracker.
    pub fn server_auth(&self) -> Option<&str> {
        self.settings.server_auth.as_deref()
    }

    /// `server_tls`: whether nodes are spoken to over TLS (false); those on unix sockets are not. Not in
    /// nutcracker, nor are the other directives of TLS.
    pub fn server_tls(&self) -> bool {
        self.settings.server_tls.unwrap_or(false)
    }

    /// `server_tls_ca`: the file with the authorities that may vouch for nodes (those of the system).
    pub fn server_tls_ca(&self) -> Option<&Path> {
        self.settings.server_tls_ca.as_deref().map(Path::new)
    }

    /// `server_tls_cert`: the file with the certificate that nodes are shown (none). It does not come
    /// without `server_tls_key`.
    pub fn server_tls_cert(&self) -> Option<&Path> {
        self.settings.server_tls_cert.as_deref().map(Path::new)
    }

    /// `server_tls_key`: the file with the key to `server_tls_cert`.
    pub fn server_tls_key(&self) -> Option<&Path> {
        self.settings.server_tls_key.as_deref().map(Path::new)
    }

    /// `server_tls_name`: the name that the certificates of nodes are to have (the host of each).
    pub fn server_tls_name(&self) -> Option<&str> {
        self.settings.server_tls_name.as_deref()
    }

    /// `listen_tls_cert`: the file with the certificate that clients are shown. Where it is, clients have to
    /// speak TLS (none). It does not come without `listen_tls_key`.
    pub fn listen_tls_cert(&self) -> Option<&Path> {
        self.settings.listen_tls_cert.as_deref().map(Path::new)
    }

    /// `listen_tls_key`: the file with the key to `listen_tls_cert`.
    pub fn listen_tls_key(&self) -> Option<&Path> {
        self.settings.listen_tls_key.as_deref().map(Path::new)
    }

    /// `listen_tls_client_ca`: the file with the authorities of which a client has to show a certificate
    /// (none: it need not show one).
    pub fn listen_tls_client_ca(&self) -> Option<&Path> {
        self.settings.listen_tls_client_ca.as_deref().map(Path::new)
    }

    /// Where the certificates, keys and authorities are that the pool needs.
    #[cfg(feature = "proxy")]
    pub(crate) fn tls_files(&self) -> impl Iterator<Item = &Path> {
        let of_nodes = [self.server_tls_ca(), self.server_tls_cert(), self.server_tls_key()];
        let of_clients =
            [self.listen_tls_cert(), self.listen_tls_key(), self.listen_tls_client_ca()];
        of_nodes.into_iter().chain(of_clients).flatten()
    }

    /// `admin_commands`: whether a proxy lets commands pass that change or show servers as a whole
    /// (false). Not in nutcracker.
    pub fn admin_commands(&self) -> bool {
        self.settings.admin_commands.unwrap_or(false)
    }

    /// `failed_reads`: what a client gets for keys of a memcached that fails, if it asks for several (an
    /// error). Not in nutcracker.
    pub fn failed_reads(&self) -> FailedReads {
        self.settings.failed_reads.unwrap_or_default()
    }

    /// `client_idle_timeout`: how long a client may say nothing before a proxy closes its connection.
    /// `None`, from no directive or from 0, is for ever. Not in nutcracker.
    pub fn client_idle_timeout(&self) -> Option<Duration> {
        self.settings.client_idle_timeout.filter(|&timeout| timeout > 0).map(milliseconds)
    }

    /// The pool as a topology: its nodes, hash, hash tag and distribution; and its
    /// [`eject_mode`](Self::eject_mode), with nutcracker's limit and time.
    ///
    /// # Errors
    ///
    /// As [`Topology::new`], which accepts whatever
    /// [`NutcrackerConfig::parse`](crate::NutcrackerConfig::parse) has accepted.
    pub fn topology(&self) -> Result<Topology> {
        let policy = EjectPolicy::new(self.eject_mode())
            .failure_limit(self.server_failure_limit())
            .retry_timeout(self.server_retry_timeout());
        let topology = Topology::new(self.servers().iter().cloned())?
            .with_hash(self.hash())
            .with_distribution(self.distribution())
            .with_eject_policy(policy);
        Ok(match self.hash_tag() {
            Some(tag) => topology.with_hash_tag(tag),
            None => topology,
        })
    }
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}
