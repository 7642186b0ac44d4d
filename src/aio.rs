//! redis-rs's module of this name, with our connections in the place of its own.

pub use redis::aio::*;

pub use crate::client::ShardedMultiplexedConnection as MultiplexedConnection;
