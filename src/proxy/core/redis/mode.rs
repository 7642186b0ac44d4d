//! What a client is in the middle of.

use super::subscribed::Subscriptions;
use super::transaction::Transaction;
use crate::proxy::core::Core;
use crate::proxy::core::Sockets;
use crate::proxy::core::backend::Pending;
use crate::proxy::core::sessions::Ending;

/// What a session has connections of its own for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a session has it in a box, and few have one")]
pub(in crate::proxy::core) enum Mode {
    /// A reply that ends it, on this backend.
    Waiting {
        backend: usize,
        /// Whether the node waits for somebody else, and not we for the node.
        is_blocking: bool,
    },
    Transaction(Transaction),
    Subscribed(Subscriptions),
}

impl Mode {
    /// The backends that are the session's own.
    pub(in crate::proxy::core) fn backends(&self) -> Vec<usize> {
        match self {
            Self::Waiting { backend, .. } => vec![*backend],
            Self::Transaction(transaction) => transaction.backend().into_iter().collect(),
            Self::Subscribed(subscriptions) => subscriptions.backends().collect(),
        }
    }

    /// Bytes of messages that wait for the end of a large reply.
    pub(in crate::proxy::core) fn held(&self) -> usize {
        match self {
            Self::Subscribed(subscriptions) => subscriptions.held(),
            Self::Waiting { .. } | Self::Transaction(_) => 0,
        }
    }

    /// Whether the client's next command waits for a node though no reply is owed.
    #[cfg(any(test, feature = "_fuzz"))]
    pub(in crate::proxy::core) fn holds_back(&self) -> bool {
        match self {
            Self::Transaction(transaction) => transaction.is_beginning(),
            Self::Subscribed(subscriptions) => subscriptions.is_awaiting(),
            Self::Waiting { .. } => false,
        }
    }

    /// Whether the client waits for what may never come.
    pub(in crate::proxy::core) fn waits(&self) -> bool {
        match self {
            Self::Waiting { is_blocking, .. } => *is_blocking,
            Self::Transaction(_) => false,
            Self::Subscribed(_) => true,
        }
    }
}

impl Core {
    /// The reply has come for which the session had the backend.
    pub(in crate::proxy::core) fn own_backend_done(
        &mut self,
        sockets: &mut impl Sockets,
        backend: usize,
        pending: &Pending,
    ) {
        if let Some(session) = self.session_of(pending.session as usize, pending.serial)
            && matches!(session.mode.as_deref(), Some(Mode::Waiting { backend: own, .. }) if *own == backend)
        {
            session.mode = None;
        }
        if self.backends.contains(backend) {
            self.release_backend(sockets, backend);
        }
    }

    /// The connection is gone that the session had for itself; what it waited for there is answered already.
    pub(in crate::proxy::core) fn own_backend_lost(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        serial: u32,
        backend: usize,
    ) {
        let Some(session) = self.session_of(key, serial) else {
            return;
        };
        match session.mode.as_deref_mut() {
            Some(Mode::Waiting { backend: own, .. }) if *own == backend => {
                session.mode = None;
                self.wake(key);
            }
            Some(Mode::Transaction(transaction)) => {
                transaction.lose(backend);
                self.wake(key);
            }
            Some(Mode::Subscribed(subscriptions)) if subscriptions.has(backend) => {
                // It may have missed messages. Who subscribes again knows.
                self.end_session(sockets, key, Ending::Settled);
            }
            _ => {}
        }
    }
}
