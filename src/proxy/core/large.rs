//! Large requests, read to where they are sent from.

use super::buffers::Buffers;

/// A request is read by itself if so much of it is missing.
pub(super) const LARGE: usize = 16 << 10;
/// Room is made at once for what a client announces up to this; beyond as it comes.
const ANNOUNCED: usize = 2 << 20;
/// Where a read into a buffer begins: at other places the system takes up to three times as long (allocators put
/// large blocks at 16 bytes into a page).
const ALIGNMENT: usize = 64;

/// A request whose end is missing.
#[derive(Debug)]
pub(super) struct Large {
    /// Longer than what is filled of it: a read wants memory that was written before.
    block: Vec<u8>,
    start: usize,
    filled: usize,
    needed: usize,
}

impl Large {
    /// A request of `needed` bytes that begins with `bytes`.
    pub(super) fn new(bytes: &[u8], needed: usize, buffers: &mut Buffers) -> Self {
        let room = needed.min(ANNOUNCED.max(2 * bytes.len()));
        let mut block = buffers.take_block(room + ALIGNMENT);
        let start = block.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        block[start..start + bytes.len()].copy_from_slice(bytes);
        Self { block, start, filled: bytes.len(), needed }
    }

    /// Where to read what is missing, or some of it.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let begin = self.start + self.filled;
        let missing = self.needed - self.filled;
        if begin == self.block.len() {
            let more = missing.min(self.filled.max(ANNOUNCED));
            self.block.resize(begin + more, 0);
        }
        let end = self.block.len().min(begin + missing);
        &mut self.block[begin..end]
    }

    /// Takes note of what was read.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled = self.needed.min(self.filled + count);
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_complete() {
            let room = self.room();
            let count = room.len().min(bytes.len() - taken);
            room[..count].copy_from_slice(&bytes[taken..taken + count]);
            self.fill(count);
            taken += count;
        }
        taken
    }

    pub(super) fn is_complete(&self) -> bool {
        self.filled == self.needed
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.block[self.start..self.start + self.filled]
    }

    pub(super) fn into_block(self) -> Vec<u8> {
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_as_it_comes_and_no_further() {
        let mut buffers = Buffers::default();
        let whole: Vec<u8> = (0..5 << 20).map(|number: u32| (number / 7) as u8).collect();
        let mut large = Large::new(&whole[..100], whole.len(), &mut buffers);
        assert!(large.block.len() < 3 << 20, "what is announced is not there yet");
        assert_eq!(large.room().as_ptr().align_offset(4), 0);
        let mut read = 100;
        while !large.is_complete() {
            let room = large.room();
            let count = room.len().min(300_001);
            room[..count].copy_from_slice(&whole[read..read + count]);
            large.fill(count);
            read += count;
        }
        assert_eq!(large.bytes(), whole);
        assert!(large.room().is_empty());
        assert_eq!(large.append(b"more"), 0);
    }

    #[test]
    fn a_block_is_used_again() {
        let mut buffers = Buffers::default();
        let large = Large::new(b"old", 1 << 20, &mut buffers);
        let place = large.block.as_ptr();
        buffers.give_block(large.into_block());
        let mut large = Large::new(b"new", 1 << 20, &mut buffers);
        assert_eq!(large.block.as_ptr(), place);
        assert_eq!(large.bytes(), b"new");
        assert_eq!(large.append(b"er"), 2);
        assert_eq!(large.bytes(), b"newer");
    }
}
