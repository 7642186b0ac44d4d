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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::proxy::control::clock;

    /// A connection that waits for a request, and its client.
    fn scene() -> (Connection, UnixStream, Instant) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let socket = Socket::Unix(mio::net::UnixStream::from_std(ours));
        let now = clock::now();
        (Connection::asking(socket, now), theirs, now)
    }

    fn answer(asked: Asked) -> Vec<u8> {
        format!("{asked:?}").into_bytes()
    }

    #[test]
    fn a_client_that_dribbles_gets_no_more_time() {
        let (mut connection, mut client, now) = scene();
        for second in 0..4 {
            client.write_all(b"G").unwrap();
            let now = now + Duration::from_secs(second);
            assert!(!connection.advance(now, |_| unreachable!("there is no request")));
        }
        assert_eq!(connection.deadline(), now + ASKING);
    }

    #[test]
    fn a_reply_is_followed_by_the_end_and_a_short_farewell() {
        let (mut connection, mut client, now) = scene();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n and more").unwrap();
        assert!(!connection.advance(now, answer));
        assert_eq!(connection.deadline(), now + PARTING);
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "Ok(Request { is_head: false, path: \"/\" })");
        drop(client);
        assert!(connection.advance(now, answer));
    }

    #[test]
    fn a_client_that_does_not_read_has_a_while_for_it() {
        let (mut connection, mut client, now) = scene();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(!connection.advance(now, |_| vec![b'a'; 10_000_000]));
        assert_eq!(connection.deadline(), now + REPLYING);
        let mut length = 0;
        let mut buffer = [0; 65_536];
        while connection.deadline() == now + REPLYING {
            while let Ok(count) = client.read(&mut buffer) {
                length += count;
            }
            assert!(!connection.advance(now, |_| unreachable!("it was asked")));
        }
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            length += count;
        }
        assert_eq!(length, 10_000_000);
    }

    #[test]
    fn a_client_that_never_stops_sending_is_left() {
        let (mut connection, mut client, now) = scene();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut sent = 0;
        while !connection.advance(now, answer) {
            assert!(sent < 2 * MAX_PARTING);
            client.write_all(&[b'a'; 4096]).unwrap();
            sent += 4096;
        }
    }

    #[test]
    fn a_client_that_leaves_is_over() {
        let (mut connection, mut client, now) = scene();
        client.write_all(b"GET").unwrap();
        drop(client);
        assert!(connection.advance(now, |_| unreachable!("there is no request")));
    }
}
