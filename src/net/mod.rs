//! What front ends with sockets share: the clock, deadlines, sockets and what is read from them, dialing,
//! waiting for several nodes at the same time, and the life of a client's nodes.
//!
//! ```text
//!   Dialing ──► Channel ──► exchange           one socket; several at the same time
//!   pipe                                       one socket, shared by tasks (tokio)
//!   Shared ── SharedTopology, listener         one a client
//!      └── probe: a thread for each node that is ejected
//! ```
//!
//! Not here: what bytes mean. A front end makes its links of a [`Channel`] and a protocol.

mod buffer;
mod channel;
pub(crate) mod clock;
mod dialing;
mod exchange;
#[cfg(feature = "_pipe")]
pub(crate) mod pipe;
mod poll;
mod probe;
mod resolving;
mod shared;
mod socket;

#[cfg_attr(not(feature = "memcache-tls"), allow(unused_imports, reason = "TLS needs it"))]
pub(crate) use buffer::Buffer;
pub(crate) use channel::BYTES_A_TURN;
pub(crate) use channel::Channel;
pub(crate) use channel::ChannelError;
#[cfg_attr(not(feature = "memcache-tls"), allow(unused_imports, reason = "TLS needs it"))]
pub(crate) use channel::end_of_stream;
pub(crate) use dialing::Dialed;
pub(crate) use dialing::Dialing;
pub(crate) use exchange::Job;
pub(crate) use exchange::copy_of;
pub(crate) use exchange::exchange;
pub(crate) use poll::Interest;
pub(crate) use poll::wait;
pub(crate) use probe::PROBE_LIMIT;
pub(crate) use probe::Probe;
pub(crate) use probe::ProbeLimit;
pub(crate) use shared::Listener;
pub(crate) use shared::Shared;
pub(crate) use socket::Socket;
pub(crate) use socket::TcpOptions;
pub(crate) use socket::is_ours;
