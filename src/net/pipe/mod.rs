//! A connection that tasks share: one socket, one task that writes and reads, on tokio.
//!
//! ```text
//!   task ──┐ encodes its request into the queue, and waits for its reply
//!   task ──┤
//!   task ──┴──► queue ──► driver ──► socket       what all tasks have asked meanwhile is one write
//!     ▲                     │
//!     └─────── reply ◄──────┘                     replies come in the order of the requests
//! ```
//!
//! What bytes mean is for the front end to say: its [`Wire`] reads a reply, and its [`Entry`] remembers who
//! waits for it. Nothing is boxed for that, and nothing dispatched.

mod driver;
mod queue;
mod waiting;

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use tokio::sync::oneshot::Receiver;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use self::waiting::wait;

use self::driver::Driver;
use self::queue::Queue;

/// A connected socket that has shaken hands, with the protocol that is spoken on it.
pub(crate) trait Wire: AsRawFd + Send + Unpin + 'static {
    type Entry: Entry<Error = Self::Error>;
    type Error: Reason;

    /// Writes as much of `bytes` as goes without waiting.
    fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether all that it took was written to the socket. What was not is written when it is asked to send
    /// the next time, even if that is nothing.
    fn is_flushed(&self) -> bool {
        true
    }

    /// Reads what has arrived, without waiting. Returns the number of bytes; 0 if nothing has.
    fn try_receive(&mut self) -> Result<usize, Self::Error>;

    /// Whether the last read left room, and so took all there was.
    fn has_room(&self) -> bool;

    /// Notes that this request is about to be written.
    fn expect(&mut self, entry: &Self::Entry);

    /// Gives the next reply, if it has arrived whole, to the first of those who wait.
    ///
    /// # Errors
    ///
    /// If it is no reply to that, or if nobody waits; or if what comes behind it is none.
    fn next_reply(&mut self, first: Option<&mut Self::Entry>) -> Result<Taken, Self::Error>;

    /// Hears that the connection is to be replaced: a reply is late.
    fn close(&self);

    /// Hears, before it ends, that the node is not to be held to account for that: the runtime has ended.
    fn excuse(&self) {}

    /// Hears that the connection has ended.
    fn end(&self);
}

/// What came of looking for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There is none yet.
    Nothing,
    /// One, and more are owed to whom it was given to.
    Some,
    /// One, and it was the last for whom it was given to.
    All,
}

/// A request without its reply.
pub(crate) trait Entry: Send + Unpin + 'static {
    type Error;

    /// When whoever waits must be told, if somebody does.
    fn until(&self) -> Option<Instant>;

    /// Tells whoever waits that there will be no reply. What comes still is thrown away.
    fn fail(&mut self, failure: PipeFailure<Self::Error>);
}

/// Why a connection is of no use any more.
pub(crate) trait Reason: From<io::Error> + Send + 'static {
    fn deadline() -> Self;

    /// The same once more, for another who waits.
    fn copied(&self) -> Self;
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum PipeFailure<E> {
    /// The connection was closed before the request could be sent: on another it may be.
    Unsent(E),
    Lost(E),
}

/// A connection that tasks share. It is closed when this is dropped.
pub(crate) struct Pipe<W: Wire> {
    queue: Arc<Queue<W::Entry>>,
    _driver: Task,
}

impl<W: Wire> Pipe<W> {
    /// Begins to use a socket that has shaken hands, on this runtime.
    ///
    /// # Errors
    ///
    /// If the runtime cannot wait for the socket.
    pub(crate) fn new(wire: W) -> Result<Self, W::Error> {
        let queue = Arc::new(Queue::default());
        let driver = Driver::new(wire, Arc::clone(&queue))?;
        Ok(Self { queue, _driver: Task::spawn(driver) })
    }

    /// Whether a task is to wait for [`room`](Self::room) before it adds a request.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Waits for room, or for the end.
    pub(crate) async fn room(&self) {
        self.queue.room().await;
    }

    /// Adds a request, which `write` appends to what is to be written; it returns who waits for the reply.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub(crate) fn push(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> W::Entry,
    ) -> Result<(), PipeFailure<W::Error>> {
        self.queue.push(write).map_err(PipeFailure::Unsent)
    }

    /// Waits for the answer. The driver keeps the time.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub(crate) async fn attend<A>(&self, receiver: Receiver<A>) -> Result<A, W::Error> {
        receiver.await.map_err(|_| gone().into())
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The runtime ended the task that would have answered.
pub(crate) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the connection's task was ended")
}
