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
use super::links::Ask;
use super::transaction::Place;
use super::transaction::lost;
use crate::node::NodeId;
use crate::plan::cross_shard;
use crate::plan::designated;

impl ShardedConnection {
    /// Carries out an atomic pipeline: `bytes` are `MULTI`, `offset - 1` commands, `EXEC`.
    ///
    /// All its keys are on one node, or nothing is sent. Of the replies the first `offset` are skipped,
    /// unless one is an error; then nothing was executed, and the error says which.
    pub(super) fn execute_atomic(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if self.transaction.open.is_some() {
            return Err(refused(b"MULTI", "another MULTI is open").into());
        }
        let commands = commands(bytes)?;
        let inner = commands.get(1..offset).unwrap_or_default();
        let mut place: Option<(NodeId, Vec<u8>)> = None;
        for PackedCommand { args, .. } in inner {
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
        let pin = std::mem::take(&mut self.transaction);
        let node = match (&pin.pin, place) {
            (None, _) if pin.is_lost => return Err(lost().into()),
            (None, Some((node, _))) => node,
            (None, None) => designated(self.router())?,
            (Some(pinned), place) => {
                let watched = self.node_of(pinned).ok_or_else(lost)?;
                match place {
                    Some((node, key)) if node != watched => {
                        self.abandon(Some(watched), false);
                        let one = (pinned.key.as_slice(), watched);
                        return Err(cross_shard(b"MULTI", one, (&key, node), self.router()).into());
                    }
                    _ => watched,
                }
            }
        };
        let mut buffer = self.links.buffer();
        buffer.extend_from_slice(bytes);
        let asks = vec![Ask { node, bytes: buffer, requests: offset + count }];
        let answer = self.links.ask(asks, self.patience()).pop();
        match answer {
            Some(answer) => match answer.failure {
                Some(failure) => Err(failure.into()),
                None => executed(answer.replies, offset),
            },
            None => Ok(Vec::new()),
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
