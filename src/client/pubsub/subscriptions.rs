//! What is listened to, and on which nodes.

use std::collections::BTreeSet;
use std::mem;

use redis::RedisResult;

use crate::client::special::wrong_arity;
use crate::error::Result;
use crate::node::NodeId;
use crate::plan::no_live_node;
use crate::plan::unroutable;
use crate::topology::Router;

/// Which of the two kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
}

/// Names of channels and patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscriptions {
    pub(crate) channels: BTreeSet<Vec<u8>>,
    pub(crate) patterns: BTreeSet<Vec<u8>>,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Channel, Self::Pattern];

    /// Whether messages for `name` come from `node`.
    pub(crate) fn is_heard_on(self, name: &[u8], node: NodeId, router: &Router) -> bool {
        self == Self::Pattern || is_heard_everywhere(name) || router.route(name) == Ok(node)
    }
}

impl Subscriptions {
    pub(crate) fn of(&self, kind: Kind) -> &BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        }
    }

    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }

    /// Takes `names` out. Returns those that were in.
    pub(crate) fn remove(&mut self, kind: Kind, mut names: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let set = self.of_mut(kind);
        names.retain(|name| set.remove(name));
        names
    }

    /// As `UNSUBSCRIBE` has it: takes `names` out, or all of the kind if none is named.
    pub(crate) fn unsubscribe(&mut self, kind: Kind, names: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        if names.is_empty() {
            return mem::take(self.of_mut(kind)).into_iter().collect();
        }
        self.remove(kind, names)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    /// The part that is listened to on `node`.
    pub(crate) fn heard_on(&self, node: NodeId, router: &Router) -> Self {
        let heard = |kind: Kind| {
            let names = self.of(kind).iter();
            names.filter(|name| kind.is_heard_on(name, node, router)).cloned().collect()
        };
        Self { channels: heard(Kind::Channel), patterns: heard(Kind::Pattern) }
    }
}

/// Looks whether there are any: no node was asked that could say so, as it does to redis-rs.
///
/// # Errors
///
/// Redis's own, if there are none.
pub(crate) fn look_at_names(kind: Kind, names: &[Vec<u8>]) -> RedisResult<()> {
    match (names, kind) {
        ([], Kind::Channel) => wrong_arity(b"subscribe").extract_error().map(drop),
        ([], Kind::Pattern) => wrong_arity(b"psubscribe").extract_error().map(drop),
        _ => Ok(()),
    }
}

/// Looks whether there is a node to listen to for each of `channels`.
///
/// # Errors
///
/// If the node of one is ejected and keeps its keys, or all are ejected.
pub(crate) fn find_nodes(channels: &[Vec<u8>], router: &Router) -> Result<()> {
    if router.live_nodes().next().is_none() {
        return Err(no_live_node());
    }
    for channel in channels.iter().filter(|channel| !is_heard_everywhere(channel)) {
        router.route(channel).map_err(|why| unroutable(why, router))?;
    }
    Ok(())
}

/// Whether each node announces its own keys in `channel`.
fn is_heard_everywhere(channel: &[u8]) -> bool {
    channel.starts_with(b"__key")
}
