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
use super::transaction::Place;
use super::transaction::Transaction;
use crate::node::NodeId;
use crate::plan::cross_shard;
use crate::plan::designated;

impl ShardedConnection {
    /// Carries out an atomic pipeline: `bytes` are `MULTI`, `offset - 1` commands, `EXEC`.
    ///
    /// All its keys are on one node, and on that of what is watched, or nothing is sent. Of the replies
    /// the first `offset` are skipped, unless one is an error; then nothing was executed, and the error
    /// says which. Whatever comes of it, nothing is watched behind it: it is an `EXEC`.
    pub(super) fn execute_atomic(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if self.transaction.is_open() {
            return Err(refused(b"MULTI", "another MULTI is open").into());
        }
        let is_pinned = !self.transaction.is_idle();
        let node = match self.node_of_atomic(bytes, offset) {
            Ok(node) => node,
            Err(error) => {
                self.end_transaction();
                return Err(error);
            }
        };
        self.transaction = Transaction::default();
        let mut buffer = self.links.buffer();
        buffer.extend_from_slice(bytes);
        let replies = self.ask_transaction(node, buffer, offset + count, is_pinned)?;
        executed(replies, offset)
    }

    fn node_of_atomic(&mut self, bytes: &[u8], offset: usize) -> RedisResult<NodeId> {
        let mut place = match self.pinned_node()? {
            Some(node) => Some((node, self.transaction.first_key().to_vec())),
            None => None,
        };
        let commands = commands(bytes)?;
        for PackedCommand { args, .. } in commands.get(1..offset).unwrap_or_default() {
            let rule = self.rule(args)?;
            if let Place::Node(node, key) = self.place_in_transaction(args, &rule)? {
                match &place {
                    Some((other, first)) if *other != node => {
                        let (one, other) = ((first.as_slice(), *other), (key.as_slice(), node));
                        return Err(cross_shard(b"MULTI", one, other, self.router()).into());
                    }
                    Some(_) => {}
                    None => place = Some((node, key)),
                }
            }
        }
        match place {
            Some((node, _)) => Ok(node),
            None => Ok(designated(self.router())?),
        }
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
