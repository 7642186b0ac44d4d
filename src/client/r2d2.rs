//! Pools of connections, managed by r2d2.

use r2d2::ManageConnection;
use redis::ConnectionLike;
use redis::RedisError;
use redis::RedisResult;

use super::ShardedClient;
use super::connection::ShardedConnection;
use crate::error::ShardError;
use crate::error::ShardErrorKind;

/// Hands out [`ShardedConnection`]s, as [`redis::Client`] does its own.
///
/// Whether a connection is of use is answered without asking a node, so a checkout costs no round trip
/// (redis-rs sends a `PING`), and one dead node does not make a pool throw its connections away: each
/// opens what it needs again. A connection holds up to one socket a node: ten on eight nodes are up to
/// eighty.
///
/// # Errors
///
/// [`NoLiveNode`](ShardErrorKind::NoLiveNode) for a connection while every node is ejected.
impl ManageConnection for ShardedClient {
    type Connection = ShardedConnection;
    type Error = RedisError;

    fn connect(&self) -> RedisResult<ShardedConnection> {
        self.get_connection()
    }

    fn is_valid(&self, connection: &mut ShardedConnection) -> RedisResult<()> {
        if connection.check_connection() {
            return Ok(());
        }
        Err(ShardError::new(ShardErrorKind::NoLiveNode, "every node is ejected").into())
    }

    fn has_broken(&self, connection: &mut ShardedConnection) -> bool {
        !connection.is_open()
    }
}
