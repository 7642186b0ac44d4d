//! Why a node did not answer, for its health and for the caller.

use std::sync::Arc;
use std::time::Duration;

use redis::ErrorKind;
use redis::RedisError;

use super::endpoint::Endpoint;
use super::patience::Patience;
use super::wire::WireError;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::health::Incident;
use crate::net::clock::Deadline;
use crate::net::is_ours;
use crate::plan::Split;
use crate::topology::Member;

/// Why a node did not answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: ShardError,
    /// What redis-rs calls it, where that is more than the error's own kind says.
    pub(crate) kind: Option<ErrorKind>,
}

impl Failure {
    /// The failure of a fragment of the request `args`, with its keys.
    pub(crate) fn of_fragment(self, split: &Split, fragment: usize, args: &[&[u8]]) -> Self {
        let keys = split.keys(fragment, args).map(<[u8]>::to_vec).collect();
        Self { error: self.error.with_keys(keys), ..self }
    }
}

impl From<ShardError> for Failure {
    fn from(error: ShardError) -> Self {
        Self { error, kind: None }
    }
}

impl From<Failure> for RedisError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            Some(kind) => {
                Self::from((kind, failure.error.kind().as_str(), failure.error.to_string()))
            }
            None => failure.error.into(),
        }
    }
}

/// How far a job had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Talking,
}

/// What it is for the health of the node.
pub(super) fn incident(error: &WireError, phase: Phase, patience: Patience) -> Incident {
    match error {
        WireError::Deadline if patience.limit == Some(Duration::ZERO) => Incident::NoTime,
        WireError::Deadline if patience.is_blocking && phase == Phase::Talking => {
            Incident::BlockingTimeout
        }
        WireError::Io(error) if is_ours(error) => Incident::NoResources,
        WireError::Io(_) | WireError::Deadline => Incident::Io,
        WireError::Broken(_) => Incident::BrokenReply,
        WireError::Refused(_) => Incident::Handshake,
    }
}

/// What is said of a node that failed.
pub(crate) fn failure_of(
    member: &Member<Endpoint>,
    error: WireError,
    phase: Phase,
    deadline: Deadline,
) -> Failure {
    let address = member.endpoint().info().addr();
    let mut redis_kind = None;
    let error = match error {
        WireError::Deadline => {
            let limit = deadline.limit().unwrap_or_default();
            let what = match phase {
                Phase::Connecting => "no connection to",
                Phase::Talking => "no reply from",
            };
            ShardError::new(ShardErrorKind::Deadline, format!("{what} {address} within {limit:?}"))
        }
        WireError::Io(error) => {
            let what = match phase {
                Phase::Connecting => "cannot connect to",
                Phase::Talking => "connection lost to",
            };
            ShardError::new(ShardErrorKind::Node, format!("{what} {address}: {error}"))
                .with_io_kind(error.kind())
        }
        WireError::Broken(why) => {
            ShardError::new(ShardErrorKind::Protocol, format!("broken reply from {address}: {why}"))
        }
        WireError::Refused(refusal) => {
            redis_kind = Some(refusal.kind);
            let message = format!("{address}: {}", refusal.reason);
            ShardError::new(ShardErrorKind::Handshake, message)
        }
    };
    Failure { error: error.with_node(Arc::clone(member.name())), kind: redis_kind }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn no_node_is_blamed_for_what_this_process_lacks() {
        let patience = Patience { limit: None, is_blocking: false };
        let incident = |errno: rustix::io::Errno| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            incident(&WireError::Io(error), Phase::Connecting, patience)
        };
        assert_eq!(incident(rustix::io::Errno::MFILE), Incident::NoResources);
        assert_eq!(incident(rustix::io::Errno::CONNREFUSED), Incident::Io);
    }
}
