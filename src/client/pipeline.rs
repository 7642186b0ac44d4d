//! Many commands at once: cut by node, written to all, read from all, put back in order.

use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::connection::empty_command;
use super::dispatch::PackedCommand;
use super::dispatch::Source;
use super::dispatch::commands;
use super::links::Answer;
use super::links::Ask;
use super::links::Failure;
use super::links::Patience;
use super::options::PartialFailure;
use super::partial::Joining;
use crate::command::CommandRule;
use crate::command::LocalReply;
use crate::command::Special;
use crate::node::NodeId;
use crate::plan::Part;
use crate::plan::Plan;
use crate::plan::Split;
use crate::plan::ejected;
use crate::plan::scatter;

/// A command of a pipeline, planned.
struct Planned<'a> {
    args: Vec<&'a [u8]>,
    bytes: &'a [u8],
    rule: CommandRule,
    way: Way,
}

/// Where a command of a pipeline goes.
enum Way {
    One(NodeId),
    Split(Split),
    Nodes(Vec<NodeId>, Joining<'static>),
    Local(LocalReply),
    /// A node that is ejected and keeps its keys.
    Nowhere(Failure),
    /// What depends on the replies before it: it cannot be sent together with them.
    Alone,
}

impl ShardedConnection {
    /// Carries out the commands in `bytes`; `count` of them are expected.
    ///
    /// All of them are planned before the first byte is written, so that one that cannot be carried out
    /// refuses the whole. Each node's commands keep their order; between nodes there is none.
    pub(super) fn execute_pipeline(
        &mut self,
        bytes: &[u8],
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let commands = commands(bytes)?;
        if commands.is_empty() {
            return Err(empty_command());
        }
        let mut patience = self.patience();
        let mut planned = Vec::with_capacity(commands.len());
        for PackedCommand { args, bytes } in commands {
            let rule = self.rule(&args)?;
            patience = longer(patience, self.patience_for(&rule, &args));
            let way = self.way(&args, &rule)?;
            planned.push(Planned { args, bytes, rule, way });
        }
        let is_alone = |planned: &Planned<'_>| matches!(planned.way, Way::Alone);
        let mut replies = if !self.transaction.is_idle() || planned.iter().any(is_alone) {
            self.execute_one_by_one(&planned)?
        } else {
            self.execute_together(bytes, &planned, patience)?
        };
        replies.truncate(count);
        Ok(replies)
    }

    fn way(&mut self, args: &[&[u8]], rule: &CommandRule) -> RedisResult<Way> {
        let policy = self.links.shared().options.partial_failure;
        Ok(match scatter(args, rule, self.router()) {
            Ok(Plan::One(node)) => Way::One(node),
            Ok(Plan::Split(split)) => {
                let refused = split.nodes().find(|node| self.router().is_refused(*node));
                match refused {
                    Some(node) if policy == PartialFailure::Fail => {
                        return Err(ejected(node, self.router()).into());
                    }
                    _ => Way::Split(split),
                }
            }
            Ok(Plan::All(how)) => {
                Way::Nodes(self.router().live_nodes().collect(), Joining::Nodes(how))
            }
            Ok(Plan::UntilFound) => {
                let mut nodes: Vec<_> = self.router().live_nodes().collect();
                let start = self.next_turn(nodes.len());
                nodes.rotate_left(start);
                Way::Nodes(nodes, Joining::FirstFound)
            }
            Ok(Plan::Special(Special::Local(LocalReply::Quit))) => Way::Alone,
            Ok(Plan::Special(Special::Local(reply))) => Way::Local(reply),
            Ok(Plan::Special(Special::Refused(reason))) => {
                return Err(super::dispatch::refused(args[0], reason).into());
            }
            Ok(Plan::Special(_)) => Way::Alone,
            Err(error) if policy == PartialFailure::Fail || error.is_about_the_request() => {
                return Err(error.into());
            }
            Err(error) => Way::Nowhere(error.into()),
        })
    }

    /// Commands whose effect the next one may depend on. All are carried out, even behind one that failed:
    /// the `EXEC` behind it must not stay away.
    fn execute_one_by_one(&mut self, planned: &[Planned<'_>]) -> RedisResult<Vec<Value>> {
        let mut replies = Vec::with_capacity(planned.len());
        let mut failed = None;
        for Planned { args, bytes, .. } in planned {
            match self.execute_args(args, Source::Packed(bytes)) {
                Ok(reply) => replies.push(reply),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(replies), Err)
    }

    /// Writes each node its commands, reads from all, and puts the replies in order.
    fn execute_together(
        &mut self,
        bytes: &[u8],
        planned: &[Planned<'_>],
        patience: Patience,
    ) -> RedisResult<Vec<Value>> {
        let asks = match only_node(planned) {
            Some(node) => {
                let mut buffer = self.links.buffer();
                buffer.extend_from_slice(bytes);
                vec![Ask { node, bytes: buffer, requests: planned.len() }]
            }
            None => self.cut(planned),
        };
        let mut incoming = Incoming::new(self.router().nodes().len());
        for answer in self.links.ask(asks, patience) {
            incoming.put(answer);
        }
        // Every command is joined, even behind one that failed: a node that answered nonsense to a later
        // one must be hung up on.
        let mut replies = Vec::with_capacity(planned.len());
        let mut failed = None;
        for command in planned {
            match self.reply_to(command, &mut incoming) {
                Ok(reply) => replies.push(reply),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(replies), Err)
    }

    /// The commands, cut by node.
    fn cut(&self, planned: &[Planned<'_>]) -> Vec<Ask> {
        let mut outgoing = Outgoing::new(self.router().nodes().len());
        for command in planned {
            match &command.way {
                Way::One(node) => outgoing.to(*node).extend_from_slice(command.bytes),
                Way::Nodes(nodes, _) => {
                    for node in nodes {
                        outgoing.to(*node).extend_from_slice(command.bytes);
                    }
                }
                Way::Split(split) => {
                    for (fragment, node) in split.nodes().enumerate() {
                        if !self.router().is_refused(node) {
                            split.write(fragment, &command.args, outgoing.to(node));
                        }
                    }
                }
                Way::Local(_) | Way::Nowhere(_) | Way::Alone => {}
            }
        }
        outgoing.asks
    }

    fn reply_to(&mut self, command: &Planned<'_>, incoming: &mut Incoming) -> RedisResult<Value> {
        let Planned { args, rule, way, .. } = command;
        match way {
            Way::One(node) => self.join(Joining::Only, vec![incoming.next(*node)], args, rule),
            Way::Nodes(nodes, joining) => {
                let parts = nodes.iter().map(|node| incoming.next(*node)).collect();
                self.join(*joining, parts, args, rule)
            }
            Way::Split(split) => {
                let router = self.router();
                let parts = split.nodes().enumerate().map(|(fragment, node)| {
                    let part = if router.is_refused(node) {
                        Err(ejected(node, router).into())
                    } else {
                        incoming.next(node)
                    };
                    let keys = || split.keys(fragment, args).map(<[u8]>::to_vec).collect();
                    part.map_err(|failure: Failure| failure.with_keys(keys()))
                });
                let parts = parts.collect();
                self.join(Joining::Fragments(split), parts, args, rule)
            }
            Way::Local(reply) => Ok(self.reply_locally(*reply, args)),
            Way::Nowhere(failure) => {
                self.join(Joining::Only, vec![Err(failure.clone())], args, rule)
            }
            Way::Alone => self.execute_args(args, Source::Packed(command.bytes)),
        }
    }
}

/// What is written to each node.
struct Outgoing {
    asks: Vec<Ask>,
    /// By node id, the place in `asks` plus one.
    places: Vec<usize>,
}

impl Outgoing {
    fn new(nodes: usize) -> Self {
        Self { asks: Vec::new(), places: vec![0; nodes] }
    }

    /// The bytes for one more request to `node`.
    fn to(&mut self, node: NodeId) -> &mut Vec<u8> {
        let place = &mut self.places[node.index()];
        if *place == 0 {
            self.asks.push(Ask { node, bytes: Vec::new(), requests: 0 });
            *place = self.asks.len();
        }
        let ask = &mut self.asks[*place - 1];
        ask.requests += 1;
        &mut ask.bytes
    }
}

/// What each node answered, to be taken in the order of the requests.
struct Incoming {
    /// By node id.
    answers: Vec<(std::vec::IntoIter<Value>, Option<Failure>)>,
}

impl Incoming {
    fn new(nodes: usize) -> Self {
        Self { answers: (0..nodes).map(|_| (Vec::new().into_iter(), None)).collect() }
    }

    fn put(&mut self, answer: Answer) {
        self.answers[answer.node.index()] = (answer.replies.into_iter(), answer.failure);
    }

    /// The next reply of `node`; the failure, from the one on that it did not answer.
    fn next(&mut self, node: NodeId) -> Result<Part<Value>, Failure> {
        let (replies, failure) = &mut self.answers[node.index()];
        match (replies.next(), failure) {
            (Some(reply), _) => Ok(Part { node, reply }),
            (None, Some(failure)) => Err(failure.clone()),
            (None, None) => Ok(Part { node, reply: Value::Nil }),
        }
    }
}

/// The node that all commands go to, if it is one.
fn only_node(planned: &[Planned<'_>]) -> Option<NodeId> {
    let mut nodes = planned.iter().map(|command| match command.way {
        Way::One(node) => Some(node),
        _ => None,
    });
    let first = nodes.next()??;
    nodes.all(|node| node == Some(first)).then_some(first)
}

fn longer(one: Patience, other: Patience) -> Patience {
    let limit = one.limit.zip(other.limit).map(|(one, other)| one.max(other));
    Patience { limit, is_blocking: one.is_blocking || other.is_blocking }
}
