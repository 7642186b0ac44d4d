//! Our errors and the servers' inside memcache's, and ours out of it again.
//!
//! The signatures of a drop-in say `MemcacheError`. It can carry a foreign error only as an I/O error, so
//! that is how ours travel, but for bad configuration, which is a `BadURL`.

use std::borrow::Cow;
use std::io;

use memcache::ClientError;
use memcache::CommandError;
use memcache::MemcacheError;
use memcache::ServerError;

use super::ask::Refusal;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::protocol::memcache::BadKey;

impl From<ShardError> for MemcacheError {
    fn from(error: ShardError) -> Self {
        match error.as_io_kind() {
            Some(kind) => Self::IOError(io::Error::new(kind, error)),
            None => Self::BadURL(error.to_string()),
        }
    }
}

impl ShardError {
    /// The error of this crate that a `memcache::MemcacheError` carries, if it carries one: a node that
    /// failed, a deadline that passed, a wrong configuration. What a server said is none.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use shardwright::{ShardError, ShardErrorKind, ShardedMemcache};
    ///
    /// let cache = ShardedMemcache::connect("memcache://10.0.0.1,memcache://10.0.0.2")?;
    /// if let Err(error) = cache.set("key", "value", 60)
    ///     && let Some(error) = ShardError::of_memcache(&error)
    ///     && error.kind() == ShardErrorKind::Deadline
    /// {
    ///     eprintln!("{} is slow", error.node().unwrap_or("a node"));
    /// }
    /// # Ok::<(), memcache::MemcacheError>(())
    /// ```
    pub fn of_memcache(error: &MemcacheError) -> Option<Self> {
        match error {
            MemcacheError::IOError(error) => error.get_ref()?.downcast_ref::<Self>().cloned(),
            MemcacheError::BadURL(message) => {
                Some(Self::new(ShardErrorKind::Configuration, message.clone()))
            }
            _ => None,
        }
    }
}

impl From<BadKey> for MemcacheError {
    fn from(error: BadKey) -> Self {
        match error {
            BadKey::TooLong(_) => ClientError::KeyTooLong.into(),
            _ => ClientError::Error(Cow::Owned(error.to_string())).into(),
        }
    }
}

impl From<Refusal> for MemcacheError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => CommandError::InvalidCommand.into(),
            Refusal::Client(text) => {
                ClientError::Error(Cow::Owned(format!("CLIENT_ERROR {text}"))).into()
            }
            Refusal::Server(text) => ServerError::Error(format!("SERVER_ERROR {text}")).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_errors_come_out_as_they_went_in() {
        for kind in [
            ShardErrorKind::Configuration,
            ShardErrorKind::Ejected,
            ShardErrorKind::NoLiveNode,
            ShardErrorKind::Node,
            ShardErrorKind::Deadline,
            ShardErrorKind::Protocol,
            ShardErrorKind::Handshake,
        ] {
            let error = ShardError::new(kind, "what happened");
            let carried = MemcacheError::from(error);
            let error = ShardError::of_memcache(&carried).unwrap();
            assert_eq!(error.kind(), kind);
            assert_eq!(error.to_string(), "what happened");
            assert_eq!(carried.to_string(), "what happened");
        }
    }

    #[test]
    fn an_error_of_a_server_is_in_its_own_words() {
        let text = |refusal: Refusal| {
            let error = MemcacheError::from(refusal);
            assert!(ShardError::of_memcache(&error).is_none());
            error.to_string()
        };
        let too_large = Refusal::Server("object too large for cache".into());
        assert_eq!(text(too_large), "SERVER_ERROR object too large for cache");
        assert_eq!(text(Refusal::Client("bad".into())), "CLIENT_ERROR bad");
        assert_eq!(text(Refusal::Unknown), "Invalid command sent to the server.");
    }
}
