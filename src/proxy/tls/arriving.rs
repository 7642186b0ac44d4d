//! Where in a record what has arrived ends.

/// The type of a record, its version, and its length (RFC 8446, section 5.1).
const HEADER: usize = 5;

/// Follows the records of one direction by their headers.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// Bytes of a header that is not complete, and how many they are.
    header: [u8; HEADER],
    known: usize,
    /// What is missing of a record whose header is.
    left: usize,
}

impl Arriving {
    /// These bytes come next.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                self.left -= count;
                bytes = &bytes[count..];
                continue;
            }
            let count = (HEADER - self.known).min(bytes.len());
            self.header[self.known..self.known + count].copy_from_slice(&bytes[..count]);
            self.known += count;
            bytes = &bytes[count..];
            if self.known == HEADER {
                self.known = 0;
                self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            }
        }
    }

    /// Whether there is some of a record, and not all.
    pub(super) fn is_part(&self) -> bool {
        self.known > 0 || self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_is_whole_at_its_end_and_nowhere_else(
            lengths in prop::collection::vec(0..600_usize, 1..6),
            pieces in prop::collection::vec(1..700_usize, 1..20),
        ) {
            let (mut bytes, mut ends) = (Vec::new(), vec![0]);
            for length in lengths {
                bytes.extend([23, 3, 3]);
                bytes.extend((length as u16).to_be_bytes());
                bytes.resize(bytes.len() + length, 0xff);
                ends.push(bytes.len());
            }
            let (mut arriving, mut place) = (Arriving::default(), 0);
            for piece in pieces.into_iter().cycle() {
                prop_assert_eq!(arriving.is_part(), !ends.contains(&place), "{}", place);
                if place == bytes.len() {
                    break;
                }
                let end = (place + piece).min(bytes.len());
                arriving.pass(&bytes[place..end]);
                place = end;
            }
        }
    }
}
