//! What was written in a turn goes to the sockets.

use super::Core;
use super::Link;
use super::Sockets;

/// What is longer takes so much time by itself that it need not go together with others.
const SHORT: usize = 64 << 10;

impl Core {
    /// Sends what there is to send, once a connection.
    pub(super) fn flush(&mut self, sockets: &mut impl Sockets) {
        let mut dirty = std::mem::take(&mut self.dirty);
        // Some were closed in this turn, and others may have their keys: those would be here twice.
        dirty.retain(|&link| self.is_still_dirty(link));
        self.flush_ahead(sockets, &dirty);
        for link in dirty.drain(..) {
            match link {
                Link::Session(key) if self.sessions.contains(key) => {
                    self.flush_session(sockets, key);
                }
                Link::Backend(key) if self.backends.contains(key) => {
                    self.flush_backend(sockets, key);
                }
                // It was closed for the sake of one before it.
                _ => {}
            }
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
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

    /// Sends at once what is short. Nothing but that follows from it here: what a socket has not taken is sent again, or
    /// fails, when it is the turn of its connection.
    fn flush_ahead(&mut self, sockets: &mut impl Sockets, dirty: &[Link]) {
        let mut taken = std::mem::take(&mut self.taken);
        taken.clear();
        sockets.send_ahead(dirty, |link| self.short_output(link), &mut taken);
        for (&link, &count) in dirty.iter().zip(&taken) {
            match link {
                _ if count == 0 => {}
                Link::Session(key) => {
                    let session = &mut self.sessions[key];
                    self.pools[session.pool].counters.client_bytes_out += count as u64;
                    session.out.advance(count, &mut self.buffers);
                }
                Link::Backend(key) => self.backends[key].out.advance(count, &mut self.buffers),
            }
        }
        self.taken = taken;
    }

    /// What is to be sent to it now; empty if that is not short.
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
