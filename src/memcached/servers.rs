//! The methods of `memcache::Client` that concern all nodes.

use std::collections::HashMap;

use memcache::MemcacheError;

use super::ShardedMemcache;
use super::Shared;
use super::ask::Ask;
use super::ask::Outcome;
use super::asking::ask_all;
use super::commands::unexpected;
use super::scattered::Part;
use crate::config::FailedReads;
use crate::node::Address;
use crate::node::Node;

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
        collect(&self.shared, ask_all(&self.shared, Ask::Version, false)?, version)
    }

    /// The statistics of each server (`stats` without a group).
    ///
    /// # Errors
    ///
    /// As above.
    pub fn stats(&self) -> Result<Vec<(String, HashMap<String, String>)>> {
        collect(&self.shared, ask_all(&self.shared, Ask::Stats, false)?, stats)
    }

    /// Forgets all values on all servers.
    ///
    /// # Errors
    ///
    /// As above, and the error for a node that fails names those that have forgotten theirs; and if a node is ejected, before
    /// anything is sent: its values would come back with it.
    pub fn flush(&self) -> Result<()> {
        flushed(ask_all(&self.shared, Ask::Flush { delay: None }, true)?)
    }

    /// Forgets all values on all servers in `delay` seconds.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn flush_with_delay(&self, delay: u32) -> Result<()> {
        flushed(ask_all(&self.shared, Ask::Flush { delay: Some(delay) }, true)?)
    }
}

/// Whether all have forgotten their values.
pub(super) fn flushed(parts: Vec<(Node, Part)>) -> Result<()> {
    let mut flushed = Vec::new();
    let mut failed = None;
    for (node, mut part) in parts {
        match (part.failure.take(), part.outcomes.pop().flatten()) {
            (Some(error), _) => failed = failed.or(Some(error)),
            (None, Some(Outcome::Flushed)) => flushed.push(node.shared_name().clone()),
            (None, other) => return Err(unexpected(other.unwrap_or(Outcome::Miss))),
        }
    }
    failed.map_or(Ok(()), |error| Err(error.with_completed(flushed).into()))
}

/// What each node said, under its URL.
pub(super) fn collect<T>(
    shared: &Shared,
    parts: Vec<(Node, Part)>,
    read: impl Fn(Outcome) -> Result<T>,
) -> Result<Vec<(String, T)>> {
    let skips = shared.options.failed_reads == FailedReads::Miss;
    let mut all = Vec::new();
    for (node, part) in parts {
        if skips && part.failure.is_some() {
            continue;
        }
        all.push((url(node.address()), read(only(part)?)?));
    }
    Ok(all)
}

pub(super) fn version(outcome: Outcome) -> Result<String> {
    match outcome {
        Outcome::Version(version) => Ok(version),
        other => Err(unexpected(other)),
    }
}

pub(super) fn stats(outcome: Outcome) -> Result<HashMap<String, String>> {
    match outcome {
        Outcome::Stats(stats) => Ok(stats),
        other => Err(unexpected(other)),
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
