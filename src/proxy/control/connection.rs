//! One connection to the control plane: a request, its reply, and a farewell, none of which is waited for.

use std::io;
use std::io::Read;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use super::http::Request;
use super::http::Status;
use super::listener::Socket;

/// How long a client may take for its request.
const ASKING: Duration = Duration::from_secs(5);

/// How long a client may take to read the reply.
const REPLYING: Duration = Duration::from_secs(10);

/// How long we look whether the client closes, once it has everything.
const PARTING: Duration = Duration::from_secs(1);

/// The most that is read and thrown away meanwhile.
const MAX_PARTING: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    stage: Stage,
    deadline: Instant,
}

#[derive(Debug)]
enum Stage {
    /// What there is of the request.
    Asking(Vec<u8>),
    Replying {
        reply: Vec<u8>,
        sent: usize,
    },
    /// We are done, but to close now would break the connection under a client that is still sending, and
    /// take the reply from it.
    Parting {
        thrown_away: usize,
    },
}

/// What an HTTP connection asks for.
pub(super) type Asked = Result<Request, Status>;

impl Connection {
    /// One that waits for a request.
    pub(super) fn asking(socket: Socket, now: Instant) -> Self {
        Self { socket, stage: Stage::Asking(Vec::new()), deadline: now + ASKING }
    }

    /// One that gets a reply unasked.
    pub(super) fn replying(socket: Socket, reply: Vec<u8>, now: Instant) -> Self {
        Self { socket, stage: Stage::Replying { reply, sent: 0 }, deadline: now + REPLYING }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Does what can be done without waiting; answers whether it is over. `answer` is asked once.
    pub(super) fn advance(&mut self, now: Instant, answer: impl FnOnce(Asked) -> Vec<u8>) -> bool {
        let mut answer = Some(answer);
        loop {
            let next = match &mut self.stage {
                Stage::Asking(bytes) => ask(&mut self.socket, bytes).map(|asked| {
                    let answer = answer.take()?;
                    self.deadline = now + REPLYING;
                    Some(Stage::Replying { reply: answer(asked?), sent: 0 })
                }),
                Stage::Replying { reply, sent } => send(&mut self.socket, reply, sent).map(|()| {
                    self.deadline = now + PARTING;
                    self.socket.end().ok()?;
                    Some(Stage::Parting { thrown_away: 0 })
                }),
                Stage::Parting { thrown_away } => {
                    throw_away(&mut self.socket, thrown_away).map(|()| None)
                }
            };
            match next {
                Ok(Some(stage)) => self.stage = stage,
                Ok(None) => return true,
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }

    /// When it is to be given up.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// Reads until there is a request. `None` if the client has closed before.
fn ask(socket: &mut Socket, bytes: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    let mut buffer = [0; 2048];
    loop {
        match read(socket, &mut buffer)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if let Some(asked) = Request::read(bytes).transpose() {
            return Ok(Some(asked));
        }
    }
}

fn send(socket: &mut Socket, reply: &[u8], sent: &mut usize) -> io::Result<()> {
    while *sent < reply.len() {
        match socket.write(&reply[*sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until the client has closed, or has sent too much.
fn throw_away(socket: &mut Socket, thrown_away: &mut usize) -> io::Result<()> {
    let mut buffer = [0; 2048];
    while *thrown_away < MAX_PARTING {
        match read(socket, &mut buffer)? {
            0 => break,
            count => *thrown_away += count,
        }
    }
    Ok(())
}

fn read(socket: &mut Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
