//! Which nodes are asked what, and whose reply is whose; for both clients.

use memcache::MemcacheError;

use super::ask::Ask;
use super::ask::Outcome;
use crate::error::Result;
use crate::error::ShardError;
use crate::node::NodeId;
use crate::plan::KeyFragment;
use crate::plan::ejected;
use crate::plan::no_live_node;
use crate::plan::scatter_keys;
use crate::plan::unroutable;
use crate::protocol::memcache::BadKey;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::check_key;
use crate::topology::Router;

/// Requests of many keys, each with its node.
pub(super) struct Scattered<'a> {
    requests: &'a [(&'a [u8], Request<'a>)],
    /// Of those that go to no node, why.
    results: Vec<Option<Result<Outcome, Trouble>>>,
    /// The places of the requests that go to each node.
    parts: Vec<(NodeId, Vec<usize>)>,
}

/// What one node made of what it was asked.
pub(super) struct Part {
    /// What came of its asks; of each of them if nothing failed.
    pub(super) outcomes: Vec<Option<Outcome>>,
    pub(super) failure: Option<ShardError>,
}

/// Why one key has no outcome.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Nothing was sent for it.
    Key(BadKey),
    Shard(ShardError),
}

impl From<Trouble> for MemcacheError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Key(error) => error.into(),
            Trouble::Shard(error) => error.into(),
        }
    }
}

impl<'a> Scattered<'a> {
    pub(super) fn new(requests: &'a [(&'a [u8], Request<'a>)], router: &Router) -> Self {
        let mut results: Vec<Option<Result<Outcome, Trouble>>> = requests
            .iter()
            .map(|(key, _)| check_key(key).err().map(|it| Err(Trouble::Key(it))))
            .collect();
        let good: Vec<_> = (0..requests.len()).filter(|&place| results[place].is_none()).collect();
        let keys = good.iter().map(|&place| requests[place].0);
        let (fragments, homeless) = scatter_keys(keys, router);
        for (index, why) in homeless {
            results[good[index]] = Some(Err(Trouble::Shard(unroutable(why, router))));
        }
        let part = |KeyFragment { node, places }: KeyFragment| {
            (node, places.into_iter().map(|index| good[index]).collect())
        };
        let parts = fragments.into_iter().map(part).collect();
        Self { requests, results, parts }
    }

    /// What each node is asked.
    pub(super) fn asks(&self) -> Vec<(NodeId, Vec<Ask<'a>>)> {
        let ask = |&place: &usize| {
            let (key, request) = self.requests[place];
            Ask::Key { key, request }
        };
        self.parts.iter().map(|(node, places)| (*node, places.iter().map(ask).collect())).collect()
    }

    /// What came of each request, in their order, of what each node made of its own.
    pub(super) fn gather(self, parts: Vec<Part>) -> Vec<Result<Outcome, Trouble>> {
        let Self { requests, mut results, parts: places } = self;
        for ((_, places), part) in places.into_iter().zip(parts) {
            let failure = part.failure.map(|error| {
                let unanswered = places.iter().zip(&part.outcomes).filter(|(_, it)| it.is_none());
                error.with_keys(unanswered.map(|(&place, _)| requests[place].0.to_vec()).collect())
            });
            for (place, outcome) in places.into_iter().zip(part.outcomes) {
                results[place] = match (outcome, &failure) {
                    (Some(outcome), _) => Some(Ok(outcome)),
                    (None, Some(error)) => Some(Err(Trouble::Shard(error.clone()))),
                    (None, None) => None,
                };
            }
        }
        let result =
            |result: Option<_>| result.expect("a part that did not fail has all its outcomes");
        results.into_iter().map(result).collect()
    }
}

/// The nodes that are asked what concerns all.
///
/// # Errors
///
/// If there is none, or if one is ejected and `needs_every_node`.
pub(super) fn all_nodes(router: &Router, needs_every_node: bool) -> Result<Vec<NodeId>> {
    if needs_every_node && let Some(node) = router.ejected().iter().next() {
        return Err(ejected(node, router));
    }
    let nodes: Vec<_> = router.live_nodes().collect();
    if nodes.is_empty() { Err(no_live_node()) } else { Ok(nodes) }
}
