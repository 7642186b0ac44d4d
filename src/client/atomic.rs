//! Atomic pipelines: a whole transaction at once.

use redis::ErrorKind;
use redis::RedisError;
use redis::RedisResult;
use redis::ServerErrorKind;
use redis::Value;

use super::connection::ShardedConnection;
use super::dispatch::PackedCommand;
use super::dispatch::commands;
use super::dispatch::refused;
use super::place::Gathering;
use super::transaction::Transaction;
use super::transaction::is_end_of_exec;
use crate::command::FanOut;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::node::NodeId;

impl ShardedConnection {
    /// Carries out the commands in `bytes`, skipping the first `offset` of `offset + count` replies.
    ///
    /// That is how redis-rs sends an atomic pipeline: `MULTI`, `offset - 1` commands, `EXEC`. All its keys
    /// are on one node, and on that of what is watched, or nothing is sent. If one of the skipped replies
    /// is an error nothing was executed, and ours says which. Whatever comes of it, nothing is watched
    /// behind it: it is an `EXEC`.
    pub(super) fn execute_atomic(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let commands = commands(bytes)?;
        let Some(inner) = self.inside_transaction(&commands, offset, count) else {
            let replies = self.execute_pipeline(bytes, offset.saturating_add(count))?;
            return executed(replies, offset);
        };
        if self.transaction.is_open() {
            return Err(refused(b"MULTI", "another MULTI is open").into());
        }
        let is_pinned = !self.transaction.is_idle();
        let node = match self.node_of_atomic(inner) {
            Ok(node) => node,
            Err(error) => {
                self.end_transaction();
                return Err(error);
            }
        };
        self.transaction = Transaction::default();
        let mut buffer = self.links.buffer();
        buffer.extend_from_slice(bytes);
        let replies = self.ask_transaction(node, buffer, commands.len(), is_pinned)?;
        if !replies.last().is_some_and(is_end_of_exec) {
            self.links.close(node);
        }
        was_queued(&replies, offset)?;
        executed(replies, offset)
    }

    /// The commands between `MULTI` and `EXEC`, if `commands` are a transaction of which the reply to
    /// `EXEC` is wanted.
    fn inside_transaction<'c, 'b>(
        &self,
        commands: &'c [PackedCommand<'b>],
        offset: usize,
        count: usize,
    ) -> Option<&'c [PackedCommand<'b>]> {
        let [first, inner @ .., last] = commands else {
            return None;
        };
        let is = |command: &PackedCommand<'_>, transaction| {
            let wanted = FanOut::Special(Special::Transaction(transaction));
            self.rule(&command.args).is_ok_and(|rule| rule.fan_out() == wanted)
        };
        let is_transaction = offset == inner.len() + 1
            && count == 1
            && is(first, TransactionCommand::Multi)
            && is(last, TransactionCommand::Exec);
        is_transaction.then_some(inner)
    }

    fn node_of_atomic(&mut self, inner: &[PackedCommand<'_>]) -> RedisResult<NodeId> {
        let pinned = self.pinned_node()?;
        let key = self.transaction.first_key().to_vec();
        let mut gathering = Gathering::new(pinned.map(|node| (node, key)));
        for PackedCommand { args, .. } in inner {
            let rule = self.rule(args)?;
            gathering.add(args, &rule, self.router())?;
        }
        gathering.node(self.router())
    }
}

/// Looks whether a `MULTI` was refused and what came behind it was not.
///
/// # Errors
///
/// If so: it was executed, one command after the other.
pub(super) fn was_queued(replies: &[Value], offset: usize) -> RedisResult<()> {
    let is_error = |reply: &Value| matches!(reply, Value::ServerError(_));
    match &replies[..offset.min(replies.len())] {
        [Value::ServerError(refusal), inner @ ..] if !inner.iter().all(is_error) => {
            let kind = refusal.kind().map_or(ErrorKind::Extension, ErrorKind::Server);
            let text = "MULTI was refused, and commands behind it were executed without it";
            Err(RedisError::from((kind, text, refusal.to_string())))
        }
        _ => Ok(()),
    }
}

/// The replies behind the first `offset`.
///
/// # Errors
///
/// If one of the first is an error: the transaction was not executed. redis-rs's own error for this
/// cannot be made outside of it; this one has the same kind and the same words.
pub(super) fn executed(replies: Vec<Value>, offset: usize) -> RedisResult<Vec<Value>> {
    let refused =
        replies.iter().take(offset).enumerate().filter_map(|(place, reply)| match reply {
            Value::ServerError(error) => {
                Some(format!("(Index {}, error: {error})", place.saturating_sub(1)))
            }
            _ => None,
        });
    let refused: Vec<_> = refused.collect();
    if refused.is_empty() {
        return Ok(replies.into_iter().skip(offset).collect());
    }
    Err(RedisError::from((
        ErrorKind::Server(ServerErrorKind::ExecAbort),
        "Transaction aborted",
        format!("[{}]", refused.join(", ")),
    )))
}
