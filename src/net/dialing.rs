//! From an address to a connected socket, without blocking.
//!
//! ```text
//!   Resolving ──► Dialing ──► Socket
//!   (a thread)    (address
//!                 after address)
//!   Queueing ──► Dialing        a unix socket whose queue is full
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::clock::Deadline;
use super::poll::Interest;
use super::poll::is_writable;
use super::resolving::Resolved;
use super::resolving::resolve;
use super::socket::Socket;
use super::socket::TcpOptions;

/// A socket that is being connected.
///
/// [`advance`](Self::advance) does what can be done without waiting; [`interest`](Self::interest) and
/// [`wakes`](Self::wakes) say what to wait for before the next time. Whoever dials minds the deadline: here
/// it only says how the time is shared out among several addresses.
#[derive(Debug)]
pub(crate) struct Dialing {
    options: TcpOptions,
    deadline: Deadline,
    state: State,
}

#[derive(Debug)]
enum State {
    Resolving(Arc<Resolved>),
    /// The unix socket at this path has no room for one more who wants to connect.
    Queueing(PathBuf),
    Connecting {
        socket: Socket,
        /// What is tried if this address does not answer, and when.
        rest: VecDeque<SocketAddr>,
        patience: Option<Instant>,
    },
}

/// How far it went.
#[derive(Debug)]
pub(crate) enum Dialed {
    Connected(Socket),
    Waiting(Dialing),
}

impl Dialing {
    /// Begins to connect to `host`, a name or an IP address.
    pub(crate) fn tcp(
        host: &str,
        port: u16,
        options: TcpOptions,
        deadline: Deadline,
        now: Instant,
    ) -> io::Result<Self> {
        let state = match host.parse::<IpAddr>() {
            Ok(ip) => dial([SocketAddr::new(ip, port)].into(), &options, deadline, now)?,
            Err(_) => State::Resolving(resolve(host, port)?),
        };
        Ok(Self { options, deadline, state })
    }

    /// Begins to connect to the unix socket at `path`.
    pub(crate) fn unix(path: PathBuf) -> io::Result<Self> {
        let state = dial_unix(path)?;
        Ok(Self { options: TcpOptions::default(), deadline: Deadline::NEVER, state })
    }

    /// Goes on as far as it goes without waiting.
    ///
    /// # Errors
    ///
    /// If no address can be connected to.
    pub(crate) fn advance(self, now: Instant) -> io::Result<Dialed> {
        let Self { options, deadline, mut state } = self;
        loop {
            state = match state {
                State::Resolving(resolved) => match resolved.get() {
                    Some(Ok(addresses)) => dial(addresses.clone().into(), &options, deadline, now)?,
                    Some(Err((kind, what))) => return Err(io::Error::new(*kind, what.clone())),
                    None => {
                        let state = State::Resolving(resolved);
                        return Ok(Dialed::Waiting(Self { options, deadline, state }));
                    }
                },
                State::Queueing(path) => match dial_unix(path)? {
                    state @ State::Queueing(_) => {
                        return Ok(Dialed::Waiting(Self { options, deadline, state }));
                    }
                    state => state,
                },
                State::Connecting { socket, rest, patience } => {
                    let outcome = is_writable(&socket)?.then(|| socket.finish_connecting());
                    let is_patient = rest.is_empty() || patience.is_none_or(|until| now < until);
                    match outcome {
                        Some(Ok(())) => return Ok(Dialed::Connected(socket)),
                        Some(Err(error)) if rest.is_empty() => return Err(error),
                        None if is_patient => {
                            let state = State::Connecting { socket, rest, patience };
                            return Ok(Dialed::Waiting(Self { options, deadline, state }));
                        }
                        _ => dial(rest, &options, deadline, now)?,
                    }
                }
            };
        }
    }

    /// What to wait for.
    pub(crate) fn interest(&self) -> Interest<'_> {
        match &self.state {
            // No socket announces room in the queue either.
            State::Resolving(_) | State::Queueing(_) => Interest::Thread,
            State::Connecting { socket, .. } => Interest::Writable(socket.as_fd()),
        }
    }

    /// When to look again even if nothing happens.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        match &self.state {
            State::Connecting { patience, rest, .. } if !rest.is_empty() => *patience,
            _ => None,
        }
    }
}

/// Begins to dial a unix socket. Where TCP has an attempt wait, this has it come back.
fn dial_unix(path: PathBuf) -> io::Result<State> {
    match Socket::dial_unix(&path) {
        Ok(socket) => Ok(State::Connecting { socket, rest: VecDeque::new(), patience: None }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(State::Queueing(path)),
        Err(error) => Err(error),
    }
}

/// Begins to dial the first of `addresses`; where there are more, it gets its share of the time only.
fn dial(
    mut addresses: VecDeque<SocketAddr>,
    options: &TcpOptions,
    deadline: Deadline,
    now: Instant,
) -> io::Result<State> {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let share = deadline.left(now).map_or(ADDRESS_PATIENCE, |left| left / count);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(address) = addresses.pop_front() {
        match Socket::dial_tcp(address, options) {
            Ok(socket) => {
                let patience = Some(now + share);
                return Ok(State::Connecting { socket, rest: addresses, patience });
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// How long one of several addresses is tried when there is no deadline.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::net::TcpListener;

    use socket2::Domain;
    use socket2::Type;

    use super::*;
    use crate::net::clock;
    use crate::net::poll::wait;

    /// Dials `addresses` until there is a connection; `None` if there is none in time.
    fn connect(addresses: &[SocketAddr], limit: Duration) -> io::Result<Option<Socket>> {
        let now = clock::now();
        let deadline = Deadline::after(now, Some(limit));
        let options = TcpOptions::default();
        let state = dial(addresses.iter().copied().collect(), &options, deadline, now)?;
        let mut dialing = Dialing { options, deadline, state };
        loop {
            let now = clock::now();
            if deadline.has_passed(now) {
                return Ok(None);
            }
            dialing = match dialing.advance(now)? {
                Dialed::Connected(socket) => return Ok(Some(socket)),
                Dialed::Waiting(dialing) => dialing,
            };
            let wakes = dialing.wakes().into_iter().chain(deadline.at()).min();
            let limit = wakes.map(|at| at.saturating_duration_since(now));
            wait([Some(dialing.interest())].into_iter(), limit).unwrap();
        }
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
            assert!(connect(&addresses, limit).unwrap().is_some());
        }
        assert!(matches!(connect(&[dead, dead], limit), Ok(None)));
        assert!(connect(&[dead, refused], limit).is_err());
        assert!(connect(&[], limit).is_err());
    }
}
