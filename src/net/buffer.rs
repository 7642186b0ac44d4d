//! What was read and not taken yet.

use std::io;
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::net::RecvFlags;

/// Space for most replies; a connection that is idle holds no more.
const USUAL: usize = 16 << 10;
/// From here on the space is given back once it is empty.
const LARGE: usize = 256 << 10;
/// How much room is made for what was announced and has not come.
const TRUSTED: usize = 64 << 20;
/// Where the bytes begin in memory. glibc puts a block of 128 KiB and more 16 bytes behind the start of a
/// page, and there the kernel's copy runs three times slower on AMD Zen 3 (measured).
const ALIGNMENT: usize = 64;

/// Bytes that arrived, in one piece.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// Padding up to the alignment, bytes that were taken, bytes that were not.
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// The bytes that were not taken.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Whether more could be read without making room.
    #[cfg_attr(not(feature = "_pipe"), allow(dead_code, reason = "readiness needs it"))]
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() < self.bytes.capacity()
    }

    /// Takes the first `count` bytes away.
    pub(crate) fn take(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.bytes.len(), "no more is taken than is there");
        if self.is_empty() {
            if self.bytes.capacity() >= LARGE {
                *self = Self::default();
            } else {
                self.reset();
            }
        }
    }

    /// Makes room for `count` more bytes, and at least for a usual reply; but for no more at once than
    /// [`TRUSTED`], or as many as are there: whoever announces 4 GiB must send them first.
    pub(crate) fn reserve(&mut self, count: usize) {
        let spare = self.bytes.capacity() - self.bytes.len();
        if spare >= if count > TRUSTED { USUAL } else { count.max(1) } {
            return;
        }
        let kept = self.bytes.len() - self.start;
        let count = count.min(kept.max(TRUSTED));
        if kept >= LARGE && kept >= self.start {
            // The system moves the pages. To copy 100 MB takes longer than a deadline allows.
            return self.bytes.reserve(count.max(kept));
        }
        let wanted = (kept + count).max(2 * kept).max(USUAL) + ALIGNMENT;
        let mut larger = Self { bytes: Vec::with_capacity(wanted), start: 0 };
        larger.reset();
        larger.bytes.extend_from_slice(self.bytes());
        *self = larger;
    }

    /// Reads what there is, once, into the room there is. Returns the number of bytes; 0 is the end.
    pub(crate) fn receive(&mut self, socket: impl AsFd, flags: RecvFlags) -> io::Result<usize> {
        let (_, count) = rustix::net::recv(&socket, spare_capacity(&mut self.bytes), flags)?;
        Ok(count)
    }

    /// Puts `bytes` behind those that are there.
    #[cfg_attr(not(feature = "memcache-tls"), allow(dead_code, reason = "TLS needs it"))]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Empties it; the next byte will be at the alignment.
    fn reset(&mut self) {
        self.bytes.clear();
        let padding = self.bytes.as_ptr().align_offset(ALIGNMENT);
        if padding < ALIGNMENT && padding < self.bytes.capacity() {
            self.bytes.resize(padding, 0);
        }
        self.start = self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_come_out_as_they_came_in() {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        let mut buffer = Buffer::default();
        let mut seen = Vec::new();
        let sent: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&sent).unwrap());
            let mut received = 0;
            while received < sent.len() {
                buffer.reserve(if received > 50_000 { 30_000 } else { 1 });
                received += buffer.receive(&reader, RecvFlags::empty()).unwrap();
                let take = buffer.bytes().len() / 2;
                seen.extend_from_slice(&buffer.bytes()[..take]);
                buffer.take(take);
            }
            seen.extend_from_slice(buffer.bytes());
        });
        assert_eq!(seen, sent);
    }

    #[test]
    fn what_was_only_announced_gets_little_room() {
        let mut buffer = Buffer::default();
        for _ in 0..3 {
            buffer.reserve(usize::MAX / 4);
            assert!((TRUSTED..2 * TRUSTED).contains(&buffer.bytes.capacity()));
            buffer.bytes.extend_from_slice(&[0; LARGE]);
        }
        buffer.bytes.resize(buffer.bytes.capacity(), 0);
        buffer.reserve(usize::MAX / 4);
        let capacity = buffer.bytes.capacity();
        assert!((2 * TRUSTED..5 * TRUSTED).contains(&capacity), "{capacity}");
    }

    #[test]
    fn large_space_is_given_back() {
        let mut buffer = Buffer::default();
        buffer.reserve(1 << 20);
        assert_eq!(buffer.bytes().as_ptr() as usize % ALIGNMENT, 0);
        buffer.bytes.extend_from_slice(b"abc");
        buffer.take(3);
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
