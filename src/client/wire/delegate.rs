//! A connection that redis-rs holds: TLS.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use redis::ConnectionInfo;
use redis::ConnectionLike;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;

use super::link::WireError;
use crate::client::session::Session;
use crate::net::clock;
use crate::net::clock::Deadline;

/// redis-rs's connection, with our count of replies.
///
/// Its socket cannot be waited for together with others, and its timeout starts anew with each piece of
/// a reply: a node that sends one byte at a time can hold a request longer than its deadline.
pub(super) struct Delegate {
    connection: redis::Connection,
    owed: usize,
    timeout: Option<Duration>,
}

/// A read blocks at least this long when it is bounded: zero would be refused.
const SHORTEST: Duration = Duration::from_millis(1);

impl Delegate {
    /// Connects in a thread of its own, because redis-rs bounds each step of the handshake and not the
    /// whole, and name resolution not at all. A result that comes too late is closed there.
    pub(super) fn dial(
        info: ConnectionInfo,
        session: Session,
        limit: Option<Duration>,
    ) -> io::Result<Receiver<RedisResult<Self>>> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new().name("shardwright-dial".into()).spawn(move || {
            let connected = catch_unwind(AssertUnwindSafe(|| connect(info, &session, limit)));
            let _ = sender.send(connected.unwrap_or_else(|panic| Err(what_panicked(&*panic))));
        })?;
        Ok(receiver)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.owed == 0 && self.connection.is_open()
    }

    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        requests: usize,
        deadline: Deadline,
    ) -> Result<(), WireError> {
        self.owed += requests;
        self.bound(deadline)?;
        self.connection.send_packed_command(bytes).map_err(wire_error)
    }

    pub(super) fn receive(
        &mut self,
        deadline: Deadline,
        on_push: &mut dyn FnMut(Value),
    ) -> Result<(Value, usize), WireError> {
        loop {
            self.bound(deadline)?;
            match self.connection.recv_response().map_err(wire_error)? {
                push @ Value::Push { .. } => on_push(push),
                reply => {
                    self.owed = self.owed.saturating_sub(1);
                    return Ok((reply, 0));
                }
            }
        }
    }

    /// The connection itself, which owes nothing.
    pub(super) fn into_connection(self) -> redis::Connection {
        self.connection
    }

    fn bound(&mut self, deadline: Deadline) -> Result<(), WireError> {
        let left = deadline.left(clock::now()).map(|left| left.max(SHORTEST));
        if self.timeout != left {
            self.connection.set_read_timeout(left).map_err(wire_error)?;
            self.connection.set_write_timeout(left).map_err(wire_error)?;
            self.timeout = left;
        }
        Ok(())
    }
}

/// What a panic says: that of rustls, where an application has not chosen a provider of cryptography,
/// tells what to do about it.
fn what_panicked(panic: &(dyn Any + Send)) -> RedisError {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    io::Error::other(format!("the connecting thread panicked: {}", text.trim())).into()
}

fn connect(
    info: ConnectionInfo,
    session: &Session,
    limit: Option<Duration>,
) -> RedisResult<Delegate> {
    let client = redis::Client::open(info)?;
    let mut connection = match limit {
        Some(limit) => client.get_connection_with_timeout(limit)?,
        None => client.get_connection()?,
    };
    // Its own handshake was bounded; from now on nothing would be, and this thread has to end.
    connection.set_read_timeout(limit)?;
    connection.set_write_timeout(limit)?;
    for command in session.commands() {
        connection.req_packed_command(command)?.extract_error()?;
    }
    Ok(Delegate { connection, owed: 0, timeout: limit })
}

/// Says what an error of redis-rs's connection means here.
pub(super) fn wire_error(error: RedisError) -> WireError {
    if error.is_timeout() {
        WireError::Deadline
    } else if error.is_io_error() {
        let kind = if error.is_connection_dropped() {
            io::ErrorKind::ConnectionReset
        } else {
            io::ErrorKind::Other
        };
        WireError::Io(io::Error::new(kind, error))
    } else {
        WireError::Broken(error.to_string())
    }
}

impl fmt::Debug for Delegate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delegate").field("owed", &self.owed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_what_it_said() {
        let panics: [Box<dyn FnOnce() + std::panic::UnwindSafe>; 2] =
            [Box::new(|| panic!("no provider")), Box::new(|| panic!("no {}", "provider"))];
        for panic in panics {
            let error = what_panicked(&*catch_unwind(panic).unwrap_err());
            assert!(error.is_io_error() && error.to_string().contains("no provider"), "{error}");
        }
    }
}
