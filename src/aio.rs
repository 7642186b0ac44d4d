//! redis-rs's module of this name, with our connections in the place of its own.

pub use redis::aio::*;

#[cfg(feature = "connection-manager")]
pub use crate::client::ConnectionManagerConfig;
pub use crate::client::ShardedAsyncPubSub as PubSub;
#[cfg(feature = "connection-manager")]
pub use crate::client::ShardedConnectionManager as ConnectionManager;
pub use crate::client::ShardedMonitor as Monitor;
pub use crate::client::ShardedMultiplexedConnection as MultiplexedConnection;
pub use crate::client::ShardedPubSubSink as PubSubSink;
pub use crate::client::ShardedPubSubStream as PubSubStream;
