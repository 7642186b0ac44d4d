//! The ring of Linux. All unsafe code of this library is here.

#![expect(
    unsafe_code,
    reason = "the kernel is given addresses; what it saves is in the module above"
)]

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use io_uring::IoUring;
use io_uring::opcode::Send;
use io_uring::squeue::Entry;
use io_uring::types::Fd;
use rustix::net::SendFlags;

/// So many sends go in at once. The completion queue is twice as long, so that it never overflows.
const SIZE: usize = 256;
/// With fewer a call for each is as good.
const LEAST: usize = 2;

/// Sends to many sockets at once, for one thread.
pub(in crate::proxy::driver) struct Ring {
    /// None once it has failed: there may be sends in it whose bytes are gone, and which must not be handed over.
    ring: Option<IoUring>,
    /// Room for sends.
    entries: Vec<Entry>,
}

impl Ring {
    /// A ring for the thread that calls this, which only that thread may use.
    ///
    /// # Errors
    ///
    /// If the system has none for us: it is older than Linux 5.18, or somebody has forbidden it (seccomp(2),
    /// `/proc/sys/kernel/io_uring_disabled`).
    pub(in crate::proxy::driver) fn new() -> io::Result<Self> {
        let size = SIZE as u32;
        // Without the first a send that cannot be begun holds up those behind it.
        let ring = IoUring::builder()
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(size)
            // Before Linux 6.1 there are no others.
            .or_else(|_| IoUring::builder().setup_submit_all().build(size))?;
        Ok(Self { ring: Some(ring), entries: Vec::with_capacity(SIZE) })
    }

    /// Sends what the sockets take at the moment, one after the other; what comes of it goes into `sent`. `None` is
    /// nothing to be sent, and one alone is not worth the while.
    ///
    /// # Errors
    ///
    /// If the ring cannot be used any more. What is in `sent` holds.
    pub(in crate::proxy::driver) fn send_all<'a>(
        &mut self,
        sends: impl Iterator<Item = Option<(BorrowedFd<'a>, &'a [u8])>>,
        sent: &mut Vec<io::Result<usize>>,
    ) -> io::Result<()> {
        sent.clear();
        self.entries.clear();
        let mut done = Ok(());
        for send in sends {
            if let Some((socket, bytes)) = send
                && !bytes.is_empty()
            {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let send = Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length);
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let send = send.flags(flags.bits().cast_signed());
                self.entries.push(send.build().user_data(sent.len() as u64));
            }
            sent.push(Ok(0));
            if self.entries.len() == SIZE {
                done = done.and_then(|()| self.carry_out(sent));
                self.entries.clear();
            }
        }
        if self.entries.len() >= LEAST {
            done = done.and_then(|()| self.carry_out(sent));
        }
        done
    }

    /// Makes the sends.
    fn carry_out(&mut self, sent: &mut [io::Result<usize>]) -> io::Result<()> {
        let Some(ring) = &mut self.ring else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        // How much has been sent of those that are not answered is not known.
        for send in &self.entries {
            sent[place_of(send)] = Err(io::ErrorKind::Other.into());
        }
        // SAFETY: The caller has borrowed the sockets and the bytes of the entries for longer than this call, and the
        // kernel looks at neither after it: with MSG_DONTWAIT a send is made or refused while it is handed over, and is
        // never kept for later (Linux, io_uring/net.c, io_sendmsg_prep: REQ_F_NOWAIT). This returns when all of them have
        // been answered; or else the ring goes, and with it those that were not handed over.
        let pushed = unsafe { ring.submission().push_multiple(&self.entries) };
        pushed.expect("the queue was empty, and has room for them");
        let mut left = self.entries.len();
        while left > 0 {
            let submitted = ring.submit_and_wait(left);
            for completion in ring.completion() {
                left -= 1;
                sent[completion.user_data() as usize] = result_of(completion.result());
            }
            if let Err(error) = submitted
                && error.kind() != io::ErrorKind::Interrupted
            {
                let begun = self.entries.len() - ring.submission().len();
                self.entries[begun..].iter().for_each(|send| sent[place_of(send)] = Ok(0));
                self.ring = None;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Which of the sends it is.
fn place_of(send: &Entry) -> usize {
    send.get_user_data() as usize
}

/// What came of a send, as the kernel says it: a count, or the number of an error below 0.
fn result_of(result: i32) -> io::Result<usize> {
    match usize::try_from(result) {
        Ok(count) => Ok(count),
        Err(_) => match io::Error::from_raw_os_error(-result) {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    /// A ring, if this system lets us have one.
    fn ring() -> Option<Ring> {
        Ring::new().inspect_err(|error| eprintln!("skipped: no io_uring: {error}")).ok()
    }

    /// Pairs of sockets, of which ours do not block.
    fn pairs(count: usize) -> (Vec<UnixStream>, Vec<UnixStream>) {
        let pair = |_| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            (ours, theirs)
        };
        (0..count).map(pair).unzip()
    }

    /// What came of sends: how much was sent, or what went wrong.
    type Sent = Vec<Result<usize, io::ErrorKind>>;

    /// Sends these bytes to each.
    fn send_all(
        ring: &mut Ring,
        sockets: &[impl AsFd],
        bytes: impl Fn(usize) -> Vec<u8>,
    ) -> (io::Result<()>, Sent) {
        let bytes: Vec<_> = (0..sockets.len()).map(bytes).collect();
        let sends = sockets.iter().zip(&bytes);
        let sends = sends.map(|(socket, bytes)| Some((socket.as_fd(), bytes.as_slice())));
        // Whatever was there before.
        let mut sent = vec![Ok(17)];
        let result = ring.send_all(sends, &mut sent);
        let kinds = sent.into_iter().map(|sent| sent.map_err(|error| error.kind()));
        (result, kinds.collect())
    }

    #[test]
    fn each_socket_is_sent_its_own_however_many_there_are() {
        let Some(mut ring) = ring() else { return };
        for count in [2, 3, SIZE, SIZE + 2] {
            let (ours, theirs) = pairs(count);
            for round in 0..3 {
                let bytes = |number| format!("{round} {number}").into_bytes();
                let (result, sent) = send_all(&mut ring, &ours, bytes);
                result.unwrap();
                for (number, (mut theirs, sent)) in theirs.iter().zip(sent).enumerate() {
                    let mut got = vec![0; sent.unwrap()];
                    theirs.read_exact(&mut got).unwrap();
                    assert_eq!(got, bytes(number));
                }
            }
        }
    }

    #[test]
    fn one_alone_and_nothing_are_not_sent() {
        let Some(mut ring) = ring() else { return };
        // The last one is alone behind a full queue.
        for count in [1, SIZE + 1] {
            let (ours, theirs) = pairs(count);
            let (result, sent) = send_all(&mut ring, &ours, |_| b"one".to_vec());
            result.unwrap();
            assert_eq!(sent[count - 1], Ok(0));
            assert!(sent[..count - 1].iter().all(|sent| *sent == Ok(3)));
            let mut last = &theirs[count - 1];
            last.set_nonblocking(true).unwrap();
            assert_eq!(last.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        let (ours, _theirs) = pairs(1);
        let mut sent = Vec::new();
        let sends = [None, Some((ours[0].as_fd(), &b""[..])), None];
        ring.send_all(sends.into_iter(), &mut sent).unwrap();
        assert!(matches!(sent[..], [Ok(0), Ok(0), Ok(0)]));
    }

    #[test]
    fn a_socket_that_is_full_or_closed_holds_up_no_other() {
        let Some(mut ring) = ring() else { return };
        let (ours, mut theirs) = pairs(5);
        while (&ours[1]).write(&[0; 4096]).is_ok() {}
        drop(theirs.remove(3));
        let (result, sent) = send_all(&mut ring, &ours, |_| b"some".to_vec());
        result.unwrap();
        assert_eq!(sent, [Ok(4), Ok(0), Ok(4), Err(io::ErrorKind::BrokenPipe), Ok(4)]);
    }

    /// The system tells of a reset once: whoever sends again would not learn of it.
    #[test]
    fn the_error_of_a_socket_is_told() {
        let Some(mut ring) = ring() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let (ours, theirs): (Vec<_>, Vec<_>) = (0..2).map(|_| pair()).unzip();
        socket2::SockRef::from(&theirs[1]).set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        let mut poll = [rustix::event::PollFd::new(&ours[1], rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut poll, None).unwrap();
        let (result, sent) = send_all(&mut ring, &ours, |_| b"some".to_vec());
        result.unwrap();
        assert_eq!(sent, [Ok(4), Err(io::ErrorKind::ConnectionReset)]);
    }

    #[test]
    fn a_socket_takes_what_it_has_room_for() {
        let Some(mut ring) = ring() else { return };
        let (ours, theirs) = pairs(2);
        let bytes: Vec<u8> = (0..4_000_000_u32).map(|number| (number / 3) as u8).collect();
        let (result, sent) = send_all(&mut ring, &ours, |_| bytes.clone());
        result.unwrap();
        for (mut theirs, sent) in theirs.iter().zip(sent) {
            let sent = sent.unwrap();
            assert!((1..bytes.len()).contains(&sent), "{sent}");
            let mut got = vec![0; sent];
            theirs.read_exact(&mut got).unwrap();
            assert!(got == bytes[..sent]);
        }
    }

    #[test]
    fn a_ring_that_has_failed_has_sent_nothing_and_sends_nothing_later() {
        let Some(mut ring) = ring() else { return };
        let (ours, theirs) = pairs(3);
        // It is this thread's.
        let (result, sent) = std::thread::scope(|scope| {
            scope.spawn(|| send_all(&mut ring, &ours, |_| b"some".to_vec())).join().unwrap()
        });
        if result.is_ok() {
            eprintln!("skipped: before Linux 6.1 a ring is everybody's");
            return;
        }
        assert_eq!(sent, [Ok(0); 3]);
        let (result, sent) = send_all(&mut ring, &ours, |_| b"more".to_vec());
        assert_eq!(
            (result.unwrap_err().kind(), sent),
            (io::ErrorKind::Unsupported, vec![Ok(0); 3])
        );
        for (mut ours, mut theirs) in ours.iter().zip(&theirs) {
            ours.write_all(b"other").unwrap();
            let mut got = [0; 5];
            theirs.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"other");
        }
    }
}
