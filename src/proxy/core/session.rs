//! Sessions: the clients of this worker.

use std::collections::VecDeque;

use super::buffers::Buffers;
use super::buffers::Outgoing;
use super::large::Large;
use super::piped::Piped;
use super::ticket::State;
use super::ticket::Ticket;
use crate::protocol::memcache::serving::RequestScanner;
use crate::protocol::resp::Scanner;

/// As many requests of one client are under way at first …
const FIRST_WINDOW: u16 = 64;
/// … and as many when its replies are small.
const LARGEST_WINDOW: u16 = 1024;
/// What all replies of a client that are under way may come to before no more of its requests are taken.
pub(super) const BUFFERED: usize = 8 << 20;
/// A reply up to this goes into the stash.
const STASHED: usize = 16 << 10;

/// Who has said nothing for so many milliseconds is not about to.
const QUIET: u64 = 1000;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Session {
    /// Of all sessions of this worker, so that a reply for one that is gone does not go to its successor.
    pub(super) serial: u32,
    pub(super) pool: usize,
    /// What has arrived of a request that is not complete, and what is not looked at yet.
    pub(super) rest: Vec<u8>,
    /// A large request that is not complete; the rest is empty then.
    pub(super) large: Option<Box<Large>>,
    /// A larger one, most of which is in a pipe; so are neither a rest nor the other then.
    pub(super) piped: Option<Box<Piped>>,
    /// Whether the last request was a large one.
    pub(super) is_large: bool,
    /// Whether it sent much when it was read last.
    pub(super) is_bulky: bool,
    /// The rest is of no use before it has this many bytes.
    pub(super) needed: usize,
    /// Finds the end of a request that arrives in many pieces.
    pub(super) scanner: Option<Box<Scanner>>,
    /// Finds the ends of memcached's lines.
    pub(super) lines: RequestScanner,
    /// Bytes of a value that is thrown away as it comes.
    pub(super) swallowed: usize,
    pub(super) out: Outgoing,
    /// Requests that are not answered, and those whose replies wait for earlier ones.
    pub(super) queue: VecDeque<Ticket>,
    /// The number of the first of them.
    pub(super) first: u32,
    pub(super) stash: Vec<u8>,
    /// Replies in the stash.
    pub(super) stashed: u32,
    /// Bytes of replies that are held by themselves, and of parts of replies.
    pub(super) held: usize,
    window: u16,
    /// Whether a reply is on its way to the client whose end has not arrived.
    pub(super) is_streamed: bool,
    pub(super) is_dirty: bool,
    /// Whether requests wait in `rest` until earlier ones are answered.
    pub(super) is_stalled: bool,
    /// Whether it is listed to go on.
    pub(super) is_woken: bool,
    /// Whether nothing more is read: it closes when everything owed is sent.
    pub(super) is_closing: bool,
    /// Whether the client has closed its side.
    pub(super) is_ended: bool,
    /// Whether we read nothing more of it, and close it when everything owed is sent.
    pub(super) is_draining: bool,
    /// Whether the request that has begun to arrive by then is still read to its end, and what comes with that.
    pub(super) is_finishing: bool,
    /// Whether it is closed for what the client sent.
    pub(super) is_refused: bool,
    /// Backends that are not read because this client does not.
    #[expect(clippy::box_collection, reason = "it is rare, and a session should be small")]
    pub(super) paused: Option<Box<Vec<usize>>>,
    pub(super) is_authenticated: bool,
    pub(super) is_resp3: bool,
    /// Nothing else may begin before the queue is empty.
    pub(super) is_barred: bool,
    pub(super) mode: Option<Box<super::redis::Mode>>,
    #[expect(clippy::box_collection, reason = "it is rare, and a session should be small")]
    pub(super) name: Option<Box<Vec<u8>>>,
    /// When something was last read, in the worker's milliseconds.
    pub(super) active_at: u64,
}

impl Session {
    pub(super) fn new(serial: u32, pool: usize, is_authenticated: bool, now: u64) -> Self {
        Self {
            serial,
            pool,
            rest: Vec::new(),
            large: None,
            piped: None,
            is_large: false,
            is_bulky: false,
            needed: 0,
            scanner: None,
            lines: RequestScanner::default(),
            swallowed: 0,
            out: Outgoing::default(),
            queue: VecDeque::new(),
            first: 0,
            stash: Vec::new(),
            stashed: 0,
            held: 0,
            window: FIRST_WINDOW,
            is_streamed: false,
            is_dirty: false,
            is_stalled: false,
            is_woken: false,
            is_closing: false,
            is_ended: false,
            is_draining: false,
            is_finishing: false,
            is_refused: false,
            paused: None,
            is_authenticated,
            is_resp3: false,
            is_barred: false,
            mode: None,
            name: None,
            active_at: now,
        }
    }

    /// Queues a ticket and answers its number.
    #[inline]
    pub(super) fn issue(&mut self, ticket: Ticket) -> u32 {
        self.queue.push_back(ticket);
        self.first.wrapping_add(self.queue.len() as u32 - 1)
    }

    /// The place in the queue of the ticket with this number.
    #[inline]
    pub(super) fn place_of(&self, number: u32) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    /// Whether nothing has been read of it for a while.
    pub(super) fn is_quiet(&self, now: u64) -> bool {
        now.saturating_sub(self.active_at) >= QUIET
    }

    /// Whether one more request may be under way.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < usize::from(self.window) && self.buffered() < BUFFERED
    }

    /// Bytes of replies that the client has not taken.
    #[inline]
    pub(super) fn buffered(&self) -> usize {
        self.out.len() + self.stash.len() + self.held
    }

    /// Whether a large request is arriving.
    #[inline]
    pub(super) fn awaits_large(&self) -> bool {
        self.large.is_some() || self.piped.is_some()
    }

    /// Whether a request is arriving, or waits for others.
    pub(super) fn is_arriving(&self) -> bool {
        !self.rest.is_empty() || self.awaits_large() || self.swallowed > 0
    }

    /// Whether it waits for messages, or for somebody else.
    pub(super) fn waits(&self) -> bool {
        self.mode.as_ref().is_some_and(|mode| mode.waits())
    }

    /// Whether no more requests of it are taken but those that are there.
    pub(super) fn reads_no_more(&self) -> bool {
        self.is_ended || self.is_draining && !self.is_finishing
    }

    /// Whether the client is owed nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.queue.is_empty() && self.out.is_empty()
    }

    /// The window becomes what the size of a reply allows: twice as large, or as many of these as may be
    /// buffered.
    #[inline]
    pub(super) fn learn(&mut self, length: usize) {
        if length <= 4 << 10 {
            if self.window < LARGEST_WINDOW {
                self.window *= 2;
            }
        } else {
            let fit = (BUFFERED / length).clamp(1, usize::from(LARGEST_WINDOW)) as u16;
            self.window = self.window.min(fit);
        }
    }

    /// Puts the reply to a ticket in its place: behind what is on its way out, or aside until its turn.
    /// What waited for it follows. Answers the place of the ticket's command and its time.
    #[inline]
    pub(super) fn put(&mut self, place: usize, reply: &[u8], buffers: &mut Buffers) {
        self.learn(reply.len());
        if place == 0 {
            self.out.tail(buffers).extend_from_slice(reply);
            self.pop(buffers);
            return;
        }
        let Some(ticket) = self.queue.get_mut(place) else {
            return;
        };
        if reply.len() > STASHED || self.stash.len() > 1 << 20 {
            self.held += reply.len();
            ticket.state = State::Held(Box::new(reply.to_vec()));
        } else {
            if self.stash.capacity() == 0 {
                self.stash = buffers.take();
            }
            let start = self.stash.len() as u32;
            self.stash.extend_from_slice(reply);
            self.stashed += 1;
            ticket.state = State::Stashed { start, length: reply.len() as u32 };
        }
    }

    /// The first ticket is answered; what is ready behind it goes out too.
    #[inline]
    pub(super) fn pop(&mut self, buffers: &mut Buffers) {
        self.queue.pop_front();
        self.first = self.first.wrapping_add(1);
        while let Some(ticket) = self.queue.front() {
            match &ticket.state {
                State::Stashed { start, length } => {
                    let range = *start as usize..(*start + *length) as usize;
                    self.out.tail(buffers).extend_from_slice(&self.stash[range]);
                    self.stashed -= 1;
                    if self.stashed == 0 {
                        buffers.give(std::mem::take(&mut self.stash));
                    }
                }
                State::Held(reply) => {
                    self.held -= reply.len();
                    self.out.tail(buffers).extend_from_slice(reply);
                }
                State::Waiting | State::Gathering(_) => break,
            }
            self.queue.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            // A burst is over.
            self.queue = VecDeque::new();
        }
    }

    /// Gives up the session's buffers.
    pub(super) fn drop_buffers(&mut self, buffers: &mut Buffers) {
        self.out.clear(buffers);
        buffers.give(std::mem::take(&mut self.stash));
        buffers.give(std::mem::take(&mut self.rest));
        if let Some(large) = self.large.take() {
            buffers.give_block(large.into_block());
        }
        if let Some(piped) = self.piped.take() {
            buffers.give(piped.into_head());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(tickets: usize) -> Session {
        let mut session = Session::new(1, 0, true, 0);
        for _ in 0..tickets {
            session.issue(Ticket { state: State::Waiting, command: 0, at: 0 });
        }
        session
    }

    #[test]
    fn replies_leave_in_the_order_of_the_requests() {
        let mut buffers = Buffers::default();
        // All orders of four replies.
        for order in 0..256 {
            let places: Vec<usize> = (0..4).map(|turn| order >> (2 * turn) & 3).collect();
            let mut sorted = places.clone();
            sorted.sort_unstable();
            if sorted != [0, 1, 2, 3] {
                continue;
            }
            let mut session = session(4);
            for number in places {
                let reply = [number as u8 + b'a'; 3];
                session.put(session.place_of(number as u32), &reply, &mut buffers);
            }
            assert_eq!(session.out.unsent(), b"aaabbbcccddd");
            assert!(session.queue.is_empty() && session.stash.is_empty());
            assert_eq!(session.held, 0);
        }
    }

    #[test]
    fn large_replies_wait_by_themselves_and_are_counted() {
        let mut buffers = Buffers::default();
        let mut session = session(2);
        let large = vec![b'x'; STASHED + 1];
        session.put(1, &large, &mut buffers);
        assert_eq!(session.buffered(), large.len());
        session.put(0, b"first", &mut buffers);
        assert_eq!(session.out.len(), 5 + large.len());
        assert_eq!(session.buffered(), session.out.len());
    }

    #[test]
    fn the_window_follows_the_size_of_replies() {
        let mut session = session(0);
        assert_eq!(session.window, FIRST_WINDOW);
        for _ in 0..20 {
            session.learn(100);
        }
        assert_eq!(session.window, LARGEST_WINDOW);
        session.learn(1 << 20);
        assert_eq!(session.window, 8);
        session.learn(100 << 20);
        assert_eq!(session.window, 1);
        session.learn(1);
        assert_eq!(session.window, 2);
    }
}
