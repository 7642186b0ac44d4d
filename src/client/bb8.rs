//! Pools of asynchronous connections, managed by bb8.

use bb8::ManageConnection;
use redis::RedisError;
use redis::RedisResult;

use super::ShardedClient;
use super::aio::ShardedMultiplexedConnection;

/// Hands out [`ShardedMultiplexedConnection`]s, as [`redis::Client`] does its own.
///
/// Whether a connection is of use is answered without asking a node, so a checkout costs no round trip
/// (redis-rs sends a `PING`), and one dead node does not make a pool throw its connections away: each opens
/// what it needs again. Tasks may share one connection; a pool of them is for more sockets a node, or for
/// code that wants a pool.
///
/// # Errors
///
/// [`NoLiveNode`](crate::ShardErrorKind::NoLiveNode) for a connection while every node is ejected.
impl ManageConnection for ShardedClient {
    type Connection = ShardedMultiplexedConnection;
    type Error = RedisError;

    async fn connect(&self) -> RedisResult<ShardedMultiplexedConnection> {
        self.get_multiplexed_async_connection().await
    }

    async fn is_valid(&self, _connection: &mut ShardedMultiplexedConnection) -> RedisResult<()> {
        self.look_for_life()
    }

    fn has_broken(&self, _connection: &mut ShardedMultiplexedConnection) -> bool {
        self.look_for_life().is_err()
    }
}
