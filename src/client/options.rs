//! What a client can be told besides its nodes.

use std::time::Duration;

use crate::command::CommandTable;

/// Which nodes must answer before a connection is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectMode {
    /// One, any one. The others are connected to when they are needed. The default: one dead node must
    /// not keep an application from starting. A node that does not answer is given up after half of the
    /// time that is left, or without a timeout after two seconds, and the next one is tried.
    #[default]
    Any,
    /// All that are not ejected. They are connected to at the same time.
    All,
    /// None. Every node is connected to when it is needed.
    Lazy,
}

/// What a caller gets for the part of a request that failed, when other nodes have answered theirs.
///
/// In every case the replies of the other nodes are read, so that their connections stay usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PartialFailure {
    /// The whole request fails with the error of the first node that failed, as it would on one
    /// connection. The default.
    #[default]
    Fail,
    /// In a pipeline the commands of the failed node have an error in the place of their reply, which
    /// `ignore_errors` lets through, and in an `MGET` its keys have; the others have their replies.
    PerCommand,
    /// A command that only reads is answered nil where its node failed (an `MGET`: for the keys of that
    /// node), as if nothing were stored there; for caches. Commands that write fail as with
    /// [`Fail`](Self::Fail).
    NilForReads,
}

/// What a client can be told besides its nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Bounds a request, from the first connection it needs to its last reply.
    pub(crate) timeout: Option<Duration>,
    /// Bounds a connection, handshake included.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) connect_mode: ConnectMode,
    pub(crate) partial_failure: PartialFailure,
    pub(crate) table: CommandTable,
}
