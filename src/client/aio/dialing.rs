//! Connecting to one node for what it says unasked: once, and again after it was lost.

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use redis::ErrorKind;
use redis::RedisError;
use redis::RedisResult;

use super::runtime::within;
use crate::client::clock;
use crate::client::clock::Deadline;
use crate::client::clock::Patience;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Failure;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::failure::incident;
use crate::client::shared::Shared;
use crate::client::wire::Refusal;
use crate::client::wire::WireError;
use crate::topology::Member;

/// How often the topology is looked at.
pub(super) const GLANCE: Duration = Duration::from_millis(100);

/// How long redis-rs's asynchronous client takes to connect at most, if nobody says otherwise.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// How long to wait before a node is connected to again: longer with each failure.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    /// The node does what it is asked.
    pub(super) fn forget(&mut self) {
        self.failures = 0;
    }

    /// The node failed.
    pub(super) fn count(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(super) fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => (Self::FIRST * (1 << (failures - 1).min(6))).min(Self::LONGEST),
        }
    }
}

/// Connects to `member` as `open` has it, within the client's time for that.
///
/// # Errors
///
/// If it cannot be connected to; its health has been told.
pub(super) async fn dial<T, F>(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    open: impl FnOnce(redis::Client) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = RedisResult<T>>,
{
    let options = &shared.options;
    let limit = options.connect_timeout.or(options.timeout).unwrap_or(CONNECT_LIMIT);
    let deadline = Deadline::after(clock::now(), Some(limit));
    let epoch = member.epoch();
    let opening = async { open(redis::Client::open(member.endpoint().info().clone())?).await };
    let error = match within(Some(limit), AssertUnwindSafe(opening).catch_unwind()).await {
        Some(Ok(Ok(connection))) => return Ok(connection),
        Some(Ok(Err(error))) => wire_error(error),
        Some(Err(panic)) => what_panicked(&*panic),
        None => WireError::Deadline,
    };
    Err(blame(shared, member, epoch, error, Phase::Connecting, deadline))
}

/// Tells the health of `member` of a connection that was lost, and says what to tell the caller.
pub(super) fn lose(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    error: WireError,
) -> Failure {
    // The connection may be older than the last ejection, its end is not.
    blame(shared, member, member.epoch(), error, Phase::Talking, Deadline::NEVER)
}

fn blame(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    epoch: u64,
    error: WireError,
    phase: Phase,
    deadline: Deadline,
) -> Failure {
    let patience = Patience { limit: deadline.limit(), is_blocking: false };
    shared.observe(member, epoch, incident(&error, phase, patience));
    failure_of(member, error, phase, deadline)
}

/// What redis-rs says of a connection that has ended.
pub(super) fn disconnected() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// Says what an error of redis-rs's connection means here.
pub(super) fn wire_error(error: RedisError) -> WireError {
    if error.is_io_error() {
        return WireError::Io(io_error(error));
    }
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => WireError::Broken(error.to_string()),
        kind => WireError::Refused(Refusal { kind, reason: error.to_string() }),
    }
}

/// With the system's number, if it has one: that tells whether it is this machine that fails.
fn io_error(error: RedisError) -> io::Error {
    let shared =
        error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let carried = shared.and_then(|shared| (**shared).downcast_ref::<io::Error>());
    match carried.map(|carried| (carried.raw_os_error(), carried.kind())) {
        Some((Some(number), _)) => io::Error::from_raw_os_error(number),
        Some((None, kind)) => io::Error::new(kind, error),
        None => io::Error::other(error),
    }
}

/// What a panic says: that of rustls, where an application has not chosen a provider of cryptography,
/// tells what to do about it.
fn what_panicked(panic: &(dyn Any + Send)) -> WireError {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    WireError::Io(io::Error::other(format!("connecting panicked: {}", text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_pause_up_to_a_limit() {
        let mut back_off = BackOff::default();
        let mut pauses = Vec::new();
        for _ in 0..200 {
            pauses.push(back_off.pause().as_millis());
            back_off.count();
        }
        assert_eq!(pauses[..8], [0, 50, 100, 200, 400, 800, 1600, 2000]);
        assert!(pauses[8..].iter().all(|pause| *pause == 2000));
        back_off.forget();
        assert_eq!(back_off.pause(), Duration::ZERO);
    }

    #[test]
    fn the_systems_number_is_kept() {
        let number = rustix::io::Errno::MFILE.raw_os_error();
        let error = RedisError::from(io::Error::from_raw_os_error(number));
        let WireError::Io(error) = wire_error(error) else { panic!("not of input or output") };
        assert_eq!(error.raw_os_error(), Some(number));
    }
}
