//! What nodes send: replies are taken, and a node is not read while its client does not take them.

use super::Closed;
use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Backend;
use super::backend::Pending;
use super::backend::Purpose;
use super::backend::Scan;
use super::backend::Stage;
use super::memcache::Asked;
use super::reading::HEAD;
use super::session::BUFFERED;
use super::sessions::Ending;
use crate::health::Incident;

/// Room is made at once for what is missing of a reply up to this.
const LARGE_REPLY: usize = 16 << 20;

/// What a node may say against a greeting that quotes nothing of it.
const HARMLESS: [&str; 8] = [
    "WRONGPASS invalid",
    "NOAUTH Authentication required",
    "NOPERM",
    "NOPROTO",
    "LOADING",
    "MASTERDOWN",
    "ERR DB index",
    "ERR AUTH <password> called",
];

impl Core {
    /// A node has sent `bytes`.
    pub(crate) fn backend_input(&mut self, sockets: &mut impl Sockets, key: usize, bytes: &[u8]) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.heard_at = self.micros;
        self.counters[backend.counters].response_bytes += bytes.len() as u64;
        let mut rest = std::mem::take(&mut backend.rest);
        let mut used = 0;
        let outcome = if rest.is_empty() {
            let outcome = self.take_replies(sockets, key, bytes, &mut used);
            if used < bytes.len() {
                rest = self.buffers.take();
                rest.reserve_exact(self.room_for_rest(key, &bytes[used..]));
                rest.extend_from_slice(&bytes[used..]);
            }
            outcome
        } else {
            rest.extend_from_slice(bytes);
            let outcome = self.take_replies(sockets, key, &rest, &mut used);
            rest.drain(..used);
            outcome
        };
        if let Err(closed) = outcome {
            return self.backend_closed(sockets, key, closed);
        }
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if rest.is_empty() {
            self.buffers.give(rest);
        } else {
            backend.rest = rest;
        }
        if used > 0 {
            backend.failures = 0;
            self.observe(key, Incident::Reply);
        }
        self.pause_if_not_taken(key);
        let backend = &self.backends[key];
        if backend.is_retired && backend.queue.is_empty() {
            self.drop_backend(sockets, key);
        }
    }

    /// Room for what there is of a reply, and for what is missing of it, up to a limit.
    fn room_for_rest(&self, key: usize, rest: &[u8]) -> usize {
        let Some(backend) = self.backends.get(key) else {
            return rest.len();
        };
        let front = backend.queue.front();
        let asked = front.map_or(Asked::Line, |pending| pending.asked);
        // Of one that goes on to its client only the head is kept here.
        let goes_on = front.is_some_and(|&pending| self.may_go_on(pending));
        let most = if goes_on { HEAD } else { LARGE_REPLY };
        rest.len() + backend.scanner.missing(rest, asked).min(most)
    }

    /// Takes the replies that `bytes` hold, as far as they are complete; `used` is how far that is.
    fn take_replies(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        bytes: &[u8],
        used: &mut usize,
    ) -> Result<(), Closed> {
        while *used < bytes.len() {
            let Some(backend) = self.backends.get_mut(key) else {
                // It was released, and is closed: whatever this is, it is nobody's.
                *used = bytes.len();
                return Ok(());
            };
            if backend.stage == Stage::Closed {
                // It broke when something was sent.
                *used = bytes.len();
                return Ok(());
            }
            let rest = &bytes[*used..];
            let Some(&pending) = backend.queue.front() else {
                return Err(Closed::Broken("it sent a reply that nobody asked for".into()));
            };
            let is_stream = backend.stream.is_some();
            if !is_stream && !backend.is_resp3 && is_of_resp3(backend, rest) {
                return Err(Closed::Broken(
                    "it sent a reply of RESP3, which nobody asked for".into(),
                ));
            }
            let length = backend.scanner.scan(rest, pending.asked).map_err(Closed::Broken)?;
            match length {
                Some(length) => {
                    *used += length;
                    if is_stream {
                        self.end_stream(sockets, key, pending, &rest[..length])?;
                    } else {
                        self.take_reply(sockets, key, pending, &rest[..length])?;
                    }
                }
                None => {
                    if is_stream || self.begin_stream(key, pending, rest)? {
                        let known = self.backends[key].scanner.take_known(rest);
                        *used += known;
                        self.pass_on(sockets, key, pending, &rest[..known])?;
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes one complete reply.
    #[inline]
    fn take_reply(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        pending: Pending,
        reply: &[u8],
    ) -> Result<(), Closed> {
        let is_push = reply.first() == Some(&b'>');
        if pending.purpose == Purpose::Subscription || is_push {
            return self.take_message(sockets, key, reply);
        }
        let backend = &mut self.backends[key];
        if !backend.may_be_answered_with(pending.asked, reply) {
            return Err(Closed::Broken(super::answers::OTHER_KEY.into()));
        }
        backend.pop();
        backend.is_large = false;
        let counters = &mut self.counters[backend.counters];
        counters.responses += 1;
        match pending.purpose {
            Purpose::Greeting => self.take_greeting(sockets, key, reply),
            Purpose::Probe => {
                self.end_probe(sockets, key, !super::sessions::is_error(reply));
                Ok(())
            }
            Purpose::Nothing => Ok(()),
            Purpose::Begin => self.take_beginning(sockets, key, &pending, reply),
            _ => {
                let time = self.micros.saturating_sub(pending.at);
                counters.latency.record(std::time::Duration::from_micros(time));
                self.answer(sockets, key, pending, reply)
            }
        }
    }

    fn take_greeting(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        reply: &[u8],
    ) -> Result<(), Closed> {
        if super::sessions::is_error(reply) {
            // The text may quote what was said; the first word does not.
            let text = String::from_utf8_lossy(&reply[1..]);
            let text = text.trim_end();
            let is_harmless = HARMLESS.iter().any(|start| text.starts_with(start));
            let word = text.split(' ').next().unwrap_or_default();
            return Err(Closed::Refused(if is_harmless { text } else { word }.to_string()));
        }
        let backend = &mut self.backends[key];
        let Stage::Greeting(left) = backend.stage else {
            return Ok(());
        };
        if left > 1 {
            backend.stage = Stage::Greeting(left - 1);
        } else {
            backend.stage = Stage::Ready;
            self.flush_backend(sockets, key);
        }
        Ok(())
    }

    /// Stops reading a node while the client does not take what it sends.
    pub(super) fn pause_if_not_taken(&mut self, key: usize) {
        let now = self.millis();
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let is_arriving = !backend.rest.is_empty() || backend.stream.is_some();
        let Some(pending) = backend.queue.front().filter(|pending| match pending.purpose {
            Purpose::Subscription => true,
            Purpose::Nothing => false,
            _ => is_arriving,
        }) else {
            return;
        };
        let is_message = pending.purpose == Purpose::Subscription;
        let (session, serial, ticket) = (pending.session as usize, pending.serial, pending.ticket);
        let session = self.sessions.get_mut(session).filter(|session| session.serial == serial);
        let Some(session) = session else {
            return;
        };
        let buffered = if is_message {
            session.buffered() + session.mode.as_ref().map_or(0, |mode| mode.held())
        } else if session.place_of(ticket) == 0 {
            // The others may wait for this one, and then it must come.
            session.out.len()
        } else {
            session.buffered()
        };
        if buffered >= BUFFERED && !backend.is_paused {
            backend.is_paused = true;
            backend.paused_at = now;
            session.paused.get_or_insert_default().push(key);
        }
    }

    /// Reads a node again.
    pub(super) fn resume_backend(&mut self, sockets: &mut impl Sockets, key: usize) {
        let now = self.micros;
        if let Some(backend) = self.backends.get_mut(key)
            && backend.is_paused
        {
            backend.excuse(now);
            backend.is_paused = false;
            let (pool, first) = (backend.pool, backend.queue.front().map(|pending| pending.at));
            sockets.resume(Link::Backend(key));
            // While it did not take its reply it had no deadline.
            if let Some(at) = first {
                self.limit(pool, at);
            }
        }
    }

    /// Ends sessions that keep others waiting because they do not read.
    pub(super) fn end_stalling(&mut self, sockets: &mut impl Sockets, session: usize) {
        let name = self.pools[self.sessions[session].pool].settings.name.clone();
        let text = "a client that others waited for took its replies too slowly, and was closed";
        self.note(4, format!("pool '{name}': {text}"));
        self.end_session(sockets, session, Ending::Error);
    }
}

/// Whether a reply begins that RESP2 does not have: a client of RESP2 would not understand it.
#[inline]
fn is_of_resp3(backend: &Backend, rest: &[u8]) -> bool {
    let is_of_resp2 = |kind: &u8| matches!(kind, b'$' | b'+' | b':' | b'*' | b'-');
    matches!(backend.scanner, Scan::Redis(_)) && !rest.first().is_some_and(is_of_resp2)
}
