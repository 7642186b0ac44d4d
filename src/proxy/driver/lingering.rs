//! Clients that have been sent all that they are owed, and may not have it yet.
//!
//! Where a client says something that is not read, or says it when its connection is closed here, the system throws
//! away what it has not delivered (RFC 1122, 4.2.2.13). So what such a client says is read, and thrown away, until it
//! has its replies.

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
/// How long the last bytes may be on their way; who closes its end has them.
const ON_THE_WAY: Duration = Duration::from_millis(500);
/// How long a client may take in all.
const MOST: Duration = Duration::from_secs(5);

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
    /// Closes the connection when its client has what it was sent. If it `is_quiet` nothing has come from it for a while.
    pub(super) fn close(&mut self, stream: TcpStream, is_quiet: bool, now: Instant) {
        // Elsewhere it is enough that there is room for more.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(1);
        if !is_quiet || !is_sent(&stream) {
            self.all.push(Leaver { stream, since: now, sent_at: None });
            self.next_look.get_or_insert(now + LOOK);
        }
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
        // One read is enough: the socket is read again before there can be so much more.
        let is_open = match self.stream.read(buffer) {
            Ok(count) => count > 0,
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
            }
        };
        if self.sent_at.is_none() && is_sent(&self.stream) {
            self.sent_at = Some(now);
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        let has_arrived = self.sent_at.is_some_and(|when| when + ON_THE_WAY <= now);
        is_open && !has_arrived && now < self.since + MOST
    }
}

/// Whether nothing waits to be sent.
fn is_sent(stream: &TcpStream) -> bool {
    let mut descriptors = [PollFd::new(stream, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut descriptors, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::super::now;
    use super::*;

    /// A client, and our end of its connection, to which more has been written than it has room for.
    fn connection(length: usize) -> (std::net::TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream);
        let written = stream.write(&vec![b'x'; length]).unwrap();
        assert_eq!(written, length, "the system takes it all");
        (client, stream)
    }

    fn later(now: Instant, millis: u64) -> Instant {
        now + Duration::from_millis(millis)
    }

    #[test]
    fn who_says_something_gets_what_the_system_had_not_delivered() {
        const LENGTH: usize = 1 << 20;
        let now = now();
        let (mut client, stream) = connection(LENGTH);
        let (mut lingering, mut buffer) = (Lingering::default(), [0; 100]);
        client.write_all(b"is not read here").unwrap();
        lingering.close(stream, false, now);
        assert_eq!((lingering.len(), lingering.next_look()), (1, Some(later(now, 20))));
        lingering.look(later(now, 20), &mut buffer);
        client.write_all(b"nor is this").unwrap();
        lingering.look(later(now, 40), &mut buffer);
        // Half of it is still to be sent.
        let mut reply = vec![0; LENGTH / 2];
        client.read_exact(&mut reply).unwrap();
        client.write_all(b"nor this").unwrap();
        let reader = std::thread::spawn(move || {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).unwrap();
            rest.len()
        });
        let mut time = later(now, 60);
        while lingering.len() > 0 {
            lingering.look(time, &mut buffer);
            time = later(time, 20);
            std::thread::yield_now();
        }
        assert_eq!(reader.join().unwrap(), LENGTH / 2);
        assert!(lingering.next_look().is_none() && time < now + MOST);
    }

    #[test]
    fn who_has_everything_and_is_quiet_is_closed_at_once() {
        let now = now();
        let (mut client, stream) = connection(5);
        let mut lingering = Lingering::default();
        lingering.close(stream, true, now);
        assert_eq!((lingering.len(), lingering.next_look()), (0, None));
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "xxxxx");
    }

    #[test]
    fn who_takes_it_and_stays_has_half_a_second_and_who_does_not_take_it_five() {
        let now = now();
        let (mut lingering, mut buffer) = (Lingering::default(), [0; 100]);
        let (mut takes_it, first) = connection(5);
        let (_does_not, second) = connection(1 << 20);
        lingering.close(first, false, now);
        lingering.close(second, true, now);
        lingering.look(later(now, 20), &mut buffer);
        assert_eq!(takes_it.read(&mut [0; 10]).unwrap(), 5);
        assert_eq!(takes_it.read(&mut [0; 10]).unwrap(), 0, "it is told that nothing more comes");
        lingering.look(later(now, 519), &mut buffer);
        assert_eq!(lingering.len(), 2);
        lingering.look(later(now, 539), &mut buffer);
        assert_eq!(lingering.len(), 1);
        lingering.look(later(now, 4_999), &mut buffer);
        assert_eq!(lingering.len(), 1);
        lingering.look(later(now, 5_019), &mut buffer);
        assert_eq!(lingering.len(), 0);
    }
}
