//! Many commands at once: cut by node, written to all, read from all, put back in order.

use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::connection::empty_command;
use super::dispatch::Source;
use super::dispatch::rule_in;
use super::dispatch::unreadable;
use super::links::Ask;
use super::way::Incoming;
use super::way::Planned;
use super::way::Planner;
use super::way::WATCH;
use super::way::Way;
use crate::command::CommandTable;
use crate::command::FanOut;
use crate::command::Special;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::protocol::resp::request;

/// The commands of a pipeline, and the bytes of each.
type Batch<'a> = super::way::Batch<'a, &'a [u8]>;

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
        let mut replies = if self.transaction.is_open() || batch.has_steps() {
            self.execute_one_by_one(&batch)?
        } else {
            self.execute_together(bytes, &batch)?
        };
        replies.truncate(count);
        Ok(replies)
    }

    fn plan<'a>(&mut self, bytes: &'a [u8], table: &'a CommandTable) -> RedisResult<Batch<'a>> {
        let mut batch = Batch::new(self.patience());
        let router = self.links.router();
        let policy = self.links.shared().options.partial_failure;
        let mut planner = Planner { router, policy, turn: &mut self.turn };
        let mut rest = bytes;
        while !rest.is_empty() {
            let first = batch.args.len();
            let length = request(rest, &mut batch.args).map_err(unreadable)?;
            let rule = rule_in(table, &batch.args[first..])?;
            batch.push(first, &rest[..length], rule, &mut planner)?;
            rest = &rest[length..];
        }
        if batch.commands.is_empty() { Err(empty_command()) } else { Ok(batch) }
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
            match self.execute_args(args, Source::Packed(command.source)) {
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
        let asks = match batch.only_node() {
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
            incoming.put(answer.node, answer.replies, answer.failure);
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
                Way::One(node) => outgoing.to(*node, self).extend_from_slice(command.source),
                Way::Nodes(to_all) => {
                    for node in &to_all.0 {
                        outgoing.to(*node, self).extend_from_slice(command.source);
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
        command: &Planned<'_, &[u8]>,
        args: &[&[u8]],
        incoming: &mut Incoming,
    ) -> RedisResult<Value> {
        if let Some(reply) = incoming.only(&command.way) {
            return Ok(reply);
        }
        match &command.way {
            Way::Local(reply) => Ok(self.reply_locally(*reply, args)),
            Way::Alone => self.execute_args(args, Source::Packed(command.source)),
            way => {
                let (joining, parts) = incoming.parts(way, args, self.router());
                self.join(joining, parts, args, command.rule)
            }
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
