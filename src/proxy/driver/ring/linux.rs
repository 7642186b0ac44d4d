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
use rustix::net::Shutdown;

/// So many sends go in at once. A completion queue is twice as long, so that it never overflows.
const SIZE: usize = 256;
/// With fewer a call for each is as good.
const LEAST: usize = 2;

/// Sends to many sockets at once, for one thread.
pub(in crate::proxy::driver) struct Ring {
    ring: IoUring,
    /// Room for sends.
    entries: Vec<Entry>,
}

/// A socket, and what it is to be sent now; `None` where nothing is.
type Sending<'a> = Option<(BorrowedFd<'a>, &'a [u8])>;

/// In the place of a count: the send was begun, and nobody knows what came of it.
const UNKNOWN: usize = usize::MAX;

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
        Ok(Self { ring, entries: Vec::with_capacity(SIZE) })
    }

    /// Sends what the sockets take at the moment, one after the other; into `taken` goes for each how much that is.
    /// Sends nothing if that would not be worth the while.
    ///
    /// # Errors
    ///
    /// If the ring is not to be used any more. What is in `taken` holds; a socket of which is not known what it has taken
    /// is shut down.
    pub(in crate::proxy::driver) fn send_all<'a>(
        &mut self,
        sends: impl Iterator<Item = Sending<'a>> + Clone,
        taken: &mut Vec<usize>,
    ) -> io::Result<()> {
        self.entries.clear();
        for (place, sending) in sends.clone().enumerate() {
            taken.push(0);
            if let Some((socket, bytes)) = sending
                && !bytes.is_empty()
            {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let send = Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length);
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let send = send.flags(flags.bits().cast_signed());
                self.entries.push(send.build().user_data(place as u64));
            }
        }
        if self.entries.len() < LEAST {
            return Ok(());
        }
        let chunks = (0..self.entries.len()).step_by(SIZE);
        let failed = chunks.map(|first| self.carry_out(first, taken)).find(Result::is_err);
        let Some(failed) = failed else {
            return Ok(());
        };
        for (count, sending) in taken.iter_mut().zip(sends) {
            if *count == UNKNOWN {
                *count = 0;
                // Whatever it has taken, nothing is sent behind it.
                let _ = sending.map(|(socket, _)| rustix::net::shutdown(socket, Shutdown::Both));
            }
        }
        failed
    }

    /// Makes the sends from the entry `first` on, as many as go in at once.
    fn carry_out(&mut self, first: usize, taken: &mut [usize]) -> io::Result<()> {
        let chunk = &self.entries[first..self.entries.len().min(first + SIZE)];
        chunk.iter().for_each(|send| taken[place_of(send)] = UNKNOWN);
        // SAFETY: The caller has borrowed the sockets and the bytes of the entries for longer than this call, and the
        // kernel looks at neither after it: with MSG_DONTWAIT a send is made or refused while it is handed over, and is
        // never kept for later (Linux, io_uring/net.c, io_sendmsg_prep: REQ_F_NOWAIT). This returns when all of them have
        // been answered, or else nothing is handed over any more.
        let pushed = unsafe { self.ring.submission().push_multiple(chunk) };
        pushed.expect("the queue was empty, and has room for a chunk");
        let mut left = chunk.len();
        while left > 0 {
            let submitted = self.ring.submit_and_wait(left);
            for completion in self.ring.completion() {
                left -= 1;
                // An error is none yet: whoever sends again meets it.
                let count = usize::try_from(completion.result()).unwrap_or(0);
                taken[completion.user_data() as usize] = count;
            }
            if let Err(error) = submitted
                && error.kind() != io::ErrorKind::Interrupted
            {
                let begun = chunk.len() - self.ring.submission().len();
                chunk[begun..].iter().for_each(|send| taken[place_of(send)] = 0);
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

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A ring, if this system lets us have one.
    fn ring() -> Option<Ring> {
        Ring::new().inspect_err(|error| eprintln!("skipped: no io_uring: {error}")).ok()
    }

    /// Pairs of sockets, of which ours do not block.
    fn pairs(count: usize) -> Vec<(UnixStream, UnixStream)> {
        let pair = |_| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            (ours, theirs)
        };
        (0..count).map(pair).collect()
    }

    /// Sends these bytes to each.
    fn send_all(
        ring: &mut Ring,
        pairs: &[(UnixStream, UnixStream)],
        bytes: impl Fn(usize) -> Vec<u8>,
    ) -> (io::Result<()>, Vec<usize>) {
        let bytes: Vec<_> = (0..pairs.len()).map(bytes).collect();
        let sends = pairs.iter().zip(&bytes);
        let sends = sends.map(|((ours, _), bytes)| Some((ours.as_fd(), bytes.as_slice())));
        let mut taken = Vec::new();
        let result = ring.send_all(sends, &mut taken);
        (result, taken)
    }

    #[test]
    fn each_socket_is_sent_its_own_however_many_there_are() {
        let Some(mut ring) = ring() else { return };
        // Whatever the limit of descriptors is usually, this is less.
        for count in [2, 3, SIZE, SIZE + 1, 2 * SIZE - 60] {
            let pairs = pairs(count);
            for round in 0..3 {
                let bytes = |number| format!("{round} {number}").into_bytes();
                let (result, taken) = send_all(&mut ring, &pairs, bytes);
                result.unwrap();
                for (number, (_, theirs)) in pairs.iter().enumerate() {
                    let mut got = vec![0; taken[number]];
                    (&mut &*theirs).read_exact(&mut got).unwrap();
                    assert_eq!(got, bytes(number));
                }
            }
        }
    }

    #[test]
    fn one_alone_and_nothing_are_not_sent() {
        let Some(mut ring) = ring() else { return };
        let pairs = pairs(1);
        let (result, taken) = send_all(&mut ring, &pairs, |_| b"one".to_vec());
        assert_eq!((result.is_ok(), taken), (true, vec![0]));
        let socket = || Some((pairs[0].0.as_fd(), &b""[..]));
        let mut taken = Vec::new();
        let sends = [None, socket(), None, Some((pairs[0].0.as_fd(), &b"one"[..]))];
        ring.send_all(sends.into_iter(), &mut taken).unwrap();
        assert_eq!(taken, [0; 4]);
        pairs[0].1.set_nonblocking(true).unwrap();
        let read = (&mut &pairs[0].1).read(&mut [0]);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_socket_that_is_full_or_closed_holds_up_no_other() {
        let Some(mut ring) = ring() else { return };
        let mut pairs = pairs(5);
        while pairs[1].0.write(&[0; 4096]).is_ok() {}
        let (closed, _) = UnixStream::pair().unwrap();
        pairs[3].1 = closed;
        let (result, taken) = send_all(&mut ring, &pairs, |_| b"some".to_vec());
        assert_eq!((result.is_ok(), taken), (true, vec![4, 0, 4, 0, 4]));
        let error = pairs[3].0.write(b"some").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "who sends again learns why");
    }

    #[test]
    fn a_socket_takes_what_it_has_room_for() {
        let Some(mut ring) = ring() else { return };
        let pairs = pairs(2);
        let bytes: Vec<u8> = (0..4_000_000_u32).map(|number| (number / 3) as u8).collect();
        let (result, taken) = send_all(&mut ring, &pairs, |_| bytes.clone());
        result.unwrap();
        for ((_, theirs), taken) in pairs.iter().zip(taken) {
            assert!((1..bytes.len()).contains(&taken), "{taken}");
            let mut got = vec![0; taken];
            (&mut &*theirs).read_exact(&mut got).unwrap();
            assert!(got == bytes[..taken]);
        }
    }

    #[test]
    fn a_ring_that_the_system_does_not_serve_any_more_has_sent_nothing() {
        let Some(mut ring) = ring() else { return };
        let pairs = pairs(3);
        // It is this thread's.
        let sent = std::thread::scope(|scope| {
            scope.spawn(|| send_all(&mut ring, &pairs, |_| b"some".to_vec())).join().unwrap()
        });
        let (Err(_), taken) = sent else {
            eprintln!("skipped: before Linux 6.1 a ring is everybody's");
            return;
        };
        assert_eq!(taken, [0; 3]);
        for (ours, theirs) in &pairs {
            (&mut &*ours).write_all(b"other").unwrap();
            let mut got = [0; 5];
            (&mut &*theirs).read_exact(&mut got).unwrap();
            assert_eq!(&got, b"other");
        }
    }
}
