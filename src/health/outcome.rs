//! What counts against a node, decided here and nowhere else.

/// What a front end saw happen to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    /// The node replied, be it with an error.
    Reply,
    /// Connecting, writing or reading failed, or the deadline passed.
    Io,
    /// The node sent what is not a reply.
    BrokenReply,
    /// The node refused the handshake (password, protocol version or database).
    Handshake,
    /// The deadline had passed before the node was asked.
    NoTime,
    /// This process or its machine ran out of descriptors, ports or memory.
    NoResources,
    /// The deadline passed that a blocking command set itself.
    BlockingTimeout,
}

/// What an incident means for the node's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The node works: earlier failures are forgotten.
    Answered,
    /// The node failed once.
    Failed,
    /// Nothing is known.
    Unknown,
}

impl Incident {
    /// nutcracker 0.5.0 counts a closed connection once, however many requests died with it, and
    /// also counts `-OOM`, `-BUSY` and `-LOADING` replies and idle connections that the server
    /// closes (`nc_server.c` `server_close`). Here each request counts once, and a reply never.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Reply => Outcome::Answered,
            Self::Io | Self::BrokenReply | Self::Handshake => Outcome::Failed,
            Self::NoTime | Self::NoResources | Self::BlockingTimeout => Outcome::Unknown,
        }
    }
}
