//! The synchronous client's handshake, waited for by the runtime.

use std::io;
use std::sync::Arc;

use redis::ConnectionInfo;

use super::Pipe;
use crate::client::aio::link::LinkState;
use crate::client::session::Session;
use crate::client::wire::Connecting;
use crate::client::wire::Progress;
use crate::client::wire::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::net::pipe::wait;

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

fn not_ours() -> WireError {
    WireError::Io(io::Error::other("this kind of connection is redis-rs's to make"))
}
