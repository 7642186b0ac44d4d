//! One connection to one node, and how it is made.
//!
//! ```text
//!   Dialing ──► Greeting ───────────────────────► Link
//!   (net)       who we are, which protocol
//! ```

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

use super::ask::Ask;
use super::ask::Next;
use super::ask::Outcome;
use super::ask::Refusal;
use super::endpoint::Target;
use super::greeting::Greeting;
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
    pub(super) channel: Channel,
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
        let is_quiet = !self.channel.has_rested(now)
            || matches!(self.channel.peek(), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let age = now.saturating_duration_since(self.born);
        is_quiet
            && self.is_in_step
            && self.channel.arrived().is_empty()
            && max_lifetime.is_none_or(|limit| age < limit)
    }

    /// The socket that has shaken hands, and the protocol that is spoken on it.
    #[cfg_attr(not(feature = "memcache-aio"), allow(dead_code, reason = "tasks share links there"))]
    pub(super) fn into_parts(self) -> (Channel, Dialect) {
        (self.channel, self.dialect)
    }

    /// Whether it may be used again after all its requests were answered.
    pub(super) fn is_in_step(&self) -> bool {
        self.is_in_step
    }

    /// Appends `ask` to `out`. Returns its opaque.
    #[inline]
    pub(super) fn write(&mut self, ask: &Ask<'_>, out: &mut Vec<u8>) -> u32 {
        let opaque = self.opaque;
        self.opaque = opaque.wrapping_add(1);
        ask.write(out, self.dialect, opaque);
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
            return Err(WireError::Broken(AFTER_AN_ERROR.into()));
        }
        match self.channel.arrived() {
            [] => Ok(Err(1)),
            bytes => match ask.expected().read(bytes, self.dialect, opaque)? {
                Next::Missing(count) => Ok(Err(count)),
                Next::Arrived { outcome, length, is_in_step } => {
                    self.is_in_step = is_in_step;
                    self.channel.take(length);
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
            return Err(WireError::Broken(AFTER_AN_ERROR.into()));
        }
        let bytes = self.channel.arrived();
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
        self.channel.take(length);
        Ok((turn, length))
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
        let opaque = self.write(ask, &mut buffer);
        self.channel.send(&buffer, deadline)?;
        let sent = buffer.len();
        if buffer.capacity() <= USUAL {
            buffer.clear();
            self.buffer = buffer;
        }
        self.channel.begin_to_wait(deadline)?;
        let mut missing = 1;
        loop {
            if self.channel.receive(missing, deadline)? {
                match self.next(ask, opaque)? {
                    Ok((outcome, received)) => return Ok((outcome, sent, received)),
                    Err(count) => missing = count,
                }
            }
            self.channel.tighten(deadline)?;
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

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

pub(super) const AFTER_AN_ERROR: &str = "an earlier error left it open where the next reply begins";

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
    /// And how to greet then.
    Dialing(Dialing, Greeting),
    Greeting(Channel, Greeting),
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
        Ok(Self { deadline, state: State::Dialing(dialing, greeting) })
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
                State::Dialing(dialing, greeting) => match dialing.advance(now)? {
                    Dialed::Connected(socket) => {
                        State::Greeting(Channel::new(socket, now), greeting)
                    }
                    Dialed::Waiting(dialing) => {
                        let state = State::Dialing(dialing, greeting);
                        return Ok(Progress::Waiting(Self { deadline, state }));
                    }
                },
                State::Greeting(mut channel, mut greeting) => {
                    return Ok(match greeting.advance(&mut channel)? {
                        // It would answer the first request.
                        Some(_) if !channel.arrived().is_empty() => {
                            return Err(WireError::Broken(UNASKED.into()));
                        }
                        Some(dialect) => Progress::Connected(Link {
                            channel,
                            dialect,
                            opaque: 0,
                            is_in_step: true,
                            born: now,
                            buffer: Vec::new(),
                        }),
                        None => {
                            let state = State::Greeting(channel, greeting);
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
            State::Dialing(dialing, _) => dialing.interest(),
            State::Greeting(channel, greeting) if greeting.is_sent() => {
                Interest::Readable(channel.as_fd())
            }
            State::Greeting(channel, _) => Interest::Both(channel.as_fd()),
        }
    }

    /// When to look again even if nothing happens.
    pub(super) fn wakes(&self) -> Option<Instant> {
        let dialing = match &self.state {
            State::Dialing(dialing, _) => dialing.wakes(),
            State::Greeting(..) => None,
        };
        dialing.into_iter().chain(self.deadline.at()).min()
    }
}
