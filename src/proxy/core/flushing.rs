//! What was written in a turn goes to the sockets.

use std::io;

use super::Closed;
use super::Core;
use super::Link;
use super::Sockets;
use super::backend::Backend;

/// What is longer takes so much time by itself that it need not go together with others.
const SHORT: usize = 64 << 10;

impl Core {
    /// Sends what there is to send.
    pub(super) fn flush(&mut self, sockets: &mut impl Sockets) {
        let mut dirty = std::mem::take(&mut self.dirty);
        // Some were closed in this turn, and others may have their keys: those would be here twice.
        dirty.retain(|&link| self.is_still_dirty(link));
        let mut sent = std::mem::take(&mut self.sent);
        self.send_ahead(sockets, &dirty, &mut sent);
        let mut results = sent.drain(..);
        for link in dirty.drain(..) {
            let failed = results.next().and_then(Result::err);
            match (link, failed) {
                (Link::Session(key), _) if !self.sessions.contains(key) => {}
                (Link::Session(key), None) => self.flush_session(sockets, key),
                (Link::Session(key), Some(_)) => self.session_broken(sockets, key),
                // It was closed for the sake of one before it, and perhaps another is being opened.
                (Link::Backend(key), _) if !self.is_ready(key) => {}
                (Link::Backend(key), None) => self.flush_backend(sockets, key),
                (Link::Backend(key), Some(error)) => {
                    self.backend_closed(sockets, key, Closed::Io(error));
                }
            }
        }
        drop(results);
        self.sent = sent;
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
    }

    fn is_ready(&self, backend: usize) -> bool {
        self.backends.get(backend).is_some_and(Backend::is_ready)
    }

    /// Whether it is there and marked; it is not any more.
    #[inline]
    fn is_still_dirty(&mut self, link: Link) -> bool {
        let mark = match link {
            Link::Session(key) => self.sessions.get_mut(key).map(|it| &mut it.is_dirty),
            Link::Backend(key) => self.backends.get_mut(key).map(|it| &mut it.is_dirty),
        };
        mark.is_some_and(std::mem::take)
    }

    /// Sends at once what is short, if the system can. Nothing follows from it here but that it has been sent.
    fn send_ahead(
        &mut self,
        sockets: &mut impl Sockets,
        dirty: &[Link],
        sent: &mut Vec<io::Result<usize>>,
    ) {
        sockets.send_ahead(dirty, |link| self.short_output(link), sent);
        for (&link, sent) in dirty.iter().zip(sent) {
            match (link, sent) {
                (_, Ok(0) | Err(_)) => {}
                (Link::Session(key), &mut Ok(count)) => {
                    let session = &mut self.sessions[key];
                    self.pools[session.pool].counters.client_bytes_out += count as u64;
                    session.out.advance(count, &mut self.buffers);
                }
                (Link::Backend(key), &mut Ok(count)) => {
                    self.backends[key].out.advance(count, &mut self.buffers);
                }
            }
        }
    }

    /// What is to be sent to it now together with others; empty if it is long, or is to go by itself.
    #[inline]
    fn short_output(&self, link: Link) -> &[u8] {
        let out = match link {
            Link::Session(key) => {
                let session = self.sessions.get(key);
                // Answered together such clients send their next requests together, which do not fit into the cache.
                let session = session.filter(|it| !it.is_bulky && !it.is_large);
                session.map(|session| &session.out)
            }
            Link::Backend(key) => {
                let backend = self.backends.get(key).filter(|backend| backend.is_ready());
                backend.map(|backend| &backend.out)
            }
        };
        out.map(|out| out.unsent()).filter(|unsent| unsent.len() <= SHORT).unwrap_or_default()
    }

    /// The socket takes bytes again. They are sent at the end of the turn: there may be more until then.
    pub(crate) fn writable(&mut self, link: Link) {
        let has_output = match link {
            Link::Session(key) => self.sessions.get(key).is_some_and(|it| !it.out.is_empty()),
            Link::Backend(key) => self.backends.get(key).is_some_and(|it| !it.out.is_empty()),
        };
        if has_output {
            self.mark_dirty(link);
        }
    }
}
