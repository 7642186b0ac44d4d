//! From an endpoint to a link, without blocking.
//!
//! ```text
//!   Resolving ──► Dialing ──► Greeting ──► Link
//!   (a thread)    (address     (handshake)
//!                 after address)
//!   Queueing ──► Dialing                   a unix socket whose queue is full
//!   Delegated (a thread: TLS) ───────────► Link
//! ```

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::TryRecvError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;

use super::delegate::Delegate;
use super::direct::BYTES_A_TURN;
use super::direct::Direct;
use super::greeting::Greeted;
use super::greeting::Greeting;
use super::greeting::without_arguments;
use super::link::Link;
use super::link::Refusal;
use super::link::Transport;
use super::link::WireError;
use super::poll::Interest;
use super::poll::is_writable;
use super::socket::Socket;
use crate::client::clock::Deadline;
use crate::client::session::Session;

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
    Resolving(Arc<Resolved>),
    /// The unix socket at this path has no room for one more who wants to connect.
    Queueing(PathBuf),
    Dialing {
        socket: Socket,
        /// What is tried if this address does not answer, and when.
        rest: VecDeque<SocketAddr>,
        patience: Option<Instant>,
    },
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
            ConnectionAddr::Tcp(host, port) => match host.parse::<IpAddr>() {
                Ok(ip) => dial([SocketAddr::new(ip, *port)].into(), &info, deadline, now)?,
                Err(_) => State::Resolving(resolve(host, *port, look_up)?),
            },
            ConnectionAddr::Unix(path) => dial_unix(path.clone())?,
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
            // No socket announces room in the queue either.
            State::Resolving(_) | State::Delegated(_) | State::Queueing(_) => Interest::Thread,
            State::Dialing { socket, .. } => Interest::Writable(socket.as_fd()),
            State::Greeting(exchanged) if exchanged.is_sent() => {
                Interest::Readable(exchanged.direct.as_fd())
            }
            State::Greeting(exchanged) => Interest::Both(exchanged.direct.as_fd()),
        }
    }

    /// When to look again even if nothing happens.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        let patience = match &self.state {
            State::Dialing { patience, rest, .. } if !rest.is_empty() => *patience,
            _ => None,
        };
        patience.into_iter().chain(self.target.deadline.at()).min()
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
            State::Resolving(resolved) => match resolved.get() {
                Some(Ok(addresses)) => self.dial(addresses.clone().into(), now),
                Some(Err((kind, what))) => Err(io::Error::new(*kind, what.clone()).into()),
                None => Ok(Step::Wait(State::Resolving(resolved))),
            },
            State::Queueing(path) => match dial_unix(path)? {
                state @ State::Queueing(_) => Ok(Step::Wait(state)),
                state => Ok(Step::Next(state)),
            },
            State::Delegated(mut receiver) => match try_receive(receiver.get_mut())? {
                Some(connected) => {
                    Ok(Step::Arrived(Transport::Delegate(connected.map_err(refused_or_io)?)))
                }
                None => Ok(Step::Wait(State::Delegated(receiver))),
            },
            State::Dialing { socket, rest, patience } => {
                let outcome = is_writable(&socket)?.then(|| socket.finish_connecting());
                let is_patient = rest.is_empty() || patience.is_none_or(|until| now < until);
                match outcome {
                    Some(Ok(())) => {
                        let greeting = Greeting::new(self.info.redis_settings(), &self.session);
                        Ok(Step::Next(State::greeting(Direct::new(socket, now), greeting)))
                    }
                    Some(Err(error)) if rest.is_empty() => Err(error.into()),
                    None if is_patient => Ok(Step::Wait(State::Dialing { socket, rest, patience })),
                    _ => self.dial(rest, now),
                }
            }
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

    fn dial(&self, addresses: VecDeque<SocketAddr>, now: Instant) -> Result<Step, WireError> {
        dial(addresses, &self.info, self.deadline, now).map(Step::Next)
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

/// The addresses of a name, when they are known.
type Resolved = OnceLock<Result<Vec<SocketAddr>, (io::ErrorKind, String)>>;

/// The names that are being resolved.
static RESOLVING: Mutex<BTreeMap<(String, u16), Arc<Resolved>>> = Mutex::new(BTreeMap::new());

/// Resolves a name in a thread of its own: the system's resolver cannot be told when to give up. Whoever
/// wants the same name meanwhile waits for the same thread, so that a resolver that hangs costs one thread
/// and not one a request.
fn resolve(
    host: &str,
    port: u16,
    look_up: fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
) -> io::Result<Arc<Resolved>> {
    let name = (host.to_owned(), port);
    let mut resolving = RESOLVING.lock();
    if let Some(resolved) = resolving.get(&name) {
        return Ok(Arc::clone(resolved));
    }
    let resolved = Arc::new(Resolved::new());
    let (ours, key) = (Arc::clone(&resolved), name.clone());
    thread::Builder::new().name("shardwright-resolve".into()).spawn(move || {
        let addresses = look_up(&key.0, key.1);
        // From here on who asks gets a new answer.
        RESOLVING.lock().remove(&key);
        let _ = ours.set(addresses.map_err(|error| (error.kind(), error.to_string())));
    })?;
    resolving.insert(name, Arc::clone(&resolved));
    Ok(resolved)
}

fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// Begins to dial a unix socket. Where TCP has an attempt wait, this has it come back.
fn dial_unix(path: PathBuf) -> Result<State, WireError> {
    match Socket::dial_unix(&path) {
        Ok(socket) => Ok(State::Dialing { socket, rest: VecDeque::new(), patience: None }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(State::Queueing(path)),
        Err(error) => Err(error.into()),
    }
}

/// Begins to dial the first of `addresses`; where there are more, it gets its share of the time only.
fn dial(
    mut addresses: VecDeque<SocketAddr>,
    info: &ConnectionInfo,
    deadline: Deadline,
    now: Instant,
) -> Result<State, WireError> {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let share = deadline.left(now).map_or(ADDRESS_PATIENCE, |left| left / count);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(address) = addresses.pop_front() {
        match Socket::dial_tcp(address, info.tcp_settings()) {
            Ok(socket) => {
                return Ok(State::Dialing { socket, rest: addresses, patience: Some(now + share) });
            }
            Err(error) => failure = error,
        }
    }
    Err(failure.into())
}

/// How long one of several addresses is tried when there is no deadline.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);

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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::net::TcpListener;

    use socket2::Domain;
    use socket2::Type;

    use super::*;
    use crate::client::clock;
    use crate::client::wire::wait;

    /// Dials `addresses` until there is a connection, and says with whom.
    fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<(), WireError> {
        let settings = redis::RedisConnectionInfo::default().set_skip_set_lib_name();
        let info = redis::IntoConnectionInfo::into_connection_info("redis://h").unwrap();
        let info = info.set_redis_settings(settings);
        let now = clock::now();
        let deadline = Deadline::after(now, Some(limit));
        let addresses: VecDeque<_> = addresses.iter().copied().collect();
        let state = dial(addresses, &info, deadline, now)?;
        let target = Target { info, session: Session::default(), deadline };
        let mut connecting = Connecting { target, state };
        loop {
            let now = clock::now();
            connecting = match connecting.advance(now)? {
                Progress::Connected(_) => return Ok(()),
                Progress::Waiting(connecting) => *connecting,
            };
            let limit = connecting.wakes().map(|at| at.saturating_duration_since(now));
            wait([Some(connecting.interest())].into_iter(), limit).unwrap();
        }
    }

    #[test]
    fn a_resolver_that_hangs_costs_one_thread() {
        static HANGING: Mutex<u32> = Mutex::new(0);
        let hang = |_: &str, _| {
            *HANGING.lock() += 1;
            Ok(Vec::new())
        };
        let mut hanging = HANGING.lock();
        let all = [(); 10].map(|()| resolve("hung.invalid", 1, hang).unwrap());
        assert!(all.iter().all(|resolved| Arc::ptr_eq(resolved, &all[0])));
        assert!(!Arc::ptr_eq(&resolve("hung.invalid", 2, hang).unwrap(), &all[0]));
        assert_eq!(*hanging, 0);
        *hanging = 1;
        drop(hanging);
        assert_eq!(all[0].wait(), &Ok(Vec::new()));
        // What comes later is asked for anew.
        let later = resolve("hung.invalid", 1, hang).unwrap();
        assert!(!Arc::ptr_eq(&later, &all[0]));
        later.wait();
    }

    #[test]
    fn an_address_that_does_not_answer_gets_its_share_of_the_time() {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let hole = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        hole.bind(&local.into()).unwrap();
        hole.listen(0).unwrap();
        let dead = hole.local_addr().unwrap().as_socket().unwrap();
        let patience = Duration::from_millis(100);
        let dial = || std::net::TcpStream::connect_timeout(&dead, patience).ok();
        let _queued: Vec<_> = std::iter::from_fn(dial).collect();

        let refused = TcpListener::bind(local).unwrap().local_addr().unwrap();
        let listener = TcpListener::bind(local).unwrap();
        let good = listener.local_addr().unwrap();
        let limit = Duration::from_millis(300);
        for addresses in
            [vec![good], vec![refused, good], vec![dead, good], vec![dead, refused, good]]
        {
            connect(&addresses, limit).unwrap();
        }
        assert!(matches!(connect(&[dead, dead], limit), Err(WireError::Deadline)));
        assert!(matches!(connect(&[dead, refused], limit), Err(WireError::Io(_))));
        assert!(matches!(connect(&[], limit), Err(WireError::Io(_))));
    }
}
