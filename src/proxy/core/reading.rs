//! How connections are read.

use super::Core;
use super::Link;
use super::answers::STREAMED;
use super::passage::Passage;

/// What is read of a request or reply before most of it may go from socket to socket.
pub(super) const HEAD: usize = STREAMED + (1 << 10);

/// How a connection is to be read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Not now. It is resumed later.
    Not,
    /// At most so many bytes: [`Core::session_input`] or [`Core::backend_input`] follows.
    Bytes(usize),
    /// What is missing of a large request, to where [`Core::session_room`] says.
    Room,
    /// At most so many bytes go into the client's pipe: [`Core::session_piped`] follows, or
    /// [`Core::session_unpiped`] if they cannot.
    Pipe(usize),
    /// Bytes go to a client: [`Core::passed`] follows. If they cannot, they are read as any others.
    Passage(Passage),
}

impl Core {
    /// How to read the link.
    #[inline]
    pub(crate) fn reading(&self, link: Link) -> Reading {
        match link {
            Link::Session(key) => self.reading_of_session(key),
            Link::Backend(key) => self.reading_of_backend(key),
        }
    }

    #[inline]
    fn reading_of_session(&self, key: usize) -> Reading {
        let Some(session) = self.sessions.get(key) else {
            return Reading::Not;
        };
        if session.is_stalled || session.is_draining && !session.is_finishing {
            return Reading::Not;
        }
        if !session.is_large {
            return Reading::Bytes(usize::MAX);
        }
        if let Some(room) = session.piped.as_ref().and_then(|piped| piped.room()) {
            return Reading::Pipe(room);
        }
        // Where the last request was a large one, the next may be another.
        if session.large.is_some() { Reading::Room } else { Reading::Bytes(HEAD) }
    }

    #[inline]
    fn reading_of_backend(&self, key: usize) -> Reading {
        let Some(backend) = self.backends.get(key).filter(|backend| !backend.is_paused) else {
            return Reading::Not;
        };
        if backend.stream.is_some()
            && let Some(passage) = self.passage(backend)
        {
            return Reading::Passage(passage);
        }
        // As above.
        Reading::Bytes(if backend.is_large { HEAD } else { usize::MAX })
    }
}
