//! Many commands at once: cut by node, written to all, read from all, put back in order.

use std::ops::Range;

use redis::RedisResult;
use redis::Value;

use super::clock;
use super::clock::Deadline;
use super::clock::Patience;
use super::connection::ShardedConnection;
use super::connection::empty_command;
use super::dispatch::Source;
use super::dispatch::refused;
use super::dispatch::unreadable;
use super::failure::Failure;
use super::links::Answer;
use super::links::Ask;
use super::options::PartialFailure;
use super::partial::Joining;
use crate::command::CommandRule;
use crate::command::CommandTable;
use crate::command::FanOut;
use crate::command::LocalReply;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::node::NodeId;
use crate::plan::Part;
use crate::plan::Plan;
use crate::plan::Split;
use crate::plan::ejected;
use crate::plan::one_node;
use crate::plan::scatter;
use crate::plan::unroutable;
use crate::protocol::resp::request;

/// The commands of a pipeline, planned. Their arguments lie in one list, because a pipeline of a thousand
/// commands must not cost a thousand lists.
struct Batch<'a> {
    args: Vec<&'a [u8]>,
    commands: Vec<Planned<'a>>,
    patience: Patience,
}

/// A command of a pipeline.
struct Planned<'a> {
    args: Range<usize>,
    bytes: &'a [u8],
    rule: &'a CommandRule,
    way: Way,
}

/// Where a command of a pipeline goes.
enum Way {
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

const WATCH: FanOut = FanOut::Special(Special::Transaction(TransactionCommand::Watch));

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
        let table = self.links.shared().options.table.clone();
        let batch = self.plan(bytes, &table)?;
        let is_alone = |planned: &Planned<'_>| matches!(planned.way, Way::Alone);
        let mut replies = if self.transaction.is_open() || batch.commands.iter().any(is_alone) {
            self.execute_one_by_one(&batch)?
        } else {
            self.execute_together(bytes, &batch)?
        };
        replies.truncate(count);
        Ok(replies)
    }

    fn plan<'a>(&mut self, bytes: &'a [u8], table: &'a CommandTable) -> RedisResult<Batch<'a>> {
        let mut batch = Batch { args: Vec::new(), commands: Vec::new(), patience: self.patience() };
        let mut rest = bytes;
        while !rest.is_empty() {
            let first = batch.args.len();
            let length = request(rest, &mut batch.args).map_err(unreadable)?;
            let args = &batch.args[first..];
            let rule = self.rule_in(table, args)?;
            // One waits after the other, if they are on the same node.
            batch.patience = batch.patience.and_waiting(rule.waiting(args));
            let way = self.way(args, rule)?;
            let bytes = &rest[..length];
            batch.commands.push(Planned { args: first..batch.args.len(), bytes, rule, way });
            rest = &rest[length..];
        }
        if batch.commands.is_empty() { Err(empty_command()) } else { Ok(batch) }
    }

    #[inline]
    fn way(&mut self, args: &[&[u8]], rule: &CommandRule) -> RedisResult<Way> {
        if let Some(key) = rule.only_key().and_then(|place| args.get(place)) {
            return match self.router().route(key) {
                Ok(node) => Ok(Way::One(node)),
                Err(why) => {
                    let error = unroutable(why, self.router());
                    self.nowhere(error.into())
                }
            };
        }
        self.slow_way(args, rule)
    }

    fn slow_way(&mut self, args: &[&[u8]], rule: &CommandRule) -> RedisResult<Way> {
        Ok(match scatter(args, rule, self.router()) {
            Ok(Plan::One(node)) => Way::One(node),
            Ok(Plan::Split(split)) => {
                let policy = self.links.shared().options.partial_failure;
                let out = split.nodes().find(|node| self.router().is_refused(*node));
                match out {
                    Some(node) if policy == PartialFailure::Fail => {
                        return Err(ejected(node, self.router()).into());
                    }
                    _ => Way::Split(Box::new(split)),
                }
            }
            Ok(Plan::All(how)) => {
                let nodes = self.router().live_nodes().collect();
                Way::Nodes(Box::new((nodes, Joining::Nodes(how))))
            }
            Ok(Plan::UntilFound) => {
                let mut nodes: Vec<_> = self.router().live_nodes().collect();
                let start = self.next_turn(nodes.len());
                nodes.rotate_left(start);
                Way::Nodes(Box::new((nodes, Joining::FirstFound)))
            }
            Ok(Plan::Special(Special::Local(LocalReply::Quit))) => Way::Alone,
            Ok(Plan::Special(Special::Local(reply))) => Way::Local(reply),
            Ok(Plan::Special(Special::Refused(reason))) => {
                return Err(refused(args[0], reason).into());
            }
            Ok(Plan::Special(Special::Transaction(TransactionCommand::Watch))) => {
                one_node(args, rule, self.router())?;
                Way::Alone
            }
            Ok(Plan::Special(_)) => Way::Alone,
            Err(error) => return self.nowhere(error.into()),
        })
    }

    /// A command whose node cannot be asked: the end of the pipeline, or of this command only.
    fn nowhere(&self, failure: Failure) -> RedisResult<Way> {
        let policy = self.links.shared().options.partial_failure;
        if policy == PartialFailure::Fail || failure.error.is_about_the_request() {
            return Err(failure.into());
        }
        Ok(Way::Nowhere(Box::new(failure)))
    }

    /// Commands whose effect the next one may depend on. All are carried out, even behind one that failed,
    /// because the `EXEC` behind it must not stay away; but none behind a `SELECT` or an `AUTH` that failed,
    /// which was meant for another database, or another user.
    fn execute_one_by_one(&mut self, batch: &Batch<'_>) -> RedisResult<Vec<Value>> {
        self.until = Deadline::after(clock::now(), batch.patience.limit);
        let replies = self.execute_each(batch);
        self.until = Deadline::NEVER;
        replies
    }

    fn execute_each(&mut self, batch: &Batch<'_>) -> RedisResult<Vec<Value>> {
        let mut replies = Vec::with_capacity(batch.commands.len());
        let mut failed = None;
        for command in &batch.commands {
            let args = &batch.args[command.args.clone()];
            match self.execute_args(args, Source::Packed(command.bytes)) {
                Ok(reply) => replies.push(reply),
                Err(error) => {
                    let error = failed.take().unwrap_or(error);
                    match command.rule.fan_out() {
                        WATCH => self.transaction.lose(),
                        FanOut::Special(Special::Session(_)) => {
                            if self.transaction.is_open() {
                                self.end_transaction();
                            }
                            return Err(error);
                        }
                        _ => {}
                    }
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(replies), Err)
    }

    /// Writes each node its commands, reads from all, and puts the replies in order.
    fn execute_together(&mut self, bytes: &[u8], batch: &Batch<'_>) -> RedisResult<Vec<Value>> {
        let asks = match only_node(&batch.commands) {
            Some(node) => {
                let mut buffer = self.links.buffer();
                buffer.extend_from_slice(bytes);
                vec![Ask { node, bytes: buffer, requests: batch.commands.len() }]
            }
            None => self.cut(batch),
        };
        let is_whole = asks.len() == 1 && asks[0].requests == batch.commands.len();
        let mut answers = self.links.ask(asks, batch.patience);
        if is_whole && let Some(answer) = answers.pop_if(|answer| answer.failure.is_none()) {
            return Ok(answer.replies);
        }
        let mut incoming = Incoming::new(self.router().nodes().len());
        for answer in answers {
            incoming.put(answer);
        }
        // Every command is joined, even behind one that failed: a node that answered nonsense to a later
        // one must be hung up on.
        let mut replies = Vec::with_capacity(batch.commands.len());
        let mut failed = None;
        for command in &batch.commands {
            match self.reply_to(command, &batch.args[command.args.clone()], &mut incoming) {
                Ok(reply) => replies.push(reply),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(replies), Err)
    }

    /// The commands, cut by node.
    fn cut(&mut self, batch: &Batch<'_>) -> Vec<Ask> {
        let mut outgoing = Outgoing::new(self.router().nodes().len());
        for command in &batch.commands {
            match &command.way {
                Way::One(node) => outgoing.to(*node, self).extend_from_slice(command.bytes),
                Way::Nodes(to_all) => {
                    for node in &to_all.0 {
                        outgoing.to(*node, self).extend_from_slice(command.bytes);
                    }
                }
                Way::Split(split) => {
                    let args = &batch.args[command.args.clone()];
                    for (fragment, node) in split.nodes().enumerate() {
                        if !self.router().is_refused(node) {
                            split.write(fragment, args, outgoing.to(node, self));
                        }
                    }
                }
                Way::Local(_) | Way::Nowhere(_) | Way::Alone => {}
            }
        }
        outgoing.asks
    }

    fn reply_to(
        &mut self,
        command: &Planned<'_>,
        args: &[&[u8]],
        incoming: &mut Incoming,
    ) -> RedisResult<Value> {
        let rule = command.rule;
        match &command.way {
            Way::One(node) => match incoming.next(*node) {
                Ok(part) => Ok(part.reply),
                failed => self.join(Joining::Only, vec![failed], args, rule),
            },
            Way::Nodes(to_all) => {
                let (nodes, joining) = &**to_all;
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
                self.join(Joining::Only, vec![Err((**failure).clone())], args, rule)
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
    #[inline]
    fn to(&mut self, node: NodeId, connection: &mut ShardedConnection) -> &mut Vec<u8> {
        let place = &mut self.places[node.index()];
        if *place == 0 {
            self.asks.push(Ask { node, bytes: connection.links.buffer(), requests: 0 });
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
    #[inline]
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
fn only_node(commands: &[Planned<'_>]) -> Option<NodeId> {
    let mut nodes = commands.iter().map(|command| match command.way {
        Way::One(node) => Some(node),
        _ => None,
    });
    let first = nodes.next()??;
    nodes.all(|node| node == Some(first)).then_some(first)
}
