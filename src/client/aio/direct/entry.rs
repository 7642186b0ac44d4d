//! Who waits for which replies.

use redis::Value;
use tokio::sync::oneshot::Sender;
use tokio::time::Instant;

use crate::client::aio::link::LinkError;
use crate::client::transaction::is_end_of_exec;
use crate::client::wire::WireError;
use crate::net::pipe;
use crate::net::pipe::PipeFailure;

/// The replies to a request.
pub(super) enum Replies {
    One(Value),
    Many(Vec<Value>),
}

pub(super) type Answer = Result<Replies, LinkError>;

/// What became of an entry with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There are more to come.
    Some,
    All,
    /// All; but the `EXEC` was refused, and what comes next may be the reply to a command that was queued.
    Doubtful,
}

/// A request without its reply.
pub(super) struct Entry {
    /// Whoever waits, unless it was told already that it takes too long.
    sender: Option<Sender<Answer>>,
    until: Option<Instant>,
    /// How many replies are owed.
    missing: usize,
    /// Those that have come, if there are to be several.
    replies: Option<Vec<Value>>,
    is_transaction: bool,
}

impl Entry {
    pub(super) fn one(sender: Sender<Answer>, until: Option<Instant>) -> Self {
        Self { sender: Some(sender), until, missing: 1, replies: None, is_transaction: false }
    }

    pub(super) fn many(sender: Sender<Answer>, count: usize, until: Option<Instant>) -> Self {
        let replies = Some(Vec::with_capacity(count));
        Self { sender: Some(sender), until, missing: count, replies, is_transaction: false }
    }

    /// The same for a transaction, the last of whose replies is that to `EXEC`.
    pub(super) fn transaction(
        sender: Sender<Answer>,
        count: usize,
        until: Option<Instant>,
    ) -> Self {
        Self { is_transaction: true, ..Self::many(sender, count, until) }
    }

    /// A request whose reply nobody wants.
    pub(super) fn unattended() -> Self {
        Self { sender: None, until: None, missing: 1, replies: None, is_transaction: false }
    }

    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// Takes the next reply.
    pub(super) fn take(&mut self, reply: Value) -> Taken {
        self.missing = self.missing.saturating_sub(1);
        if self.missing > 0 {
            self.replies.get_or_insert_default().push(reply);
            return Taken::Some;
        }
        let is_doubtful = self.is_transaction && !is_end_of_exec(&reply);
        match self.replies.take() {
            Some(mut replies) => {
                replies.push(reply);
                self.tell(Ok(Replies::Many(replies)));
            }
            None => self.tell(Ok(Replies::One(reply))),
        }
        if is_doubtful { Taken::Doubtful } else { Taken::All }
    }

    /// Tells whoever waits. If nobody does any more, that is all the same.
    fn tell(&mut self, answer: Answer) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(answer);
        }
    }
}

impl pipe::Entry for Entry {
    type Error = WireError;

    fn until(&self) -> Option<Instant> {
        self.sender.as_ref().and(self.until)
    }

    fn fail(&mut self, failure: PipeFailure<WireError>) {
        self.tell(Err(link_error(failure, self.until)));
    }
}

/// Why there is no reply to a request that is over `until` then: if it was not sent, it may be yet.
pub(super) fn link_error(failure: PipeFailure<WireError>, until: Option<Instant>) -> LinkError {
    match failure {
        PipeFailure::Unsent(reason) => {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            LinkError::Unsent { reason, left }
        }
        PipeFailure::Lost(error) => LinkError::Wire(error),
    }
}
