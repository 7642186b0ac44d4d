//! In the place of our own connection, where its runtime is not compiled in.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use redis::ConnectionInfo;
use redis::Pipeline;
use redis::Value;

use super::link::LinkError;
use super::link::LinkState;
use crate::client::session::Session;
use crate::client::wire::WireError;
use crate::net::clock::Deadline;

/// There is none.
pub(super) enum Pipe {}

pub(super) fn is_possible() -> bool {
    false
}

pub(super) async fn connect(
    _info: ConnectionInfo,
    _session: Session,
    _deadline: Deadline,
    _state: &Arc<LinkState>,
) -> Result<Pipe, WireError> {
    Err(WireError::Io(std::io::ErrorKind::Unsupported.into()))
}

impl Pipe {
    pub(super) async fn ask(
        &self,
        _command: &Cmd,
        _limit: Option<Duration>,
    ) -> Result<Value, LinkError> {
        match *self {}
    }

    pub(super) async fn ask_many(
        &self,
        _pipeline: &Pipeline,
        _count: usize,
        _limit: Option<Duration>,
    ) -> Result<Vec<Value>, LinkError> {
        match *self {}
    }
}
