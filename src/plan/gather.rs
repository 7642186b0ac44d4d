//! From the replies of several nodes to one reply.

use std::collections::HashSet;

use super::split::Split;
use crate::command::Gather;
use crate::node::NodeId;

/// A reply, whatever a front end makes of the bytes.
pub(crate) trait Reply: Sized {
    fn nil() -> Self;
    fn integer(number: i64) -> Self;
    fn array(elements: Vec<Self>) -> Self;
    fn map(pairs: Vec<(Self, Self)>) -> Self;

    fn is_error(&self) -> bool;
    /// Whether it is a map, in protocols that have them.
    fn is_map(&self) -> bool {
        false
    }
    fn as_integer(&self) -> Option<i64>;
    /// The elements of an array or a set, and of a map one behind the other.
    fn into_elements(self) -> Option<Vec<Self>>;
    /// Whether two replies say the same.
    fn equals(&self, other: &Self) -> bool;
    /// The bytes of a string.
    fn as_bytes(&self) -> Option<&[u8]>;
}

/// The reply of one node to its part.
#[derive(Debug)]
pub(crate) struct Part<R> {
    pub(crate) node: NodeId,
    pub(crate) reply: R,
}

/// A node answered something of another type than its part asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenReply {
    pub(crate) node: NodeId,
}

type Gathered<R> = Result<R, BrokenReply>;

/// One reply out of those of `parts`, which are not empty.
///
/// `name` tells the name of a node, for [`Gather::ByNode`].
///
/// # Errors
///
/// If a reply is not of the type that the command has.
pub(crate) fn gather<R: Reply>(
    how: Gather,
    mut parts: Vec<Part<R>>,
    name: impl Fn(NodeId) -> R,
) -> Gathered<R> {
    let decides = |part: &Part<R>| part.reply.is_error() != (how == Gather::AnySuccess);
    if let Some(place) = parts.iter().position(decides) {
        return Ok(parts.swap_remove(place).reply);
    }
    match how {
        Gather::First | Gather::AnySuccess => {
            Ok(parts.into_iter().next().map_or_else(R::nil, |part| part.reply))
        }
        Gather::Sum => fold_integers(parts, i64::saturating_add),
        Gather::Min => fold_integers(parts, i64::min),
        Gather::MinEach => fold_each(parts, i64::min),
        Gather::AndEach => fold_each(parts, |all, one| i64::from(all != 0 && one != 0)),
        Gather::Concat | Gather::InKeyOrder => concatenate(parts),
        Gather::Union => union(parts),
        Gather::SumPairs => sum_pairs(parts),
        Gather::ByNode => {
            Ok(R::map(parts.into_iter().map(|part| (name(part.node), part.reply)).collect()))
        }
    }
}

/// The elements of each fragment of `split`, put in the order of the request's keys. A fragment that
/// failed is `Err` with what stands in for each of its elements.
///
/// # Errors
///
/// If a reply is no array, or has not one element a key.
pub(crate) fn gather_by_key<R: Reply>(
    split: &Split,
    fragments: Vec<Result<Part<R>, Vec<R>>>,
) -> Gathered<R> {
    let mut gathered: Vec<R> = Vec::new();
    gathered.resize_with(split.key_count(), R::nil);
    for (fragment, part) in fragments.into_iter().enumerate() {
        let places = split.places(fragment);
        let elements = match part {
            Ok(part) if part.reply.is_error() => return Ok(part.reply),
            Ok(part) => {
                let broken = BrokenReply { node: part.node };
                let elements = part.reply.into_elements().ok_or(broken)?;
                if elements.len() != places.len() {
                    return Err(broken);
                }
                elements
            }
            Err(substitutes) => substitutes,
        };
        for (&place, element) in places.iter().zip(elements) {
            gathered[place as usize] = element;
        }
    }
    Ok(R::array(gathered))
}

fn fold_integers<R: Reply>(parts: Vec<Part<R>>, join: impl Fn(i64, i64) -> i64) -> Gathered<R> {
    let mut joined = None;
    for part in parts {
        let number = part.reply.as_integer().ok_or(BrokenReply { node: part.node })?;
        joined = Some(joined.map_or(number, |joined| join(joined, number)));
    }
    Ok(joined.map_or_else(R::nil, R::integer))
}

fn fold_each<R: Reply>(parts: Vec<Part<R>>, join: impl Fn(i64, i64) -> i64) -> Gathered<R> {
    let mut joined: Option<Vec<i64>> = None;
    for part in parts {
        let broken = BrokenReply { node: part.node };
        let elements = part.reply.into_elements().ok_or(broken)?;
        let numbers: Option<Vec<_>> = elements.iter().map(R::as_integer).collect();
        let numbers = numbers.ok_or(broken)?;
        joined = Some(match joined {
            None => numbers,
            Some(joined) if joined.len() == numbers.len() => {
                joined.into_iter().zip(numbers).map(|(all, one)| join(all, one)).collect()
            }
            Some(_) => return Err(broken),
        });
    }
    Ok(R::array(joined.unwrap_or_default().into_iter().map(R::integer).collect()))
}

/// Maps become one map, anything else an array.
fn concatenate<R: Reply>(parts: Vec<Part<R>>) -> Gathered<R> {
    let are_maps = parts.iter().all(|part| part.reply.is_map());
    let mut all = Vec::new();
    for part in parts {
        let broken = BrokenReply { node: part.node };
        all.extend(part.reply.into_elements().ok_or(broken)?);
    }
    if !are_maps {
        return Ok(R::array(all));
    }
    let mut all = all.into_iter();
    Ok(R::map(std::iter::from_fn(|| all.next().zip(all.next())).collect()))
}

fn union<R: Reply>(parts: Vec<Part<R>>) -> Gathered<R> {
    let mut all: Vec<R> = Vec::new();
    let mut strings: HashSet<Vec<u8>> = HashSet::new();
    for part in parts {
        let broken = BrokenReply { node: part.node };
        for element in part.reply.into_elements().ok_or(broken)? {
            // There may be very many, and all that servers answer to such commands are strings.
            let is_new = match element.as_bytes() {
                Some(bytes) => strings.insert(bytes.to_vec()),
                None => !all.iter().any(|other| other.equals(&element)),
            };
            if is_new {
                all.push(element);
            }
        }
    }
    Ok(R::array(all))
}

/// All nodes answer to the same names in the same order, and to a name that was asked twice, twice.
fn sum_pairs<R: Reply>(parts: Vec<Part<R>>) -> Gathered<R> {
    let mut sums: Vec<(R, i64)> = Vec::new();
    for part in parts {
        let broken = BrokenReply { node: part.node };
        let is_first = sums.is_empty();
        let mut elements = part.reply.into_elements().ok_or(broken)?.into_iter();
        let mut place = 0;
        while let Some(name) = elements.next() {
            let number = elements.next().and_then(|number| number.as_integer()).ok_or(broken)?;
            match sums.get_mut(place) {
                Some((other, sum)) if other.equals(&name) => *sum = sum.saturating_add(number),
                None if is_first => sums.push((name, number)),
                _ => return Err(broken),
            }
            place += 1;
        }
        if place != sums.len() {
            return Err(broken);
        }
    }
    let pairs = sums.into_iter().flat_map(|(name, sum)| [name, R::integer(sum)]);
    Ok(R::array(pairs.collect()))
}

#[cfg(test)]
pub(super) mod tests;
