//! Replies of several memcacheds, put together.

use crate::node::NodeId;
use crate::protocol::memcache::serving::Values;
use crate::proxy::core::pool::Pool;
use crate::proxy::core::sessions::is_error;
use crate::proxy::core::ticket::Fragment;
use crate::proxy::core::ticket::Gathering;
use crate::proxy::core::ticket::How;

/// The part of a key that is asked nowhere: it is a miss.
pub(super) const NOWHERE: u16 = u16::MAX;

/// Keys, one behind the other.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct KeyList {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl KeyList {
    #[inline]
    pub(super) fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
    }

    #[inline]
    fn at(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)? as usize;
        let start = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        self.bytes.get(start..end)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|place| self.at(place))
    }
}

/// Keys that several nodes are asked for.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct Retrieval {
    /// The keys of each part, in the order they are asked for; those behind the parts are empty.
    lists: Vec<KeyList>,
    /// The node of each part.
    nodes: Vec<NodeId>,
    /// The node of each key of the request, or [`NOWHERE`]; and then its part.
    pub(super) owners: Vec<u16>,
}

impl Retrieval {
    /// One that asks for so much is not kept.
    const LARGEST: usize = 64 << 10;

    /// Deals the keys out to the nodes that `owners` names.
    pub(super) fn deal<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) {
        // Few nodes are the rule.
        for (key, owner) in keys.zip(&mut self.owners) {
            let Some(node) = NodeId::new(usize::from(*owner)).filter(|_| *owner != NOWHERE) else {
                continue;
            };
            let part = self.nodes.iter().position(|&other| other == node);
            let part = part.unwrap_or_else(|| {
                self.nodes.push(node);
                if self.lists.len() < self.nodes.len() {
                    self.lists.push(KeyList::default());
                }
                self.nodes.len() - 1
            });
            self.lists[part].push(key);
            *owner = part as u16;
        }
    }

    pub(super) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// The keys of each part.
    pub(in crate::proxy::core) fn keys(&self) -> &[KeyList] {
        &self.lists[..self.nodes.len()]
    }

    /// Empty, to be used again; `None` if it is too large for that.
    pub(in crate::proxy::core) fn into_cleared(mut self: Box<Self>) -> Option<Box<Self>> {
        let bytes: usize = self.lists.iter().map(|list| list.bytes.capacity()).sum();
        for list in &mut self.lists {
            list.bytes.clear();
            list.ends.clear();
        }
        self.nodes.clear();
        self.owners.clear();
        (bytes + 2 * self.owners.capacity() <= Self::LARGEST).then_some(self)
    }
}

/// What is wrong with the values that a node sent: they must be of keys that it was asked for, in their order.
pub(in crate::proxy::core) fn broken_values(keys: &KeyList, reply: &[u8]) -> Option<&'static str> {
    let mut asked = keys.iter();
    let mut values = Values::new(reply);
    for (key, _) in values.by_ref() {
        if !asked.any(|other| other == key) {
            return Some("it sent the value of a key that it was not asked for");
        }
    }
    let end = values.rest();
    (end != b"END\r\n" && !is_error(end)).then_some("its values do not end with END")
}

/// Appends what the client is answered, now that all parts are there.
pub(in crate::proxy::core) fn gather(gathering: &Gathering, pool: &Pool, out: &mut Vec<u8>) {
    match &gathering.how {
        How::Values(retrieval) => {
            let may_miss = pool.settings.failed_reads_are_misses;
            if let Some(error) = gathering.parts.iter().find_map(|part| failure(part, may_miss)) {
                return out.extend_from_slice(error);
            }
            values(gathering, retrieval, out);
        }
        How::Stats => stats(gathering, pool, out),
        _ => {
            // All say the same, or one says what is wrong.
            let replies = || gathering.parts.iter().map(reply_of);
            let wrong = replies().find(|reply| is_error(reply));
            out.extend_from_slice(wrong.or(replies().next()).unwrap_or(b"ERROR\r\n"));
        }
    }
}

fn reply_of(part: &Fragment) -> &[u8] {
    match &part.reply {
        Some(Ok(reply) | Err(reply)) => reply,
        None => b"",
    }
}

/// What a part failed with, unless its keys may be misses then.
fn failure(part: &Fragment, may_miss: bool) -> Option<&[u8]> {
    match part.reply.as_ref()? {
        Ok(reply) => {
            let end = reply.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
            let start = reply[..end].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let last = &reply[start..];
            is_error(last).then_some(last)
        }
        Err(error) => (!may_miss).then_some(error),
    }
}

/// The values in the order of the request.
fn values(gathering: &Gathering, retrieval: &Retrieval, out: &mut Vec<u8>) {
    let keys = retrieval.keys();
    let parts = gathering.parts.iter();
    out.reserve(parts.clone().map(|part| reply_of(part).len()).sum());
    let mut cursors: Vec<_> = parts
        .map(|part| match &part.reply {
            Some(Ok(reply)) => Values::new(reply).peekable(),
            _ => Values::new(b"").peekable(),
        })
        .collect();
    let mut places = vec![0; keys.len()];
    for &owner in &retrieval.owners {
        let owner = usize::from(owner);
        let (Some(cursor), Some(place)) = (cursors.get_mut(owner), places.get_mut(owner)) else {
            continue;
        };
        let key = keys[owner].at(*place);
        *place += 1;
        if let Some((_, block)) = cursor.next_if(|(found, _)| Some(*found) == key) {
            out.extend_from_slice(block);
        }
    }
    out.extend_from_slice(b"END\r\n");
}

/// The lines of all nodes, each with the name of its node; or the only word they all say.
fn stats(gathering: &Gathering, pool: &Pool, out: &mut Vec<u8>) {
    let mut parts = gathering.parts.iter();
    if let Some(part) = parts.clone().find(|part| !reply_of(part).ends_with(b"END\r\n")) {
        return out.extend_from_slice(reply_of(part));
    }
    for part in parts.by_ref() {
        let name = gathering.name_of(pool, part.node);
        for line in reply_of(part).split_inclusive(|&byte| byte == b'\n') {
            let mut words = line.splitn(2, |&byte| byte == b' ');
            if let (Some(word), Some(rest)) = (words.next(), words.next()) {
                out.extend_from_slice(word);
                out.push(b' ');
                out.extend_from_slice(name.replace(' ', "_").as_bytes());
                out.push(b':');
                out.extend_from_slice(rest);
            }
        }
    }
    out.extend_from_slice(b"END\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> KeyList {
        let mut keys = KeyList::default();
        names.iter().for_each(|name| keys.push(name.as_bytes()));
        keys
    }

    #[test]
    fn values_must_be_of_the_keys_in_their_order() {
        let keys = keys(&["a", "b", "a"]);
        let value = |name: &str| format!("VALUE {name} 0 1\r\nx\r\n");
        let reply =
            |names: &[&str]| names.iter().map(|name| value(name)).collect::<String>() + "END\r\n";
        for right in [&[][..], &["a"], &["b"], &["a", "b"], &["a", "a"], &["a", "b", "a"]] {
            assert_eq!(broken_values(&keys, reply(right).as_bytes()), None, "{right:?}");
        }
        for wrong in [&["c"][..], &["b", "b"], &["a", "a", "a"], &["b", "a", "b"]] {
            assert!(broken_values(&keys, reply(wrong).as_bytes()).is_some(), "{wrong:?}");
        }
        assert_eq!(broken_values(&keys, b"SERVER_ERROR x\r\n"), None);
        assert!(broken_values(&keys, b"STORED\r\n").is_some());
    }
}
