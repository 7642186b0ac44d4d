//! From the configuration to pools, and the sockets they listen on.

use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::driver::Listening;
use super::settings::Credentials;
use super::settings::Endpoint;
use super::settings::PoolSettings;
use super::settings::Protocol;
use super::socket_file::SocketFile;
use super::tls::ListenerTls;
use super::tls::PoolTls;
use crate::config::FailedReads;
use crate::config::PoolConfig;
use crate::node::Address;
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

/// Where clients of a pool come in.
#[derive(Debug)]
pub(super) struct Entrance {
    /// One a worker.
    pub(super) sockets: Vec<Listening>,
    /// Of a unix socket.
    pub(super) file: Option<SocketFile>,
}

/// Opens the sockets of a pool, one a worker where the system spreads clients over them.
///
/// # Errors
///
/// Where it cannot listen, and why.
pub(super) fn listen(config: &PoolConfig, workers: usize) -> Result<Entrance, String> {
    let complain = |error: io::Error| {
        let (name, listen) = (config.name(), config.listen());
        format!("pool '{name}' cannot listen on '{listen}': {}", super::log::reason(&error))
    };
    let entrance = match config.listen().address() {
        Address::Unix(path) => listen_unix(config, path),
        Address::Tcp { host, port } => {
            listen_tcp(config, host, *port, workers).map(|sockets| Entrance { sockets, file: None })
        }
        #[allow(unreachable_patterns, reason = "addresses of other kinds may come")]
        _ => Err(io::ErrorKind::Unsupported.into()),
    };
    let mut entrance = entrance.map_err(complain)?;
    while entrance.sockets.len() < workers {
        let again = entrance.sockets[0].try_clone().map_err(complain)?;
        entrance.sockets.push(again);
    }
    Ok(entrance)
}

fn listen_tcp(
    config: &PoolConfig,
    host: &str,
    port: u16,
    workers: usize,
) -> io::Result<Vec<Listening>> {
    // The first address, as in nutcracker.
    let address = (host, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let shares = config.reuseport() || workers > 1;
    (0..workers).map(|_| bind(config, address, shares)).collect()
}

fn bind(config: &PoolConfig, address: SocketAddr, shares: bool) -> io::Result<Listening> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if shares {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(config.backlog()).unwrap_or(i32::MAX))?;
    Ok(Listening::Tcp(socket.into()))
}

fn listen_unix(config: &PoolConfig, path: &str) -> io::Result<Entrance> {
    // What was left behind is removed, as nutcracker does; but nothing that is no socket.
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("there is a file of this name, and it is no socket")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    let file = Some(SocketFile::of(path.as_ref())?);
    listener.set_nonblocking(true)?;
    if let Some(mode) = config.listen().mode() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(Entrance { sockets: vec![Listening::Unix(listener)], file })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NutcrackerConfig;

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("shardwright-{}.txt", std::process::id()));
        std::fs::write(&path, "mine").unwrap();
        let listen_there = format!("a:\n  listen: {}\n  servers:\n   - a:1:1\n", path.display());
        let config = NutcrackerConfig::parse(&listen_there).unwrap();
        let error = listen(&config.pools()[0], 1).unwrap_err();
        assert!(error.ends_with(": there is a file of this name, and it is no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(path).unwrap();
    }
}
