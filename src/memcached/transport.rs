//! What a link sends and receives through: the socket as it is, or TLS over it.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::tls::TlsChannel;
use super::tls::TlsTarget;
use super::wire_error::WireError;
use crate::net::Channel;
use crate::net::ChannelError;
use crate::net::Interest;
use crate::net::clock::Deadline;

/// A [`Channel`], or one with TLS in between. The methods mean what they mean there; bytes are those of
/// requests and replies.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Channel),
    Tls(Box<TlsChannel>),
}

/// memcached 1.6.18 forgets what its TLS library holds: when it has read the rest of a value out of a record,
/// or as much as its buffer of 16 KiB has room for, it waits for the socket before it reads on, though the
/// next request has arrived in the same record. So a record (16 KiB at most) has whole requests, or
/// some of one.
const RECORD: usize = 16 << 10;

impl Transport {
    /// Of a channel that was just connected; [`secure`](Self::secure) comes next.
    pub(super) fn new(channel: Channel, tls: Option<&TlsTarget>) -> Result<Self, WireError> {
        Ok(match tls {
            Some(target) => Self::Tls(Box::new(TlsChannel::new(channel, target)?)),
            None => Self::Plain(channel),
        })
    }

    /// Goes on with the TLS handshake as far as it goes without waiting, and says whether it is over.
    ///
    /// # Errors
    ///
    /// If one end does not want the other.
    pub(super) fn secure(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.secure(),
        }
    }

    #[inline]
    pub(super) fn arrived(&self) -> &[u8] {
        match self {
            Self::Plain(channel) => channel.arrived(),
            Self::Tls(tls) => tls.arrived(),
        }
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) {
        match self {
            Self::Plain(channel) => channel.take(count),
            Self::Tls(tls) => tls.take(count),
        }
    }

    /// Whether it has rested so long that it must be looked at with [`is_quiet`](Self::is_quiet).
    #[inline]
    pub(super) fn has_rested(&mut self, now: Instant) -> bool {
        match self {
            Self::Plain(channel) => channel.has_rested(now),
            Self::Tls(tls) => tls.has_rested(now),
        }
    }

    /// Whether nothing has arrived since the last reply, neither bytes nor the end.
    pub(super) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(channel) => {
                matches!(channel.peek(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Tls(tls) => matches!(tls.try_receive(1), Ok(0)),
        }
    }

    #[inline]
    pub(super) fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), ChannelError> {
        match self {
            Self::Plain(channel) => channel.send(bytes, deadline),
            Self::Tls(tls) => tls.send(bytes, deadline),
        }
    }

    #[inline]
    pub(super) fn begin_to_wait(&mut self, deadline: Deadline) -> io::Result<()> {
        match self {
            Self::Plain(channel) => channel.begin_to_wait(deadline),
            Self::Tls(tls) => tls.begin_to_wait(deadline),
        }
    }

    #[inline]
    pub(super) fn receive(&mut self, missing: usize, deadline: Deadline) -> io::Result<bool> {
        match self {
            Self::Plain(channel) => channel.receive(missing, deadline),
            Self::Tls(tls) => tls.receive(missing, deadline),
        }
    }

    pub(super) fn tighten(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        match self {
            Self::Plain(channel) => channel.tighten(deadline),
            Self::Tls(tls) => tls.tighten(deadline),
        }
    }

    pub(super) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(channel) => channel.try_send(bytes),
            Self::Tls(tls) => tls.try_send(bytes),
        }
    }

    pub(super) fn try_receive(&mut self, missing: usize) -> io::Result<usize> {
        match self {
            Self::Plain(channel) => channel.try_receive(missing),
            Self::Tls(tls) => tls.try_receive(missing),
        }
    }

    /// Whether the last read that did not wait left room, and so took all there was.
    #[cfg_attr(not(feature = "memcache-aio"), allow(dead_code, reason = "readiness needs it"))]
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Plain(channel) => channel.has_room(),
            Self::Tls(tls) => tls.has_room(),
        }
    }

    /// Whether all that it took was written to the socket.
    pub(super) fn is_flushed(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(tls) => tls.is_flushed(),
        }
    }

    /// As [`Link::piece`](super::link::Link::piece).
    pub(super) fn piece(&self) -> Option<usize> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(_) => Some(RECORD),
        }
    }

    /// What to wait for, while there is more to send or not.
    pub(super) fn interest(&self, is_sending: bool) -> Interest<'_> {
        let is_writing = is_sending || !self.is_flushed();
        let socket = self.as_fd();
        if is_writing { Interest::Both(socket) } else { Interest::Readable(socket) }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(channel) => channel.as_fd(),
            Self::Tls(tls) => tls.as_fd(),
        }
    }
}
