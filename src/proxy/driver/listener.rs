//! Where clients come in.

use std::io;
use std::sync::Arc;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::net::TcpListener;
use mio::net::UnixListener;

use super::socket::Socket;
use crate::proxy::pacing::Pacing;
use crate::proxy::tls::ListenerTls;

/// A listening socket, as it is handed to a worker.
#[derive(Debug)]
pub(in crate::proxy) enum Listening {
    /// With what is given back to connections that leave the machine.
    Tcp(std::net::TcpListener, Pacing),
    Unix(std::os::unix::net::UnixListener),
}

impl Listening {
    /// Another handle to the same socket.
    pub(in crate::proxy) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener, pacing) => Self::Tcp(listener.try_clone()?, pacing.clone()),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

/// A listening socket of a worker.
#[derive(Debug)]
pub(super) struct Listener {
    socket: ListenerSocket,
    registry: Arc<Registry>,
    /// The place of its pool in the core.
    pub(super) pool: usize,
    pub(super) keepalive: bool,
    /// How clients are spoken to, if not as they are.
    pub(super) tls: Option<ListenerTls>,
    /// Whether clients may wait that were not accepted.
    pub(super) is_ready: bool,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener, Pacing),
    Unix(UnixListener),
}

impl Listener {
    /// Needs no descriptor beside that of the socket: there may be none left, and if nobody accepted the clients would
    /// wait in it for ever.
    pub(super) fn new(
        listening: Listening,
        pool: usize,
        keepalive: bool,
        registry: &Arc<Registry>,
        token: Token,
    ) -> io::Result<Self> {
        let registry = Arc::clone(registry);
        let mut socket = match listening {
            Listening::Tcp(listener, pacing) => {
                listener.set_nonblocking(true)?;
                ListenerSocket::Tcp(TcpListener::from_std(listener), pacing)
            }
            Listening::Unix(listener) => {
                listener.set_nonblocking(true)?;
                ListenerSocket::Unix(UnixListener::from_std(listener))
            }
        };
        match &mut socket {
            ListenerSocket::Tcp(listener, _) => {
                registry.register(listener, token, Interest::READABLE)?
            }
            ListenerSocket::Unix(listener) => {
                registry.register(listener, token, Interest::READABLE)?;
            }
        }
        Ok(Self { socket, registry, pool, keepalive, tls: None, is_ready: true })
    }

    /// The next client.
    pub(super) fn accept(&self) -> io::Result<Socket> {
        match &self.socket {
            ListenerSocket::Tcp(listener, pacing) => {
                let (stream, peer) = listener.accept()?;
                pacing.give_back(&stream, peer);
                Ok(Socket::Tcp(stream))
            }
            ListenerSocket::Unix(listener) => listener.accept().map(|(it, _)| Socket::Unix(it)),
        }
    }
}

impl Drop for Listener {
    /// The socket may go on elsewhere, and then closing it here is not enough for the poll to forget it.
    fn drop(&mut self) {
        let _ = match &mut self.socket {
            ListenerSocket::Tcp(listener, _) => self.registry.deregister(listener),
            ListenerSocket::Unix(listener) => self.registry.deregister(listener),
        };
    }
}
