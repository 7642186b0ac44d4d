//! Buffers that are used again, so that a connection at rest has none.

/// Buffers of one worker that nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    free: Vec<Vec<u8>>,
    /// For large replies.
    large: Vec<Vec<u8>>,
    /// For large requests: all of their bytes were written before.
    blocks: Vec<Vec<u8>>,
    /// Whether a block was asked for since they were looked at.
    are_used: bool,
    /// Capacity of all that are free.
    bytes: usize,
}

/// A larger buffer goes back to the system.
const LARGEST: usize = 64 << 10;
/// So do those beyond this sum.
const MOST: usize = 4 << 20;
/// Blocks that are kept, and how large one may be: the memory of a new one costs more than what is read into it.
const BLOCKS: usize = 4;
const LARGEST_BLOCK: usize = 4 << 20;

impl Buffers {
    /// An empty buffer.
    #[inline]
    pub(super) fn take(&mut self) -> Vec<u8> {
        let buffer = self.free.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// An empty buffer for much.
    fn take_large(&mut self) -> Vec<u8> {
        self.are_used = true;
        self.large.pop().unwrap_or_else(|| Vec::with_capacity(LARGEST_BLOCK / 4))
    }

    /// A block of at least so many bytes, whatever is in it.
    pub(super) fn take_block(&mut self, length: usize) -> Vec<u8> {
        self.are_used = true;
        match self.blocks.iter().position(|block| block.len() >= length) {
            Some(place) => self.blocks.swap_remove(place),
            None => vec![0; length],
        }
    }

    pub(super) fn give_block(&mut self, block: Vec<u8>) {
        if self.blocks.len() < BLOCKS && block.len() <= LARGEST_BLOCK {
            self.blocks.push(block);
        }
    }

    /// Gives blocks back to the system that were not used since the last time.
    pub(super) fn release_blocks(&mut self) {
        if !std::mem::take(&mut self.are_used) {
            self.blocks = Vec::new();
            self.large = Vec::new();
        }
    }

    #[inline]
    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0 && capacity <= LARGEST && self.bytes + capacity <= MOST {
            buffer.clear();
            self.bytes += capacity;
            self.free.push(buffer);
        } else if capacity > LARGEST && capacity <= LARGEST_BLOCK && self.large.len() < BLOCKS {
            buffer.clear();
            self.large.push(buffer);
        }
    }

    /// Gives everything back to the system: a burst is over.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }
}

/// Bytes on their way out: what is in front has been sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    #[inline]
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Where to append.
    #[inline]
    pub(super) fn tail(&mut self, buffers: &mut Buffers) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take();
        }
        &mut self.bytes
    }

    /// What is there, to be [put back](Self::put_back) with more behind it.
    #[inline]
    pub(super) fn take(&mut self, buffers: &mut Buffers) -> Vec<u8> {
        std::mem::take(self.tail(buffers))
    }

    #[inline]
    pub(super) fn put_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// Appends what a socket did not take, which may be much.
    pub(super) fn append(&mut self, bytes: &[u8], buffers: &mut Buffers) {
        if self.bytes.is_empty() && bytes.len() > LARGEST / 4 && self.bytes.capacity() <= LARGEST {
            let large = buffers.take_large();
            buffers.give(std::mem::replace(&mut self.bytes, large));
        }
        self.tail(buffers).extend_from_slice(bytes);
    }

    /// Takes note of what was sent, and gives the buffer back when nothing is left.
    #[inline]
    pub(super) fn advance(&mut self, count: usize, buffers: &mut Buffers) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.clear(buffers);
        } else if self.sent > 1 << 20 && self.sent > self.bytes.len() / 2 {
            // What was sent of a long backlog need not be kept until the end of it.
            self.bytes.drain(..self.sent);
            self.bytes.shrink_to(self.bytes.len() * 2);
            self.sent = 0;
        }
    }

    pub(super) fn clear(&mut self, buffers: &mut Buffers) {
        buffers.give(std::mem::take(&mut self.bytes));
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_gone_and_the_rest_stays_in_order() {
        let mut buffers = Buffers::default();
        let mut out = Outgoing::default();
        out.tail(&mut buffers).extend_from_slice(b"abcdef");
        out.advance(2, &mut buffers);
        out.tail(&mut buffers).extend_from_slice(b"gh");
        assert_eq!((out.unsent(), out.len()), (&b"cdefgh"[..], 6));
        out.advance(6, &mut buffers);
        assert!(out.is_empty());
        assert!(buffers.take().capacity() > 0, "the buffer was given back");
    }

    #[test]
    fn a_long_backlog_is_cut_as_it_is_sent() {
        let mut buffers = Buffers::default();
        let mut out = Outgoing::default();
        let bytes: Vec<u8> = (0..3 << 20).map(|number: u32| number as u8).collect();
        out.tail(&mut buffers).extend_from_slice(&bytes);
        out.advance(2 << 20, &mut buffers);
        assert_eq!(out.unsent(), &bytes[2 << 20..]);
        assert!(out.bytes.capacity() <= 2 << 20);
    }

    #[test]
    fn large_buffers_and_too_many_go_back_to_the_system() {
        let mut buffers = Buffers::default();
        buffers.give(Vec::with_capacity(LARGEST + 1));
        assert_eq!(buffers.bytes, 0);
        for _ in 0..1000 {
            buffers.give(Vec::with_capacity(LARGEST));
        }
        assert_eq!(buffers.bytes, MOST);
    }
}
