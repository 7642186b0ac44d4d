//! Waiting at the start for what another process still has: with `kill PID && shardwright-proxy …` the second comes before
//! the first has heard that it is to end, and gives up its place.

use std::io;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::log::log;

/// How long a start waits in all.
const LIMIT: Duration = Duration::from_secs(2);

/// How long between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// What is left of the time to wait.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    has_said: bool,
}

impl Patience {
    /// From now on.
    pub(super) fn new() -> Self {
        Self { until: now() + LIMIT, has_said: false }
    }

    /// Does it, and again while somebody else has what it needs. The log is told once what is waited for.
    ///
    /// # Errors
    ///
    /// The last one, when there is no time left; any other at once.
    pub(super) fn wait_for<T>(
        &mut self,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if is_taken(&error) && now() < self.until => {
                    if !std::mem::replace(&mut self.has_said, true) {
                        log!(Notice, "waiting for another process: {error}");
                    }
                    pause();
                }
                result => return result,
            }
        }
    }
}

/// Whether somebody else has it.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::ResourceBusy)
}

#[expect(clippy::disallowed_methods, reason = "other processes run in real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "nothing tells what other processes give up")]
fn pause() {
    thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_in_time_is_had() {
        let mut left = 3;
        let result = Patience::new().wait_for(|| {
            left -= 1;
            if left > 0 { Err(io::ErrorKind::AddrInUse.into()) } else { Ok("mine") }
        });
        assert_eq!(result.unwrap(), "mine");
    }

    #[test]
    fn what_is_not_and_what_else_is_wrong_is_an_error() {
        let mut patience = Patience { until: now(), has_said: false };
        for kind in [io::ErrorKind::ResourceBusy, io::ErrorKind::PermissionDenied] {
            let result = patience.wait_for(|| Err::<(), _>(kind.into()));
            assert_eq!(result.unwrap_err().kind(), kind);
        }
        let mut count = 0;
        let error = Patience::new().wait_for(|| {
            count += 1;
            Err::<(), _>(io::ErrorKind::PermissionDenied.into())
        });
        assert_eq!((error.unwrap_err().kind(), count), (io::ErrorKind::PermissionDenied, 1));
    }
}
