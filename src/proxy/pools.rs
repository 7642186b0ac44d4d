//! From the configuration to pools.

use std::sync::Arc;
use std::time::Instant;

use super::settings::Credentials;
use super::settings::Endpoint;
use super::settings::PoolSettings;
use super::settings::Protocol;
use super::tls::ListenerTls;
use super::tls::PoolTls;
use crate::config::FailedReads;
use crate::config::PoolConfig;
use crate::topology::SharedTopology;
use crate::topology::Topology;

/// A pool's part of the configuration, read, and nothing of it in force yet.
pub(super) struct Draft {
    pub(super) config: PoolConfig,
    topology: Topology,
    endpoints: Vec<Endpoint>,
    listen_tls: Option<ListenerTls>,
}

impl Draft {
    /// # Errors
    ///
    /// What the pool cannot be made of, with its name.
    pub(super) fn new(config: PoolConfig) -> Result<Self, String> {
        let topology = config
            .topology()
            .map_err(|error| format!("pool '{}': {}", config.name(), error.message()))?;
        let tls = PoolTls::read(&config)?;
        let endpoints = endpoints(&config, &tls);
        Ok(Self { config, topology, endpoints, listen_tls: tls.listener() })
    }

    pub(super) fn protocol(&self) -> Protocol {
        if self.config.redis() { Protocol::Redis } else { Protocol::Memcache }
    }

    /// The pool, with nodes of its own.
    pub(super) fn into_pool(self, seed: u64) -> PoolSettings {
        let topology = SharedTopology::new(self.topology, self.endpoints, seed);
        settings(&self.config, self.listen_tls, Arc::new(topology))
    }

    /// The pool in the place of `old`, whose nodes stay as far as they are the same. Answers what has changed, for
    /// a log.
    pub(super) fn into_successor(
        self,
        old: &PoolSettings,
        now: Instant,
    ) -> (PoolSettings, Vec<String>) {
        let before = old.topology.current();
        let is_same = before.router().topology().nodes() == self.topology.nodes();
        let is_secured_alike = !is_same
            || before
                .members()
                .iter()
                .map(|member| &member.endpoint().tls)
                .eq(self.endpoints.iter().map(|endpoint| &endpoint.tls));
        let (_, events) = old.topology.replace(self.topology, self.endpoints, now);
        let name = self.config.name();
        let mut changes: Vec<_> = events
            .iter()
            .filter(|_| !is_same)
            .map(|event| format!("pool '{name}': {event}"))
            .collect();
        if !is_secured_alike {
            changes.push(format!("pool '{name}': TLS with its nodes has changed"));
        }
        let mut listen_tls = self.listen_tls;
        if listen_tls == old.listen_tls {
            // Clients may go on with sessions that they have.
            listen_tls.clone_from(&old.listen_tls);
        } else {
            changes.push(format!("pool '{name}': TLS with its clients has changed"));
        }
        (settings(&self.config, listen_tls, Arc::clone(&old.topology)), changes)
    }
}

fn settings(
    config: &PoolConfig,
    listen_tls: Option<ListenerTls>,
    topology: Arc<SharedTopology<Endpoint>>,
) -> PoolSettings {
    PoolSettings {
        name: config.name().to_string(),
        protocol: if config.redis() { Protocol::Redis } else { Protocol::Memcache },
        timeout: config.timeout(),
        client_connections: config.client_connections(),
        client_idle_timeout: config.client_idle_timeout(),
        client_auth: config.redis_auth().map(Into::into),
        database: config.redis_db(),
        preconnect: config.preconnect(),
        server_connections: config.server_connections() as usize,
        admin_commands: config.admin_commands(),
        failed_reads_are_misses: config.failed_reads() == FailedReads::Miss,
        listen_tls,
        topology,
    }
}

fn endpoints(config: &PoolConfig, tls: &PoolTls) -> Vec<Endpoint> {
    let servers = config.servers().iter().zip(config.server_credentials());
    servers
        .enumerate()
        .map(|(place, (node, credentials))| Endpoint {
            address: node.address().clone(),
            protocol: if config.redis() { Protocol::Redis } else { Protocol::Memcache },
            credentials: credentials.as_ref().map(|credentials| Credentials {
                user: credentials.user().map(Into::into),
                password: credentials.password().into(),
            }),
            database: if config.redis() { config.redis_db() } else { 0 },
            tls: tls.node(place),
        })
        .collect()
}
