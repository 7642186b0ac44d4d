//! One connection to one node, ready for requests.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use redis::ErrorKind;
use redis::Value;

use super::delegate::Delegate;
use super::direct::Direct;
use crate::net::ChannelError;
use crate::net::clock::Deadline;
use crate::net::copy_of;
use crate::protocol::resp::BrokenFrame;

/// A connection that has shaken hands.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) transport: Transport,
    /// Never given to another link: who relies on what a connection remembers (a `WATCH`) compares it.
    serial: u64,
}

/// Whose socket it is.
#[derive(Debug)]
pub(super) enum Transport {
    Direct(Direct),
    Delegate(Delegate),
}

/// Why a link is of no use any more.
#[derive(Debug)]
pub(crate) enum WireError {
    Io(io::Error),
    /// The deadline passed.
    Deadline,
    /// The node sent what is no reply, or what nobody asked for.
    Broken(String),
    /// The node refused the handshake.
    Refused(Refusal),
}

/// What a node said to the handshake.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What redis-rs calls it.
    pub(crate) kind: ErrorKind,
    /// In the node's words where it has some.
    pub(crate) reason: String,
}

impl WireError {
    /// The same once more, for another of those who waited for the link.
    #[cfg_attr(not(feature = "tokio-comp"), allow(dead_code, reason = "tasks share links there"))]
    pub(crate) fn copied(&self) -> Self {
        match self {
            Self::Io(error) => Self::Io(copy_of(error)),
            Self::Deadline => Self::Deadline,
            Self::Broken(why) => Self::Broken(why.clone()),
            Self::Refused(Refusal { kind, reason }) => {
                Self::Refused(Refusal { kind: *kind, reason: reason.clone() })
            }
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ChannelError> for WireError {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Io(error) => Self::Io(error),
            ChannelError::Deadline => Self::Deadline,
        }
    }
}

impl From<BrokenFrame> for WireError {
    fn from(error: BrokenFrame) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Link {
    pub(super) fn new(transport: Transport) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Self { transport, serial: SERIAL.fetch_add(1, Ordering::Relaxed) }
    }

    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }

    /// The socket, if it is ours.
    #[cfg(feature = "tokio-comp")]
    pub(crate) fn into_direct(self) -> Option<Direct> {
        match self.transport {
            Transport::Direct(direct) => Some(direct),
            Transport::Delegate(_) => None,
        }
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether a request may be sent: no reply is owed, nothing unasked has arrived, and the node has not
    /// hung up, as far as one can know without waiting.
    #[inline]
    pub(crate) fn is_usable(&mut self, now: std::time::Instant) -> bool {
        match &mut self.transport {
            Transport::Direct(direct) => direct.is_usable(now),
            Transport::Delegate(delegate) => delegate.is_usable(),
        }
    }

    /// Writes all of `bytes`, which hold `requests` requests.
    pub(crate) fn send(
        &mut self,
        bytes: &[u8],
        requests: usize,
        deadline: Deadline,
    ) -> Result<(), WireError> {
        match &mut self.transport {
            Transport::Direct(direct) => direct.send(bytes, requests, deadline),
            Transport::Delegate(delegate) => delegate.send(bytes, requests, deadline),
        }
    }

    /// Waits for the next reply that is owed. Push messages before it go to `on_push`.
    pub(crate) fn receive(
        &mut self,
        deadline: Deadline,
        on_push: &mut dyn FnMut(Value),
    ) -> Result<(Value, usize), WireError> {
        match &mut self.transport {
            Transport::Direct(direct) => direct.receive(deadline, on_push),
            Transport::Delegate(delegate) => delegate.receive(deadline, on_push),
        }
    }
}
