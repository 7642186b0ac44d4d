//! The runtime that the caller is on: timers and tasks.
//!
//! Which one it is, is decided as redis-rs does it: where both are compiled in, tokio within a tokio runtime
//! and smol elsewhere.

#[cfg(all(feature = "tokio-comp", feature = "smol-comp"))]
mod either;
#[cfg(feature = "smol-comp")]
mod with_smol;
#[cfg(feature = "tokio-comp")]
mod with_tokio;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::Either;
use futures_util::future::select;

#[cfg(all(feature = "tokio-comp", feature = "smol-comp"))]
use self::either as chosen;
#[cfg(all(feature = "smol-comp", not(feature = "tokio-comp")))]
use self::with_smol as chosen;
#[cfg(all(feature = "tokio-comp", not(feature = "smol-comp")))]
use self::with_tokio as chosen;

pub(super) use self::chosen::Task;
pub(super) use self::chosen::detach;
pub(super) use self::chosen::sleep;
pub(super) use self::chosen::spawn;

/// What `future` gives, or `None` if that takes longer than `limit`.
pub(super) async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    let Some(limit) = limit else {
        return Some(future.await);
    };
    match select(pin!(future), pin!(sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
