//! Where clients come in: the sockets of the pools, which stay while the pools behind them change.
//!
//! ```text
//!   Entrance ── one socket a worker ──► worker: a listener of the pool that is behind it now
//!            └─ the file, if it is a unix socket
//! ```
//!
//! A pool that gets another name, speaks another protocol or changes places with another one finds its socket as it
//! was: it could not be opened a second time, and clients that wait in it are not turned away.

use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use super::driver::Listening;
use super::log;
use super::pacing::Pacing;
use super::socket_file::SocketFile;
use crate::config::PoolConfig;
use crate::node::Address;

/// Where clients of a pool come in.
#[derive(Debug)]
pub(super) struct Entrance {
    address: Address,
    /// One a worker.
    sockets: Vec<Listening>,
    /// Of a unix socket.
    _file: Option<SocketFile>,
}

impl Entrance {
    /// Opens the sockets of a pool, one a worker where the system spreads clients over them.
    ///
    /// # Errors
    ///
    /// Where it cannot listen, and why.
    pub(super) fn open(config: &PoolConfig, workers: usize) -> io::Result<Self> {
        Self::try_open(config, workers).map_err(|error| explain(config, &error))
    }

    fn try_open(config: &PoolConfig, workers: usize) -> io::Result<Self> {
        let address = config.listen().address().clone();
        let (mut sockets, file) = match &address {
            Address::Unix(path) => listen_unix(config, path)?,
            Address::Tcp { host, port } => (listen_tcp(config, host, *port, workers)?, None),
            #[allow(unreachable_patterns, reason = "addresses of other kinds may come")]
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        while sockets.len() < workers {
            sockets.push(sockets[0].try_clone()?);
        }
        Ok(Self { address, sockets, _file: file })
    }

    /// Whether this is where the pool listens.
    pub(super) fn is_of(&self, config: &PoolConfig) -> bool {
        self.address == *config.listen().address()
    }

    /// The sockets for the workers.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    pub(super) fn sockets(&self, config: &PoolConfig) -> io::Result<Vec<Listening>> {
        let sockets = self.sockets.iter().map(Listening::try_clone);
        sockets.collect::<io::Result<_>>().map_err(|error| explain(config, &error))
    }

    /// Makes of the sockets what the pool behind them wants now.
    ///
    /// # Errors
    ///
    /// What the system has against it; they stay as they are then.
    pub(super) fn suit(&self, config: &PoolConfig) -> Result<(), String> {
        let suit = || {
            for socket in &self.sockets {
                if let Listening::Tcp(socket, _) = socket {
                    let shares = config.reuseport() || self.sockets.len() > 1;
                    SockRef::from(socket).set_reuse_port(shares)?;
                }
                set_backlog(socket, config)?;
            }
            set_mode(config)
        };
        suit().map_err(|error| {
            let (name, reason) = (config.name(), log::reason(&error));
            format!("pool '{name}': the socket stays as it was: {reason}")
        })
    }
}

fn explain(config: &PoolConfig, error: &io::Error) -> io::Error {
    let (name, listen, reason) = (config.name(), config.listen(), log::reason(error));
    io::Error::new(error.kind(), format!("pool '{name}' cannot listen on '{listen}': {reason}"))
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
    if shares && !config.reuseport() {
        // The workers share it, and nobody else: another process, or another pool under another name of the address,
        // would get half of the clients without a word.
        drop(bind(address, false)?);
    }
    let listening = |_| {
        let socket = bind(address, shares)?;
        let pacing = Pacing::take_from(&socket);
        let socket = Listening::Tcp(socket.into(), pacing);
        set_backlog(&socket, config)?;
        Ok(socket)
    };
    (0..workers).map(listening).collect()
}

fn bind(address: SocketAddr, shares: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if shares {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen_unix(
    config: &PoolConfig,
    path: &str,
) -> io::Result<(Vec<Listening>, Option<SocketFile>)> {
    // What was left behind is removed, as nutcracker does; but nothing that is no socket.
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("there is a file of this name, and it is no socket")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    let file = Some(SocketFile::of(path.as_ref())?);
    listener.set_nonblocking(true)?;
    set_mode(config)?;
    let socket = Listening::Unix(listener);
    // The library's own is another one.
    set_backlog(&socket, config)?;
    Ok((vec![socket], file))
}

/// Listens, or goes on listening, with room for so many clients that wait.
fn set_backlog(socket: &Listening, config: &PoolConfig) -> io::Result<()> {
    let backlog = i32::try_from(config.backlog()).unwrap_or(i32::MAX);
    match socket {
        Listening::Tcp(socket, _) => SockRef::from(socket).listen(backlog),
        Listening::Unix(socket) => SockRef::from(socket).listen(backlog),
    }
}

fn set_mode(config: &PoolConfig) -> io::Result<()> {
    let listen = config.listen();
    if let (Address::Unix(path), Some(mode)) = (listen.address(), listen.mode()) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NutcrackerConfig;

    fn pool(listen: &str) -> PoolConfig {
        let text = format!("a:\n  listen: {listen}\n  servers:\n   - a:1:1\n");
        NutcrackerConfig::parse(&text).unwrap().pools()[0].clone()
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("shardwright-{}.txt", std::process::id()));
        std::fs::write(&path, "mine").unwrap();
        let error = Entrance::open(&pool(path.to_str().unwrap()), 1).unwrap_err().to_string();
        assert!(error.ends_with(": there is a file of this name, and it is no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn workers_share_a_port_with_one_another_and_with_nobody_else() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (ours, theirs) =
            (pool(&address.to_string()), pool(&format!("localhost:{}", address.port())));
        let entrance = Entrance::open(&ours, 3).unwrap();
        assert_eq!(entrance.sockets.len(), 3);
        let error = Entrance::open(&theirs, 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().ends_with(": Address already in use"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sockets_for_the_workers_are_not_paced_and_know_what_was_taken() {
        use crate::proxy::pacing::tests::congestion_control;

        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let of_system = congestion_control(&free);
        let address = free.local_addr().unwrap();
        drop(free);
        let pool = pool(&address.to_string());
        let entrance = Entrance::open(&pool, 2).unwrap();
        for socket in entrance.sockets(&pool).unwrap() {
            let Listening::Tcp(socket, pacing) = &socket else { unreachable!() };
            let unpaced = congestion_control(socket);
            assert!(!unpaced.starts_with("bbr"), "{unpaced}");
            pacing.give_back(socket, "192.0.2.1:7".parse().unwrap());
            assert_eq!(congestion_control(socket), of_system);
        }
    }
}
