//! Clients that have been sent all that they are owed, and may not have it yet.
//!
//! Where a client says something that is not read, or says it when its connection is closed here, the system throws
//! away what it has not delivered (RFC 1122, 4.2.2.13). So what such a client says is read, and thrown away, until it
//! has its replies. Whether anything of them is still to be sent is known on Linux; elsewhere they have half a second.
//!
//! Unix sockets need none of this: what is sent there is the peer's at once.

use std::io;
use std::io::Read;
use std::net::Shutdown;
use std::time::Duration;
use std::time::Instant;

use mio::net::TcpStream;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the last bytes may be on their way. A client that closes its end, as it is told to, has them.
const ON_THE_WAY: Duration = Duration::from_millis(500);
/// How long a client may take in all.
const MOST: Duration = Duration::from_secs(5);
/// Reads of one client at a look. Who sends more loses what it has not taken when its time is over.
const READS: usize = 8;

/// The connections of such clients.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    all: Vec<Leaver>,
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct Leaver {
    stream: TcpStream,
    since: Instant,
    /// Since when nothing waits here to be sent.
    sent_at: Option<Instant>,
}

impl Lingering {
    /// Closes the connection when its client has what it was sent. If it `is_quiet` nothing has been read of it for a
    /// while.
    pub(super) fn close(&mut self, stream: TcpStream, is_quiet: bool, now: Instant) {
        // The socket is writable when nothing waits, not when there is some room.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(1);
        if is_quiet && is(PollFlags::OUT, &stream) && !is(PollFlags::IN, &stream) {
            return;
        }
        let mut leaver = Leaver { stream, since: now, sent_at: None };
        leaver.end_if_sent(now);
        self.all.push(leaver);
        self.next_look.get_or_insert(now + LOOK);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// When to look at them.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Looks at them, if it is time to. The `buffer` is for what is thrown away.
    pub(super) fn look(&mut self, now: Instant, buffer: &mut [u8]) {
        if self.next_look.is_some_and(|when| when <= now) {
            self.all.retain_mut(|leaver| leaver.stays(now, buffer));
            self.next_look = (!self.all.is_empty()).then(|| now + LOOK);
        }
    }
}

impl Leaver {
    fn stays(&mut self, now: Instant, buffer: &mut [u8]) -> bool {
        let is_open = (0..READS).find_map(|_| match self.stream.read(buffer) {
            Ok(0) => Some(false),
            Ok(_) => None,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => None,
                kind => Some(kind == io::ErrorKind::WouldBlock),
            },
        });
        self.end_if_sent(now);
        let has_arrived = self.sent_at.is_some_and(|when| when + ON_THE_WAY <= now);
        is_open.unwrap_or(true) && !has_arrived && now < self.since + MOST
    }

    /// Tells the client that nothing more comes, when all is sent.
    fn end_if_sent(&mut self, now: Instant) {
        if self.sent_at.is_none() && is(PollFlags::OUT, &self.stream) {
            self.sent_at = Some(now);
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// Whether the socket is ready for this, or broken.
fn is(ready: PollFlags, stream: &TcpStream) -> bool {
    let mut descriptors = [PollFd::new(stream, ready)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut descriptors, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use socket2::Domain;
    use socket2::Socket;
    use socket2::Type;

    use super::super::now;
    use super::*;

    /// Longer than anything takes that is not wrong.
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

    /// A client with little room, and our end of its connection.
    fn connection() -> (std::net::TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_recv_buffer_size(4096).unwrap();
        client.connect(&listener.local_addr().unwrap().into()).unwrap();
        client.set_read_timeout(PATIENCE).unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        (client.into(), TcpStream::from_std(stream))
    }

    /// Writes as much as the system takes, and answers how much that is.
    fn fill(stream: &mut TcpStream) -> usize {
        let mut written = 0;
        while let Ok(count) = stream.write(&[b'x'; 10_000]) {
            written += count;
        }
        assert!(!is(PollFlags::OUT, stream));
        written
    }

    /// That which has been sent a short reply.
    fn connection_with_reply() -> (std::net::TcpStream, TcpStream) {
        let (client, mut stream) = connection();
        stream.write_all(b"reply").unwrap();
        (client, stream)
    }

    /// That, and the end of the connection.
    fn has_reply(mut client: &std::net::TcpStream) -> bool {
        let mut reply = String::new();
        client.read_to_string(&mut reply).is_ok() && reply == "reply"
    }

    fn later(now: Instant, millis: u64) -> Instant {
        now + Duration::from_millis(millis)
    }

    #[test]
    fn who_says_something_gets_what_the_system_had_not_delivered() {
        let now = now();
        let (mut client, mut stream) = connection();
        let (mut lingering, mut buffer) = (Lingering::default(), [0; 1000]);
        client.write_all(b"is not read here").unwrap();
        let length = fill(&mut stream);
        lingering.close(stream, false, now);
        assert_eq!((lingering.len(), lingering.next_look()), (1, Some(later(now, 20))));
        lingering.look(later(now, 20), &mut buffer);
        client.write_all(b"nor is this").unwrap();
        lingering.look(later(now, 40), &mut buffer);
        let reader = std::thread::spawn(move || {
            let mut reply = vec![0; length];
            client.read_exact(&mut reply).unwrap();
            client.write_all(b"nor this").unwrap();
            reply.len()
        });
        while !reader.is_finished() {
            lingering.look(later(now, 60), &mut buffer);
            lingering.next_look = Some(now);
            std::thread::yield_now();
        }
        assert_eq!(reader.join().unwrap(), length);
        lingering.look(later(now, 80), &mut buffer);
        assert_eq!((lingering.len(), lingering.next_look()), (0, None), "it has closed its end");
    }

    #[test]
    fn who_has_everything_and_is_quiet_is_closed_at_once() {
        let now = now();
        let (client, stream) = connection_with_reply();
        let mut lingering = Lingering::default();
        lingering.close(stream, true, now);
        assert_eq!((lingering.len(), lingering.next_look()), (0, None));
        assert!(has_reply(&client));
    }

    #[test]
    fn who_has_said_something_that_was_not_read_is_not_quiet() {
        let now = now();
        let (mut client, stream) = connection_with_reply();
        let mut lingering = Lingering::default();
        client.write_all(b"more").unwrap();
        while !is(PollFlags::IN, &stream) {}
        lingering.close(stream, true, now);
        assert_eq!(lingering.len(), 1);
        assert!(has_reply(&client), "before anybody looks");
        lingering.look(later(now, 20), &mut [0; 1000]);
        client.write_all(b"and more").unwrap();
        drop(client);
        lingering.look(later(now, 40), &mut [0; 1000]);
        lingering.look(later(now, 60), &mut [0; 1000]);
        assert_eq!(lingering.len(), 0);
    }

    #[test]
    fn who_takes_it_and_stays_has_half_a_second_and_who_does_not_take_it_five() {
        let now = now();
        let (mut lingering, mut buffer) = (Lingering::default(), [0; 1000]);
        let (takes_it, first) = connection_with_reply();
        let (_does_not, mut second) = connection();
        fill(&mut second);
        lingering.close(first, false, now);
        lingering.close(second, true, now);
        assert!(has_reply(&takes_it));
        lingering.look(later(now, 499), &mut buffer);
        assert_eq!(lingering.len(), 2);
        lingering.look(later(now, 519), &mut buffer);
        assert_eq!(lingering.len(), 1);
        lingering.look(later(now, 4_999), &mut buffer);
        assert_eq!(lingering.len(), 1);
        lingering.look(later(now, 5_019), &mut buffer);
        assert_eq!(lingering.len(), 0);
    }
}
