//! The crate's one error type, and the questions you may ask it.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Result of this crate's own operations.
pub type Result<T, E = ShardError> = std::result::Result<T, E>;

/// What went wrong, in the words of this crate.
///
/// It is opaque: ask it for its [`kind`](Self::kind), for the [`node`](Self::node) it concerns and
/// for the [`keys`](Self::keys) it concerns. A front end whose signatures dictate another error type
/// carries it inside that type; `ShardError::of` takes it out of a `redis::RedisError` again.
///
/// Cloning is cheap. The message never holds a value or a password; it names keys only where the
/// caller could not act without them ([`CrossShard`](ShardErrorKind::CrossShard)).
#[derive(Clone)]
pub struct ShardError {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ShardErrorKind,
    message: String,
    node: Option<Arc<str>>,
    keys: Vec<Vec<u8>>,
    completed: Vec<Arc<str>>,
    io_kind: Option<io::ErrorKind>,
}

/// The kinds of [`ShardError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShardErrorKind {
    /// A URL, a configuration file, a node line or a builder setting is wrong. Nothing was changed.
    Configuration,
    /// The keys of one command, or of one atomic pipeline, belong to different nodes. Nothing was
    /// sent.
    CrossShard,
    /// The command cannot be sharded, or must not be sent through this kind of connection. Nothing
    /// was sent.
    Unroutable,
    /// The node that owns the key is known to be dead and the pool answers at once
    /// (`fail_fast`). Nothing was sent to it.
    Ejected,
    /// Every node of the pool is ejected. Nothing was sent.
    NoLiveNode,
    /// A node could not be reached, or its connection broke. Whether a request that was under way
    /// was carried out is not known.
    Node,
    /// The deadline passed before the node had answered. Whether the request was carried out is not
    /// known.
    Deadline,
    /// A node answered something that is not a reply to what was asked. Its connection was closed.
    Protocol,
    /// A node refused the handshake of a new connection: the password, the protocol version or the
    /// database. Nothing was sent to it.
    Handshake,
    /// The connection that held a `WATCH` or a `MULTI` is gone, or its keys moved to another node;
    /// the transaction was not run.
    TransactionLost,
}

impl ShardErrorKind {
    /// The kind in a few words, as messages begin.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "bad configuration",
            Self::CrossShard => "keys are on different nodes",
            Self::Unroutable => "command cannot be sharded",
            Self::Ejected => "node is ejected",
            Self::NoLiveNode => "every node is ejected",
            Self::Node => "node failed",
            Self::Deadline => "deadline passed",
            Self::Protocol => "broken reply",
            Self::Handshake => "node refused the handshake",
            Self::TransactionLost => "transaction lost",
        }
    }
}

impl ShardError {
    /// An error of `kind`; `message` says what happened, in lower case and without a full stop.
    pub(crate) fn new(kind: ShardErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                message: message.into(),
                node: None,
                keys: Vec::new(),
                completed: Vec::new(),
                io_kind: None,
            }),
        }
    }

    /// A [`Configuration`](ShardErrorKind::Configuration) error.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ShardErrorKind::Configuration, message)
    }

    pub(crate) fn with_node(self, node: impl Into<Arc<str>>) -> Self {
        self.map(|inner| inner.node = Some(node.into()))
    }

    pub(crate) fn with_keys(self, keys: Vec<Vec<u8>>) -> Self {
        self.map(|inner| inner.keys = keys)
    }

    pub(crate) fn with_completed(self, nodes: Vec<Arc<str>>) -> Self {
        self.map(|inner| inner.completed = nodes)
    }

    pub(crate) fn with_io_kind(self, kind: io::ErrorKind) -> Self {
        self.map(|inner| inner.io_kind = Some(kind))
    }

    fn map(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ShardErrorKind {
        self.inner.kind
    }

    /// The name of the node concerned, if it is one node.
    pub fn node(&self) -> Option<&str> {
        self.inner.node.as_deref()
    }

    /// The keys concerned: for [`CrossShard`](ShardErrorKind::CrossShard) one key of each node, for
    /// a failed part of a request that went to several nodes the keys of that part, otherwise none.
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.inner.keys
    }

    /// The names of the nodes on which the other parts of the request were carried out, if the
    /// request went to several nodes and only some of them failed.
    ///
    /// A request that is split over nodes is not atomic: after an error an `MSET` has been applied
    /// on these nodes and not, or perhaps, on [`node`](Self::node).
    pub fn completed_nodes(&self) -> impl Iterator<Item = &str> {
        self.inner.completed.iter().map(AsRef::as_ref)
    }

    /// The kind of the I/O error behind this one, if there is one: `ConnectionRefused`, `TimedOut` ….
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.inner.io_kind
    }

    /// What it is as an I/O error; `None` if it is about the request, the configuration.
    #[cfg_attr(not(feature = "_net"), allow(dead_code, reason = "front ends ask"))]
    pub(crate) fn as_io_kind(&self) -> Option<io::ErrorKind> {
        match self.kind() {
            ShardErrorKind::Configuration
            | ShardErrorKind::CrossShard
            | ShardErrorKind::Unroutable => None,
            ShardErrorKind::Handshake => Some(io::ErrorKind::PermissionDenied),
            ShardErrorKind::Deadline => Some(io::ErrorKind::TimedOut),
            ShardErrorKind::Ejected | ShardErrorKind::NoLiveNode => {
                Some(io::ErrorKind::NotConnected)
            }
            ShardErrorKind::Protocol => Some(io::ErrorKind::InvalidData),
            ShardErrorKind::TransactionLost => Some(io::ErrorKind::ConnectionAborted),
            ShardErrorKind::Node => Some(self.io_kind().unwrap_or(io::ErrorKind::Other)),
        }
    }

    /// Whether the request itself is at fault, and not a node.
    pub(crate) fn is_about_the_request(&self) -> bool {
        matches!(self.kind(), ShardErrorKind::CrossShard | ShardErrorKind::Unroutable)
    }

    /// What happened, without the node.
    pub fn message(&self) -> &str {
        &self.inner.message
    }
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = self.node() {
            write!(f, "node '{node}': ")?;
        }
        f.write_str(&self.inner.message)?;
        if !self.inner.completed.is_empty() {
            write!(f, " (already carried out on {})", self.inner.completed.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ShardError");
        debug.field("kind", &self.inner.kind).field("message", &self.inner.message);
        if let Some(node) = &self.inner.node {
            debug.field("node", node);
        }
        if let Some(kind) = &self.inner.io_kind {
            debug.field("io_kind", kind);
        }
        debug.finish_non_exhaustive()
    }
}

/// It has no source: what an operating system or a server said is part of the message, because loggers
/// print that and nothing else.
impl std::error::Error for ShardError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_node() {
        let error = ShardError::new(ShardErrorKind::Node, "cannot connect to 10.0.0.1:6379")
            .with_node("server1")
            .with_io_kind(io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "node 'server1': cannot connect to 10.0.0.1:6379");
        assert_eq!(error.node(), Some("server1"));
        assert_eq!(error.io_kind(), Some(io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn a_partial_failure_says_where_it_was_carried_out() {
        let error = ShardError::new(ShardErrorKind::Deadline, "no reply in 100ms")
            .with_node("b")
            .with_completed(vec!["a".into(), "c".into()]);
        assert_eq!(error.to_string(), "node 'b': no reply in 100ms (already carried out on a, c)");
        assert_eq!(error.completed_nodes().collect::<Vec<_>>(), ["a", "c"]);
    }
}
