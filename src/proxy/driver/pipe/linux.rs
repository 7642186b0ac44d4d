//! The pipe of Linux.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::pipe::PipeFlags;
use rustix::pipe::SpliceFlags;

/// As much as anybody may ask for (`/proc/sys/fs/pipe-max-size`, unless it was changed). It is a number of pages, and
/// a pipe that holds them by reference holds more bytes or fewer.
const CAPACITY: usize = 1 << 20;

/// A pipe that never blocks. The peer of a socket may be gone: the process has to ignore `SIGPIPE`, as programs in
/// Rust do from the start.
#[derive(Debug)]
pub(in crate::proxy::driver) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in it.
    length: usize,
}

impl Pipe {
    /// An empty pipe.
    ///
    /// # Errors
    ///
    /// If the system has none left.
    pub(in crate::proxy::driver) fn new() -> io::Result<Self> {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (reader, writer) = rustix::pipe::pipe_with(flags)?;
        // What is there without takes some more calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, CAPACITY);
        Ok(Self { reader, writer, length: 0 })
    }

    /// Takes at most `limit` bytes from a socket: 0 if it sends no more.
    ///
    /// # Errors
    ///
    /// Those of reading the socket; `WouldBlock` also if the pipe is full.
    pub(in crate::proxy::driver) fn fill(&mut self, socket: impl AsFd, limit: usize) -> io::Result<usize> {
        let count =
            rustix::pipe::splice(socket, None, &self.writer, None, limit, SpliceFlags::NONBLOCK)?;
        self.length += count;
        Ok(count)
    }

    /// Sends what the socket takes of what is in it.
    ///
    /// # Errors
    ///
    /// Those of writing to the socket, except `WouldBlock`.
    pub(in crate::proxy::driver) fn drain(&mut self, socket: impl AsFd) -> io::Result<()> {
        while self.length > 0 {
            let flags = SpliceFlags::NONBLOCK;
            match rustix::pipe::splice(&self.reader, None, &socket, None, self.length, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.length -= count,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Appends what is in it to `bytes`.
    ///
    /// # Errors
    ///
    /// If the system does not give it back.
    pub(in crate::proxy::driver) fn take(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let start = bytes.len();
        let end = start + self.length;
        bytes.resize(end, 0);
        while self.length > 0 {
            match rustix::io::read(&self.reader, &mut bytes[end - self.length..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.length -= count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|number| (number / 3) as u8).collect()
    }

    #[test]
    fn bytes_go_from_socket_to_socket_and_no_further_than_they_may() {
        let sent = bytes(50_000);
        let (mut tcp, from_tcp) = tcp();
        let (mut unix, from_unix) = UnixStream::pair().unwrap();
        tcp.write_all(&sent).unwrap();
        unix.write_all(&sent).unwrap();
        let froms: [&dyn Fn(&mut Pipe, usize) -> io::Result<usize>; 2] =
            [&|pipe, limit| pipe.fill(&from_tcp, limit), &|pipe, limit| pipe.fill(&from_unix, limit)];
        let mut pipe = Pipe::new().unwrap();
        for fill in froms {
            let (to, mut end) = self::tcp();
            let mut moved = 0;
            while moved < 40_000 {
                moved += fill(&mut pipe, 40_000 - moved).unwrap();
                pipe.drain(&to).unwrap();
                assert_eq!(pipe.length, 0);
            }
            drop(to);
            let mut received = Vec::new();
            end.read_to_end(&mut received).unwrap();
            assert!(received == sent[..40_000]);
        }
    }

    #[test]
    fn what_a_socket_does_not_take_is_taken_back() {
        let (to, mut end) = UnixStream::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        let sent = bytes(3 << 20);
        let (mut source, from) = tcp();
        from.set_nonblocking(true).unwrap();
        let writer = std::thread::spawn(move || {
            source.write_all(&sent).unwrap();
            sent
        });
        let mut pipe = Pipe::new().unwrap();
        let mut left = Vec::new();
        let mut passed = 0;
        while passed + left.len() < 3 << 20 {
            match pipe.fill(&from, usize::MAX >> 1) {
                Ok(count) if left.is_empty() => {
                    pipe.drain(&to).unwrap();
                    passed += count - pipe.length;
                    pipe.take(&mut left).unwrap();
                }
                Ok(_) => pipe.take(&mut left).unwrap(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert!(passed > 0 && !left.is_empty());
        drop(to);
        let mut received = Vec::new();
        end.read_to_end(&mut received).unwrap();
        received.extend(left);
        assert!(received == writer.join().unwrap());
    }

    #[test]
    fn ends_and_broken_connections_are_told() {
        let (mut source, from) = tcp();
        from.set_nonblocking(true).unwrap();
        let mut pipe = Pipe::new().unwrap();
        assert_eq!(pipe.fill(&from, 10).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        source.write_all(b"abc").unwrap();
        drop(source);
        assert_eq!(pipe.fill(&from, 10).unwrap(), 3);
        assert_eq!(pipe.fill(&from, 10).unwrap(), 0);
        let (to, end) = UnixStream::pair().unwrap();
        drop(end);
        assert_eq!(pipe.drain(&to).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(pipe.length, 3);
    }
}
