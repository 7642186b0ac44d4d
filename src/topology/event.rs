//! What a topology reports to whoever embeds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Movement;

/// Something happened to the nodes.
///
/// Its `Display` is one line for a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A node failed too often and gets no more requests.
    #[non_exhaustive]
    Ejected {
        /// Its name.
        node: Arc<str>,
        /// How long until it is probed.
        retry_in: Duration,
    },
    /// A node failed too often, but stays: one more ejection would take the last node or exceed the
    /// policy's share. It is said once, and again when the node has answered and fails anew.
    #[non_exhaustive]
    FailedOpen {
        /// Its name.
        node: Arc<str>,
    },
    /// A probe was sent to an ejected node.
    #[non_exhaustive]
    Probing {
        /// Its name.
        node: Arc<str>,
    },
    /// The probe failed and the node stays out.
    #[non_exhaustive]
    ProbeFailed {
        /// Its name.
        node: Arc<str>,
        /// How long until the next probe.
        retry_in: Duration,
    },
    /// A node gets requests again: it answered its probe, or a new topology ejects none of its nodes, or
    /// would have had none left.
    #[non_exhaustive]
    Reinstated {
        /// Its name.
        node: Arc<str>,
        /// How long it was out.
        after: Duration,
    },
    /// The nodes or the rules were changed.
    #[non_exhaustive]
    TopologyChanged {
        /// Names of the nodes that came.
        added: Vec<Arc<str>>,
        /// Names of the nodes that went.
        removed: Vec<Arc<str>>,
        /// Which share of the hash space moved.
        movement: Movement,
    },
}

impl Event {
    /// The name of the node concerned, if it is one node.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Ejected { node, .. }
            | Self::FailedOpen { node }
            | Self::Probing { node }
            | Self::ProbeFailed { node, .. }
            | Self::Reinstated { node, .. } => Some(node),
            Self::TopologyChanged { .. } => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ejected { node, retry_in } => {
                write!(f, "node '{node}' ejected, probe in {retry_in:.1?}")
            }
            Self::FailedOpen { node } => {
                write!(f, "node '{node}' fails, but too many are out already: kept")
            }
            Self::Probing { node } => write!(f, "node '{node}' probed"),
            Self::ProbeFailed { node, retry_in } => {
                write!(f, "node '{node}' failed its probe, next in {retry_in:.1?}")
            }
            Self::Reinstated { node, after } => {
                write!(f, "node '{node}' reinstated after {after:.1?}")
            }
            Self::TopologyChanged { added, removed, movement } => write!(
                f,
                "topology changed: {} added, {} removed, {:.2} % of the hash space moved",
                added.len(),
                removed.len(),
                100.0 * movement.share()
            ),
        }
    }
}
