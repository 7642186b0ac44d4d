//! How a step went, and what is made of replies to say so.

use std::collections::BTreeSet;

use redis::ErrorKind;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use shardwright::ShardError;
use shardwright::ShardErrorKind;

use super::reply::Circumstances;
use super::reply::bytes;
use super::reply::differs;
use super::reply::elements;
use super::step::Args;
use super::step::is_named;
use super::step::line;
use super::step::packed;

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides said the same.
    Same,
    /// The pool refused it.
    Refused,
    /// They cannot be compared.
    Skipped,
    /// They cannot be compared from here on.
    Ended,
    Different(String),
}

/// Why the pool does not carry out what is carried out on one server, if that is what the reply says.
pub fn refusal<T>(reply: &RedisResult<T>) -> Option<ShardError> {
    let error = ShardError::of(reply.as_ref().err()?)?;
    let kinds = [ShardErrorKind::CrossShard, ShardErrorKind::Unroutable];
    kinds.contains(&error.kind()).then_some(error)
}

pub fn is_unreadable(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Parse
}

pub fn unequal(ours: &impl std::fmt::Debug, theirs: &impl std::fmt::Debug) -> Outcome {
    let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
    if ours == theirs {
        return Outcome::Same;
    }
    Outcome::Different(format!("ours   {ours}\n      theirs {theirs}"))
}

pub fn compare_all(
    commands: &[Args],
    ours: &[Value],
    theirs: &[Value],
    circumstances: Circumstances,
) -> Outcome {
    if (ours.len(), theirs.len()) != (commands.len(), commands.len()) {
        return unequal(&ours, &theirs);
    }
    for ((args, ours), theirs) in commands.iter().zip(ours).zip(theirs) {
        if let Some(difference) = differs(args, ours, theirs, circumstances) {
            return Outcome::Different(format!("{}\n      {difference}", line(args)));
        }
    }
    Outcome::Same
}

/// What the big server is to be told in the place of a command that chooses by itself, and what it is
/// to reply.
pub fn followed(command: &Args, reply: &Value) -> Option<(Args, Value)> {
    let name = command.first()?.to_ascii_uppercase();
    match (name.as_slice(), reply) {
        (b"SPOP", Value::BulkString(_) | Value::Array(_) | Value::Set(_)) => {
            let popped = match reply {
                Value::BulkString(_) => vec![reply.clone()],
                reply => elements(reply),
            };
            let members = popped.iter().filter_map(bytes).map(<[u8]>::to_vec);
            let remove: Args =
                [b"SREM".to_vec(), command.get(1)?.clone()].into_iter().chain(members).collect();
            let expected = Value::Int(popped.len() as i64);
            (!popped.is_empty()).then_some((remove, expected))
        }
        (b"XADD", Value::BulkString(id)) if command.get(2).is_some_and(|id| id == b"*") => {
            let mut add = command.clone();
            add[2].clone_from(id);
            Some((add, reply.clone()))
        }
        _ => None,
    }
}

/// All that a scan finds, in order and once.
pub fn scan_all(
    connection: &mut (impl redis::ConnectionLike + ?Sized),
    command: &Args,
) -> RedisResult<Vec<String>> {
    let place = if is_named(command, &["SCAN"]) { 1 } else { 2 };
    let is_paired = is_named(command, &["HSCAN", "ZSCAN"]);
    let mut found = BTreeSet::new();
    let mut command = command.clone();
    for _ in 0..100_000 {
        let reply = connection.req_packed_command(&packed(&command))?;
        let parts = elements(&reply);
        let [cursor, batch] = parts.as_slice() else {
            found.insert(format!("{reply:?}"));
            break;
        };
        let batch = elements(batch);
        let size = if is_paired { 2 } else { 1 };
        found.extend(batch.chunks(size).map(|item| format!("{item:?}")));
        let cursor = bytes(cursor).unwrap_or_default();
        if cursor == b"0" {
            break;
        }
        command[place] = cursor.to_vec();
    }
    Ok(found.into_iter().collect())
}

/// All that is in a reply that is not itself an array.
pub fn flat(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(_) | Value::Set(_) | Value::Map(_) => {
            elements(value).iter().flat_map(flat).collect()
        }
        other => vec![other.clone()],
    }
}
