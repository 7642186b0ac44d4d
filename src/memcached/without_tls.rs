//! In the place of TLS, where it is not compiled in.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::config::MemcacheTls;
use crate::error::Result;
use crate::error::ShardError;
use crate::net::Channel;
use crate::net::ChannelError;
use crate::net::clock::Deadline;
use crate::node::Node;

/// There are none.
#[derive(Clone, Debug)]
pub(super) enum MemcacheTlsOptions {}

impl MemcacheTlsOptions {
    pub(super) fn of_url(_tls: MemcacheTls, node: &Node) -> Result<Self> {
        let message = format!(
            "node '{}': TLS needs the Cargo feature memcache-tls of shardwright",
            node.name()
        );
        Err(ShardError::configuration(message))
    }
}

#[derive(Debug, Default)]
pub(super) struct TlsConfigs(());

impl TlsConfigs {
    pub(super) fn target(
        &mut self,
        options: &MemcacheTlsOptions,
        _node: &Node,
    ) -> Result<TlsTarget> {
        match *options {}
    }
}

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TlsTarget {}

/// There is none.
#[derive(Debug)]
pub(super) struct TlsChannel(Infallible);

impl TlsChannel {
    pub(super) fn new(_channel: Channel, target: &TlsTarget) -> io::Result<Self> {
        match *target {}
    }

    pub(super) fn secure(&mut self) -> io::Result<bool> {
        match self.0 {}
    }

    pub(super) fn arrived(&self) -> &[u8] {
        match self.0 {}
    }

    pub(super) fn take(&mut self, _count: usize) {
        match self.0 {}
    }

    pub(super) fn has_rested(&mut self, _now: Instant) -> bool {
        match self.0 {}
    }

    #[cfg_attr(not(feature = "memcache-aio"), allow(dead_code, reason = "readiness needs it"))]
    pub(super) fn has_room(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn send(
        &mut self,
        _bytes: &[u8],
        _deadline: Deadline,
    ) -> std::result::Result<(), ChannelError> {
        match self.0 {}
    }

    pub(super) fn begin_to_wait(&mut self, _deadline: Deadline) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn receive(&mut self, _missing: usize, _deadline: Deadline) -> io::Result<bool> {
        match self.0 {}
    }

    pub(super) fn tighten(&mut self, _deadline: Deadline) -> std::result::Result<(), ChannelError> {
        match self.0 {}
    }

    pub(super) fn try_send(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn try_receive(&mut self, _missing: usize) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn is_flushed(&self) -> bool {
        match self.0 {}
    }
}

impl AsFd for TlsChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}
