//! Where the control plane is reached: TCP, or a unix socket, which nutcracker's `-a` takes too.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::os::unix;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::event::Source;
use mio::net::TcpListener;
use mio::net::TcpStream;
use mio::net::UnixListener;
use mio::net::UnixStream;
use socket2::Domain;
use socket2::SockRef;
use socket2::Type;

use crate::proxy::socket_file::SocketFile;

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that accepts. Never waits.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// One that was accepted. Never waits.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Takes a host, which may be a name, and a port, or a path, which needs no port. On a port nobody can connect
    /// before [`listen`](Self::listen), but nobody else can take it either.
    ///
    /// # Errors
    ///
    /// Those of the system, with the address in them; `what` is for whom it is.
    pub(super) fn bind(
        what: &str,
        host: &str,
        port: u16,
    ) -> io::Result<(Self, Option<SocketFile>)> {
        if host.starts_with('/') {
            let bound = bind_path(Path::new(host));
            return bound
                .map(|(listener, file)| (Self::Unix(listener), Some(file)))
                .map_err(|error| explain(&error, what, host));
        }
        bind_port(host, port).map(|listener| (Self::Tcp(listener), None)).map_err(|error| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            explain(&error, what, &format!("{host}:{port}"))
        })
    }

    /// Lets clients in.
    pub(super) fn listen(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => SockRef::from(listener).listen(BACKLOG),
            Self::Unix(_) => Ok(()),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Self::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    pub(super) fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(socket, _)| Socket::Tcp(socket)),
            Self::Unix(listener) => listener.accept().map(|(socket, _)| Socket::Unix(socket)),
        }
    }

    /// The address, unless it is a path.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl Socket {
    /// Reports from now on under `token` when there is something to read or room to write.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(socket) => socket.register(registry, token, interest),
            Self::Unix(socket) => socket.register(registry, token, interest),
        }
    }

    /// Says that nothing more will come.
    pub(super) fn end(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first address of the host that there is here.
fn bind_port(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failed = None;
    for address in (host, port).to_socket_addrs()? {
        let bind = || {
            let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            Ok(TcpListener::from_std(socket.into()))
        };
        match bind() {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Takes the place of a file that a process before us left behind, and only of such a one.
fn bind_path(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        let is_left = unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if is_left {
            fs::remove_file(path)?;
        }
    }
    let listener = UnixListener::bind(path)?;
    Ok((listener, SocketFile::of(path)?))
}

fn explain(error: &io::Error, what: &str, address: &str) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address} for {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listener::bind("stats", "127.0.0.1", address.port()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot listen on {address} for stats: ")), "{text}");
    }

    #[test]
    fn a_file_that_was_left_behind_is_replaced_and_no_other() {
        let name = format!("shardwright-control-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let host = path.to_str().unwrap();
        drop(unix::net::UnixListener::bind(&path).unwrap());

        let first = Listener::bind("stats", host, 0).unwrap();
        let error = Listener::bind("stats", host, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(host), "{error}");
        drop(first);
        assert!(!path.exists());

        fs::write(&path, "a file of somebody").unwrap();
        assert!(Listener::bind("stats", host, 0).is_err());
        fs::remove_file(&path).unwrap();
    }
}
