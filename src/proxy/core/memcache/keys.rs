//! Which values a node was asked for, one at a time: so that one of another key is not passed on.

/// So many bytes that are done with are kept in front of the others, and no more than there are others.
const DONE: usize = 4 << 10;
/// So much room stays when all is done with.
const ROOM: usize = 64 << 10;

/// Keys of requests for one value, in the order of the requests and one behind the other: each request knows how
/// long its own is.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct AskedKeys {
    bytes: Vec<u8>,
    /// Where the oldest begins.
    first: usize,
}

impl AskedKeys {
    #[inline]
    pub(in crate::proxy::core) fn push(&mut self, key: &[u8]) {
        if self.first > DONE && self.first > self.bytes.len() / 2 {
            self.bytes.drain(..self.first);
            self.first = 0;
        }
        self.bytes.extend_from_slice(key);
    }

    /// Forgets the oldest, which is so long.
    #[inline]
    pub(in crate::proxy::core) fn pop(&mut self, length: u8) {
        self.first += usize::from(length);
        if self.first >= self.bytes.len() {
            self.clear();
        }
    }

    #[inline]
    pub(in crate::proxy::core) fn clear(&mut self) {
        self.first = 0;
        self.bytes.clear();
        if self.bytes.capacity() > ROOM {
            self.bytes = Vec::new();
        }
    }

    /// Whether a reply may be that to the oldest, which is so long: if it begins with a value, it must be this key's.
    #[inline]
    pub(in crate::proxy::core) fn may_be_answered_with(&self, length: u8, reply: &[u8]) -> bool {
        let Some(rest) = reply.strip_prefix(b"VALUE ") else {
            return true;
        };
        let length = usize::from(length);
        let key = self.bytes.get(self.first..self.first + length);
        rest.get(..length) == key && rest.get(length) == Some(&b' ')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_one_that_is_compared() {
        let mut keys = AskedKeys::default();
        // As many under way as it takes for all that is done with to be thrown away, more than once.
        for number in 0..10_000_u32 {
            keys.push(format!("key{number}").as_bytes());
            let Some(oldest) = number.checked_sub(700) else { continue };
            let key = format!("key{oldest}");
            let length = key.len() as u8;
            let value = |key: &str| format!("VALUE {key} 0 1\r\nx\r\nEND\r\n").into_bytes();
            assert!(keys.may_be_answered_with(length, &value(&key)));
            assert!(keys.may_be_answered_with(length, b"END\r\n"));
            assert!(keys.may_be_answered_with(length, b"SERVER_ERROR x\r\n"));
            for other in [format!("key{}", oldest + 1), key.clone() + "x", key[1..].to_owned()] {
                assert!(!keys.may_be_answered_with(length, &value(&other)), "{other}");
            }
            keys.pop(length);
            assert!(keys.bytes.len() < 32 << 10);
        }
    }
}
