//! Why a node did not answer, for its health and for the caller.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::health::Incident;
use crate::net::ChannelError;
use crate::net::clock::Deadline;
use crate::net::is_ours;
use crate::topology::Member;

/// Why a link is of no use any more, or did not come to be.
#[derive(Debug)]
pub(super) enum WireError {
    Io(io::Error),
    /// The deadline passed.
    Deadline,
    /// The deadline passed before there was anything to send.
    Unsent,
    /// The node sent what is no reply to what was asked.
    Broken(String),
    /// An error reply to an earlier request left it open where the next reply begins.
    OutOfStep,
    /// The node refused the greeting, in its own words.
    Refused(String),
    /// All connections that the node may have were in use until the deadline.
    Busy(usize),
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

/// How far a request had come when it failed, and what bounded it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Connecting(Deadline),
    Talking(Deadline),
}

impl WireError {
    /// What it is for the health of the node.
    pub(super) fn incident(&self, phase: Phase) -> Incident {
        let (Phase::Connecting(deadline) | Phase::Talking(deadline)) = phase;
        match self {
            Self::Unsent => Incident::NoTime,
            Self::Deadline if deadline.limit() == Some(Duration::ZERO) => Incident::NoTime,
            // Those who have the connections will tell what is the matter with the node.
            Self::Busy(_) => Incident::NoResources,
            Self::Io(error) if is_ours(error) => Incident::NoResources,
            Self::Io(_) | Self::Deadline => Incident::Io,
            Self::Broken(_) => Incident::BrokenReply,
            // The node did reply.
            Self::OutOfStep => Incident::Reply,
            Self::Refused(_) => Incident::Handshake,
        }
    }

    /// What is said of it.
    pub(super) fn into_error(self, member: &Member<Endpoint>, phase: Phase) -> ShardError {
        let address = &member.endpoint().target().address;
        let (Phase::Connecting(deadline) | Phase::Talking(deadline)) = phase;
        let limit = deadline.limit().unwrap_or_default();
        let (missing, broken) = match phase {
            Phase::Connecting(_) => ("no connection to", "cannot connect to"),
            Phase::Talking(_) => ("no reply from", "connection lost to"),
        };
        let error = match self {
            Self::Deadline => ShardError::new(
                ShardErrorKind::Deadline,
                format!("{missing} {address} within {limit:?}"),
            ),
            Self::Unsent => ShardError::new(
                ShardErrorKind::Deadline,
                format!(
                    "the request to {address} took longer than {limit:?} to encode, and was not sent"
                ),
            ),
            Self::Busy(count) => ShardError::new(
                ShardErrorKind::Deadline,
                format!("all {count} connections to {address} were in use for {limit:?}"),
            ),
            Self::Io(error) => {
                ShardError::new(ShardErrorKind::Node, format!("{broken} {address}: {error}"))
                    .with_io_kind(error.kind())
            }
            Self::OutOfStep => ShardError::new(
                ShardErrorKind::Protocol,
                format!("an earlier error of {address} left it open where the next reply begins"),
            ),
            Self::Broken(why) => ShardError::new(
                ShardErrorKind::Protocol,
                format!("broken reply from {address}: {why}"),
            ),
            Self::Refused(reason) => {
                ShardError::new(ShardErrorKind::Handshake, format!("{address}: {reason}"))
            }
        };
        error.with_node(Arc::clone(member.name()))
    }
}
