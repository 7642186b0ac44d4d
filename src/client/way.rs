//! The plan of a pipeline: where each of its commands goes, and how their replies are put back.
//!
//! Nothing here is sent: the synchronous and the asynchronous connection share it.

use std::ops::Range;

use redis::RedisResult;
use redis::Value;

use super::dispatch::refused;
use super::failure::Failure;
use super::options::Options;
use super::options::PartialFailure;
use super::partial::Joining;
use super::patience::Patience;
use crate::command::CommandRule;
use crate::command::FanOut;
use crate::command::LocalReply;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::node::NodeId;
use crate::plan::Part;
use crate::plan::Plan;
use crate::plan::Split;
use crate::plan::ejected;
use crate::plan::one_node;
use crate::plan::scatter;
use crate::plan::unroutable;
use crate::topology::Router;

/// The commands of a pipeline, planned. Their arguments lie in one list, because a pipeline of a thousand
/// commands must not cost a thousand lists. `S` is what a command is sent from.
pub(super) struct Batch<'a, S> {
    pub(super) args: Vec<&'a [u8]>,
    pub(super) commands: Vec<Planned<'a, S>>,
    pub(super) patience: Patience,
}

/// A command of a pipeline.
pub(super) struct Planned<'a, S> {
    pub(super) args: Range<usize>,
    pub(super) source: S,
    pub(super) rule: &'a CommandRule,
    pub(super) way: Way,
}

/// Where a command of a pipeline goes.
pub(super) enum Way {
    One(NodeId),
    Split(Box<Split>),
    /// To several nodes alike.
    Nodes(Box<(Vec<NodeId>, Joining<'static>)>),
    Local(LocalReply),
    /// To a node that is ejected and keeps its keys.
    Nowhere(Box<Failure>),
    /// What depends on the replies before it: it cannot be sent together with them.
    Alone,
}

pub(super) const WATCH: FanOut = FanOut::Special(Special::Transaction(TransactionCommand::Watch));

impl<'a, S> Batch<'a, S> {
    pub(super) fn new(patience: Patience) -> Self {
        Self { args: Vec::new(), commands: Vec::new(), patience }
    }

    /// Plans one more command, whose arguments are those in the list from `first` on.
    pub(super) fn push(
        &mut self,
        first: usize,
        source: S,
        rule: &'a CommandRule,
        planner: &mut Planner<'_>,
    ) -> RedisResult<()> {
        let args = &self.args[first..];
        // One waits after the other, if they are on the same node.
        self.patience = self.patience.and_waiting(rule.waiting(args));
        let way = planner.way(args, rule)?;
        self.commands.push(Planned { args: first..self.args.len(), source, rule, way });
        Ok(())
    }

    /// Whether a command has to wait for the replies before it.
    pub(super) fn has_steps(&self) -> bool {
        self.commands.iter().any(|planned| matches!(planned.way, Way::Alone))
    }

    /// The node that all commands go to, if it is one.
    pub(super) fn only_node(&self) -> Option<NodeId> {
        let mut nodes = self.commands.iter().map(|command| match command.way {
            Way::One(node) => Some(node),
            _ => None,
        });
        let first = nodes.next()??;
        nodes.all(|node| node == Some(first)).then_some(first)
    }
}

/// What commands are planned with.
pub(super) struct Planner<'p> {
    pub(super) router: &'p Router,
    pub(super) policy: PartialFailure,
    pub(super) turn: &'p mut Turn,
}

impl Planner<'_> {
    #[inline]
    fn way(&mut self, args: &[&[u8]], rule: &CommandRule) -> RedisResult<Way> {
        if let Some(key) = rule.only_key().and_then(|place| args.get(place)) {
            return match self.router.route(key) {
                Ok(node) => Ok(Way::One(node)),
                Err(why) => self.nowhere(unroutable(why, self.router).into()),
            };
        }
        self.slow_way(args, rule)
    }

    fn slow_way(&mut self, args: &[&[u8]], rule: &CommandRule) -> RedisResult<Way> {
        let router = self.router;
        Ok(match scatter(args, rule, router) {
            Ok(Plan::One(node)) => Way::One(node),
            Ok(Plan::Split(split)) => {
                let out = split.nodes().find(|node| router.is_refused(*node));
                match out {
                    Some(node) if self.policy == PartialFailure::Fail => {
                        return Err(ejected(node, router).into());
                    }
                    _ => Way::Split(Box::new(split)),
                }
            }
            Ok(Plan::All(how)) => {
                let nodes = router.live_nodes().collect();
                Way::Nodes(Box::new((nodes, Joining::Nodes(how))))
            }
            Ok(Plan::UntilFound) => {
                let mut nodes: Vec<_> = router.live_nodes().collect();
                let start = self.turn.next(nodes.len());
                nodes.rotate_left(start);
                Way::Nodes(Box::new((nodes, Joining::FirstFound)))
            }
            Ok(Plan::Special(Special::Local(LocalReply::Quit))) => Way::Alone,
            Ok(Plan::Special(Special::Local(reply))) => Way::Local(reply),
            Ok(Plan::Special(Special::Refused(reason))) => {
                return Err(refused(args[0], reason).into());
            }
            Ok(Plan::Special(Special::Transaction(TransactionCommand::Watch))) => {
                one_node(args, rule, router)?;
                Way::Alone
            }
            Ok(Plan::Special(_)) => Way::Alone,
            Err(error) => return self.nowhere(error.into()),
        })
    }

    /// A command whose node cannot be asked: the end of the pipeline, or of this command only.
    fn nowhere(&self, failure: Failure) -> RedisResult<Way> {
        if self.policy == PartialFailure::Fail || failure.error.is_about_the_request() {
            return Err(failure.into());
        }
        Ok(Way::Nowhere(Box::new(failure)))
    }
}

/// Counts the requests that may start at any node.
#[derive(Clone, Debug)]
pub(super) struct Turn(u64);

impl Turn {
    /// Begins anywhere.
    pub(super) fn new() -> Self {
        Self(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0))
    }

    /// The place to start at among `count`, another one each time.
    pub(super) fn next(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        (self.0 % count.max(1) as u64) as usize
    }
}

/// What each node answered, to be taken in the order of the requests.
pub(super) struct Incoming {
    /// By node id.
    answers: Vec<(std::vec::IntoIter<Value>, Option<Failure>)>,
}

impl Incoming {
    pub(super) fn new(nodes: usize) -> Self {
        Self { answers: (0..nodes).map(|_| (Vec::new().into_iter(), None)).collect() }
    }

    /// Puts what `node` answered; if it failed, its replies before that.
    pub(super) fn put(&mut self, node: NodeId, replies: Vec<Value>, failure: Option<Failure>) {
        self.answers[node.index()] = (replies.into_iter(), failure);
    }

    /// The next reply of `node`; the failure, from the one on that it did not answer.
    #[inline]
    fn next(&mut self, node: NodeId) -> Result<Part<Value>, Failure> {
        let (replies, failure) = &mut self.answers[node.index()];
        match (replies.next(), failure) {
            (Some(reply), _) => Ok(Part { node, reply }),
            (None, Some(failure)) => Err(failure.clone()),
            (None, None) => {
                let what = "fewer replies than commands";
                Err(ShardError::new(ShardErrorKind::Protocol, what).into())
            }
        }
    }

    /// Takes the parts of the command `args` that went `way`, and tells how they become its reply.
    pub(super) fn parts<'w>(
        &mut self,
        way: &'w Way,
        args: &[&[u8]],
        router: &Router,
    ) -> (Joining<'w>, Vec<Result<Part<Value>, Failure>>) {
        match way {
            Way::One(node) => (Joining::Only, vec![self.next(*node)]),
            Way::Nodes(to_all) => {
                let (nodes, joining) = &**to_all;
                (*joining, nodes.iter().map(|node| self.next(*node)).collect())
            }
            Way::Split(split) => {
                let parts = split.nodes().enumerate().map(|(fragment, node)| {
                    let part = if router.is_refused(node) {
                        Err(ejected(node, router).into())
                    } else {
                        self.next(node)
                    };
                    part.map_err(|failure| failure.of_fragment(split, fragment, args))
                });
                (Joining::Fragments(split), parts.collect())
            }
            Way::Nowhere(failure) => (Joining::Only, vec![Err((**failure).clone())]),
            Way::Local(_) | Way::Alone => (Joining::Only, Vec::new()),
        }
    }

    /// The reply of the only node, if that is all there is to the command.
    #[inline]
    pub(super) fn only(&mut self, way: &Way) -> Option<Value> {
        let Way::One(node) = way else { return None };
        let (replies, _) = &mut self.answers[node.index()];
        replies.next()
    }
}

/// The reply to a command whose only node failed: an error, or for a cache a miss.
pub(super) fn instead_of(
    failure: Failure,
    is_read_only: bool,
    options: &Options,
) -> RedisResult<Value> {
    let misses = options.partial_failure == PartialFailure::NilForReads;
    if misses && is_read_only && !failure.error.is_about_the_request() {
        Ok(Value::Nil)
    } else {
        Err(failure.into())
    }
}
