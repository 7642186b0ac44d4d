//! The methods of `memcache::Client` that concern all nodes.

use std::collections::HashMap;

use memcache::MemcacheError;

use super::ShardedMemcache;
use super::ask::Ask;
use super::ask::Outcome;
use super::asking::Part;
use super::asking::ask_all;
use super::commands::unexpected;
use super::options::FailedReads;
use crate::node::Address;

type Result<T> = std::result::Result<T, MemcacheError>;

/// Requests of all nodes, asked at the same time within one deadline. A node is named by a URL as in
/// `memcache::Client`, without user and options.
///
/// Nodes that are ejected are not asked. If another one fails, the whole fails with its error; with
/// [`FailedReads::Miss`], `version` and `stats` leave it out.
impl ShardedMemcache {
    /// The version of each server.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn version(&self) -> Result<Vec<(String, String)>> {
        self.read_all(Ask::Version, |outcome| match outcome {
            Outcome::Version(version) => Ok(version),
            other => Err(unexpected(other)),
        })
    }

    /// The statistics of each server (`stats` without a group).
    ///
    /// # Errors
    ///
    /// As above.
    pub fn stats(&self) -> Result<Vec<(String, HashMap<String, String>)>> {
        self.read_all(Ask::Stats, |outcome| match outcome {
            Outcome::Stats(stats) => Ok(stats),
            other => Err(unexpected(other)),
        })
    }

    /// Forgets all values on all servers.
    ///
    /// # Errors
    ///
    /// As above, and the error names the nodes that have forgotten theirs; and if a node is ejected, before
    /// anything is sent: its values would come back with it.
    pub fn flush(&self) -> Result<()> {
        self.flush_all(None)
    }

    /// Forgets all values on all servers in `delay` seconds.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn flush_with_delay(&self, delay: u32) -> Result<()> {
        self.flush_all(Some(delay))
    }

    fn flush_all(&self, delay: Option<u32>) -> Result<()> {
        let mut flushed = Vec::new();
        let mut failed = None;
        for (node, mut part) in ask_all(&self.shared, Ask::Flush { delay }, true)? {
            match (part.failure.take(), part.outcomes.pop().flatten()) {
                (Some(error), _) => failed = failed.or(Some(error)),
                (None, Some(Outcome::Flushed)) => flushed.push(node.shared_name().clone()),
                (None, other) => return Err(unexpected(other.unwrap_or(Outcome::Miss))),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.with_completed(flushed).into()))
    }

    fn read_all<T>(
        &self,
        ask: Ask<'_>,
        read: impl Fn(Outcome) -> Result<T>,
    ) -> Result<Vec<(String, T)>> {
        let skips = self.shared.options.failed_reads == FailedReads::Miss;
        let mut all = Vec::new();
        for (node, part) in ask_all(&self.shared, ask, false)? {
            if skips && part.failure.is_some() {
                continue;
            }
            all.push((url(node.address()), read(only(part)?)?));
        }
        Ok(all)
    }
}

fn only(part: Part) -> Result<Outcome> {
    let Part { mut outcomes, failure } = part;
    match failure {
        Some(error) => Err(error.into()),
        None => {
            Ok(outcomes.pop().flatten().expect("a part that did not fail has all its outcomes"))
        }
    }
}

fn url(address: &Address) -> String {
    match address {
        Address::Tcp { .. } => format!("memcache://{address}"),
        Address::Unix(path) => format!("memcache+unix://{path}"),
    }
}
