//! Many commands at once: cut by node, asked at the same time, put back in order.

use futures_util::future::join_all;
use redis::Cmd;
use redis::Pipeline;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;

use super::ShardedMultiplexedConnection;
use super::connecting::command_of;
use super::failure::Unmet;
use crate::client::connection::empty_command;
use crate::client::dispatch::Source;
use crate::client::dispatch::commands;
use crate::client::dispatch::rule_in;
use crate::client::patience::Patience;
use crate::client::special::local_reply;
use crate::client::way::Incoming;
use crate::client::way::Planner;
use crate::client::way::WATCH;
use crate::client::way::Way;
use crate::command::CommandTable;
use crate::command::FanOut;
use crate::command::Special;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;

/// The commands of a pipeline, and where each came from.
type Batch<'a> = crate::client::way::Batch<'a, &'a Cmd>;

impl ShardedMultiplexedConnection {
    /// Carries out the commands of `pipeline`, and returns the `count` replies behind the first `offset`.
    ///
    /// All of them are planned before the first is sent, so that one that cannot be carried out refuses
    /// the whole. Each node's commands keep their order; between nodes there is none.
    pub(super) async fn execute_pipeline(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let table = self.options().table.clone();
        // redis-rs does not show the cursor of a scan but in the bytes.
        let scans: Vec<_> = pipeline.cmd_iter().map(packed_scan).collect();
        let batch = self.plan(pipeline, &scans, &table)?;
        let replies = if batch.has_steps() {
            self.execute_one_by_one(&batch).await?
        } else {
            self.execute_together(pipeline, &batch).await?
        };
        Ok(replies.into_iter().skip(offset).take(count).collect())
    }

    fn plan<'a>(
        &mut self,
        pipeline: &'a Pipeline,
        scans: &'a [Option<Vec<u8>>],
        table: &'a CommandTable,
    ) -> RedisResult<Batch<'a>> {
        let mut batch = Batch::new(self.patience());
        let router = self.roster.router();
        let policy = self.links.shared.options.partial_failure;
        let mut planner = Planner { router, policy, turn: &mut self.turn };
        for (command, scan) in pipeline.cmd_iter().zip(scans) {
            let first = batch.args.len();
            match scan {
                None => batch.args.extend(Source::Command(command).args().unwrap_or_default()),
                Some(bytes) => {
                    let scan = commands(bytes)?.pop().ok_or_else(empty_command)?;
                    batch.args.extend(scan.args);
                }
            }
            let rule = rule_in(table, &batch.args[first..])?;
            batch.push(first, command, rule, &mut planner)?;
        }
        if batch.commands.is_empty() { Err(empty_command()) } else { Ok(batch) }
    }

    /// Commands whose effect the next one may depend on. All are carried out, even behind one that failed;
    /// but none behind a `SELECT` or an `AUTH` that failed, which was meant for another database, or
    /// another user.
    async fn execute_one_by_one(&mut self, batch: &Batch<'_>) -> RedisResult<Vec<Value>> {
        self.until = Deadline::after(clock::now(), batch.patience.limit);
        let replies = self.execute_each(batch).await;
        self.until = Deadline::NEVER;
        replies
    }

    async fn execute_each(&mut self, batch: &Batch<'_>) -> RedisResult<Vec<Value>> {
        let mut replies = Vec::with_capacity(batch.commands.len());
        let mut failed: Option<RedisError> = None;
        for command in &batch.commands {
            match Box::pin(self.execute(command.source)).await {
                Ok(reply) => replies.push(reply),
                Err(error) => {
                    let error = failed.take().unwrap_or(error);
                    match command.rule.fan_out() {
                        WATCH => self.fail_watch(),
                        FanOut::Special(Special::Session(_)) => return Err(error),
                        _ => {}
                    }
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(replies), Err)
    }

    /// Sends each node its commands, at the same time, and puts the replies in order.
    async fn execute_together(
        &mut self,
        pipeline: &Pipeline,
        batch: &Batch<'_>,
    ) -> RedisResult<Vec<Value>> {
        let mut incoming = Incoming::new(self.router().nodes().len());
        let ask = |node, part, count| self.ask_its_part(node, part, count, batch);
        match batch.only_node() {
            Some(node) => match ask(node, pipeline, batch.commands.len()).await {
                Ok(replies) => return Ok(replies),
                Err(Unmet::Refused(error)) => return Err(error),
                Err(unmet) => {
                    let failure = unmet.into_failure(&self.roster.slot(node).member);
                    incoming.put(node, Vec::new(), Some(failure));
                }
            },
            None => {
                let parts = self.cut(batch);
                let asks = parts.iter().map(|(node, part)| ask(*node, part, part.len()));
                for ((node, _), answer) in parts.iter().zip(join_all(asks).await) {
                    match answer {
                        Ok(replies) => incoming.put(*node, replies, None),
                        Err(unmet) => {
                            let failure = unmet.into_failure(&self.roster.slot(*node).member);
                            incoming.put(*node, Vec::new(), Some(failure));
                        }
                    }
                }
            }
        }
        // Every command is joined, even behind one that failed: a node that answered nonsense to a later
        // one must be hung up on.
        let mut replies = Vec::with_capacity(batch.commands.len());
        let mut failed = None;
        for command in &batch.commands {
            let args = &batch.args[command.args.clone()];
            let reply = match (&command.way, incoming.only(&command.way)) {
                (_, Some(reply)) => Ok(reply),
                (Way::Local(reply), None) => Ok(local_reply(*reply, args)),
                (way, None) => {
                    let (joining, parts) = incoming.parts(way, args, self.router());
                    self.join(joining, parts, args, command.rule)
                }
            };
            match reply {
                Ok(reply) => replies.push(reply),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(replies), Err)
    }

    /// Sends a node its part. One with a command that waits on the server has a link for itself.
    async fn ask_its_part(
        &self,
        node: NodeId,
        part: &Pipeline,
        count: usize,
        batch: &Batch<'_>,
    ) -> Result<Vec<Value>, Unmet> {
        let slot = self.roster.slot(node);
        if !batch.patience.is_blocking {
            return self.ask_many(slot, None, part, (0, count), batch.patience).await;
        }
        let deadline = Deadline::after(clock::now(), batch.patience.limit);
        let link = self.links.open_aside(slot, self.patience()).await?;
        let patience = Patience { limit: deadline.left(clock::now()), ..batch.patience };
        let replies = self.ask_many(slot, Some(&link), part, (0, count), patience).await?;
        slot.put_spare(link);
        Ok(replies)
    }

    /// The commands, cut by node.
    fn cut(&self, batch: &Batch<'_>) -> Vec<(NodeId, Pipeline)> {
        let mut parts: Vec<Option<Pipeline>> = Vec::new();
        parts.resize_with(self.router().nodes().len(), || None);
        let mut add = |node: NodeId, command: Cmd| {
            parts[node.index()].get_or_insert_with(Pipeline::new).add_command(command);
        };
        for command in &batch.commands {
            match &command.way {
                Way::One(node) => add(*node, command.source.clone()),
                Way::Nodes(to_all) => {
                    to_all.0.iter().for_each(|node| add(*node, command.source.clone()));
                }
                Way::Split(split) => {
                    let args = &batch.args[command.args.clone()];
                    for (fragment, node) in split.nodes().enumerate() {
                        if !self.router().is_refused(node) {
                            add(node, command_of(split.arguments(fragment, args)));
                        }
                    }
                }
                Way::Local(_) | Way::Nowhere(_) | Way::Alone => {}
            }
        }
        let parts = parts.into_iter().enumerate();
        parts.filter_map(|(index, part)| Some((NodeId::new(index)?, part?))).collect()
    }
}

fn packed_scan(command: &Cmd) -> Option<Vec<u8>> {
    let is_plain = Source::Command(command).args().is_some();
    (!is_plain).then(|| command.get_packed_command())
}
