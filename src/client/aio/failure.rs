//! What an error of redis-rs's connection says of the node, and to the caller.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::ErrorKind;
use redis::RedisError;

use super::link::LinkError;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Failure;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::failure::incident;
use crate::client::patience::Patience;
use crate::client::wire::Refusal;
use crate::client::wire::WireError;
use crate::client::wire::without_arguments;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::health::Incident;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::topology::Member;

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Unmet {
    /// The node failed.
    Failed(Failure),
    /// redis-rs refused the request, or the node did.
    Refused(RedisError),
}

impl From<Failure> for Unmet {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unmet> for RedisError {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Failed(failure) => failure.into(),
            Unmet::Refused(error) => error,
        }
    }
}

impl Unmet {
    /// The failure of a part of a request.
    pub(super) fn into_failure(self, member: &Member<Endpoint>) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Refused(error) => Failure {
                error: ShardError::new(ShardErrorKind::Node, error.to_string())
                    .with_node(Arc::clone(member.name())),
                kind: Some(error.kind()),
            },
        }
    }
}

/// What is said of a node that could not be connected to.
pub(super) fn connect_failure(
    member: &Member<Endpoint>,
    error: LinkError,
    deadline: Deadline,
) -> (Failure, Incident) {
    let error = match error {
        LinkError::Unsent { reason: error, .. } | LinkError::Wire(error) => error,
        LinkError::Redis(error) => wire_error(&error).unwrap_or_else(|| {
            let reason = without_arguments(&error.to_string()).to_owned();
            WireError::Refused(Refusal { kind: error.kind(), reason })
        }),
    };
    let patience = Patience { limit: deadline.limit(), is_blocking: false };
    let incident = incident(&error, Phase::Connecting, patience);
    (failure_of(member, error, Phase::Connecting, deadline), incident)
}

/// What is said of a request that its connection failed.
///
/// # Errors
///
/// The error itself, if the connection is not to blame: redis-rs or the node refused the request.
pub(super) fn request_failure(
    member: &Member<Endpoint>,
    error: LinkError,
    patience: Patience,
) -> Result<(Failure, Incident), RedisError> {
    let error = match error {
        LinkError::Unsent { reason: error, .. } | LinkError::Wire(error) => error,
        LinkError::Redis(error) => match wire_error(&error) {
            Some(error) => error,
            None if error.kind() == ErrorKind::Parse => WireError::Broken(error.to_string()),
            None => return Err(error),
        },
    };
    let incident = incident(&error, Phase::Talking, patience);
    let deadline = Deadline::after(clock::now(), patience.limit);
    Ok((failure_of(member, error, Phase::Talking, deadline), incident))
}

/// What an error of redis-rs's connection means, if it is one of the connection.
pub(super) fn wire_error(error: &RedisError) -> Option<WireError> {
    if error.is_timeout() {
        Some(WireError::Deadline)
    } else if error.is_io_error() {
        Some(WireError::Io(io_error(error)))
    } else {
        None
    }
}

/// The I/O error inside; redis-rs keeps it behind two pointers.
fn io_error(error: &RedisError) -> io::Error {
    let shared =
        error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    match shared.and_then(|shared| (**shared).downcast_ref::<io::Error>()) {
        Some(inner) => match inner.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(inner.kind(), inner.to_string()),
        },
        None => io::Error::other(error.to_string()),
    }
}
