//! Replies of several nodes, put together.

use super::frames::Elements;
use super::frames::Frame;
use super::frames::elements;
use super::frames::integer;
use super::frames::string;
use super::frames::value_length;
use crate::command::Gather;
use crate::node::NodeId;
use crate::plan::Part;
use crate::plan::Split;
use crate::protocol::resp::Body;
use crate::protocol::resp::Header;
use crate::protocol::resp::ShortStrings;
use crate::protocol::resp::append_start;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;
use crate::proxy::core::pool::Pool;
use crate::proxy::core::sessions::is_error;
use crate::proxy::core::ticket::Fragment;
use crate::proxy::core::ticket::Gathering;
use crate::proxy::core::ticket::How;

/// Appends what the client is answered, now that all parts are there; answers the node that has sent something else than
/// values.
pub(in crate::proxy::core) fn gather(
    gathering: &Gathering,
    pool: &Pool,
    is_resp3: bool,
    out: &mut Vec<u8>,
) -> Option<NodeId> {
    let how = match &gathering.how {
        How::Split(split) => split.gather(),
        How::All(how) => *how,
        _ => Gather::First,
    };
    if how != Gather::AnySuccess
        && let Some(error) = gathering.parts.iter().find_map(error_of)
    {
        out.extend_from_slice(error);
        return None;
    }
    match &gathering.how {
        How::Split(split) if how == Gather::InKeyOrder => {
            let start = out.len();
            if let Err(node) = in_key_order(gathering, split, out) {
                out.truncate(start);
                out.extend_from_slice(b"-ERR Invalid argument\r\n");
                return Some(node);
            }
        }
        How::Split(_) if how == Gather::Sum => {
            let numbers = gathering.parts.iter().filter_map(|part| integer(reply_of(part)?));
            let sum = numbers.fold(0i64, i64::saturating_add);
            out.extend_from_slice(format!(":{sum}\r\n").as_bytes());
        }
        How::Found => {
            let is_nil = |reply: &&[u8]| matches!(reply, [b'_', ..] | [b'$', b'-', ..]);
            let mut replies = gathering.parts.iter().filter_map(reply_of);
            out.extend_from_slice(replies.find(|reply| !is_nil(reply)).unwrap_or(b"$-1\r\n"));
        }
        _ => out.extend(joined(gathering, how, pool, is_resp3)),
    }
    None
}

/// The error that a part is answered with, if it is.
fn error_of(part: &Fragment) -> Option<&[u8]> {
    match part.reply.as_ref()? {
        Ok(reply) if is_error(reply) => Some(reply),
        Ok(_) => None,
        Err(error) => Some(error),
    }
}

fn reply_of(part: &Fragment) -> Option<&[u8]> {
    part.reply.as_ref().and_then(|reply| reply.as_deref().ok())
}

/// Appends the element of each key, in the order of the request.
///
/// # Errors
///
/// The node that has sent something else than values.
fn in_key_order(gathering: &Gathering, split: &Split, out: &mut Vec<u8>) -> Result<(), NodeId> {
    // Few nodes are the rule, and then nothing is allocated.
    let mut few = [&[][..]; 16];
    let mut many = Vec::new();
    let rests = match few.get_mut(..gathering.parts.len()) {
        Some(few) => few,
        None => {
            many.resize(gathering.parts.len(), &[][..]);
            &mut many[..]
        }
    };
    // With a little more, since what is appended may be cut off again.
    let mut bytes = 160;
    for (part, rest) in gathering.parts.iter().zip(rests.iter_mut()) {
        let reply = reply_of(part).unwrap_or_default();
        bytes += reply.len();
        *rest = elements(reply).map(Elements::into_rest).unwrap_or_default();
    }
    out.reserve(bytes);
    write_array_header(out, split.owners().len());
    let mut strings = ShortStrings::default();
    for &owner in split.owners() {
        // The replies were counted when they came: there are as many elements as keys.
        let rest = &mut rests[usize::from(owner)];
        let Some(length) = value_length(rest, &mut strings) else {
            return Err(gathering.parts[usize::from(owner)].node);
        };
        append_start(out, rest, length);
        *rest = &rest[length..];
    }
    Ok(())
}

/// By the rules that hold for all front ends.
fn joined(gathering: &Gathering, how: Gather, pool: &Pool, is_resp3: bool) -> Vec<u8> {
    let parts = gathering.parts.iter().filter_map(|part| {
        let (Ok(reply) | Err(reply)) = part.reply.as_ref()?;
        Some(Part { node: part.node, reply: Frame(reply.clone()) })
    });
    let name = |node: NodeId| {
        let mut bytes = Vec::new();
        write_bulk_string(&mut bytes, gathering.name_of(pool, node).as_bytes());
        Frame(bytes)
    };
    match crate::plan::gather(how, parts.collect(), name) {
        Ok(Frame(reply)) if is_resp3 && how == Gather::ByNode => as_map(reply),
        Ok(Frame(reply)) => reply,
        Err(broken) => {
            let name = gathering.name_of(pool, broken.node);
            super::error_line(format!("ERR node '{name}' sent a reply of another type"))
        }
    }
}

/// An array of pairs, as RESP3 writes it.
fn as_map(reply: Vec<u8>) -> Vec<u8> {
    let Some(all) = elements(&reply) else {
        return reply;
    };
    let mut map = format!("%{}\r\n", all.left() / 2).into_bytes();
    all.for_each(|element| map.extend_from_slice(element));
    map
}

/// What is wrong with the reply to a part of a request that was split.
pub(in crate::proxy::core) fn broken_fragment(
    split: &Split,
    part: usize,
    reply: &[u8],
) -> Option<&'static str> {
    if is_error(reply) {
        return None;
    }
    match split.gather() {
        Gather::InKeyOrder => {
            let all = reply.first().filter(|&&kind| kind == b'*').and_then(|_| elements(reply));
            let keys = split.places(part).len() as u64;
            match all {
                // Whether they are values is looked at when they are put together.
                Some(all) if all.left() == keys => None,
                _ => Some(WRONG_COUNT),
            }
        }
        // All that is stored in parts is answered with a +OK.
        Gather::First if reply.first() != Some(&b'+') => Some(WRONG_TYPE),
        how => broken_reply(how, reply),
    }
}

const WRONG_TYPE: &str = "its reply is of another type than the command has";
const WRONG_COUNT: &str = "its reply has not one element for each key";

/// What is wrong with a reply to a part that is not complete.
pub(in crate::proxy::core) fn broken_start(
    split: &Split,
    part: usize,
    start: &[u8],
) -> Option<&'static str> {
    match (split.gather(), start.first()) {
        (_, None | Some(b'-' | b'!')) => None,
        (Gather::InKeyOrder, Some(b'*')) => {
            let keys = split.places(part).len() as u64;
            let is_wrong = matches!(
                Header::read(start),
                Ok(Some(Header { body, .. })) if !matches!(body, Body::Replies(count) if count == keys)
            );
            is_wrong.then_some(WRONG_COUNT)
        }
        (Gather::Sum, Some(b':')) | (Gather::First, Some(b'+')) => None,
        (Gather::InKeyOrder | Gather::Sum | Gather::First, _) => Some(WRONG_TYPE),
        _ => None,
    }
}

/// What is wrong with the reply of one of all nodes.
pub(in crate::proxy::core) fn broken_reply(how: Gather, reply: &[u8]) -> Option<&'static str> {
    if is_error(reply) {
        return None;
    }
    let is_right = match how {
        Gather::Sum | Gather::Min => integer(reply).is_some(),
        Gather::MinEach | Gather::AndEach | Gather::SumPairs => elements(reply).is_some(),
        Gather::Concat | Gather::Union | Gather::InKeyOrder => elements(reply).is_some(),
        // It is passed on as it is, and what a `+OK` is for must be one.
        Gather::First => string(reply).is_some() || integer(reply).is_some(),
        Gather::ByNode | Gather::AnySuccess => true,
    };
    (!is_right).then_some(WRONG_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_another_type_is_broken() {
        // nutcracker 0.5.0 counts `:4294967297` as 1, and dies of `*-1`.
        assert_eq!(broken_reply(Gather::Sum, b":4294967297\r\n"), None);
        for reply in [&b"+OK\r\n"[..], b"*-1\r\n", b"*1\r\n:5\r\n", b"$1\r\n1\r\n"] {
            assert!(broken_reply(Gather::Sum, reply).is_some());
        }
        assert!(broken_reply(Gather::First, b"*0\r\n").is_some());
        assert_eq!(broken_reply(Gather::First, b"+OK\r\n"), None);
        assert_eq!(broken_reply(Gather::First, b"-ERR x\r\n"), None);
    }

    #[test]
    fn pairs_become_a_map() {
        assert_eq!(as_map(b"*2\r\n+a\r\n:1\r\n".to_vec()), b"%1\r\n+a\r\n:1\r\n");
    }
}
