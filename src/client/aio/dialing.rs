//! Connecting to one node for what it says unasked: once, and again after it was lost.

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use redis::RedisResult;

use super::connecting::adapted;
use super::failure::connect_failure;
use super::link::LinkError;
use super::runtime::within;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Failure;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::failure::incident;
use crate::client::patience::Patience;
use crate::client::session::Session;
use crate::client::shared::Shared;
use crate::client::wire::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
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
    let info = adapted(member.endpoint().info(), &Session::default());
    let opening = AssertUnwindSafe(async { open(redis::Client::open(info)?).await });
    let error = match within(Some(limit), opening.catch_unwind()).await {
        Some(Ok(Ok(connection))) => return Ok(connection),
        Some(Ok(Err(error))) => LinkError::Redis(error),
        Some(Err(panic)) => LinkError::Wire(WireError::Io(what_panicked(&*panic))),
        None => LinkError::Wire(WireError::Deadline),
    };
    let (failure, incident) = connect_failure(member, error, deadline);
    shared.observe(member, epoch, incident);
    Err(failure)
}

/// Tells the health of `member` of a connection that was lost, and says what to tell the caller.
pub(super) fn lose(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    error: WireError,
) -> Failure {
    let patience = Patience { limit: None, is_blocking: false };
    // The connection may be older than the last ejection, its end is not.
    shared.observe(member, member.epoch(), incident(&error, Phase::Talking, patience));
    failure_of(member, error, Phase::Talking, Deadline::NEVER)
}

/// What redis-rs says of a connection that has ended.
pub(super) fn disconnected() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// What a panic says: that of rustls, where an application has not chosen a provider of cryptography,
/// tells what to do about it.
pub(super) fn what_panicked(panic: &(dyn Any + Send)) -> io::Error {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    io::Error::other(format!("connecting panicked: {}", text.trim()))
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
}
