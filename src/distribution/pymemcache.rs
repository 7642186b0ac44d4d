//! The rendezvous hashing of pymemcache (4.0.0 `pymemcache/client/rendezvous.py`).

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use super::NodeSet;
use super::Ring;
use super::RingNode;
use crate::hash::Murmur3;
use crate::node::NodeId;

/// The node owns a key for which MurmurHash3 of "name-key" is greatest; of two that are equal, the
/// one with the greater name.
pub(super) struct PymemcacheRing {
    /// The greatest name first.
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy)]
struct Candidate {
    /// The hash after "name-".
    start: Murmur3,
    id: NodeId,
}

impl PymemcacheRing {
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        let mut nodes: Vec<_> = nodes.iter().collect();
        nodes.sort_by_key(|node| Reverse(node.name()));

        let candidate = |node: &RingNode| {
            let mut start = Murmur3::new(0);
            node.name().chars().chain(['-']).for_each(|letter| start.push(low_byte(letter)));
            Candidate { start, id: node.id() }
        };
        Self { candidates: nodes.into_iter().map(candidate).collect() }
    }

    fn pick_letters(&self, letters: &[u8]) -> NodeId {
        let mut winner = self.candidates[0].id;
        let mut best = None;
        for candidate in &self.candidates {
            let mut hash = candidate.start;
            letters.iter().for_each(|&letter| hash.push(letter));
            let score = Some(hash.finish());
            if score > best {
                best = score;
                winner = candidate.id;
            }
        }
        winner
    }
}

impl Ring for PymemcacheRing {
    /// Of a hash pymemcache knows nothing: it stands for a key of its four bytes.
    fn pick(&self, hash: u32) -> NodeId {
        self.pick_letters(&hash.to_le_bytes())
    }

    fn picks_by_key(&self) -> bool {
        true
    }

    fn pick_key(&self, key: &[u8]) -> NodeId {
        if key.is_ascii() {
            return self.pick_letters(key);
        }
        match std::str::from_utf8(key) {
            Ok(text) => self.pick_letters(&text.chars().map(low_byte).collect::<Vec<_>>()),
            Err(_) => self.pick_letters(&python_bytes(key)),
        }
    }

    fn without(&self, ejected: &NodeSet) -> Option<Arc<dyn Ring>> {
        let live = |candidate: &&Candidate| !ejected.contains(candidate.id);
        let candidates: Vec<_> = self.candidates.iter().filter(live).copied().collect();
        (!candidates.is_empty()).then(|| Arc::new(Self { candidates }) as Arc<dyn Ring>)
    }
}

/// pymemcache's MurmurHash3 reads a `str`, a code point a step, and keeps the low bits of it.
fn low_byte(letter: char) -> u8 {
    letter as u32 as u8
}

/// What a key that is no text becomes in an f-string: Python's own form of bytes, `b'\xff'`.
fn python_bytes(key: &[u8]) -> Vec<u8> {
    let quote = if key.contains(&b'\'') && !key.contains(&b'"') { b'"' } else { b'\'' };
    let mut text = vec![b'b', quote];
    for &byte in key {
        match byte {
            b'"' | b'\'' if byte != quote => text.push(byte),
            // Rust's form is the same, but for the quotes.
            _ => text.extend(byte.escape_ascii()),
        }
    }
    text.push(quote);
    text
}

impl fmt::Debug for PymemcacheRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PymemcacheRing")
            .field("nodes", &self.candidates.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Address;
    use crate::node::Node;

    #[test]
    fn of_two_equal_nodes_the_one_with_the_greater_name_wins() {
        // Found by trying; pymemcache 4.0.0 says the first of each pair.
        for pair in [["n65482", "n109204"], ["n87807", "n190367"], ["n241436", "n133636"]] {
            for names in [pair, [pair[1], pair[0]]] {
                let nodes = names.iter().enumerate().map(|(index, &name)| {
                    let node = Node::new(Address::tcp("h", 1)).with_name(name).unwrap();
                    RingNode::new(NodeId::new(index).unwrap(), &node)
                });
                let ring = PymemcacheRing::new(&nodes.collect::<Vec<_>>());
                assert_eq!(names[ring.pick_key(b"key").index()], pair[0]);
            }
        }
    }

    #[test]
    fn bytes_look_as_python_shows_them() {
        // `repr(key)` of Python 3.
        for (key, shown) in [
            (b"\xff".as_slice(), r"b'\xff'"),
            (b"a\\b\t\r\n\x7f\0\x80", r"b'a\\b\t\r\n\x7f\x00\x80'"),
            (b"it's \xff", r#"b"it's \xff""#),
            (b"'\"\xff", r#"b'\'"\xff'"#),
            (b"\"\xff", r#"b'"\xff'"#),
        ] {
            assert_eq!(String::from_utf8(python_bytes(key)).unwrap(), shown);
        }
    }
}
