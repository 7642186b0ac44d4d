//! What a caller gets when a part of a request failed.

use redis::Value;

use super::failure::Failure;
use super::options::PartialFailure;
use super::wire::error_value;
use crate::command::CommandRule;
use crate::command::Gather;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::plan::BrokenReply;
use crate::plan::Part;
use crate::plan::Split;
use crate::plan::gather;
use crate::plan::gather_by_key;
use crate::topology::Router;

/// How the parts of one command become its reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Joining<'a> {
    /// There is one part, and it is the reply.
    Only,
    /// The parts are those of the fragments of a split, in their order.
    Fragments(&'a Split),
    /// The parts are those of several nodes that were asked the same.
    Nodes(Gather),
    /// The same, and the first reply that is not nil counts.
    FirstFound,
}

/// Why a command has no reply.
#[derive(Debug)]
pub(super) enum Unanswered {
    Failed(Failure),
    /// This node answered something of the wrong type; what else it may have sent cannot be trusted.
    Broken(BrokenReply),
}

/// Makes the reply to a command out of its parts, some of which may have failed.
pub(super) fn join(
    joining: Joining<'_>,
    parts: Vec<Result<Part<Value>, Failure>>,
    rule: &CommandRule,
    policy: PartialFailure,
    router: &Router,
) -> Result<Value, Unanswered> {
    let failed = parts.iter().find_map(|part| part.as_ref().err().cloned());
    let Some(failure) = failed else {
        return join_whole(joining, parts, router).map_err(Unanswered::Broken);
    };
    let substitute = match policy {
        PartialFailure::PerCommand => error_value(&failure.error.as_reply_text()),
        PartialFailure::NilForReads if rule.is_read_only() => Value::Nil,
        _ => return Err(Unanswered::Failed(with_completed(failure, &parts, rule, router))),
    };
    match joining {
        Joining::Fragments(split) if split.gather() == Gather::InKeyOrder => {
            let fragments = parts.into_iter().enumerate().map(|(fragment, part)| {
                part.map_err(|_| vec![substitute.clone(); split.places(fragment).len()])
            });
            gather_by_key(split, fragments.collect()).map_err(Unanswered::Broken)
        }
        _ if policy == PartialFailure::PerCommand => Ok(substitute),
        Joining::Only => Ok(substitute),
        _ => {
            let parts: Vec<_> = parts.into_iter().filter(Result::is_ok).collect();
            if parts.is_empty() {
                return Ok(nothing(joining));
            }
            join_whole(joining, parts, router).map_err(Unanswered::Broken)
        }
    }
}

/// Joins parts none of which has failed.
fn join_whole(
    joining: Joining<'_>,
    parts: Vec<Result<Part<Value>, Failure>>,
    router: &Router,
) -> Result<Value, BrokenReply> {
    let name = |node| Value::BulkString(router.node(node).name().as_bytes().to_vec());
    let replies = parts.into_iter().flatten();
    match joining {
        Joining::Only => Ok(first(replies)),
        Joining::FirstFound => Ok(first(replies.filter(|part| part.reply != Value::Nil))),
        Joining::Nodes(how) => gather(how, replies.collect(), name),
        Joining::Fragments(split) if split.gather() == Gather::InKeyOrder => {
            gather_by_key(split, replies.map(Ok).collect())
        }
        Joining::Fragments(split) => gather(split.gather(), replies.collect(), name),
    }
}

fn first(mut parts: impl Iterator<Item = Part<Value>>) -> Value {
    parts.next().map_or(Value::Nil, |part| part.reply)
}

/// What a command answers that found nothing anywhere.
fn nothing(joining: Joining<'_>) -> Value {
    let how = match joining {
        Joining::Fragments(split) => split.gather(),
        Joining::Nodes(how) => how,
        _ => return Value::Nil,
    };
    match how {
        Gather::Sum => Value::Int(0),
        Gather::Concat | Gather::Union | Gather::InKeyOrder => Value::Array(Vec::new()),
        _ => Value::Nil,
    }
}

/// Says where a write that failed in part was carried out.
fn with_completed(
    failure: Failure,
    parts: &[Result<Part<Value>, Failure>],
    rule: &CommandRule,
    router: &Router,
) -> Failure {
    if rule.is_read_only() {
        return failure;
    }
    let completed =
        parts.iter().flatten().filter(|part| !matches!(part.reply, Value::ServerError(_)));
    let completed = completed.map(|part| router.node(part.node).shared_name().clone()).collect();
    Failure { error: failure.error.with_completed(completed), ..failure }
}

/// What is said of a node whose reply was of the wrong type.
pub(super) fn broken(reply: BrokenReply, command: &[u8], router: &Router) -> ShardError {
    ShardError::new(
        ShardErrorKind::Protocol,
        format!("the reply to '{}' is not of the type that command has", command.escape_ascii()),
    )
    .with_node(router.node(reply.node).shared_name().clone())
}
