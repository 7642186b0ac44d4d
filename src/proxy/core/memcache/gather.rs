//! Replies of several memcacheds, put together.

use std::cell::Cell;

use crate::node::NodeId;
use crate::protocol::memcache::serving::Values;
use crate::proxy::core::pool::Pool;
use crate::proxy::core::sessions::is_error;
use crate::proxy::core::ticket::Fragment;
use crate::proxy::core::ticket::Gathering;
use crate::proxy::core::ticket::How;

/// The keys that a node is asked for, as it is asked for them: one behind the other, each behind a space.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct KeyList {
    words: Vec<u8>,
    places: Vec<Place>,
}

/// Where a key is, and its value.
#[derive(Debug)]
struct Place {
    /// How long the key is, with its space.
    word_length: u32,
    /// The start and end of its value in the node's reply, once [`broken_values`] has looked at that; nothing is
    /// between them if it has none.
    value: Cell<(u32, u32)>,
}

impl KeyList {
    #[inline]
    fn push(&mut self, key: &[u8]) {
        self.words.push(b' ');
        self.words.extend_from_slice(key);
        let word_length = key.len() as u32 + 1;
        self.places.push(Place { word_length, value: Cell::default() });
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The keys, with a space between any two.
    pub(super) fn text(&self) -> &[u8] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The value of the key at `place` in the node's reply, which was looked at.
    #[inline]
    fn value_of<'r>(&self, place: u32, reply: &'r [u8]) -> &'r [u8] {
        let (start, end) = self.places.get(place as usize).map_or((0, 0), |it| it.value.get());
        reply.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// Keys that several nodes are asked for.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct Retrieval {
    /// The keys of each part, in the order they are asked for; those behind the parts are empty.
    lists: Vec<KeyList>,
    /// The node of each part.
    nodes: Vec<NodeId>,
    /// The part of each key, and its place there, in the order of the request.
    order: Vec<(u16, u32)>,
}

impl Retrieval {
    /// One that asks for so much is not kept.
    const LARGEST: usize = 64 << 10;

    /// Asks a node for the next key of the request. One that no node is asked for is a miss.
    #[inline]
    pub(super) fn add(&mut self, key: &[u8], node: NodeId) {
        // Few nodes are the rule.
        let part = self.nodes.iter().position(|&other| other == node);
        let part = part.unwrap_or_else(|| self.begin_part(node));
        let list = &mut self.lists[part];
        self.order.push((part as u16, list.places.len() as u32));
        list.push(key);
    }

    fn begin_part(&mut self, node: NodeId) -> usize {
        self.nodes.push(node);
        if self.lists.len() < self.nodes.len() {
            self.lists.push(KeyList::default());
        }
        self.nodes.len() - 1
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
        let mut bytes = size_of::<(u16, u32)>() * self.order.capacity();
        for list in &mut self.lists {
            bytes += list.words.capacity() + size_of::<Place>() * list.places.capacity();
            list.words.clear();
            list.places.clear();
        }
        self.nodes.clear();
        self.order.clear();
        (bytes <= Self::LARGEST).then_some(self)
    }
}

/// What is wrong with the values that a node sent: they must be of keys that it was asked for, in their order. Takes
/// note of where they are.
pub(in crate::proxy::core) fn broken_values(keys: &KeyList, reply: &[u8]) -> Option<&'static str> {
    let mut values = Values::new(reply);
    let mut words = keys.words.as_slice();
    let mut start = 0;
    for place in &keys.places {
        let Some((word, rest)) = words.split_at_checked(place.word_length as usize) else {
            break;
        };
        words = rest;
        // No reply that is held is longer than 32 bits say.
        let end = start + values.next_of(word).map_or(0, <[u8]>::len) as u32;
        place.value.set((start, end));
        start = end;
    }
    let end = values.rest();
    if end == b"END\r\n" || is_error(end) {
        None
    } else if end.starts_with(b"VALUE ") {
        Some("it sent the value of a key that it was not asked for")
    } else {
        Some("its values do not end with END")
    }
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
        Ok(reply) if reply == b"END\r\n" || reply.ends_with(b"\nEND\r\n") => None,
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
    out.reserve(gathering.parts.iter().map(|part| reply_of(part).len()).sum());
    for &(part, place) in &retrieval.order {
        let part = usize::from(part);
        if let Some(Fragment { reply: Some(Ok(reply)), .. }) = gathering.parts.get(part) {
            out.extend_from_slice(retrieval.lists[part].value_of(place, reply));
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
    use proptest::prelude::*;

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

    /// What was read of a reply before places were noted: each value's key, compared with those that were asked for.
    fn is_broken(keys: &[String], reply: &[u8]) -> bool {
        let mut asked = keys.iter();
        let mut values = Values::new(reply);
        for (key, _) in values.by_ref() {
            if !asked.any(|other| other.as_bytes() == key) {
                return true;
            }
        }
        values.rest() != b"END\r\n" && !is_error(values.rest())
    }

    const KEYS: [&str; 6] = ["a", "b", "ab", "0", "0 1", "VALUE"];

    proptest! {
        #[test]
        fn no_other_reply_is_taken_for_one(
            asked in prop::collection::vec(prop::sample::select(&KEYS[..4]), 0..6),
            sent in prop::collection::vec((prop::sample::select(&KEYS[..]), "0|5", "1|01|3 7"), 0..6),
            end in "END\r\n|SERVER_ERROR x\r\n|STORED\r\n|VALUE a|",
        ) {
            let asked: Vec<_> = asked.into_iter().map(str::to_owned).collect();
            let mut list = KeyList::default();
            asked.iter().for_each(|key| list.push(key.as_bytes()));
            let mut reply = String::new();
            for (key, flags, length) in sent {
                let value = if length.starts_with('3') { "x\r\n" } else { "x" };
                reply += &format!("VALUE {key} {flags} {length}\r\n{value}\r\n");
            }
            reply += &end;
            let broken = broken_values(&list, reply.as_bytes()).is_some();
            prop_assert_eq!(broken, is_broken(&asked, reply.as_bytes()), "{:?}", reply);
        }

        #[test]
        fn values_come_in_the_order_of_the_request(
            asked in prop::collection::vec(0..8_usize, 0..30),
            // Of the values that there are.
            lengths in prop::collection::vec(prop::option::of(0..12_usize), 8),
            fails in prop::option::of(0..4_usize),
        ) {
            let mut retrieval = Retrieval::default();
            let mut replies = vec![String::new(); 4];
            let mut expected = String::new();
            for number in asked {
                let (key, node) = (format!("key{number}"), number % 4);
                retrieval.add(key.as_bytes(), NodeId::new(node).unwrap());
                let Some(length) = lengths[number] else { continue };
                let value = "x".repeat(length);
                let block = format!("VALUE {key} {} {length}\r\n{value}\r\n", number % 3);
                replies[node] += &block;
                if fails != Some(node) {
                    expected += &block;
                }
            }
            let mut parts = Gathering::parts_of(retrieval.nodes().iter().copied());
            for (part, keys) in parts.iter_mut().zip(retrieval.keys()) {
                let node = part.node.index();
                let reply = replies[node].clone() + "END\r\n";
                prop_assert_eq!(broken_values(keys, reply.as_bytes()), None);
                let is_there = fails != Some(node);
                let error = b"SERVER_ERROR Connection refused\r\n";
                part.reply = Some(if is_there { Ok(reply.into()) } else { Err(error.to_vec()) });
            }
            let gathering = Gathering::of(How::Lines, parts);
            let mut out = Vec::new();
            values(&gathering, &retrieval, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected + "END\r\n");
            prop_assert_eq!(gathering.parts.iter().find_map(|part| failure(part, true)), None);
        }
    }

    #[test]
    fn keys_are_asked_for_with_a_space_between_them() {
        assert_eq!(keys(&["a", "bc", "a"]).text(), b"a bc a");
        assert_eq!(keys(&["a"]).text(), b"a");
        assert_eq!(KeyList::default().text(), b"");
    }

    #[test]
    fn nothing_of_an_earlier_request_is_in_one_that_is_used_again() {
        let node = NodeId::new(0).unwrap();
        let mut retrieval = Box::new(Retrieval::default());
        retrieval.add(b"a", node);
        assert_eq!(broken_values(&retrieval.keys()[0], b"VALUE a 0 1\r\nx\r\nEND\r\n"), None);
        let mut retrieval = retrieval.into_cleared().unwrap();
        assert!(retrieval.keys().is_empty() && retrieval.order.is_empty());
        retrieval.add(b"b", node);
        assert_eq!(retrieval.keys()[0].value_of(0, b"VALUE a 0 1\r\nx\r\nEND\r\n"), b"");
        (0..10_000_u32).for_each(|key| retrieval.add(&key.to_ne_bytes(), node));
        assert!(retrieval.into_cleared().is_none());
    }

    #[test]
    fn an_error_behind_values_is_what_a_part_fails_with() {
        let node = NodeId::new(0).unwrap();
        let mut part = Fragment { node, reply: None };
        for (reply, error) in [
            ("END\r\n", None),
            ("VALUE a 0 1\r\nx\r\nEND\r\n", None),
            ("VALUE a 0 5\r\nERROR\r\nEND\r\n", None),
            ("SERVER_ERROR x\r\n", Some("SERVER_ERROR x\r\n")),
            ("VALUE a 0 4\r\n\nEND\r\nSERVER_ERROR x\r\n", Some("SERVER_ERROR x\r\n")),
        ] {
            part.reply = Some(Ok(reply.into()));
            assert_eq!(failure(&part, false), error.map(str::as_bytes), "{reply:?}");
        }
    }
}
