//! One pool of a `nutcracker.yml`.

use std::fmt;
use std::time::Duration;

use super::Listen;
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
}

impl fmt::Debug for Settings {
    /// All of them, without the password.
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
}

impl PoolConfig {
    pub(super) fn new(name: String, listen: Listen, settings: Settings) -> Self {
        Self { name, listen, settings }
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

    /// `redis_auth`: the password for the nodes, which a proxy asks of its clients too (none).
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

    /// The pool as a topology: its nodes, hash, hash tag and distribution; with `auto_eject_hosts`
    /// the policy [`EjectPolicy::rebuild`], otherwise no ejection.
    ///
    /// # Errors
    ///
    /// As [`Topology::new`], which accepts whatever
    /// [`NutcrackerConfig::parse`](crate::NutcrackerConfig::parse) has accepted.
    pub fn topology(&self) -> Result<Topology> {
        let mode = if self.auto_eject_hosts() { EjectMode::Rebuild } else { EjectMode::Off };
        let policy = EjectPolicy::new(mode)
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
