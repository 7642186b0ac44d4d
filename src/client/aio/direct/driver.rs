//! The task that writes and reads.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;

use super::gone;
use super::queue::Entry;
use super::queue::Queue;
use super::queue::Taken;
use super::queue::earlier;
use crate::client::aio::link::LinkError;
use crate::client::aio::link::LinkState;
use crate::client::wire::Direct;
use crate::client::wire::WireError;
use crate::net::BYTES_A_TURN;

/// Writes what is in the queue, and hands out the replies.
pub(super) struct Driver {
    socket: AsyncFd<Direct>,
    queue: Arc<Queue>,
    state: Arc<LinkState>,
    /// What is being written, and how far.
    writing: Vec<u8>,
    written: usize,
    /// Those who have just asked.
    asking: Vec<Entry>,
    /// Requests that were written, or are being: the earliest reply is that of the first.
    flying: VecDeque<Entry>,
    /// One timer for all requests: mostly they are bounded alike, and when it runs out they are over.
    timer: Option<Pin<Box<Sleep>>>,
    /// What the timer is set to.
    alarm: Option<Instant>,
    last_used: Instant,
}

/// How many replies are handed out before those who got them run and the next requests are written: the node
/// is to work on those while the rest is handed out.
const REPLIES_A_TURN: usize = 64;

/// A connection that rested longer is looked at before it is used, as the synchronous client's are.
const RESTED: Duration = Duration::from_millis(1);

/// A buffer that was needed once for a large request is not kept.
const LARGE: usize = 256 << 10;

impl Driver {
    #[allow(
        deprecated,
        reason = "its successor is unsafe; the link owns its descriptor and keeps it"
    )]
    pub(super) fn new(
        direct: Direct,
        queue: Arc<Queue>,
        state: Arc<LinkState>,
    ) -> Result<Self, WireError> {
        Ok(Self {
            socket: AsyncFd::new(direct)?,
            queue,
            state,
            writing: Vec::new(),
            written: 0,
            asking: Vec::new(),
            flying: VecDeque::new(),
            timer: None,
            alarm: None,
            last_used: Instant::now(),
        })
    }

    fn go_on(&mut self, context: &mut Context<'_>) -> Result<(), WireError> {
        // Replies first: they free those who ask next, and a node may stop reading until it is read from.
        self.read(context)?;
        self.write(context)?;
        self.look_at_the_clock(context);
        Ok(())
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), WireError> {
        loop {
            if self.written == self.writing.len() {
                self.look_before_writing()?;
                self.fetch(context);
                if self.writing.is_empty() {
                    return Ok(());
                }
            }
            let Poll::Ready(guard) = self.socket.poll_write_ready_mut(context) else {
                let earliest = self.queue.watch(context);
                self.wake_by(earliest);
                return Ok(());
            };
            let mut guard = guard?;
            let rest = &self.writing[self.written..];
            match guard.get_inner_mut().try_send(rest)? {
                0 => guard.clear_ready(),
                count => self.written += count,
            }
        }
    }

    /// Looks whether a connection that rested has been closed meanwhile, or something was said on it unasked:
    /// where the runtime does not run between requests nobody has told.
    fn look_before_writing(&mut self) -> Result<(), WireError> {
        let now = Instant::now();
        let rested = self.flying.is_empty() && now.duration_since(self.last_used) > RESTED;
        self.last_used = now;
        if rested && self.socket.get_mut().try_receive()? > 0 {
            self.hand_out(REPLIES_A_TURN)?;
        }
        Ok(())
    }

    /// Takes from the queue what is to be written next.
    fn fetch(&mut self, context: &mut Context<'_>) {
        self.written = 0;
        if self.writing.capacity() > LARGE {
            self.writing = Vec::new();
        } else {
            self.writing.clear();
        }
        self.queue.take(&mut self.writing, &mut self.asking, context);
        let (mut owed, mut earliest) = (0, None);
        for entry in self.asking.drain(..) {
            owed += entry.missing();
            earliest = earlier(earliest, entry.until());
            self.flying.push_back(entry);
        }
        self.wake_by(earliest);
        self.socket.get_mut().owe(owed);
    }

    /// Has the timer run out by `earliest`.
    fn wake_by(&mut self, earliest: Option<Instant>) {
        if let Some(until) = earliest
            && self.alarm.is_none_or(|alarm| until < alarm)
        {
            self.alarm = Some(until);
            self.timer = None;
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Result<(), WireError> {
        let (mut received, mut handed) = (0, 0);
        loop {
            handed += self.hand_out(REPLIES_A_TURN - handed)?;
            if handed == REPLIES_A_TURN {
                context.waker().wake_by_ref();
                return Ok(());
            }
            let Poll::Ready(guard) = self.socket.poll_read_ready_mut(context) else {
                return Ok(());
            };
            let mut guard = guard?;
            if received >= BYTES_A_TURN {
                // Others want their turn.
                context.waker().wake_by_ref();
                return Ok(());
            }
            match guard.get_inner_mut().try_receive()? {
                0 => guard.clear_ready(),
                count => {
                    received += count;
                    if guard.get_inner().has_room() {
                        // There was no more than that. Should there be meanwhile, it is announced.
                        guard.clear_ready();
                    }
                }
            }
        }
    }

    /// Hands out the replies that have arrived, but no more than `most`. Says how many.
    fn hand_out(&mut self, most: usize) -> Result<usize, WireError> {
        let direct = self.socket.get_mut();
        let mut handed = 0;
        while handed < most {
            let Some((reply, _)) = direct.next_reply(&mut |_push| {})? else { break };
            handed += 1;
            // A reply that nobody is owed was an error already.
            match self.flying.front_mut().map(|entry| entry.take(reply)) {
                Some(Taken::Some) | None => {}
                Some(Taken::All) => drop(self.flying.pop_front()),
                Some(Taken::Doubtful) => {
                    self.flying.pop_front();
                    let why = "EXEC was refused, and its transaction may be open";
                    return Err(WireError::Broken(why.into()));
                }
            }
        }
        Ok(handed)
    }

    /// Tells everybody that nothing comes any more.
    fn end(&mut self, reason: &WireError) {
        self.state.end();
        for mut entry in self.queue.close(reason.copied()) {
            entry.give_back(reason.copied(), Instant::now());
        }
        for mut entry in self.flying.drain(..) {
            entry.tell(Err(LinkError::Wire(reason.copied())));
        }
    }

    /// Tells those whose time is over.
    fn look_at_the_clock(&mut self, context: &mut Context<'_>) {
        while let Some(alarm) = self.alarm {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(alarm)));
            if timer.as_mut().poll(context).is_pending() {
                return;
            }
            self.timer = None;
            let now = Instant::now();
            let over = self.flying.iter_mut().filter_map(|entry| entry.expire(now).then_some(()));
            if over.count() > 0 {
                // Whoever waited may have gone already: then nobody else would have it replaced.
                self.state.close();
            }
            let flying = self.flying.iter().filter_map(Entry::until).min();
            self.alarm = earlier(flying, self.queue.expire(now));
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match this.go_on(context) {
            Ok(()) => Poll::Pending,
            Err(reason) => {
                this.end(&reason);
                Poll::Ready(())
            }
        }
    }
}

/// The runtime has ended, perhaps, and those who still use the connection are on another one.
impl Drop for Driver {
    fn drop(&mut self) {
        self.end(&gone());
    }
}
