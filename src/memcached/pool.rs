//! The connections to one node that are open, and who has one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

use super::link::Link;
use super::options::Options;
use super::wire_error::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::topology::SharedTally;

/// Connections to one node. They are opened when needed, the one that was used last is used first, and
/// there are never more than the options allow.
///
/// Whoever comes when one is free takes it, though others wait: that costs no switch of threads. But who has
/// waited long is passed over no more.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Link>,
    leases: usize,
    /// Those who wait for a lease, in the order they came.
    queue: VecDeque<Waiter>,
    /// That of the next who waits.
    number: u64,
}

struct Waiter {
    number: u64,
    /// From when on nobody who came later gets what it could have.
    due: Instant,
    /// How it hears that a lease has ended; one without this looks now and then.
    freed: Option<Arc<Condvar>>,
}

/// The place in the queue of one who looks now and then.
#[derive(Debug)]
pub(super) struct Ticket<'p> {
    pool: &'p Pool,
    number: u64,
}

/// How long one who waits is passed over at most, unless its deadline is near.
const LONG: Duration = Duration::from_millis(250);

/// The right to one connection: with a link if one was idle, or to open one.
#[derive(Debug)]
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    tally: &'p SharedTally,
    /// Given back to the pool when the lease ends, if it is there then.
    pub(super) link: Option<Link>,
    /// When it was given.
    pub(super) since: Instant,
    /// Whether the metrics have it among the open connections.
    is_counted: bool,
}

impl Pool {
    /// A lease, waiting for one until `deadline` if all are given away.
    ///
    /// # Errors
    ///
    /// [`Busy`](WireError::Busy) then.
    #[inline]
    pub(super) fn lease<'p>(
        &'p self,
        tally: &'p SharedTally,
        options: &Options,
        now: Instant,
        deadline: Deadline,
    ) -> Result<Lease<'p>, WireError> {
        let mut state = self.state.lock();
        if state.is_free(options, None, now) {
            return Ok(self.grant(&mut state, tally, options, now));
        }
        self.wait(state, tally, options, now, deadline)
    }

    #[cold]
    fn wait<'p>(
        &'p self,
        mut state: MutexGuard<'p, State>,
        tally: &'p SharedTally,
        options: &Options,
        now: Instant,
        deadline: Deadline,
    ) -> Result<Lease<'p>, WireError> {
        let freed = Arc::new(Condvar::new());
        let number = state.queue(Some(Arc::clone(&freed)), now, deadline);
        loop {
            match deadline.at() {
                Some(at) => drop(freed.wait_until(&mut state, at)),
                None => freed.wait(&mut state),
            }
            let now = clock::now();
            // Without time left there is nothing to ask, but perhaps others have some.
            let is_late = deadline.has_passed(now);
            let is_free = !is_late && state.is_free(options, Some(number), now);
            if is_late || is_free {
                state.leave(number);
                let lease = is_free.then(|| self.grant(&mut state, tally, options, now));
                state.pass_on(options);
                return lease.ok_or(WireError::Busy(options.max_connections));
            }
        }
    }

    /// A lease, if there is one without waiting. If not, whoever asks has a ticket from then on.
    pub(super) fn try_lease<'p>(
        &'p self,
        ticket: &mut Option<Ticket<'p>>,
        tally: &'p SharedTally,
        options: &Options,
        now: Instant,
        deadline: Deadline,
    ) -> Option<Lease<'p>> {
        let mut state = self.state.lock();
        let number = ticket.as_ref().map(|ticket| ticket.number);
        if !state.is_free(options, number, now) {
            ticket.get_or_insert_with(|| Ticket {
                pool: self,
                number: state.queue(None, now, deadline),
            });
            return None;
        }
        if let Some(number) = number {
            state.leave(number);
        }
        let lease = self.grant(&mut state, tally, options, now);
        state.pass_on(options);
        Some(lease)
    }

    #[inline]
    fn grant<'p>(
        &'p self,
        state: &mut State,
        tally: &'p SharedTally,
        options: &Options,
        now: Instant,
    ) -> Lease<'p> {
        state.leases += 1;
        let mut link = state.idle.pop();
        while link.as_mut().is_some_and(|link| !link.is_usable(now, options.max_lifetime)) {
            tally.disconnected();
            link = state.idle.pop();
        }
        // The others rest for as long as this one suffices, and nobody would notice that a server has closed
        // them: one at a time is looked at.
        if let Some(oldest) = state.idle.first_mut()
            && !oldest.is_usable(now, options.max_lifetime)
        {
            state.idle.remove(0);
            tally.disconnected();
        }
        let is_counted = link.is_some();
        Lease { pool: self, tally, link, since: now, is_counted }
    }
}

impl State {
    /// Whether who has this number, or has just come, may have a lease.
    #[inline]
    fn is_free(&self, options: &Options, number: Option<u64>, now: Instant) -> bool {
        let is_first = |first: &Waiter| Some(first.number) == number || now < first.due;
        self.leases < options.max_connections && self.queue.front().is_none_or(is_first)
    }

    /// Has somebody wait. Returns the number.
    fn queue(&mut self, freed: Option<Arc<Condvar>>, now: Instant, deadline: Deadline) -> u64 {
        let number = self.number;
        self.number += 1;
        let due = now + deadline.left(now).map_or(LONG, |left| LONG.min(left / 2));
        self.queue.push_back(Waiter { number, due, freed });
        number
    }

    fn leave(&mut self, number: u64) {
        self.queue.retain(|waiter| waiter.number != number);
    }

    /// Tells the first of those who hear it that there is a lease, if there is.
    fn pass_on(&self, options: &Options) {
        if self.leases < options.max_connections {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(freed) = self.queue.iter().find_map(|waiter| waiter.freed.as_ref()) {
            freed.notify_one();
        }
    }
}

impl Drop for Ticket<'_> {
    /// Gives the place up. What was kept for it is for others now.
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        state.leave(self.number);
        state.tell();
    }
}

impl Lease<'_> {
    /// Notes that a connection was opened for it.
    pub(super) fn opened(&mut self) {
        self.tally.connected();
        self.is_counted = true;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let link = self.link.take().filter(Link::is_in_step);
        if self.is_counted && link.is_none() {
            self.tally.disconnected();
        }
        let mut state = self.pool.state.lock();
        state.leases -= 1;
        state.idle.extend(link);
        state.tell();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Pool")
            .field("idle", &state.idle.len())
            .field("in_use", &state.leases)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { max_connections: 1, ..Options::default() }
    }

    /// Looks for a lease at `now`, with enough time left.
    fn look<'p>(
        (pool, tally): (&'p Pool, &'p SharedTally),
        ticket: &mut Option<Ticket<'p>>,
        now: Instant,
    ) -> Option<Lease<'p>> {
        let deadline = Deadline::after(now, Some(10 * LONG));
        pool.try_lease(ticket, tally, &options(), now, deadline)
    }

    #[test]
    fn who_has_waited_long_is_passed_over_no_more() {
        let (pool, tally) = (Pool::default(), SharedTally::default());
        let pool = (&pool, &tally);
        let now = clock::now();
        let (mut one, mut two, mut three) = (None, None, None);
        let held = look(pool, &mut None, now).unwrap();
        assert!(look(pool, &mut one, now).is_none());
        drop(held);
        let held = look(pool, &mut two, now).expect("a free one is for whoever comes");
        drop(held);
        let later = now + LONG;
        assert!(look(pool, &mut two, later).is_none());
        assert!(look(pool, &mut three, later).is_none());
        let held = look(pool, &mut one, later).expect("it was kept for the first");
        drop((held, one));
        assert!(look(pool, &mut three, later + LONG).is_none());
        drop(two);
        assert!(look(pool, &mut three, later + LONG).is_some(), "the place was given up");
    }

    #[test]
    fn a_thread_that_waits_hears_that_a_place_before_it_was_given_up() {
        let (pool, tally) = (Pool::default(), SharedTally::default());
        let now = clock::now();
        let held = look((&pool, &tally), &mut None, now).unwrap();
        let mut ticket = None;
        assert!(look((&pool, &tally), &mut ticket, now - 2 * LONG).is_none());
        let deadline = Deadline::after(now, Some(Duration::from_secs(60)));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| pool.lease(&tally, &options(), now, deadline).is_ok());
            while pool.state.lock().queue.len() < 2 {
                std::thread::yield_now();
            }
            drop(held);
            assert_eq!(pool.state.lock().leases, 0, "it is kept for the first");
            drop(ticket);
            assert!(waits.join().unwrap());
        });
        let state = pool.state.lock();
        assert_eq!((state.leases, state.queue.len()), (0, 0));
    }
}
