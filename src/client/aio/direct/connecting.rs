//! The synchronous client's handshake, waited for by the runtime.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use redis::ConnectionInfo;
use tokio::io::Interest as Readiness;
use tokio::io::unix::AsyncFd;

use super::Pipe;
use crate::client::aio::link::LinkState;
use crate::client::aio::runtime::sleep;
use crate::client::aio::runtime::within;
use crate::client::session::Session;
use crate::client::wire::Connecting;
use crate::client::wire::Progress;
use crate::client::wire::WireError;
use crate::net::Interest;
use crate::net::clock;
use crate::net::clock::Deadline;

/// How often results of other threads are looked for.
const GLANCE: Duration = Duration::from_millis(2);

/// Connects to a node, shakes hands and says what was set on the connection, until `deadline`.
pub(in crate::client::aio) async fn connect(
    info: ConnectionInfo,
    session: Session,
    deadline: Deadline,
    state: &Arc<LinkState>,
) -> Result<Pipe, WireError> {
    let mut connecting = Connecting::start(info, session, deadline, clock::now())?;
    loop {
        let now = clock::now();
        connecting = match connecting.advance(now)? {
            Progress::Waiting(connecting) => *connecting,
            Progress::Connected(link) => {
                let direct = link.into_direct().ok_or_else(not_ours)?;
                return Pipe::new(direct, state);
            }
        };
        wait(connecting.interest(), connecting.wakes(), now).await?;
    }
}

async fn wait(interest: Interest<'_>, until: Option<Instant>, now: Instant) -> io::Result<()> {
    let limit = until.map(|until| until.saturating_duration_since(now));
    match interest {
        Interest::Thread => {
            sleep(limit.map_or(GLANCE, |limit| limit.min(GLANCE))).await;
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
    match within(limit, socket.ready(readiness)).await {
        Some(ready) => ready.map(drop),
        None => Ok(()),
    }
}

fn not_ours() -> WireError {
    WireError::Io(io::Error::other("this kind of connection is redis-rs's to make"))
}
