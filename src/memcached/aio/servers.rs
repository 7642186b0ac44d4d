//! The methods of `memcache::Client` that concern all nodes.

use std::collections::HashMap;

use memcache::MemcacheError;

use super::ShardedAsyncMemcache;
use super::asking::ask_all;
use crate::memcached::ask::Ask;
use crate::memcached::servers::collect;
use crate::memcached::servers::flushed;
use crate::memcached::servers::stats;
use crate::memcached::servers::version;

type Result<T> = std::result::Result<T, MemcacheError>;

/// Requests of all nodes, asked at the same time within one deadline, with the rules and errors of
/// [`ShardedMemcache`](crate::ShardedMemcache).
impl ShardedAsyncMemcache {
    /// The version of each server.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::version`](crate::ShardedMemcache::version).
    pub async fn version(&self) -> Result<Vec<(String, String)>> {
        collect(self.shared(), ask_all(self.shared(), Ask::Version, false).await?, version)
    }

    /// The statistics of each server (`stats` without a group).
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::stats`](crate::ShardedMemcache::stats).
    pub async fn stats(&self) -> Result<Vec<(String, HashMap<String, String>)>> {
        collect(self.shared(), ask_all(self.shared(), Ask::Stats, false).await?, stats)
    }

    /// Forgets all values on all servers.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::flush`](crate::ShardedMemcache::flush).
    pub async fn flush(&self) -> Result<()> {
        flushed(ask_all(self.shared(), Ask::Flush { delay: None }, true).await?)
    }

    /// Forgets all values on all servers in `delay` seconds.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn flush_with_delay(&self, delay: u32) -> Result<()> {
        flushed(ask_all(self.shared(), Ask::Flush { delay: Some(delay) }, true).await?)
    }
}
