//! What a client is subscribed to, and what it has yet to be told of that.
//!
//! ```text
//!   due     ┌───────────┬─────────────┬───────────┐   in the client's order
//!           │ begin x   │ begin p*    │ end x     │
//!           │ left: 1   │ left: 2     │ left: 1   │
//!           └───▲───────┴──▲──────▲───┴───▲───────┘
//!   node a      └──────────┘      │       │           each node answers in
//!   node b                        └───────┘           the order it was asked
//! ```

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use super::topics::Kind;

/// No more is taken of a client to which so much is due.
const CROWD: usize = 1024;

/// What a session is subscribed to.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct Subscriptions {
    /// The session's own connections.
    nodes: Vec<Listening>,
    /// By kind, what it is subscribed to when all is told; with the member of its node if that is one alone.
    topics: [BTreeMap<Vec<u8>, Option<u64>>; 3],
    /// By kind, what the client was told that it is subscribed to.
    told: [BTreeSet<Vec<u8>>; 3],
    /// What it is to be told next, in this order.
    due: VecDeque<Due>,
    /// The number of the first of them.
    first: u64,
    /// By kind, how often something that is due is to begin with a name.
    beginning: [BTreeMap<Vec<u8>, u32>; 3],
    /// Messages that wait for the end of a large reply.
    held: Vec<u8>,
}

/// A connection to a node, which answers in order.
#[derive(Debug)]
struct Listening {
    /// The number of the member, which stays with the node.
    member: u64,
    backend: usize,
    /// For what it was asked and has not answered.
    asked: VecDeque<u64>,
}

/// What a client is told when the nodes have said it.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) kind: Kind,
    /// `None` of an end without a name, for which there is nothing to end.
    pub(super) name: Option<Vec<u8>>,
    pub(super) what: What,
    /// Answers of nodes that have not come.
    left: usize,
    /// What the first said that refused, or we say.
    pub(super) error: Option<Vec<u8>>,
    /// Place of the command in the counters.
    pub(super) index: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Begin,
    End,
    /// Nothing: it is ours to know alone.
    Withdrawal,
}

impl Due {
    pub(super) fn new(kind: Kind, name: Option<&[u8]>, what: What, index: u16) -> Self {
        Self { kind, name: name.map(<[u8]>::to_vec), what, left: 0, error: None, index }
    }
}

impl Subscriptions {
    /// The next connection to a node.
    pub(super) fn listen(&mut self, member: u64, backend: usize) {
        self.nodes.push(Listening { member, backend, asked: VecDeque::new() });
    }

    pub(super) fn begin(&mut self, kind: Kind, name: &[u8], member: Option<u64>) {
        self.topics[kind.place()].insert(name.to_vec(), member);
    }

    /// The client wants it no more; answers the backends that are to know, if it was wanted.
    pub(super) fn end(&mut self, kind: Kind, name: &[u8]) -> Vec<usize> {
        let Some(only) = self.topics[kind.place()].remove(name) else {
            return Vec::new();
        };
        let knows = |node: &&Listening| only.is_none_or(|only| only == node.member);
        self.nodes.iter().filter(knows).map(|node| node.backend).collect()
    }

    /// Something is due; answers its number.
    pub(super) fn owe(&mut self, due: Due) -> u64 {
        if let (What::Begin, Some(name)) = (due.what, &due.name) {
            *self.beginning[due.kind.place()].entry(name.clone()).or_default() += 1;
        }
        self.due.push_back(due);
        self.first + self.due.len() as u64 - 1
    }

    /// A node has to answer before the client is told.
    pub(super) fn await_node(&mut self, backend: usize, number: u64) {
        let node = self.nodes.iter_mut().find(|node| node.backend == backend);
        if let (Some(node), Some(due)) =
            (node, self.due.get_mut(number.wrapping_sub(self.first) as usize))
        {
            node.asked.push_back(number);
            due.left += 1;
        }
    }

    /// What is due under this number fails with `error`.
    pub(super) fn fail(&mut self, number: u64, error: Vec<u8>) {
        if let Some(due) = self.due.get_mut(number.wrapping_sub(self.first) as usize) {
            due.error.get_or_insert(error);
        }
    }

    /// A node has confirmed this.
    ///
    /// # Errors
    ///
    /// If it was not asked for it.
    pub(super) fn confirmed(
        &mut self,
        backend: usize,
        kind: Kind,
        begins: bool,
        name: &[u8],
    ) -> Result<(), &'static str> {
        let due = self.oldest(backend).filter(|due| {
            due.kind == kind
                && (due.what == What::Begin) == begins
                && due.name.as_deref() == Some(name)
        });
        match due {
            Some(_) => {
                self.answered(backend);
                Ok(())
            }
            // A node may end a subscription by itself.
            None if !begins => Ok(()),
            None => Err("it confirmed what it was not asked for"),
        }
    }

    /// A node has refused what it was asked for first.
    ///
    /// # Errors
    ///
    /// If it was asked for nothing.
    pub(super) fn refused(&mut self, backend: usize, error: &[u8]) -> Result<(), &'static str> {
        let due = self.oldest(backend).ok_or("it sent an error that nobody asked for")?;
        due.error.get_or_insert_with(|| error.to_vec());
        self.answered(backend);
        Ok(())
    }

    fn oldest(&mut self, backend: usize) -> Option<&mut Due> {
        let node = self.nodes.iter().find(|node| node.backend == backend)?;
        let number = *node.asked.front()?;
        self.due.get_mut(number.wrapping_sub(self.first) as usize)
    }

    fn answered(&mut self, backend: usize) {
        if let Some(due) = self.oldest(backend) {
            due.left -= 1;
        }
        if let Some(node) = self.nodes.iter_mut().find(|node| node.backend == backend) {
            node.asked.pop_front();
        }
    }

    /// What the client is to be told now, if the nodes have said it.
    pub(super) fn next_due(&mut self) -> Option<Due> {
        self.due.front().filter(|due| due.left == 0)?;
        let due = self.due.pop_front()?;
        self.first += 1;
        if let (What::Begin, Some(name)) = (due.what, &due.name) {
            let beginning = &mut self.beginning[due.kind.place()];
            match beginning.get_mut(name) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(beginning.remove(name)),
            }
        }
        let told = &mut self.told[due.kind.place()];
        match (&due.what, &due.name) {
            (What::Begin, Some(name)) if due.error.is_none() => {
                told.insert(name.clone());
            }
            // Whatever nodes say to it: the client hears no more of it.
            (What::End, Some(name)) => {
                told.remove(name);
            }
            _ => {}
        }
        Some(due)
    }

    pub(super) fn hold(&mut self, message: &[u8]) {
        self.held.extend_from_slice(message);
    }

    pub(super) fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    pub(in crate::proxy::core) fn backends(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().map(|node| node.backend)
    }

    pub(in crate::proxy::core) fn has(&self, backend: usize) -> bool {
        self.backends().any(|own| own == backend)
    }

    /// The connection to a node, if there is one.
    pub(super) fn backend_of(&self, member: u64) -> Option<usize> {
        self.nodes.iter().find(|node| node.member == member).map(|node| node.backend)
    }

    /// How many the client was told that it has, as Redis counts: channels and patterns together, shard channels
    /// apart.
    pub(super) fn count(&self, kind: Kind) -> usize {
        let count = |kind: Kind| self.told[kind.place()].len();
        match kind {
            Kind::Shard => count(Kind::Shard),
            Kind::Channel | Kind::Pattern => count(Kind::Channel) + count(Kind::Pattern),
        }
    }

    /// Whether the client was told that it has it.
    pub(super) fn is_told(&self, kind: Kind, name: &[u8]) -> bool {
        self.told[kind.place()].contains(name)
    }

    /// Whether it is to begin with something that is due.
    pub(super) fn is_beginning(&self, kind: Kind, name: &[u8]) -> bool {
        self.beginning[kind.place()].contains_key(name)
    }

    /// Whether the client wants it, or did until it was refused.
    pub(super) fn is_wanted(&self, kind: Kind, name: &[u8]) -> bool {
        self.topics[kind.place()].contains_key(name)
    }

    /// Whether a node has yet to answer something.
    pub(super) fn awaits(&self, backend: usize) -> bool {
        self.nodes.iter().any(|node| node.backend == backend && !node.asked.is_empty())
    }

    /// All that the client wants of a kind.
    pub(super) fn names(&self, kind: Kind) -> Vec<Vec<u8>> {
        self.topics[kind.place()].keys().cloned().collect()
    }

    /// Whether nodes have to answer before anything else is said to the client.
    pub(in crate::proxy::core) fn is_awaiting(&self) -> bool {
        !self.due.is_empty()
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.due.len() >= CROWD
    }

    /// Whether the client is an ordinary one again.
    pub(super) fn is_over(&self) -> bool {
        self.topics.iter().all(BTreeMap::is_empty) && self.due.is_empty() && self.held.is_empty()
    }

    /// The channels, each with the member of its node, and whether there is a pattern.
    pub(super) fn interests(&self) -> (impl Iterator<Item = (&[u8], u64)>, bool) {
        let has_pattern = !self.topics[Kind::Pattern.place()].is_empty();
        let topics = self.topics.iter().flatten();
        (topics.filter_map(|(name, member)| Some((name.as_slice(), (*member)?))), has_pattern)
    }

    /// Bytes of messages that wait.
    pub(in crate::proxy::core) fn held(&self) -> usize {
        self.held.len()
    }

    /// The members of the nodes there are connections to.
    pub(super) fn members(&self) -> impl Iterator<Item = u64> {
        self.nodes.iter().map(|node| node.member)
    }
}
