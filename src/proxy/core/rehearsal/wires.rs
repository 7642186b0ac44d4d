//! Sockets in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::proxy::core::Link;
use crate::proxy::core::Passage;
use crate::proxy::core::Passed;
use crate::proxy::core::Sockets;
use crate::proxy::settings::Endpoint;
use crate::topology::Member;

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// What the core has sent and the other side has not looked at.
    pub(crate) sent: Vec<u8>,
    /// Bytes that the socket takes before it says that it takes no more.
    pub(crate) room: usize,
    /// Whether it has said so: the core must not wait for it otherwise.
    pub(crate) is_full: bool,
    /// Whether sending fails.
    pub(crate) is_broken: bool,
    /// What the other side has sent and the core has not read.
    pub(crate) inbox: Vec<u8>,
    /// Whether the other side sends nothing after that.
    pub(crate) is_ended: bool,
    /// Whether the poll has told of something to read.
    pub(crate) is_readable: bool,
    /// What it has sent and the system holds for the core.
    pub(crate) pipe: Vec<u8>,
    /// Bytes that the pipe holds; none if the system has no pipe.
    pub(crate) pipe_room: usize,
    /// Whether what is in the pipe is lost.
    pub(crate) is_pipe_broken: bool,
    /// The node's name, if it is one's.
    pub(crate) node: String,
    pub(crate) is_connecting: bool,
    /// Raised with each connection.
    pub(crate) number: u64,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    pub(crate) all: BTreeMap<(bool, usize), Wire>,
    /// Nodes to which no connection can be begun.
    pub(crate) refused: Vec<String>,
    /// Sessions that the core has closed.
    pub(crate) closed: Vec<usize>,
    /// What was sent to them before, and was not looked at.
    pub(crate) left: BTreeMap<usize, Vec<u8>>,
    /// Whether the system can send to many at once.
    pub(crate) is_sending_ahead: bool,
    /// To whom it was sent like that last.
    pub(crate) ahead: Vec<Link>,
    next: u64,
}

/// A key that can be sorted by.
pub(super) fn key_of(link: Link) -> (bool, usize) {
    match link {
        Link::Session(key) => (false, key),
        Link::Backend(key) => (true, key),
    }
}

pub(super) fn link_of((is_backend, key): (bool, usize)) -> Link {
    if is_backend { Link::Backend(key) } else { Link::Session(key) }
}

impl Wires {
    pub(super) fn add(&mut self, link: Link, node: String) {
        self.next += 1;
        let wire = Wire {
            sent: Vec::new(),
            room: usize::MAX,
            is_full: false,
            is_broken: false,
            inbox: Vec::new(),
            is_ended: false,
            is_readable: false,
            pipe: Vec::new(),
            pipe_room: 60_000,
            is_pipe_broken: false,
            is_connecting: !node.is_empty(),
            node,
            number: self.next,
        };
        let old = self.all.insert(key_of(link), wire);
        assert!(old.is_none(), "{link:?} is opened twice");
    }

    /// Has what a node has sent go to a client past the core.
    pub(super) fn pass(&mut self, backend: usize, passage: Passage) -> Passed {
        let node = self.get(Link::Backend(backend)).expect("it is read");
        // A pipe holds no more.
        let count = passage.length.min(node.inbox.len()).min(1 << 20);
        let mut left: Vec<u8> = node.inbox.drain(..count).collect();
        node.is_readable = !node.inbox.is_empty() || node.is_ended;
        let client = self.get(Link::Session(passage.session)).expect("what is sent to is open");
        if client.is_broken {
            return Passed { count, left: Vec::new(), is_broken: true };
        }
        let sent = count.min(client.room);
        client.room -= sent;
        client.is_full |= sent < count;
        client.sent.extend(left.drain(..sent));
        Passed { count, left, is_broken: false }
    }

    /// Has what a client has sent go into its pipe: how much that is, or `None` if it takes no more.
    pub(super) fn fill(&mut self, session: usize, limit: usize) -> Option<usize> {
        let client = self.get(Link::Session(session))?;
        let count =
            limit.min(client.inbox.len()).min(client.pipe_room.saturating_sub(client.pipe.len()));
        client.pipe.extend(client.inbox.drain(..count));
        (count > 0).then_some(count)
    }

    pub(crate) fn get(&mut self, link: Link) -> Option<&mut Wire> {
        self.all.get_mut(&key_of(link))
    }
}

/// What the system says of a node where nobody listens.
pub(super) fn refused() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error())
}

impl Sockets for Wires {
    fn open(&mut self, backend: usize, member: &Arc<Member<Endpoint>>) -> io::Result<()> {
        let name = member.name().to_string();
        if self.refused.contains(&name) {
            return Err(refused());
        }
        self.add(Link::Backend(backend), name);
        Ok(())
    }

    fn send(&mut self, link: Link, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "nothing is sent");
        let wire = self.get(link).expect("what is sent to is open");
        assert!(!wire.is_connecting, "it is not connected");
        if wire.is_broken {
            // The poll tells of it too.
            wire.is_ended = true;
            wire.is_readable = true;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(wire.room);
        wire.room -= count;
        wire.is_full = count < bytes.len();
        wire.sent.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn send_ahead<'a>(
        &mut self,
        links: &[Link],
        bytes: impl Fn(Link) -> &'a [u8],
        sent: &mut Vec<io::Result<usize>>,
    ) {
        if !self.is_sending_ahead {
            return;
        }
        self.ahead = links.iter().copied().filter(|&link| !bytes(link).is_empty()).collect();
        for &link in links {
            let bytes = bytes(link);
            sent.push(if bytes.is_empty() { Ok(0) } else { self.send(link, bytes) });
        }
    }

    fn pour(&mut self, session: usize, backend: usize) -> io::Result<usize> {
        let client = self.get(Link::Session(session)).expect("its pipe is there");
        let mut bytes = std::mem::take(&mut client.pipe);
        if !bytes.is_empty() {
            let sent = self.send(Link::Backend(backend), &bytes)?;
            bytes.drain(..sent);
        }
        let left = bytes.len();
        self.get(Link::Session(session)).expect("it is still there").pipe = bytes;
        Ok(left)
    }

    fn take_back(&mut self, session: usize, room: &mut [u8]) -> io::Result<()> {
        let client = self.get(Link::Session(session)).expect("its pipe is there");
        assert_eq!(client.pipe.len(), room.len(), "all is taken back at once");
        room.copy_from_slice(&client.pipe);
        client.pipe.clear();
        match client.is_pipe_broken {
            true => Err(io::ErrorKind::Other.into()),
            false => Ok(()),
        }
    }

    fn discard(&mut self, session: usize) {
        if let Some(client) = self.get(Link::Session(session)) {
            client.pipe.clear();
        }
    }

    fn holds_part(&self, _session: usize) -> bool {
        false
    }

    fn close(&mut self, link: Link) {
        if let Some(wire) = self.all.remove(&key_of(link))
            && let Link::Session(key) = link
        {
            self.closed.push(key);
            self.left.insert(key, wire.sent);
        }
    }

    fn close_behind(&mut self, session: usize, _: bool) {
        self.close(Link::Session(session));
    }

    fn resume(&mut self, link: Link) {
        if let Some(wire) = self.get(link) {
            wire.is_readable = true;
        }
    }
}
