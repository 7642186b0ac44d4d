//! Our own connection that tasks share: a [`pipe`](crate::net::pipe) that speaks RESP.
//!
//! redis-rs's [`MultiplexedConnection`](redis::aio::MultiplexedConnection) does the same, and is used where
//! it knows what this does not: TLS, RESP3, smol, caches, credentials that change. This one encodes a request
//! once, sets no timer for each, and knows when the node hangs up while nothing is under way.

mod connecting;
mod entry;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use redis::Pipeline;
use redis::Value;
use tokio::runtime::Handle;
use tokio::runtime::Id;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio::time::timeout;

pub(super) use self::connecting::connect;
use self::entry::Answer;
use self::entry::Entry;
use self::entry::Replies;
use self::entry::link_error;
use self::wire::RespWire;
use super::link::LinkError;
use super::link::LinkState;
use super::runtime::within;
use crate::client::wire::Direct;
use crate::client::wire::WireError;
use crate::net::pipe;
use crate::net::pipe::Entry as _;
use crate::net::pipe::gone;

/// A connection that tasks share. It is closed when this is dropped.
pub(super) struct Pipe {
    pipe: pipe::Pipe<RespWire>,
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
        let wire = RespWire { direct, state: Arc::clone(state) };
        Ok(Self { pipe: pipe::Pipe::new(wire)?, runtime: Handle::current().id() })
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
            Replies::Many(_) => Err(LinkError::Wire(gone().into())),
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
            Replies::One(_) => Err(LinkError::Wire(gone().into())),
        }
    }

    /// Waits for the answer. The driver keeps the time; but who is on another runtime cannot know whether the
    /// driver's runs. Who is on none has no timer either.
    async fn attend(&self, receiver: oneshot::Receiver<Answer>, limit: Option<Duration>) -> Answer {
        let is_elsewhere = Handle::try_current().is_ok_and(|handle| handle.id() != self.runtime);
        let answer = self.pipe.attend(receiver);
        match limit.filter(|_| is_elsewhere) {
            Some(limit) => timeout(limit, answer).await.unwrap_or(Err(WireError::Deadline)),
            None => answer.await,
        }
        .map_err(LinkError::Wire)?
    }

    async fn enqueue(
        &self,
        limit: Option<Duration>,
        entry: Entry,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), LinkError> {
        if self.pipe.is_full() {
            let room = within(limit, self.pipe.room());
            room.await.ok_or(LinkError::Wire(WireError::Deadline))?;
        }
        let until = entry.until();
        let write = |out: &mut Vec<u8>| {
            write(out);
            entry
        };
        self.pipe.push(write).map_err(|failure| link_error(failure, until))
    }
}

/// When a request is over that may take so long from now on.
fn until(limit: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(limit?)
}
