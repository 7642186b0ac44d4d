//! What a connection that is being made waits for, waited for by the runtime.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

use tokio::io::Interest as Readiness;
use tokio::io::unix::AsyncFd;

use crate::net::Interest;

/// How often results of other threads are looked for.
const GLANCE: Duration = Duration::from_millis(2);

/// Waits until `interest` may have come true, or it is `until`.
pub(crate) async fn wait(
    interest: Interest<'_>,
    until: Option<Instant>,
    now: Instant,
) -> io::Result<()> {
    let limit = until.map(|until| until.saturating_duration_since(now));
    match interest {
        Interest::Thread => {
            tokio::time::sleep(limit.map_or(GLANCE, |limit| limit.min(GLANCE))).await;
            Ok(())
        }
        Interest::Readable(socket) => ready(socket, Readiness::READABLE, limit).await,
        Interest::Writable(socket) => ready(socket, Readiness::WRITABLE, limit).await,
        Interest::Both(socket) => {
            ready(socket, Readiness::READABLE | Readiness::WRITABLE, limit).await
        }
    }
}

#[allow(deprecated, reason = "its successor is unsafe; a borrowed descriptor stays open meanwhile")]
async fn ready(
    socket: BorrowedFd<'_>,
    readiness: Readiness,
    limit: Option<Duration>,
) -> io::Result<()> {
    let socket = AsyncFd::with_interest(socket, readiness)?;
    match limit {
        Some(limit) => match tokio::time::timeout(limit, socket.ready(readiness)).await {
            Ok(ready) => ready.map(drop),
            Err(_) => Ok(()),
        },
        None => socket.ready(readiness).await.map(drop),
    }
}
