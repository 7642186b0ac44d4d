//! What is read and written: a socket as it is, or with TLS in between.

use std::io;
use std::io::Read;
use std::io::Write;
use std::ops::Deref;

use mio::Registry;
use mio::Token;

use super::socket::Socket;
use crate::proxy::tls::TlsSession;

/// A socket, and TLS if it has any. Bytes are those of requests and replies.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    tls: Option<Box<TlsSession>>,
}

impl Stream {
    pub(super) fn new(socket: Socket, tls: Option<TlsSession>) -> Self {
        Self { socket, tls: tls.map(Box::new) }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.register(registry, token)
    }

    /// Goes on with the handshake of TLS as far as that goes without waiting, and says whether it is over.
    pub(super) fn secure(&mut self, scratch: &mut Vec<u8>) -> io::Result<bool> {
        match &mut self.tls {
            None => Ok(true),
            Some(tls) => tls.secure(&mut self.socket, scratch),
        }
    }

    /// Reads what has arrived. `scratch` is for records of TLS, for which `buffer` has to be of some size.
    #[inline]
    pub(super) fn read(&mut self, scratch: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => tls.read(&mut self.socket, scratch, buffer),
        }
    }

    /// Writes bytes, and says how many were written. With TLS some of the others may be on their way: what is written
    /// next has to begin with them.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => tls.write(&mut self.socket, bytes),
        }
    }

    /// Writes what TLS has to say itself, as far as that goes.
    #[inline]
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => tls.flush(&mut self.socket).map(drop),
        }
    }

    /// Says that nothing more comes, where there is a word for it.
    pub(super) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.socket);
        }
    }

    /// The socket alone.
    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }

    /// The socket, if what goes over it is what is read and written.
    #[inline]
    pub(super) fn bare(&self) -> Option<&Socket> {
        self.tls.is_none().then_some(&self.socket)
    }

    #[inline]
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether something has arrived that cannot be read before more comes.
    pub(super) fn holds_part(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.holds_part())
    }

    /// Whether there may be more to read, though a read was short.
    #[inline]
    pub(super) fn may_hold_more(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.may_hold_more())
    }
}

impl Deref for Stream {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}
