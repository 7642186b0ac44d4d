//! The asynchronous front end: connections that tasks share, one or more a node, behind one handle.
//!
//! ```text
//!   ShardedMultiplexedConnection   a handle, cloned for every task
//!        │  execute, pipeline, watching, special: what a command means on several nodes
//!        ▼
//!   SharedLinks                    one for all clones: the slot of each node, what was set on the connection
//!        │
//!        ▼
//!   Slot ── Link                   a connection, opened by whoever waits for it first, replaced after any I/O
//!                                  error or timeout: our own (`direct`) or redis-rs's
//! ```
//!
//! What it shares with the synchronous connection is planned without I/O (`way`, `scan`, `place`, `partial`).

mod asking;
#[cfg(feature = "cache-aio")]
mod caching;
mod config;
mod connecting;
mod connection;
#[cfg(feature = "token-based-authentication")]
mod credentials;
mod dialing;
#[cfg(feature = "tokio-comp")]
mod direct;
mod execute;
mod failure;
mod link;
mod links;
mod listening;
#[cfg(feature = "connection-manager")]
mod manager;
mod monitor;
mod pipeline;
mod pubsub;
mod runtime;
mod slot;
mod special;
mod watching;
#[cfg(not(feature = "tokio-comp"))]
mod without_direct;

pub use config::AsyncConnectionConfig;
pub use connection::ShardedMultiplexedConnection;
#[cfg(feature = "connection-manager")]
pub use manager::ConnectionManagerConfig;
#[cfg(feature = "connection-manager")]
pub use manager::ShardedConnectionManager;
pub use monitor::ShardedMonitor;
pub use pubsub::ShardedAsyncPubSub;
pub use pubsub::ShardedPubSubSink;
pub use pubsub::ShardedPubSubStream;
#[cfg(not(feature = "tokio-comp"))]
use without_direct as direct;

use redis::RedisResult;

use super::ShardedClient;

impl ShardedClient {
    /// A connection to all nodes that many tasks share. How many nodes must answer is for the
    /// [`ConnectMode`](crate::ConnectMode) to say; by default one.
    ///
    /// # Errors
    ///
    /// If they do not answer within the client's connect timeout (a second without one).
    pub async fn get_multiplexed_async_connection(
        &self,
    ) -> RedisResult<ShardedMultiplexedConnection> {
        self.get_multiplexed_async_connection_with_config(&AsyncConnectionConfig::new()).await
    }

    /// The same, with settings of its own.
    ///
    /// # Errors
    ///
    /// If the nodes do not answer.
    pub async fn get_multiplexed_async_connection_with_config(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<ShardedMultiplexedConnection> {
        ShardedMultiplexedConnection::open(self.shared.clone(), config).await
    }
}
