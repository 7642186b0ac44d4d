//! The application with shards.

/// What the application takes for the crate `redis`.
pub(super) mod redis {
    pub(crate) use ::redis::*;
    pub(crate) use shardwright::ShardedClient as Client;
    pub(crate) use shardwright::ShardedConnection as Connection;
    pub(crate) use shardwright::ShardedPubSub as PubSub;
}

#[path = "app/mod.rs"]
#[expect(clippy::duplicate_mod, reason = "it is compiled twice on purpose")]
pub(super) mod app;
