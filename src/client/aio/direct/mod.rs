//! Our own connection that tasks share: one socket, one task that writes and reads.
//!
//! ```text
//!   task ──┐ encodes its request into the queue, and waits for its reply
//!   task ──┤
//!   task ──┴──► queue ──► driver ──► socket       what all tasks have asked meanwhile is one write
//!     ▲                     │
//!     └─────── reply ◄──────┘                     replies come in the order of the requests
//! ```
//!
//! redis-rs's [`MultiplexedConnection`](redis::aio::MultiplexedConnection) does the same, and is used where
//! it knows what this does not: TLS, RESP3, smol, caches, credentials that change. This one encodes a request
//! once, sets no timer for each, and knows when the node hangs up while nothing is under way.

mod connecting;
mod driver;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use redis::Pipeline;
use redis::Value;
use tokio::runtime::Handle;
use tokio::runtime::Id;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(super) use self::connecting::connect;
use self::driver::Driver;
use self::queue::Answer;
use self::queue::Entry;
use self::queue::Queue;
use self::queue::Replies;
use super::link::LinkError;
use super::link::LinkState;
use super::runtime::Task;
use super::runtime::spawn;
use super::runtime::within;
use crate::client::wire::Direct;
use crate::client::wire::WireError;

/// A connection that tasks share. It is closed when this is dropped.
pub(super) struct Pipe {
    queue: Arc<Queue>,
    _driver: Task,
    /// The runtime that the driver is on.
    runtime: Id,
}

/// Whether this kind of connection can be made here.
pub(super) fn is_possible() -> bool {
    Handle::try_current().is_ok()
}

impl Pipe {
    /// Begins to use a socket that has shaken hands. `state` hears when it is closed.
    ///
    /// # Errors
    ///
    /// If the runtime cannot wait for the socket.
    fn new(direct: Direct, state: &Arc<LinkState>) -> Result<Self, WireError> {
        let queue = Arc::new(Queue::default());
        let driver = Driver::new(direct, Arc::clone(&queue), Arc::clone(state))?;
        Ok(Self { queue, _driver: spawn(driver), runtime: Handle::current().id() })
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// If the connection is closed or breaks, or the reply does not come within `limit`.
    pub(super) async fn ask(
        &self,
        command: &Cmd,
        limit: Option<Duration>,
    ) -> Result<Value, LinkError> {
        if command.is_no_response() {
            let entry = Entry::unattended();
            self.enqueue(limit, entry, |out| command.write_packed_command(out)).await?;
            return Ok(Value::Nil);
        }
        let (sender, receiver) = oneshot::channel();
        let entry = Entry::one(sender, until(limit));
        self.enqueue(limit, entry, |out| command.write_packed_command(out)).await?;
        match self.attend(receiver, limit).await? {
            Replies::One(reply) => Ok(reply),
            Replies::Many(_) => Err(LinkError::Wire(gone())),
        }
    }

    /// Sends the commands of a pipeline and waits for all replies, of which there are `count`.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub(super) async fn ask_many(
        &self,
        pipeline: &Pipeline,
        count: usize,
        limit: Option<Duration>,
    ) -> Result<Vec<Value>, LinkError> {
        let (sender, receiver) = oneshot::channel();
        let bytes = pipeline.get_packed_pipeline();
        let entry = if pipeline.is_transaction() {
            Entry::transaction(sender, count, until(limit))
        } else {
            Entry::many(sender, count, until(limit))
        };
        self.enqueue(limit, entry, |out| out.extend_from_slice(&bytes)).await?;
        match self.attend(receiver, limit).await? {
            Replies::Many(replies) => Ok(replies),
            Replies::One(_) => Err(LinkError::Wire(gone())),
        }
    }

    /// Waits for the answer. The driver keeps the time; but who is on another runtime cannot know whether the
    /// driver's runs. Who is on none has no timer either.
    async fn attend(&self, receiver: oneshot::Receiver<Answer>, limit: Option<Duration>) -> Answer {
        let is_elsewhere = Handle::try_current().is_ok_and(|handle| handle.id() != self.runtime);
        let answer = within(limit.filter(|_| is_elsewhere), receiver).await;
        match answer {
            Some(answer) => answer.unwrap_or_else(|_| Err(LinkError::Wire(gone()))),
            None => Err(LinkError::Wire(WireError::Deadline)),
        }
    }

    async fn enqueue(
        &self,
        limit: Option<Duration>,
        entry: Entry,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), LinkError> {
        if self.queue.is_full() {
            let room = within(limit, self.queue.room());
            room.await.ok_or(LinkError::Wire(WireError::Deadline))?;
        }
        let until = entry.until();
        self.queue.push(entry, write).map_err(|reason| {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            LinkError::Unsent { reason, left }
        })
    }
}

fn until(limit: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(limit?)
}

/// The runtime ended the task that would have answered.
fn gone() -> WireError {
    let what = "the connection's task was ended";
    WireError::Io(std::io::Error::new(std::io::ErrorKind::BrokenPipe, what))
}
