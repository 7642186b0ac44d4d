//! One command: planned, asked, joined.

use std::borrow::Cow;

use redis::Arg;
use redis::Cmd;
use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::connection::empty_command;
use super::failure::Failure;
use super::links::Answer;
use super::links::Ask;
use super::options::Options;
use super::options::PartialFailure;
use super::partial::Joining;
use super::partial::Unanswered;
use super::partial::broken;
use super::partial::join;
use super::patience::Patience;
use super::way::instead_of;
use crate::command::Blocking;
use crate::command::CommandRule;
use crate::command::CommandTable;
use crate::command::Found;
use crate::command::Special;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::plan::Part;
use crate::plan::Plan;
use crate::plan::Split;
use crate::plan::ejected;
use crate::plan::scatter;
use crate::plan::unroutable;
use crate::protocol::resp::RequestError;
use crate::protocol::resp::request;
use crate::topology::Router;

/// A command, as the application gave it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    Command(&'a Cmd),
    Packed(&'a [u8]),
}

impl<'a> Source<'a> {
    /// The bytes of the command.
    pub(super) fn packed(self) -> Cow<'a, [u8]> {
        match self {
            Self::Command(command) => Cow::Owned(command.get_packed_command()),
            Self::Packed(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// Appends the bytes of the command to `out`.
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Command(command) => command.write_packed_command(out),
            Self::Packed(bytes) => out.extend_from_slice(bytes),
        }
    }

    fn wants_no_reply(self) -> bool {
        matches!(self, Self::Command(command) if command.is_no_response())
    }

    /// The arguments, unless one of them is a cursor, which redis-rs does not show.
    pub(super) fn args(self) -> Option<Vec<&'a [u8]>> {
        let Self::Command(command) = self else {
            return None;
        };
        let args = command.args_iter().map(|argument| match argument {
            Arg::Simple(argument) => Some(argument),
            _ => None,
        });
        args.collect()
    }
}

/// A command among the bytes of several.
#[derive(Clone, Debug)]
pub(super) struct PackedCommand<'a> {
    pub(super) args: Vec<&'a [u8]>,
    pub(super) bytes: &'a [u8],
}

/// The commands that `bytes` hold.
///
/// # Errors
///
/// If the bytes are not whole commands.
pub(super) fn commands(bytes: &[u8]) -> RedisResult<Vec<PackedCommand<'_>>> {
    let mut rest = bytes;
    let mut commands = Vec::new();
    while !rest.is_empty() {
        let mut args = Vec::new();
        let length = request(rest, &mut args).map_err(unreadable)?;
        commands.push(PackedCommand { args, bytes: &rest[..length] });
        rest = &rest[length..];
    }
    Ok(commands)
}

/// An error for bytes that are not commands.
pub(super) fn unreadable(error: RequestError) -> ShardError {
    ShardError::new(ShardErrorKind::Unroutable, format!("unreadable bytes: {error}"))
}

/// An error for a command that is not carried out.
pub(super) fn refused(name: &[u8], reason: &str) -> ShardError {
    let name = name.escape_ascii();
    ShardError::new(ShardErrorKind::Unroutable, format!("'{name}' was not sent: {reason}"))
}

/// The rule of the command `args` in `table`.
///
/// # Errors
///
/// If there is no command, or one that a strict table does not know.
pub(super) fn rule_in<'t>(table: &'t CommandTable, args: &[&[u8]]) -> RedisResult<&'t CommandRule> {
    let Some((name, rest)) = args.split_first() else {
        return Err(empty_command());
    };
    match table.find(name, || rest.first().copied()) {
        Found::Rule(rule) => Ok(rule.for_arguments(args)),
        Found::Unknown => Err(refused(name, "it is not in the command table").into()),
    }
}

/// The node that the command would be sent to, or `None` if it concerns several or none.
///
/// # Errors
///
/// What the command would be refused with.
pub(super) fn only_node_for(
    source: Source<'_>,
    table: &CommandTable,
    router: &Router,
) -> RedisResult<Option<NodeId>> {
    let bytes = source.packed();
    let commands = commands(&bytes)?;
    let command = commands.first().ok_or_else(empty_command)?;
    let rule = rule_in(table, &command.args)?;
    match scatter(&command.args, rule, router)? {
        Plan::One(node) => Ok(Some(node)),
        Plan::Special(Special::Refused(reason)) => Err(refused(command.args[0], reason).into()),
        _ => Ok(None),
    }
}

/// The node of a request that has one key at a fixed place, which is nearly every request, and
/// whether it only reads. Nothing is copied or collected to find it.
#[inline]
pub(super) fn route_only_key(
    command: &Cmd,
    table: &CommandTable,
    router: &Router,
) -> Option<(bool, Result<NodeId, ShardError>)> {
    let mut args = command.args_iter();
    let Some(Arg::Simple(name)) = args.next() else {
        return None;
    };
    let first = args.clone().next();
    let Found::Rule(rule) = table.find(name, || simple(first)) else {
        return None;
    };
    if rule.blocking_time() != Blocking::No {
        return None;
    }
    let key = simple(args.nth(rule.only_key()? - 1))?;
    Some((rule.is_read_only(), router.route(key).map_err(|why| unroutable(why, router))))
}

fn simple(argument: Option<Arg<&[u8]>>) -> Option<&[u8]> {
    match argument {
        Some(Arg::Simple(argument)) => Some(argument),
        _ => None,
    }
}

impl ShardedConnection {
    /// Carries out one command.
    pub(super) fn execute(&mut self, source: Source<'_>) -> RedisResult<Value> {
        let reply = self.execute_source(source)?;
        // The node replies all the same, and a reply that is not read would answer the next request.
        Ok(if source.wants_no_reply() { Value::Nil } else { reply })
    }

    fn execute_source(&mut self, source: Source<'_>) -> RedisResult<Value> {
        if let Some(args) = source.args() {
            return self.execute_args(&args, source);
        }
        let bytes = source.packed();
        match commands(&bytes)?.as_slice() {
            [] => Err(empty_command()),
            [only] => self.execute_args(&only.args, Source::Packed(&bytes)),
            [first, ..] => {
                let name = first.args.first().copied().unwrap_or_default();
                Err(refused(name, "another command follows it").into())
            }
        }
    }

    pub(super) fn execute_args(
        &mut self,
        args: &[&[u8]],
        source: Source<'_>,
    ) -> RedisResult<Value> {
        let rule = self.rule(args)?;
        if !self.transaction.is_idle()
            && let Some(reply) = self.execute_in_transaction(args, &rule, source)
        {
            return reply;
        }
        let patience = self.patience_for(&rule, args);
        match scatter(args, &rule, self.router()) {
            Ok(Plan::One(node)) => self.execute_on_one(node, &rule, source, patience),
            Ok(Plan::Split(split)) => self.execute_split(args, &rule, &split, patience),
            Ok(Plan::All(how)) => {
                let nodes = self.router().live_nodes().collect();
                self.execute_on(nodes, Joining::Nodes(how), args, &rule, source, patience)
            }
            Ok(Plan::UntilFound) => self.execute_until_found(args, &rule, source, patience),
            Ok(Plan::Special(special)) => self.execute_special(special, args, source),
            Err(error) => instead_of(error.into(), rule.is_read_only(), self.options()),
        }
    }

    /// The rule of the command `args`.
    ///
    /// # Errors
    ///
    /// If there is no command, or one that a strict table does not know.
    pub(super) fn rule(&self, args: &[&[u8]]) -> RedisResult<CommandRule> {
        rule_in(&self.links.shared().options.table, args).copied()
    }

    /// How long the command may take: its own waiting time comes on top of ours.
    pub(super) fn patience_for(&self, rule: &CommandRule, args: &[&[u8]]) -> Patience {
        self.patience().and_waiting(rule.waiting(args))
    }

    pub(super) fn options(&self) -> &Options {
        &self.links.shared().options
    }

    fn execute_on_one(
        &mut self,
        node: NodeId,
        rule: &CommandRule,
        source: Source<'_>,
        patience: Patience,
    ) -> RedisResult<Value> {
        let mut bytes = self.links.buffer();
        source.write(&mut bytes);
        match self.links.ask_one(node, bytes, patience) {
            Ok(reply) => Ok(reply),
            Err(failure) => instead_of(failure, rule.is_read_only(), self.options()),
        }
    }

    fn execute_split(
        &mut self,
        args: &[&[u8]],
        rule: &CommandRule,
        split: &Split,
        patience: Patience,
    ) -> RedisResult<Value> {
        let policy = self.links.shared().options.partial_failure;
        let mut asks = Vec::with_capacity(split.nodes().len());
        for (fragment, node) in split.nodes().enumerate() {
            if self.router().is_refused(node) {
                if policy == PartialFailure::Fail {
                    return Err(ejected(node, self.router()).into());
                }
                continue;
            }
            let mut bytes = self.links.buffer();
            split.write(fragment, args, &mut bytes);
            asks.push(Ask { node, bytes, requests: 1 });
        }
        let answers = self.links.ask(asks, patience);
        let mut answers = answers.into_iter().peekable();
        let router = self.router();
        let parts = split.nodes().enumerate().map(|(fragment, node)| {
            let part = match answers.next_if(|answer| answer.node == node) {
                Some(answer) => part(answer),
                None => Err(ejected(node, router).into()),
            };
            part.map_err(|failure| failure.of_fragment(split, fragment, args))
        });
        let parts = parts.collect();
        self.join(Joining::Fragments(split), parts, args, rule)
    }

    /// Asks `nodes` the same.
    fn execute_on(
        &mut self,
        nodes: Vec<NodeId>,
        joining: Joining<'_>,
        args: &[&[u8]],
        rule: &CommandRule,
        source: Source<'_>,
        patience: Patience,
    ) -> RedisResult<Value> {
        let asks = nodes.into_iter().map(|node| {
            let mut bytes = self.links.buffer();
            source.write(&mut bytes);
            Ask { node, bytes, requests: 1 }
        });
        let asks = asks.collect();
        let parts = self.links.ask(asks, patience).into_iter().map(part).collect();
        self.join(joining, parts, args, rule)
    }

    /// Asks one node after the other until one does not answer nil.
    fn execute_until_found(
        &mut self,
        args: &[&[u8]],
        rule: &CommandRule,
        source: Source<'_>,
        patience: Patience,
    ) -> RedisResult<Value> {
        let nodes: Vec<_> = self.router().live_nodes().collect();
        let start = self.turn.next(nodes.len());
        let deadline = Deadline::after(clock::now(), patience.limit);
        for offset in 0..nodes.len() {
            let patience = Patience { limit: deadline.left(clock::now()), ..patience };
            let node = vec![nodes[(start + offset) % nodes.len()]];
            match self.execute_on(node, Joining::Only, args, rule, source, patience)? {
                Value::Nil => {}
                reply => return Ok(reply),
            }
        }
        Ok(Value::Nil)
    }

    /// Joins the parts of a command, and hangs up on a node that answered nonsense.
    pub(super) fn join(
        &mut self,
        joining: Joining<'_>,
        parts: Vec<Result<Part<Value>, Failure>>,
        args: &[&[u8]],
        rule: &CommandRule,
    ) -> RedisResult<Value> {
        let policy = self.links.shared().options.partial_failure;
        match join(joining, parts, rule, policy, self.router()) {
            Ok(reply) => Ok(reply),
            Err(Unanswered::Failed(failure)) => Err(failure.into()),
            Err(Unanswered::Broken(reply)) => {
                self.links.close(reply.node);
                Err(broken(reply, args[0], self.router()).into())
            }
        }
    }
}

/// The part of a command that is answered with one reply.
pub(super) fn part(answer: Answer) -> Result<Part<Value>, Failure> {
    match (answer.replies.into_iter().next(), answer.failure) {
        (_, Some(failure)) => Err(failure),
        (reply, None) => Ok(Part { node: answer.node, reply: reply.unwrap_or(Value::Nil) }),
    }
}
