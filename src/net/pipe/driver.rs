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

use super::Entry;
use super::PipeFailure;
use super::Reason;
use super::Taken;
use super::Wire;
use super::gone;
use super::queue::Queue;
use super::queue::earlier;
use super::queue::expire;
use crate::net::BYTES_A_TURN;

/// Writes what is in the queue, and hands out the replies.
pub(super) struct Driver<W: Wire> {
    socket: AsyncFd<W>,
    queue: Arc<Queue<W::Entry>>,
    /// What is being written, and how far.
    writing: Vec<u8>,
    written: usize,
    /// Those who have just asked.
    asking: Vec<W::Entry>,
    /// Requests that were written, or are being: the earliest reply is that of the first.
    flying: VecDeque<W::Entry>,
    /// One timer for all requests: mostly they are bounded alike, and when it runs out they are over.
    timer: Option<Pin<Box<Sleep>>>,
    /// What the timer is set to.
    alarm: Option<Instant>,
    /// How much was read since the clock was looked at.
    backlog: usize,
    last_used: Instant,
    has_ended: bool,
}

/// How many replies are handed out before those who got them run and the next requests are written: the node
/// is to work on those while the rest is handed out.
const REPLIES_A_TURN: usize = 64;

/// More cannot have arrived while the thread was blocked: a node that never stops to talk is not to hold the
/// clock up for ever.
const BACKLOG: usize = 8 << 20;

/// A connection that rested longer is looked at before it is used, as the synchronous client's are.
const RESTED: Duration = Duration::from_millis(1);

/// A buffer that was needed once for a large request is not kept.
const LARGE: usize = 256 << 10;

impl<W: Wire> Driver<W> {
    #[allow(
        deprecated,
        reason = "its successor is unsafe; a wire owns its descriptor and keeps it"
    )]
    pub(super) fn new(wire: W, queue: Arc<Queue<W::Entry>>) -> Result<Self, W::Error> {
        Ok(Self {
            socket: AsyncFd::new(wire)?,
            queue,
            writing: Vec::new(),
            written: 0,
            asking: Vec::new(),
            flying: VecDeque::new(),
            timer: None,
            alarm: None,
            backlog: 0,
            last_used: Instant::now(),
            has_ended: false,
        })
    }

    fn go_on(&mut self, context: &mut Context<'_>) -> Result<(), W::Error> {
        // Replies first: they free those who ask next, and a node may stop reading until it is read from.
        let is_behind = self.read(context)?;
        self.write(context)?;
        // Where the thread was blocked for long, what comes next came in time.
        if !is_behind {
            self.look_at_the_clock(context);
        }
        Ok(())
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), W::Error> {
        loop {
            if self.written == self.writing.len() && self.socket.get_ref().is_flushed() {
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
            let wire = guard.get_inner_mut();
            let count = wire.try_send(rest)?;
            let is_full = !wire.is_flushed() || (count == 0 && !rest.is_empty());
            self.written += count;
            if is_full {
                guard.clear_ready();
            }
        }
    }

    /// Looks whether a connection that rested has been closed meanwhile, or something was said on it unasked:
    /// where the runtime does not run between requests nobody has told.
    fn look_before_writing(&mut self) -> Result<(), W::Error> {
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
        let mut earliest = None;
        for entry in self.asking.drain(..) {
            earliest = earlier(earliest, entry.until());
            self.socket.get_mut().expect(&entry);
            self.flying.push_back(entry);
        }
        self.wake_by(earliest);
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

    /// Hands out what has arrived, within its turn. Says whether there may be more, of what had arrived before
    /// the clock was last looked at.
    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, W::Error> {
        let (mut received, mut handed) = (0, 0);
        loop {
            handed += self.hand_out(REPLIES_A_TURN - handed)?;
            if handed == REPLIES_A_TURN {
                context.waker().wake_by_ref();
                return Ok(self.backlog < BACKLOG);
            }
            let Poll::Ready(guard) = self.socket.poll_read_ready_mut(context) else {
                return Ok(false);
            };
            let mut guard = guard?;
            if received >= BYTES_A_TURN {
                // Others want their turn.
                context.waker().wake_by_ref();
                return Ok(self.backlog < BACKLOG);
            }
            match guard.get_inner_mut().try_receive()? {
                0 => guard.clear_ready(),
                count => {
                    received += count;
                    self.backlog += count;
                    if guard.get_inner().has_room() {
                        // There was no more than that. Should there be meanwhile, it is announced.
                        guard.clear_ready();
                    }
                }
            }
        }
    }

    /// Hands out the replies that have arrived, but no more than `most`. Says how many.
    fn hand_out(&mut self, most: usize) -> Result<usize, W::Error> {
        let wire = self.socket.get_mut();
        let mut handed = 0;
        while handed < most {
            match wire.next_reply(self.flying.front_mut())? {
                Taken::Nothing => break,
                Taken::Some => {}
                Taken::All => drop(self.flying.pop_front()),
            }
            handed += 1;
        }
        Ok(handed)
    }

    /// Tells everybody that nothing comes any more.
    fn end(&mut self, reason: &W::Error) {
        self.has_ended = true;
        self.socket.get_ref().end();
        for mut entry in self.queue.close(reason.copied()) {
            entry.fail(PipeFailure::Unsent(reason.copied()));
        }
        for mut entry in self.flying.drain(..) {
            entry.fail(PipeFailure::Lost(reason.copied()));
        }
    }

    /// Tells those whose time is over.
    fn look_at_the_clock(&mut self, context: &mut Context<'_>) {
        self.backlog = 0;
        while let Some(alarm) = self.alarm {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(alarm)));
            if timer.as_mut().poll(context).is_pending() {
                return;
            }
            self.timer = None;
            let now = Instant::now();
            let over = self.flying.iter_mut().filter_map(|entry| expire(entry, now).then_some(()));
            if over.count() > 0 {
                // Whoever waited may have gone already: then nobody else would have it replaced.
                self.socket.get_ref().close();
            }
            let flying = self.flying.iter().filter_map(W::Entry::until).min();
            self.alarm = earlier(flying, self.queue.expire(now));
        }
    }
}

impl<W: Wire> Future for Driver<W> {
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
impl<W: Wire> Drop for Driver<W> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.socket.get_ref().excuse();
            self.end(&gone().into());
        }
    }
}
