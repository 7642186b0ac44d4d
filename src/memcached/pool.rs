//! The connections to one node that are open, and who has one.

use std::fmt;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use super::link::Link;
use super::options::Options;
use super::wire_error::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::topology::SharedTally;

/// Connections to one node. They are opened when needed, the one that was used last is used first, and
/// there are never more than the options allow.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    /// A lease has ended that somebody waits for.
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Link>,
    leases: usize,
    waiting: usize,
}

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
        let mut now = now;
        while state.leases >= options.max_connections {
            state.waiting += 1;
            let is_late = match deadline.at() {
                Some(at) => self.freed.wait_until(&mut state, at).timed_out(),
                None => {
                    self.freed.wait(&mut state);
                    false
                }
            };
            state.waiting -= 1;
            if is_late && state.leases >= options.max_connections {
                return Err(WireError::Busy(options.max_connections));
            }
            now = clock::now();
            if deadline.has_passed(now) {
                // There is no time left to ask anything, but perhaps others have some.
                self.freed.notify_one();
                return Err(WireError::Busy(options.max_connections));
            }
        }
        Ok(self.grant(&mut state, tally, options, now))
    }

    /// A lease, if there is one without waiting.
    pub(super) fn try_lease<'p>(
        &'p self,
        tally: &'p SharedTally,
        options: &Options,
        now: Instant,
    ) -> Option<Lease<'p>> {
        let mut state = self.state.lock();
        let is_free = state.leases < options.max_connections;
        is_free.then(|| self.grant(&mut state, tally, options, now))
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
        if state.waiting > 0 {
            self.pool.freed.notify_one();
        }
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
