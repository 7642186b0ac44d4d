//! In the place of TLS, where it is not compiled in.

use std::convert::Infallible;
use std::io;
use std::io::Read;
use std::io::Write;

use crate::config::PoolConfig;

/// No pool has TLS.
pub(super) struct PoolTls(());

impl PoolTls {
    /// # Errors
    ///
    /// If the pool asks for TLS: better than to speak without.
    pub(super) fn read(config: &PoolConfig) -> Result<Self, String> {
        let asked = [
            ("server_tls", config.server_tls()),
            ("listen_tls_cert", config.listen_tls_cert().is_some()),
        ];
        match asked.into_iter().find(|(_, is_asked)| *is_asked) {
            None => Ok(Self(())),
            Some((directive, _)) => Err(format!(
                "{}: TLS is not compiled in; it needs the Cargo feature proxy-tls of shardwright",
                config.blame(directive)
            )),
        }
    }

    pub(super) fn node(&self, _place: usize) -> Option<NodeTls> {
        None
    }

    pub(super) fn listener(&self) -> Option<ListenerTls> {
        None
    }
}

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodeTls {}

impl NodeTls {
    pub(super) fn session(&self) -> io::Result<TlsSession> {
        match *self {}
    }
}

/// There is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ListenerTls {}

impl ListenerTls {
    pub(super) fn session(&self) -> io::Result<TlsSession> {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub(super) struct TlsSession(Infallible);

impl TlsSession {
    pub(super) fn secure(
        &mut self,
        _socket: &mut (impl Read + Write),
        _scratch: &mut Vec<u8>,
    ) -> io::Result<bool> {
        match self.0 {}
    }

    pub(super) fn read(
        &mut self,
        _socket: &mut (impl Read + Write),
        _scratch: &mut Vec<u8>,
        _buffer: &mut [u8],
    ) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn write(&mut self, _socket: &mut impl Write, _bytes: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn flush(&mut self, _socket: &mut impl Write) -> io::Result<bool> {
        match self.0 {}
    }

    pub(super) fn close(&mut self, _socket: &mut impl Write) {
        match self.0 {}
    }

    pub(super) fn is_handshaking(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn holds_part(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn may_hold_more(&self) -> bool {
        match self.0 {}
    }
}
