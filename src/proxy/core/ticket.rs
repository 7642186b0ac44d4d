//! Tickets: a client's requests that are not answered yet, in the order of the client.

use super::memcache::Retrieval;
use crate::command::Gather;
use crate::node::NodeId;
use crate::plan::Split;

/// A request of a client that is not answered yet.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) state: State,
    /// Place of the command in the counters of the pool.
    pub(super) command: u16,
    /// When it arrived: the worker's microseconds, which wrap around.
    pub(super) at: u32,
}

/// What has come of a request.
#[derive(Debug)]
pub(super) enum State {
    /// One node was asked and has not answered.
    Waiting,
    /// Several were, and some have not.
    Gathering(Box<Gathering>),
    /// Its reply waits for the replies of earlier requests: here, in the session's stash …
    Stashed { start: u32, length: u32 },
    /// … or, being large, by itself.
    #[expect(clippy::box_collection, reason = "it is rare, and a ticket should be small")]
    Held(Box<Vec<u8>>),
}

/// A request that several nodes answer.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) how: How,
    /// Parts that have not been answered.
    pub(super) left: usize,
    pub(super) parts: Vec<Fragment>,
}

/// The part of one node.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) node: NodeId,
    pub(super) reply: Option<Result<Vec<u8>, Vec<u8>>>,
}

/// How the parts become one reply.
#[derive(Debug)]
pub(super) enum How {
    /// Each key its own element, or a sum, or one for all.
    Split(Split),
    /// What all nodes answered to the same.
    All(Gather),
    /// The first that is not nil.
    Found,
    /// Blocks of values of a memcached, and one end.
    Values(Box<Retrieval>),
    /// What all memcacheds say, or what one says is wrong.
    Lines,
    /// The figures of all memcacheds.
    Stats,
}

impl Gathering {
    pub(super) fn new(how: How, nodes: impl Iterator<Item = NodeId>) -> Self {
        Self::of(how, Self::parts_of(nodes))
    }

    /// Parts that have not been answered.
    pub(super) fn parts_of(nodes: impl Iterator<Item = NodeId>) -> Vec<Fragment> {
        nodes.map(|node| Fragment { node, reply: None }).collect()
    }

    pub(super) fn of(how: How, parts: Vec<Fragment>) -> Self {
        Self { how, left: parts.len(), parts }
    }

    /// Bytes of the parts that are there.
    pub(super) fn bytes(&self) -> usize {
        let replies = self.parts.iter().filter_map(|part| part.reply.as_ref());
        replies.map(|(Ok(reply) | Err(reply))| reply.len()).sum()
    }

    /// Takes the reply to a part: `Err` is an error of ours, as it is sent to the client. Answers how many bytes
    /// are kept of it.
    pub(super) fn take(&mut self, part: usize, reply: Result<Vec<u8>, Vec<u8>>) -> usize {
        match self.parts.get_mut(part) {
            Some(fragment) if fragment.reply.is_none() => {
                let (Ok(bytes) | Err(bytes)) = &reply;
                let length = bytes.len();
                fragment.reply = Some(reply);
                self.left -= 1;
                length
            }
            _ => 0,
        }
    }
}
