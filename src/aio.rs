//! redis-rs's module of this name, with our connections in the place of its own.

pub use redis::aio::*;

#[cfg(feature = "connection-manager")]
pub use crate::client::ConnectionManagerConfig;
#[cfg(feature = "connection-manager")]
pub use crate::client::ShardedConnectionManager as ConnectionManager;
pub use crate::client::ShardedMultiplexedConnection as MultiplexedConnection;
