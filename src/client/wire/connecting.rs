//! From an endpoint to a link, without blocking.
//!
//! ```text
//!   Dialing ──► Greeting ──► Link
//!   (net)       (handshake)
//!   Delegated ─────────────► Link
//!   (a thread: TLS)
//! ```

use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::TryRecvError;
use std::time::Instant;

use parking_lot::Mutex;
use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use redis::io::tcp::TcpSettings;

use super::delegate::Delegate;
use super::direct::Direct;
use super::greeting::Greeted;
use super::greeting::Greeting;
use super::greeting::without_arguments;
use super::link::Link;
use super::link::Refusal;
use super::link::Transport;
use super::link::WireError;
use crate::client::session::Session;
use crate::net::BYTES_A_TURN;
use crate::net::Dialed;
use crate::net::Dialing;
use crate::net::Interest;
use crate::net::TcpOptions;
use crate::net::clock::Deadline;

/// A connection that is being made.
///
/// [`advance`](Self::advance) does what can be done without waiting; [`interest`](Self::interest) and
/// [`wakes`](Self::wakes) say what to wait for before the next time.
#[derive(Debug)]
pub(crate) struct Connecting {
    target: Target,
    state: State,
}

/// What is connected to.
#[derive(Debug)]
struct Target {
    info: ConnectionInfo,
    session: Session,
    deadline: Deadline,
}

#[derive(Debug)]
enum State {
    Dialing(Dialing),
    Greeting(Box<Exchanged>),
    Delegated(Mutex<Receiver<RedisResult<Delegate>>>),
}

/// A handshake under way.
#[derive(Debug)]
struct Exchanged {
    direct: Direct,
    greeting: Greeting,
    sent: usize,
    replies: Vec<Value>,
}

/// How far it went.
#[derive(Debug)]
pub(crate) enum Progress {
    Connected(Link),
    Waiting(Box<Connecting>),
}

impl Connecting {
    /// Begins. `deadline` bounds it together with everything the node says.
    pub(crate) fn start(
        info: ConnectionInfo,
        session: Session,
        deadline: Deadline,
        now: Instant,
    ) -> Result<Self, WireError> {
        let state = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let options = tcp_options(info.tcp_settings());
                State::Dialing(Dialing::tcp(host, *port, options, deadline, now)?)
            }
            ConnectionAddr::Unix(path) => State::Dialing(Dialing::unix(path.clone())?),
            _ => {
                let limit = deadline.left(now);
                let dialed = Delegate::dial(info.clone(), session.clone(), limit)?;
                State::Delegated(Mutex::new(dialed))
            }
        };
        Ok(Self { target: Target { info, session, deadline }, state })
    }

    /// Goes on as far as it goes without waiting.
    ///
    /// # Errors
    ///
    /// If no connection came to be.
    pub(crate) fn advance(self, now: Instant) -> Result<Progress, WireError> {
        let Self { target, mut state } = self;
        loop {
            if target.deadline.has_passed(now) {
                return Err(WireError::Deadline);
            }
            state = match target.step(state, now)? {
                Step::Next(state) => state,
                Step::Wait(state) => {
                    return Ok(Progress::Waiting(Box::new(Self { target, state })));
                }
                Step::Arrived(transport) => {
                    return Ok(Progress::Connected(Link::new(transport)));
                }
            };
        }
    }

    /// What to wait for.
    pub(crate) fn interest(&self) -> Interest<'_> {
        match &self.state {
            State::Dialing(dialing) => dialing.interest(),
            State::Delegated(_) => Interest::Thread,
            State::Greeting(exchanged) if exchanged.is_sent() => {
                Interest::Readable(exchanged.direct.as_fd())
            }
            State::Greeting(exchanged) => Interest::Both(exchanged.direct.as_fd()),
        }
    }

    /// When to look again even if nothing happens.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        let dialing = match &self.state {
            State::Dialing(dialing) => dialing.wakes(),
            _ => None,
        };
        dialing.into_iter().chain(self.target.deadline.at()).min()
    }
}

/// What follows from a state.
enum Step {
    Next(State),
    Wait(State),
    Arrived(Transport),
}

impl Target {
    fn step(&self, state: State, now: Instant) -> Result<Step, WireError> {
        match state {
            State::Dialing(dialing) => match dialing.advance(now)? {
                Dialed::Waiting(dialing) => Ok(Step::Wait(State::Dialing(dialing))),
                Dialed::Connected(socket) => {
                    let greeting = Greeting::new(self.info.redis_settings(), &self.session);
                    Ok(Step::Next(State::greeting(Direct::new(socket, now), greeting)))
                }
            },
            State::Delegated(mut receiver) => match try_receive(receiver.get_mut())? {
                Some(connected) => {
                    Ok(Step::Arrived(Transport::Delegate(connected.map_err(refused_or_io)?)))
                }
                None => Ok(Step::Wait(State::Delegated(receiver))),
            },
            State::Greeting(mut exchanged) => {
                if !exchanged.go_on()? {
                    return Ok(Step::Wait(State::Greeting(exchanged)));
                }
                let Exchanged { direct, greeting, replies, .. } = *exchanged;
                match greeting.judge(replies, self.info.redis_settings(), &self.session) {
                    Ok(Greeted::Welcome) => Ok(Step::Arrived(Transport::Direct(direct))),
                    Ok(Greeted::Again(greeting)) => {
                        Ok(Step::Next(State::greeting(direct, greeting)))
                    }
                    Err(refusal) => Err(WireError::Refused(refusal)),
                }
            }
        }
    }
}

impl State {
    fn greeting(mut direct: Direct, greeting: Greeting) -> Self {
        direct.owe(greeting.replies());
        Self::Greeting(Box::new(Exchanged { direct, greeting, sent: 0, replies: Vec::new() }))
    }
}

impl Exchanged {
    /// Writes and reads what goes; true when all replies are there.
    fn go_on(&mut self) -> Result<bool, WireError> {
        while !self.is_sent() {
            match self.direct.try_send(&self.greeting.bytes()[self.sent..])? {
                0 => return Ok(false),
                count => self.sent += count,
            }
        }
        let mut received = 0;
        loop {
            while self.replies.len() < self.greeting.replies() {
                let Some((reply, _)) = self.direct.next_reply(&mut |_push| {})? else { break };
                self.replies.push(reply);
            }
            let is_answered = self.replies.len() >= self.greeting.replies();
            if is_answered || received >= BYTES_A_TURN {
                return Ok(is_answered);
            }
            match self.direct.try_receive()? {
                0 => return Ok(false),
                count => received += count,
            }
        }
    }

    fn is_sent(&self) -> bool {
        self.sent == self.greeting.bytes().len()
    }
}

fn tcp_options(settings: &TcpSettings) -> TcpOptions {
    TcpOptions {
        // Off in redis-rs 1.x.
        is_nodelay: true,
        keepalive: settings.keepalive().cloned(),
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        user_timeout: settings.user_timeout(),
        #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
        user_timeout: None,
    }
}

fn try_receive<T>(receiver: &Receiver<T>) -> Result<Option<T>, WireError> {
    match receiver.try_recv() {
        Ok(result) => Ok(Some(result)),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => {
            Err(WireError::Io(io::Error::other("the connecting thread ended without a result")))
        }
    }
}

fn refused_or_io(error: RedisError) -> WireError {
    if error.is_timeout() {
        WireError::Deadline
    } else if error.is_io_error() {
        WireError::Io(io::Error::other(error))
    } else {
        let reason = without_arguments(&error.to_string()).to_owned();
        WireError::Refused(Refusal { kind: error.kind(), reason })
    }
}
