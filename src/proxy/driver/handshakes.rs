//! Handshakes of TLS that have to come to an end.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use std::time::Instant;

use super::Worker;
use super::now;
use super::sockets::Connection;
use crate::proxy::core::Link;

/// How long a handshake may take. That of a node is also part of what its request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Those that have begun, the oldest first; they may be over, and their connections too.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    begun: VecDeque<(Instant, Link)>,
}

impl Handshakes {
    /// Notes that one begins; answers when it has to be over.
    pub(super) fn begin(&mut self, link: Link, now: Instant) -> Instant {
        let until = now + LIMIT;
        self.begun.push_back((until, link));
        until
    }

    pub(super) fn first(&self) -> Option<(Instant, Link)> {
        self.begun.front().copied()
    }

    pub(super) fn forget_first(&mut self) {
        self.begun.pop_front();
    }

    /// When to look at the first.
    pub(super) fn next(&self) -> Option<Instant> {
        self.first().map(|(until, _)| until)
    }
}

impl Worker {
    /// Goes on with the handshake of TLS; without one, or behind it, the connection is made.
    pub(super) fn secure(&mut self, key: usize) {
        let link = Link::Backend(key);
        let Some(connection) = self.sockets.connection(link) else {
            return;
        };
        match connection.stream.secure(&mut self.scratch) {
            Ok(true) => {
                connection.is_connecting = false;
                connection.is_readable |= connection.stream.may_hold_more();
                self.sockets.answered(key);
                self.core.backend_opened(&mut self.sockets, key);
            }
            Ok(false) => self.begin_handshake(link),
            Err(error) => self.broken(link, error),
        }
    }

    /// Takes note of a handshake that begins, if one does.
    pub(super) fn begin_handshake(&mut self, link: Link) {
        if let Some(connection) = self.sockets.connection(link)
            && connection.stream.is_handshaking()
            && connection.handshake_until.is_none()
        {
            connection.handshake_until = Some(self.handshakes.begin(link, now()));
        }
    }

    /// Closes what has not come to the end of its handshake in time.
    pub(super) fn end_handshakes(&mut self, now: Instant) {
        while let Some((until, link)) = self.handshakes.first() {
            let is_open = self.sockets.connection(link).is_some_and(|connection| {
                connection.handshake_until == Some(until) && connection.stream.is_handshaking()
            });
            if is_open && until > now {
                return;
            }
            self.handshakes.forget_first();
            if is_open {
                let text = "the TLS handshake took too long";
                self.broken(link, io::Error::new(io::ErrorKind::TimedOut, text));
            }
        }
    }

    /// Goes on with the handshake of a backend that has sent something, if there is one; true if it can be read now.
    pub(super) fn is_secured(&mut self, link: Link) -> bool {
        let is_handshaking = |connection: &mut Connection| {
            connection.is_connecting && connection.stream.is_handshaking()
        };
        if let Link::Backend(key) = link
            && self.sockets.connection(link).is_some_and(is_handshaking)
        {
            self.finish_connecting(key);
        }
        self.sockets.connection(link).is_some_and(|connection| !connection.is_connecting)
    }
}
