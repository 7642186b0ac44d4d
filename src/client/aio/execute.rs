//! One command: planned, asked, joined.

use futures_util::future::join_all;
use redis::Cmd;
use redis::RedisResult;
use redis::Value;

use super::ShardedMultiplexedConnection;
use super::connecting::command_of;
use super::failure::Unmet;
use crate::client::connection::empty_command;
use crate::client::dispatch::Source;
use crate::client::dispatch::commands;
use crate::client::dispatch::refused;
use crate::client::dispatch::rule_in;
use crate::client::failure::Failure;
use crate::client::options::PartialFailure;
use crate::client::partial::Joining;
use crate::client::partial::Unanswered;
use crate::client::partial::broken;
use crate::client::partial::join;
use crate::client::patience::Patience;
use crate::client::way::instead_of;
use crate::command::CommandRule;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::plan::BrokenReply;
use crate::plan::Part;
use crate::plan::Plan;
use crate::plan::Split;
use crate::plan::ejected;
use crate::plan::scatter;

impl ShardedMultiplexedConnection {
    /// Carries out one command.
    pub(super) async fn execute(&mut self, command: &Cmd) -> RedisResult<Value> {
        let reply = self.execute_args(command).await?;
        Ok(if command.is_no_response() { Value::Nil } else { reply })
    }

    async fn execute_args(&mut self, command: &Cmd) -> RedisResult<Value> {
        if let Some(args) = Source::Command(command).args() {
            return self.execute_planned(&args, command).await;
        }
        // redis-rs does not show the cursor of a scan but in the bytes.
        let bytes = command.get_packed_command();
        match commands(&bytes)?.as_slice() {
            [only] => self.execute_planned(&only.args, command).await,
            _ => Err(empty_command()),
        }
    }

    async fn execute_planned(&mut self, args: &[&[u8]], command: &Cmd) -> RedisResult<Value> {
        let rule = *rule_in(&self.options().table, args)?;
        let waiting = rule.waiting(args);
        let patience = self.patience().and_waiting(waiting);
        match scatter(args, &rule, self.router()) {
            Ok(Plan::One(node)) if patience.is_blocking => {
                let asked = self.ask_aside(node, command, patience).await;
                self.or_instead(asked, &rule)
            }
            Ok(Plan::One(node)) => {
                let asked = self.ask(node, command, patience).await;
                self.or_instead(asked, &rule)
            }
            Ok(Plan::Split(split)) => self.execute_split(args, &rule, &split, patience).await,
            Ok(Plan::All(how)) => {
                let nodes = self.router().live_nodes().collect();
                self.execute_on(nodes, Joining::Nodes(how), args, command, &rule, patience).await
            }
            Ok(Plan::UntilFound) => self.execute_until_found(args, command, &rule, patience).await,
            Ok(Plan::Special(special)) => self.execute_special(special, args, command).await,
            Err(error) => instead_of(error.into(), rule.is_read_only(), self.options()),
        }
    }

    fn or_instead(&self, asked: Result<Value, Unmet>, rule: &CommandRule) -> RedisResult<Value> {
        match asked {
            Ok(reply) => Ok(reply),
            Err(Unmet::Failed(failure)) => instead_of(failure, rule.is_read_only(), self.options()),
            Err(Unmet::Refused(error)) => Err(error),
        }
    }

    async fn execute_split(
        &mut self,
        args: &[&[u8]],
        rule: &CommandRule,
        split: &Split,
        patience: Patience,
    ) -> RedisResult<Value> {
        let router = self.router();
        let out = split.nodes().find(|node| router.is_refused(*node));
        if let Some(node) = out
            && self.options().partial_failure == PartialFailure::Fail
        {
            return Err(ejected(node, router).into());
        }
        let this = &*self;
        let ask = |(fragment, node)| this.ask_fragment(args, split, fragment, node, patience);
        let parts = join_all(split.nodes().enumerate().map(ask)).await;
        self.join(Joining::Fragments(split), parts, args, rule)
    }

    async fn ask_fragment(
        &self,
        args: &[&[u8]],
        split: &Split,
        fragment: usize,
        node: NodeId,
        patience: Patience,
    ) -> Result<Part<Value>, Failure> {
        let part = if self.router().is_refused(node) {
            Err(ejected(node, self.router()).into())
        } else {
            let command = command_of(split.arguments(fragment, args));
            self.ask_part(node, &command, patience).await
        };
        part.map_err(|failure| failure.of_fragment(split, fragment, args))
    }

    /// Asks `nodes` the same, at the same time.
    async fn execute_on(
        &mut self,
        nodes: Vec<NodeId>,
        joining: Joining<'_>,
        args: &[&[u8]],
        command: &Cmd,
        rule: &CommandRule,
        patience: Patience,
    ) -> RedisResult<Value> {
        let ask = |node| self.ask_everywhere(node, command, patience);
        let parts = join_all(nodes.into_iter().map(ask)).await;
        self.join(joining, parts, args, rule)
    }

    /// The part of one of several nodes that are asked the same. One that waits (`WAIT`) does so for what was
    /// written on its connection.
    async fn ask_everywhere(
        &self,
        node: NodeId,
        command: &Cmd,
        patience: Patience,
    ) -> Result<Part<Value>, Failure> {
        if !patience.is_blocking {
            return self.ask_part(node, command, patience).await;
        }
        match self.ask_behind(node, command, patience).await {
            Ok(reply) => Ok(Part { node, reply }),
            Err(unmet) => Err(unmet.into_failure(&self.roster.slot(node).member)),
        }
    }

    /// Asks one node after the other until one does not answer nil.
    async fn execute_until_found(
        &mut self,
        args: &[&[u8]],
        command: &Cmd,
        rule: &CommandRule,
        patience: Patience,
    ) -> RedisResult<Value> {
        let mut nodes: Vec<_> = self.router().live_nodes().collect();
        let start = self.turn.next(nodes.len());
        nodes.rotate_left(start);
        let deadline = Deadline::after(clock::now(), patience.limit);
        for node in nodes {
            let patience = Patience { limit: deadline.left(clock::now()), ..patience };
            let one = vec![node];
            match self.execute_on(one, Joining::Only, args, command, rule, patience).await? {
                Value::Nil => {}
                reply => return Ok(reply),
            }
        }
        Ok(Value::Nil)
    }

    /// Joins the parts of a command, and hangs up on a node that answered nonsense.
    pub(super) fn join(
        &self,
        joining: Joining<'_>,
        parts: Vec<Result<Part<Value>, Failure>>,
        args: &[&[u8]],
        rule: &CommandRule,
    ) -> RedisResult<Value> {
        let policy = self.options().partial_failure;
        match join(joining, parts, rule, policy, self.router()) {
            Ok(reply) => Ok(reply),
            Err(Unanswered::Failed(failure)) => Err(failure.into()),
            Err(Unanswered::Broken(reply)) => {
                Err(self.hang_up(reply, args.first().copied().unwrap_or_default()))
            }
        }
    }

    /// Closes the links to a node whose reply was of the wrong type: what else it may have sent cannot be
    /// trusted.
    pub(super) fn hang_up(&self, reply: BrokenReply, name: &[u8]) -> redis::RedisError {
        self.roster.slot(reply.node).close();
        broken(reply, name, self.router()).into()
    }
}

/// An error for what only a connection of one's own can do.
pub(super) fn not_shared(name: &[u8]) -> redis::RedisError {
    refused(
        name,
        "tasks share this connection; use an atomic pipeline, or redis::aio::transaction_async",
    )
    .into()
}
