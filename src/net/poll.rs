//! Waiting for several sockets.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Interest<'a> {
    /// Bytes to read, or the end of the stream.
    Readable(BorrowedFd<'a>),
    /// Room to write, or the end of an attempt to connect.
    Writable(BorrowedFd<'a>),
    /// Either.
    Both(BorrowedFd<'a>),
    /// Another thread's result, which no socket announces.
    Thread,
}

/// How often results of other threads are looked for.
const THREAD_INTERVAL: Duration = Duration::from_millis(2);

/// Waits until one of `interests` may have come true, or `limit` has passed. Says of each whether it has;
/// of one for another thread's result, and of an attempt to connect, always that it may have.
pub(crate) fn wait<'a>(
    interests: impl Iterator<Item = Option<Interest<'a>>> + Clone,
    limit: Option<Duration>,
) -> io::Result<Vec<bool>> {
    let mut limit = limit;
    let mut descriptors = Vec::new();
    for interest in interests.clone().flatten() {
        match interest {
            Interest::Readable(socket) => {
                descriptors.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
            }
            Interest::Writable(socket) => {
                descriptors.push(PollFd::from_borrowed_fd(socket, PollFlags::OUT));
            }
            Interest::Both(socket) => {
                let flags = PollFlags::IN | PollFlags::OUT;
                descriptors.push(PollFd::from_borrowed_fd(socket, flags));
            }
            Interest::Thread => {
                limit = Some(limit.map_or(THREAD_INTERVAL, |limit| limit.min(THREAD_INTERVAL)));
            }
        }
    }
    let limit = limit.map(|limit| Timespec::try_from(limit).unwrap_or(LONGEST));
    match rustix::event::poll(&mut descriptors, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut events = descriptors.iter().map(|descriptor| !descriptor.revents().is_empty());
    let ready = interests.map(|interest| match interest {
        None => false,
        Some(Interest::Thread) => true,
        Some(Interest::Writable(_)) => {
            events.next();
            true
        }
        Some(_) => events.next().unwrap_or(true),
    });
    Ok(ready.collect())
}

const LONGEST: Timespec = Timespec { tv_sec: 1 << 30, tv_nsec: 0 };

/// Whether `socket` has room to write, or an attempt to connect has ended, without waiting.
pub(crate) fn is_writable(socket: impl AsFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(&socket, PollFlags::OUT)];
    loop {
        match rustix::event::poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
