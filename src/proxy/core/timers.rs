//! What happens because time has passed.

use super::Closed;
use super::Core;
use super::Sockets;
use super::backend::Purpose;
use super::backend::Stage;
use super::sessions::Ending;
use crate::health::Incident;

/// A client that does not read, and for whose sake others wait, is closed after so many milliseconds …
const PATIENCE_WITH_CLIENTS: u64 = 1000;
/// … or already after so many, if one of the others has waited for three quarters of its time.
const SHORTEST_PATIENCE: u64 = 100;
/// A connection on which so many requests were given up is given up itself.
const ABANDONED: usize = 4096;

impl Core {
    /// Answers the requests whose time is over. Others on the same connection are not failed for their sake: the
    /// late reply is thrown away when it comes.
    pub(super) fn expire(&mut self, sockets: &mut impl Sockets) {
        let mut next = u64::MAX;
        // What is asked from here on, because something has expired, sets it.
        self.next_deadline = u64::MAX;
        let keys: Vec<usize> = self.backends.iter().map(|(key, _)| key).collect();
        for key in keys {
            // What expires on one may end a session, and with it others.
            if self.backends.contains(key) {
                self.expire_backend(sockets, key);
            }
            let Some(backend) = self.backends.get(key) else {
                continue;
            };
            if let Some(timeout) = self.timeout_of(key)
                && let Some(deadline) = backend.deadline(timeout)
            {
                next = next.min(deadline);
            }
        }
        self.next_deadline = self.next_deadline.min(next);
    }

    /// How long a request of the backend may take: a probe always has an end.
    fn timeout_of(&self, key: usize) -> Option<std::time::Duration> {
        let backend = &self.backends[key];
        let is_probe = backend.queue.iter().any(|pending| pending.purpose == Purpose::Probe);
        let timeout = self.pools[backend.pool].settings.timeout;
        if is_probe { Some(timeout.unwrap_or(super::probes::PROBE_LIMIT)) } else { timeout }
    }

    fn expire_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(timeout) = self.timeout_of(key) else {
            return;
        };
        let timeout = timeout.as_micros() as u64;
        let (mut expired, mut is_failure) = (Vec::new(), false);
        let now = self.micros;
        let backend = &mut self.backends[key];
        backend.has_excused &= !backend.queue.is_empty();
        let taker = backend.taker();
        for pending in &mut backend.queue {
            if pending.at.saturating_add(timeout) > now {
                if backend.has_excused {
                    continue;
                }
                break;
            }
            if pending.is_awaited() && taker != Some((pending.session, pending.serial)) {
                expired.push(*pending);
                pending.purpose = Purpose::Nothing;
                // What was asked before the last failure was counted is the same failure; and the node is not to
                // blame where a client does not take what it sends.
                is_failure |= pending.at >= backend.failed_at && !backend.is_paused;
            }
        }
        if expired.is_empty() {
            // Who waits for room, or for the connection alone, waits no longer either.
            let is_gone = backend.silent_from(timeout).is_some_and(|when| when <= now);
            if is_gone && !backend.queue.iter().any(super::backend::Pending::is_awaited) {
                self.backend_closed(sockets, key, Closed::Silent);
            }
            return;
        }
        if is_failure {
            backend.failed_at = now;
        }
        let is_lost = backend.owner.is_some()
            || backend.stage != Stage::Ready
            || backend.is_retired && !backend.queue.iter().any(super::backend::Pending::is_awaited);
        let is_given_up = is_lost || !backend.is_paused && self.is_silent(key, timeout);
        self.counters[self.backends[key].counters].server_timedout += expired.len() as u64;
        let had_probe = expired.iter().any(|pending| pending.purpose == Purpose::Probe);
        if is_failure && !had_probe {
            self.observe(key, Incident::Io);
        }
        for pending in expired {
            match pending.purpose {
                Purpose::Probe => self.end_probe(sockets, key, false),
                Purpose::Greeting => {}
                _ => self.fail(sockets, pending, b"Connection timed out"),
            }
        }
        if is_given_up && self.backends.contains(key) {
            let closed = if is_failure { Closed::Silent } else { Closed::Unneeded };
            self.backend_closed(sockets, key, closed);
        }
    }

    /// Whether the node is gone, as far as this connection tells.
    fn is_silent(&self, key: usize, timeout: u64) -> bool {
        let backend = &self.backends[key];
        let is_gone = backend.silent_from(timeout).is_some_and(|when| when <= self.micros);
        let abandoned = backend.queue.iter().take_while(|pending| !pending.is_awaited()).count();
        is_gone || abandoned > ABANDONED
    }

    /// Whether there is something to look at now and then.
    pub(super) fn has_chores(&self) -> bool {
        self.is_draining
            || self.pools.iter().any(|(_, pool)| {
                !pool.snapshot.router().ejected().is_empty()
                    || pool.settings.client_idle_timeout.is_some() && pool.clients > 0
            })
            || self.backends.iter().any(|(_, backend)| backend.is_paused)
    }

    /// Looks at what need not be looked at in each turn.
    pub(super) fn do_chores(&mut self, sockets: &mut impl Sockets) {
        self.probe_ejected(sockets);
        self.close_idle(sockets);
        self.close_stalling(sockets);
        if self.is_draining {
            self.drain_on(sockets);
        }
        if self.sessions.is_empty() {
            self.buffers.release();
        }
    }

    /// Closes clients that have said nothing for longer than their pool allows.
    fn close_idle(&mut self, sockets: &mut impl Sockets) {
        let now = self.millis();
        let is_idle = |session: &super::session::Session| {
            let limit = self.pools[session.pool].settings.client_idle_timeout;
            let is_quiet = session.queue.is_empty() && session.mode.is_none();
            limit.is_some_and(|limit| {
                is_quiet && now.saturating_sub(session.active_at) > limit.as_millis() as u64
            })
        };
        if self.pools.iter().all(|(_, pool)| pool.settings.client_idle_timeout.is_none()) {
            return;
        }
        let idle: Vec<usize> = self
            .sessions
            .iter()
            .filter(|(_, session)| is_idle(session))
            .map(|(key, _)| key)
            .collect();
        for key in idle {
            self.end_session(sockets, key, Ending::Settled);
        }
    }

    /// Closes clients that do not read while others wait behind their replies.
    fn close_stalling(&mut self, sockets: &mut impl Sockets) {
        let now = self.millis();
        let mut stalling = Vec::new();
        for (_, backend) in &self.backends {
            let pause = now.saturating_sub(backend.paused_at);
            if !backend.is_paused || pause < SHORTEST_PATIENCE {
                continue;
            }
            let Some(first) = backend.queue.front() else {
                continue;
            };
            let waits = |pending: &super::backend::Pending| {
                pending.is_awaited()
                    && (pending.session, pending.serial) != (first.session, first.serial)
            };
            let wants_room = |&(session, serial): &(usize, u32)| {
                (session, serial) != (first.session as usize, first.serial)
            };
            let timeout = self.pools[backend.pool].settings.timeout;
            let is_late = |pending: &super::backend::Pending| {
                timeout.is_some_and(|timeout| {
                    let waited = self.micros.saturating_sub(pending.at);
                    u128::from(waited) >= timeout.as_micros() * 3 / 4
                })
            };
            let first_other = backend.queue.iter().find(|pending| waits(pending));
            let is_over = pause >= PATIENCE_WITH_CLIENTS || first_other.is_some_and(is_late);
            let is_waited_for = first_other.is_some() || backend.waiting.iter().any(wants_room);
            if is_over && is_waited_for {
                stalling.push((first.session as usize, first.serial));
            }
        }
        for (key, serial) in stalling {
            if self.session_of(key, serial).is_some() {
                self.end_stalling(sockets, key);
            }
        }
    }
}
