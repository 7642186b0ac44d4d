//! Clients that are to go: they get what they are owed, and are closed.

use std::time::Duration;

use super::Core;
use super::Link;
use super::Sockets;
use super::session::Session;
use super::sessions::Ending;

/// How long clients have at least to take what they are owed.
const DRAINING: Duration = Duration::from_secs(10);
/// What was sent before a client could know that we end may still be on its way, right behind what has arrived. So who
/// has just said something is read until nothing has come for so long, …
const QUIET: Duration = Duration::from_millis(20);
/// … but no longer than this: somebody who asks all the time would keep us for ever.
const GRACE: Duration = Duration::from_millis(100);
/// So long the rest of a request that has begun to arrive may take from one piece to the next, and so long who has
/// requests that wait for earlier ones is read.
const UNFINISHED: Duration = Duration::from_secs(1);

impl Core {
    /// The worker is to end: what was asked is answered, and then the clients are closed.
    pub(crate) fn drain(&mut self, sockets: &mut impl Sockets) {
        self.is_draining = true;
        let timeouts = self.pools.iter().filter_map(|(_, pool)| pool.settings.timeout);
        let longest = timeouts.max().unwrap_or_default().max(DRAINING);
        self.drained_from = self.millis();
        self.drained_by = self.micros.saturating_add(longest.as_micros() as u64);
        self.drain_on(sockets);
        self.next_chores = self.next_chores.min(self.next_look());
    }

    /// Reads no more of the clients that have nothing on its way, and ends those that do not take what they are owed.
    pub(super) fn drain_on(&mut self, sockets: &mut impl Sockets) {
        let now = self.millis();
        let has_passed =
            |since: u64, time: Duration| u128::from(now.saturating_sub(since)) >= time.as_millis();
        let from = self.drained_from;
        // In the order of the keys.
        let begun: Vec<usize> = self
            .sessions
            .iter()
            .filter(|(key, session)| {
                (session.is_arriving() || sockets.holds_part(*key))
                    && !session.is_stalled
                    && !has_passed(session.active_at, UNFINISHED)
            })
            .map(|(key, _)| key)
            .collect();
        for &key in &begun {
            if has_passed(from, GRACE) {
                let session = &mut self.sessions[key];
                session.is_finishing |= !session.is_draining;
                session.is_draining = true;
            }
        }
        self.close_sessions(sockets, |key, session| {
            let is_done = match session.is_stalled {
                true => has_passed(from, UNFINISHED),
                false => has_passed(from, GRACE) || has_passed(session.active_at, QUIET),
            };
            session.waits() || is_done && begun.binary_search(&key).is_err()
        });
        if self.micros > self.drained_by && !self.sessions.is_empty() {
            let left: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
            self.note(4, format!("{} clients did not take what they were owed", left.len()));
            for key in left {
                self.end_session(sockets, key, Ending::Error);
            }
        }
    }

    /// A request has been taken: if it is the one that a client that is drained had begun, no more is read.
    #[inline]
    pub(super) fn finish(&mut self, key: usize) {
        // Of a memcached's value more may be swallowed.
        let is_last = |it: &&mut Session| it.is_finishing && it.swallowed == 0;
        if let Some(session) = self.sessions.get_mut(key).filter(is_last) {
            session.is_finishing = false;
            self.mark_dirty(Link::Session(key));
        }
    }

    /// When to look again who has something on its way.
    pub(super) fn next_look(&self) -> u64 {
        self.micros + QUIET.as_micros() as u64
    }

    /// These clients are read no more, get what they are owed, and are closed.
    pub(super) fn close_sessions(
        &mut self,
        sockets: &mut impl Sockets,
        is_to_go: impl Fn(usize, &Session) -> bool,
    ) {
        let keys: Vec<usize> = self
            .sessions
            .iter()
            .filter(|(key, session)| is_to_go(*key, session))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            let Some(session) = self.sessions.get_mut(key) else {
                continue;
            };
            session.is_draining = true;
            session.is_finishing = false;
            if !session.waits() {
                self.close_if_settled(sockets, key);
                continue;
            }
            // What it was answered before it began to wait.
            self.flush_session(sockets, key);
            if self.sessions.contains(key) {
                self.end_session(sockets, key, Ending::Settled);
            }
        }
    }
}
