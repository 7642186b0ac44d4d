//! A stream socket of either kind that never blocks.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::net::TcpStream;
use mio::net::UnixStream;
use socket2::Domain;
use socket2::Type;

use crate::proxy::pacing::Pacing;

/// A connected socket, or one that is about to be.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Begins to connect.
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        Self::connect_with(socket, address)
    }

    fn connect_with(socket: socket2::Socket, address: SocketAddr) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let pacing = Pacing::take_from(&socket);
        match socket.connect(&address.into()) {
            Err(error) if !is_in_progress(&error) => return Err(error),
            _ => pacing.give_back(&socket, address),
        }
        Ok(Self::Tcp(TcpStream::from_std(socket.into())))
    }

    /// Begins to connect to the unix socket at `path`.
    pub(super) fn connect_unix(path: &str) -> io::Result<Self> {
        UnixStream::connect(path).map(Self::Unix)
    }

    /// Has the poll tell what happens to it, once and for all.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interest),
            Self::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// Small packets are not held back: every write is all there is to send.
    pub(super) fn set_no_delay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    pub(super) fn set_keepalive(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream).set_keepalive(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Whether the attempt to connect succeeded; to be asked when the socket is writable.
    pub(super) fn finish_connecting(&self) -> io::Result<()> {
        let error = match self {
            Self::Tcp(stream) => stream.take_error()?,
            Self::Unix(stream) => stream.take_error()?,
        };
        match error {
            Some(error) => Err(error),
            None if self.is_its_own_peer() => Err(rustix::io::Errno::CONNREFUSED.into()),
            None => Ok(()),
        }
    }

    /// Whether the other end is this end: on the way to a port of this host where nobody listens, the system may
    /// choose that very port for our end. Every request would come back as its own reply.
    fn is_its_own_peer(&self) -> bool {
        match self {
            Self::Tcp(stream) => {
                matches!((stream.local_addr(), stream.peer_addr()), (Ok(ours), Ok(theirs)) if ours == theirs)
            }
            Self::Unix(_) => false,
        }
    }

    /// Whether it is connected by now.
    pub(super) fn is_connected(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.peer_addr().is_ok(),
            Self::Unix(stream) => stream.peer_addr().is_ok(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Socket {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(bytes),
            Self::Unix(stream) => stream.write_vectored(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_is_in_progress_or_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut socket = Socket::connect(address).unwrap();
        let (mut peer, from) = listener.accept().unwrap();
        socket.finish_connecting().unwrap();
        assert!(socket.is_connected());
        assert!(matches!(&socket, Socket::Tcp(stream) if stream.local_addr().unwrap() == from));
        let nothing = socket.read(&mut [0; 1]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        socket.write_all(b"x").unwrap();
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");

        // Bound, so that nobody else listens there, nor ourselves.
        let bound = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = bound.local_addr().unwrap().as_socket().unwrap();
        // Some systems say so at once.
        let refused = Socket::connect(address).and_then(|socket| {
            while !socket.is_connected() {
                socket.finish_connecting()?;
                std::thread::yield_now();
            }
            Ok(())
        });
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_stays_in_the_machine_is_not_paced() {
        use crate::proxy::pacing::tests::congestion_control;
        use crate::proxy::pacing::tests::pace;

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let (_, unpaced) = pace(&socket);
        let socket = Socket::connect_with(socket, listener.local_addr().unwrap()).unwrap();
        assert_eq!(congestion_control(&socket), unpaced);
    }
}
