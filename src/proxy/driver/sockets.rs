//! The sockets of one worker.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use mio::Registry;
use mio::Token;

use super::lingering::Lingering;
use super::now;
use super::pipes::Pipes;
use super::resolver::Resolver;
use super::ring::Ring;
use super::socket::Socket;
use super::stream::Stream;
use crate::node::Address;
use crate::proxy::core::Link;
use crate::proxy::core::Passage;
use crate::proxy::core::Passed;
use crate::proxy::core::Sockets;
use crate::proxy::settings::Endpoint;
use crate::proxy::tls::NodeTls;
use crate::topology::Member;

/// So much goes from a node to a client at a time, so that values that go to several clients come to their ends at one
/// pace. A few times more or less costs the same (64 KiB to 1 MiB, Linux 6.18, loopback); where connections are paced,
/// values of 1 MiB took 1.4 to 2 times the processor time with no limit.
const PIECE: usize = 256 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// Whether something may be there to read.
    pub(super) is_readable: bool,
    /// Whether the other side sends nothing more: a short read is not the end of it then.
    pub(super) is_read_closed: bool,
    /// Whether the core does not know of it yet: it is being connected, or secured.
    pub(super) is_connecting: bool,
    /// When a handshake has to be over that has begun.
    pub(super) handshake_until: Option<Instant>,
}

impl Connection {
    pub(super) fn new(stream: Stream, is_connecting: bool) -> Self {
        Self {
            stream,
            is_readable: false,
            is_read_closed: false,
            is_connecting,
            handshake_until: None,
        }
    }
}

/// A place for a backend's connection.
#[derive(Debug, Default)]
pub(super) struct BackendPlace {
    pub(super) connection: Option<Connection>,
    /// Where else the node may be, if this address does not answer.
    pub(super) others: VecDeque<SocketAddr>,
    /// The address that was tried last, until it has taken the connection.
    unanswered: Option<SocketAddr>,
    /// Raised whenever it is closed, so that a late answer of the resolver is not taken for a new one.
    pub(super) attempt: u64,
    /// How its node is spoken to, if not as it is.
    tls: Option<NodeTls>,
}

/// All sockets of one worker, by the keys that the core gives its ends.
#[derive(Debug)]
pub(super) struct WorkerSockets {
    registry: Registry,
    resolver: Resolver,
    pub(super) sessions: Vec<Option<Connection>>,
    pub(super) backends: Vec<BackendPlace>,
    /// Links to be read though the poll says nothing of them.
    pub(super) resumed: Vec<Link>,
    /// For large values and requests.
    pipes: Pipes,
    /// Clients that are only to get what they were sent.
    pub(super) lingering: Lingering,
    /// What sends to many at once, where there is such a thing.
    pub(super) ring: Option<Ring>,
    /// Why there is none any more.
    pub(super) ring_failure: Option<io::Error>,
}

/// What a token stands for: the kind is in its last two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Waker,
    Listener(usize),
    Link(Link),
}

impl Source {
    pub(super) fn token(self) -> Token {
        Token(match self {
            Self::Waker => 0,
            Self::Listener(key) => key << 2 | 1,
            Self::Link(Link::Session(key)) => key << 2 | 2,
            Self::Link(Link::Backend(key)) => key << 2 | 3,
        })
    }

    pub(super) fn of(token: Token) -> Self {
        let key = token.0 >> 2;
        match token.0 & 3 {
            0 => Self::Waker,
            1 => Self::Listener(key),
            2 => Self::Link(Link::Session(key)),
            _ => Self::Link(Link::Backend(key)),
        }
    }
}

impl WorkerSockets {
    pub(super) fn new(registry: Registry, resolver: Resolver) -> Self {
        Self {
            registry,
            resolver,
            sessions: Vec::new(),
            backends: Vec::new(),
            resumed: Vec::new(),
            pipes: Pipes::default(),
            lingering: Lingering::default(),
            ring: None,
            ring_failure: None,
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    #[inline]
    pub(super) fn connection(&mut self, link: Link) -> Option<&mut Connection> {
        match link {
            Link::Session(key) => self.sessions.get_mut(key)?.as_mut(),
            Link::Backend(key) => self.backends.get_mut(key)?.connection.as_mut(),
        }
    }

    /// Takes a client's connection in.
    ///
    /// # Errors
    ///
    /// If the poll does not take it.
    pub(super) fn add_session(&mut self, key: usize, mut stream: Stream) -> io::Result<()> {
        stream.register(&self.registry, Source::Link(Link::Session(key)).token())?;
        if self.sessions.len() <= key {
            self.sessions.resize_with(key + 1, || None);
        }
        self.sessions[key] = Some(Connection::new(stream, false));
        Ok(())
    }

    /// Begins to connect a backend to the first of `addresses` that takes it.
    ///
    /// # Errors
    ///
    /// That of the last one.
    pub(super) fn connect(
        &mut self,
        backend: usize,
        mut addresses: VecDeque<SocketAddr>,
    ) -> io::Result<()> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        while let Some(address) = addresses.pop_front() {
            match Socket::connect(address) {
                Ok(socket) => {
                    let _ = socket.set_no_delay();
                    self.place(backend).unanswered = Some(address);
                    return self.add_backend(backend, socket, addresses);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Begins to connect a backend to the node's addresses, with the one behind that which did not answer.
    ///
    /// # Errors
    ///
    /// That of the last one.
    pub(super) fn connect_again(
        &mut self,
        backend: usize,
        mut addresses: VecDeque<SocketAddr>,
    ) -> io::Result<()> {
        let unanswered = self.place(backend).unanswered.take();
        let found = addresses.iter().position(|address| Some(*address) == unanswered);
        addresses.rotate_left(found.map_or(0, |place| place + 1));
        self.connect(backend, addresses)
    }

    /// The address that was tried has taken the connection.
    pub(super) fn answered(&mut self, backend: usize) {
        self.place(backend).unanswered = None;
    }

    fn add_backend(
        &mut self,
        key: usize,
        socket: Socket,
        others: VecDeque<SocketAddr>,
    ) -> io::Result<()> {
        let tls = self.place(key).tls.as_ref().map(NodeTls::session).transpose()?;
        let mut stream = Stream::new(socket, tls);
        stream.register(&self.registry, Source::Link(Link::Backend(key)).token())?;
        let connection = Connection::new(stream, true);
        let place = self.place(key);
        place.others = others;
        place.connection = Some(connection);
        Ok(())
    }

    /// Has bytes of a node's go to a client from socket to socket; `None` if they cannot.
    ///
    /// # Errors
    ///
    /// Those of reading from the node.
    pub(super) fn pass(&mut self, backend: usize, passage: Passage) -> Option<io::Result<Passed>> {
        let node = self.backends.get(backend)?.connection.as_ref()?.stream.bare()?;
        let client = self.sessions.get(passage.session)?.as_ref()?.stream.bare()?;
        let mut pipe = self.pipes.take()?;
        let count = match pipe.fill(node, passage.length.min(PIECE)) {
            Ok(count) => count,
            Err(error) => {
                self.pipes.give(pipe);
                return (error.kind() != io::ErrorKind::StorageFull).then_some(Err(error));
            }
        };
        let mut left = Vec::new();
        let sent = pipe.drain(client);
        let is_broken = sent.is_err() || {
            left.resize(pipe.len(), 0);
            pipe.take(&mut left).is_err()
        };
        self.pipes.give(pipe);
        Some(Ok(Passed { count, left, is_broken }))
    }

    /// Has what a client sends go into a pipe; `None` if there is none, or it takes no more.
    ///
    /// # Errors
    ///
    /// Those of reading from the client.
    pub(super) fn pipe(&mut self, session: usize, limit: usize) -> Option<io::Result<usize>> {
        let client = self.sessions.get(session)?.as_ref()?.stream.bare()?;
        match self.pipes.of(session)?.fill(client, limit) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => None,
            filled => Some(filled),
        }
    }

    fn place(&mut self, key: usize) -> &mut BackendPlace {
        if self.backends.len() <= key {
            self.backends.resize_with(key + 1, BackendPlace::default);
        }
        &mut self.backends[key]
    }
}

impl Sockets for WorkerSockets {
    fn open(&mut self, backend: usize, member: &Arc<Member<Endpoint>>) -> io::Result<()> {
        self.place(backend).tls = member.endpoint().tls.clone();
        match &member.endpoint().address {
            Address::Unix(path) => {
                let socket = Socket::connect_unix(path)?;
                self.add_backend(backend, socket, VecDeque::new())
            }
            Address::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(address) => {
                    self.connect(backend, VecDeque::from([SocketAddr::new(address, *port)]))
                }
                Err(_) => {
                    let attempt = self.place(backend).attempt;
                    self.resolver.resolve(backend, attempt, host, *port)
                }
            },
        }
    }

    #[inline]
    fn send(&mut self, link: Link, bytes: &[u8]) -> io::Result<usize> {
        let Some(connection) = self.connection(link) else {
            return Ok(0);
        };
        let mut sent = 0;
        loop {
            match connection.stream.write(&bytes[sent..]) {
                Ok(count) => {
                    sent += count;
                    // A short write means that the socket takes no more.
                    return Ok(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send_ahead<'a>(
        &mut self,
        links: &[Link],
        bytes: impl Fn(Link) -> &'a [u8],
        sent: &mut Vec<io::Result<usize>>,
    ) {
        let Some(ring) = &mut self.ring else {
            return;
        };
        let (sessions, backends) = (&self.sessions, &self.backends);
        let sends = links.iter().map(|&link| {
            let connection = match link {
                Link::Session(key) => sessions.get(key)?.as_ref()?,
                Link::Backend(key) => backends.get(key)?.connection.as_ref()?,
            };
            let socket = connection.stream.bare().filter(|_| !connection.is_connecting)?;
            Some((socket.as_fd(), bytes(link)))
        });
        if let Err(error) = ring.send_all(sends, sent) {
            self.ring = None;
            self.ring_failure = Some(error);
        }
    }

    fn pour(&mut self, session: usize, backend: usize) -> io::Result<usize> {
        let place = self.backends.get(backend).and_then(|place| place.connection.as_ref());
        let Some(pipe) = self.pipes.used_by(session) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match place.and_then(|connection| connection.stream.bare()) {
            Some(node) => pipe.drain(node)?,
            // It is to be encrypted, or gone.
            None => return Ok(pipe.len()),
        }
        let left = pipe.len();
        if left == 0 {
            self.pipes.release(session);
        }
        Ok(left)
    }

    fn take_back(&mut self, session: usize, room: &mut [u8]) -> io::Result<()> {
        let Some(pipe) = self.pipes.used_by(session) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let taken = pipe.take(room);
        self.pipes.release(session);
        taken
    }

    fn discard(&mut self, session: usize) {
        self.pipes.release(session);
    }

    fn holds_part(&self, session: usize) -> bool {
        let connection = self.sessions.get(session).and_then(Option::as_ref);
        connection.is_some_and(|connection| connection.stream.holds_part())
    }

    fn close(&mut self, link: Link) {
        if let Some(connection) = self.connection(link) {
            connection.stream.close();
        }
        match link {
            Link::Session(key) => {
                self.pipes.release(key);
                if let Some(place) = self.sessions.get_mut(key) {
                    *place = None;
                }
            }
            Link::Backend(key) => {
                if let Some(place) = self.backends.get_mut(key) {
                    place.connection = None;
                    place.attempt += 1;
                }
            }
        }
    }

    fn close_behind(&mut self, session: usize, is_quiet: bool) {
        let connection = self.sessions.get_mut(session).and_then(Option::take);
        self.pipes.release(session);
        let Some(mut connection) = connection else {
            return;
        };
        connection.stream.close();
        if let Socket::Tcp(mut stream) = connection.stream.into_socket()
            && self.registry.deregister(&mut stream).is_ok()
        {
            self.lingering.close(stream, is_quiet, now());
        }
    }

    fn resume(&mut self, link: Link) {
        self.resumed.push(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_stands_for() {
        for source in [
            Source::Waker,
            Source::Listener(7),
            Source::Link(Link::Session(0)),
            Source::Link(Link::Session(100_000)),
            Source::Link(Link::Backend(3)),
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }

    #[test]
    fn the_address_behind_one_that_did_not_answer_is_next() {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), Source::Waker.token()).unwrap());
        let resolver = Resolver::new(std::sync::mpsc::channel().0, waker);
        let mut sockets = WorkerSockets::new(poll.registry().try_clone().unwrap(), resolver);
        let listeners = [0; 3].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        for expected in [0, 1, 2, 0, 1] {
            sockets.connect_again(7, VecDeque::from(addresses)).unwrap();
            let place = &sockets.backends[7];
            assert_eq!(place.unanswered, Some(addresses[expected]));
            assert_eq!(place.others.len(), 2);
            listeners[expected].accept().unwrap();
            sockets.close(Link::Backend(7));
        }
        // The second did not answer last.
        sockets.connect_again(7, VecDeque::from([addresses[0]])).unwrap();
        sockets.answered(7);
        sockets.close(Link::Backend(7));
        sockets.connect_again(7, VecDeque::from(addresses)).unwrap();
        assert_eq!(sockets.backends[7].unanswered, Some(addresses[0]), "as in the beginning");
    }
}
