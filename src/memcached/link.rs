//! One connection to one node, and how it is made.
//!
//! ```text
//!   Dialing ──► Securing ──► Greeting ───────────────────────► Link
//!   (net)       (with TLS)   who we are, which protocol
//! ```

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::ask::Ask;
use super::ask::Next;
use super::ask::Outcome;
use super::ask::Refusal;
use super::endpoint::Target;
use super::greeting::Greeting;
use super::lines;
use super::lines::Line;
use super::tls::TlsTarget;
use super::transport::Transport;
use super::wire_error::WireError;
use crate::net::Channel;
use crate::net::Dialed;
use crate::net::Dialing;
use crate::net::Interest;
use crate::net::TcpOptions;
use crate::net::clock::Deadline;
use crate::node::Address;
use crate::protocol::memcache::Dialect;
use crate::protocol::memcache::Found;
use crate::protocol::memcache::Kind;
use crate::protocol::memcache::ProgressOf;
use crate::protocol::memcache::read_found;

/// A connection over which requests go.
///
/// It is dropped after any failure and never used again: an unread reply would answer the next request.
#[derive(Debug)]
pub(super) struct Link {
    transport: Transport,
    dialect: Dialect,
    /// That of the next request.
    opaque: u32,
    /// Whether what arrives next is the reply to the next request.
    is_in_step: bool,
    born: Instant,
    /// Space to write single requests into.
    buffer: Vec<u8>,
}

/// More space than this is not kept.
const USUAL: usize = 64 << 10;

impl Link {
    /// Whether a request may be sent: nothing has arrived that nobody asked for, the node has not hung up,
    /// as far as one can know without waiting, and it is not too old.
    #[inline]
    pub(super) fn is_usable(&mut self, now: Instant, max_lifetime: Option<Duration>) -> bool {
        let is_quiet = !self.transport.has_rested(now) || self.transport.is_quiet();
        let age = now.saturating_duration_since(self.born);
        is_quiet
            && self.is_in_step
            && self.transport.arrived().is_empty()
            && max_lifetime.is_none_or(|limit| age < limit)
    }

    /// The socket that has shaken hands, and the protocol that is spoken on it.
    #[cfg_attr(not(feature = "memcache-aio"), allow(dead_code, reason = "tasks share links there"))]
    pub(super) fn into_parts(self) -> (Transport, Dialect) {
        (self.transport, self.dialect)
    }

    /// Whether it may be used again after all its requests were answered.
    pub(super) fn is_in_step(&self) -> bool {
        self.is_in_step
    }

    /// Appends a line to `out`. Returns its opaque.
    #[inline]
    pub(super) fn write(&mut self, line: Line<'_>, out: &mut Vec<u8>) -> u32 {
        let opaque = self.opaque;
        self.opaque = opaque.wrapping_add(1);
        lines::write(out, line, self.dialect, opaque);
        opaque
    }

    /// What came of the request with this opaque, the next one to be answered, with the length of its reply
    /// on the wire; or how much of it is missing.
    ///
    /// # Errors
    ///
    /// If what has arrived is not its reply.
    #[inline]
    pub(super) fn next(
        &mut self,
        ask: &Ask<'_>,
        opaque: u32,
    ) -> Result<Result<(Outcome, usize), usize>, WireError> {
        if !self.is_in_step {
            return Err(WireError::OutOfStep);
        }
        match self.transport.arrived() {
            [] => Ok(Err(1)),
            bytes => match ask.expected().read(bytes, self.dialect, opaque)? {
                Next::Missing(count) => Ok(Err(count)),
                Next::Arrived { outcome, length, is_in_step } => {
                    self.is_in_step = is_in_step;
                    self.transport.take(length);
                    Ok(Ok((outcome, length)))
                }
            },
        }
    }

    /// Takes the next value of the reply to a line with several keys, and gives it to `accept`. Returns how
    /// long it was on the wire, too.
    ///
    /// # Errors
    ///
    /// If what has arrived is no such reply, and those of `accept`.
    #[inline]
    pub(super) fn next_found(
        &mut self,
        with_cas: bool,
        accept: impl FnOnce(Found<'_>) -> Result<(), WireError>,
    ) -> Result<(FoundTurn, usize), WireError> {
        if !self.is_in_step {
            return Err(WireError::OutOfStep);
        }
        let bytes = self.transport.arrived();
        if bytes.is_empty() {
            return Ok((FoundTurn::Missing(1), 0));
        }
        let (turn, length) = match read_found(bytes, with_cas)? {
            ProgressOf::Missing(count) => return Ok((FoundTurn::Missing(count), 0)),
            ProgressOf::Whole(Ok(Some(found)), length) => {
                accept(found)?;
                (FoundTurn::Value, length)
            }
            ProgressOf::Whole(Ok(None), length) => (FoundTurn::End, length),
            ProgressOf::Whole(Err(error), length) => {
                self.is_in_step = error.leaves_in_step(Kind::Get { with_cas });
                (FoundTurn::Refused(error.into()), length)
            }
        };
        self.transport.take(length);
        Ok((turn, length))
    }

    /// How long the pieces are in which several requests must be sent, if they must: no piece has the
    /// end of a request that is longer and the beginning of another.
    pub(super) fn piece(&self) -> Option<usize> {
        self.transport.piece()
    }

    /// Writes as much of `bytes` as goes without waiting.
    pub(super) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.transport.try_send(bytes)
    }

    /// Reads what has arrived, without waiting, into room for at least `missing` bytes. Returns the number
    /// of bytes; 0 if nothing has.
    ///
    /// # Errors
    ///
    /// The socket's, and at the end of the stream.
    pub(super) fn try_receive(&mut self, missing: usize) -> io::Result<usize> {
        self.transport.try_receive(missing)
    }

    /// What to wait for, while there is more to send or not.
    pub(super) fn interest(&self, is_sending: bool) -> Interest<'_> {
        self.transport.interest(is_sending)
    }

    /// Sends one request and waits for its reply: one write and one read, as a rule. Returns how many bytes
    /// were sent and received, too.
    ///
    /// # Errors
    ///
    /// If there was no reply; the link is of no use then.
    #[inline]
    pub(super) fn ask(
        &mut self,
        ask: &Ask<'_>,
        deadline: Deadline,
    ) -> Result<(Outcome, usize, usize), WireError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let opaque = self.write((ask, &[]), &mut buffer);
        self.transport.send(&buffer, deadline)?;
        let sent = buffer.len();
        if buffer.capacity() <= USUAL {
            buffer.clear();
            self.buffer = buffer;
        }
        self.transport.begin_to_wait(deadline)?;
        let mut missing = 1;
        loop {
            if self.transport.receive(missing, deadline)? {
                match self.next(ask, opaque)? {
                    Ok((outcome, received)) => return Ok((outcome, sent, received)),
                    Err(count) => missing = count,
                }
            }
            self.transport.tighten(deadline)?;
        }
    }
}

/// What came next of the reply to a line with several keys.
#[derive(Debug)]
pub(super) enum FoundTurn {
    Value,
    /// Those keys that have no value yet have none.
    End,
    /// They will not be read.
    Refused(Refusal),
    /// At least so many bytes are missing.
    Missing(usize),
}

const UNASKED: &str = "more was said to a new connection than the replies it is owed";

/// A connection that is being made.
///
/// [`advance`](Self::advance) does what can be done without waiting; [`interest`](Self::interest) and
/// [`wakes`](Self::wakes) say what to wait for before the next time.
#[derive(Debug)]
pub(super) struct Connecting {
    deadline: Deadline,
    state: State,
}

#[derive(Debug)]
enum State {
    /// And how to secure it and to greet then.
    Dialing(Dialing, Option<Arc<TlsTarget>>, Greeting),
    Securing(Transport, Greeting),
    Greeting(Transport, Greeting),
}

/// How far it went.
pub(super) enum Progress {
    Connected(Link),
    Waiting(Connecting),
}

impl Connecting {
    /// Begins. `deadline` bounds it together with everything the node says.
    pub(super) fn start(
        target: &Target,
        deadline: Deadline,
        now: Instant,
    ) -> Result<Self, WireError> {
        let dialing = match &target.address {
            Address::Tcp { host, port } => {
                let options = TcpOptions { is_nodelay: target.is_nodelay, ..TcpOptions::default() };
                Dialing::tcp(host, *port, options, deadline, now)?
            }
            Address::Unix(path) => Dialing::unix(path.into())?,
        };
        let greeting = Greeting::new(target.user.as_ref(), target.protocol);
        let state = State::Dialing(dialing, target.tls.clone(), greeting);
        Ok(Self { deadline, state })
    }

    /// Goes on as far as it goes without waiting.
    ///
    /// # Errors
    ///
    /// If no connection came to be.
    pub(super) fn advance(self, now: Instant) -> Result<Progress, WireError> {
        let Self { deadline, mut state } = self;
        if deadline.has_passed(now) {
            return Err(WireError::Deadline);
        }
        loop {
            state = match state {
                State::Dialing(dialing, tls, greeting) => match dialing.advance(now)? {
                    Dialed::Connected(socket) => {
                        let channel = Channel::new(socket, now);
                        State::Securing(Transport::new(channel, tls.as_deref())?, greeting)
                    }
                    Dialed::Waiting(dialing) => {
                        let state = State::Dialing(dialing, tls, greeting);
                        return Ok(Progress::Waiting(Self { deadline, state }));
                    }
                },
                State::Securing(mut transport, greeting) => {
                    if !transport.secure()? {
                        let state = State::Securing(transport, greeting);
                        return Ok(Progress::Waiting(Self { deadline, state }));
                    }
                    State::Greeting(transport, greeting)
                }
                State::Greeting(mut transport, mut greeting) => {
                    return Ok(match greeting.advance(&mut transport)? {
                        // It would answer the first request.
                        Some(_) if !transport.arrived().is_empty() => {
                            return Err(WireError::Broken(UNASKED.into()));
                        }
                        Some(dialect) => Progress::Connected(Link {
                            transport,
                            dialect,
                            opaque: 0,
                            is_in_step: true,
                            born: now,
                            buffer: Vec::new(),
                        }),
                        None => {
                            let state = State::Greeting(transport, greeting);
                            Progress::Waiting(Self { deadline, state })
                        }
                    });
                }
            };
        }
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> Interest<'_> {
        match &self.state {
            State::Dialing(dialing, ..) => dialing.interest(),
            State::Securing(transport, _) => transport.interest(false),
            State::Greeting(transport, greeting) => transport.interest(!greeting.is_sent()),
        }
    }

    /// When to look again even if nothing happens.
    pub(super) fn wakes(&self) -> Option<Instant> {
        let dialing = match &self.state {
            State::Dialing(dialing, ..) => dialing.wakes(),
            State::Securing(..) | State::Greeting(..) => None,
        };
        dialing.into_iter().chain(self.deadline.at()).min()
    }
}
