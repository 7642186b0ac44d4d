//! The pipe of Linux.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::net::RecvFlags;
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
    /// Those of reading the socket; `StorageFull` if it has bytes that do not go into the pipe. That may have no room, or
    /// they are urgent ones, over which only reading gets.
    pub(in crate::proxy::driver) fn fill(
        &mut self,
        socket: impl AsFd,
        limit: usize,
    ) -> io::Result<usize> {
        let mut is_second = false;
        loop {
            let flags = SpliceFlags::NONBLOCK;
            match rustix::pipe::splice(&socket, None, &self.writer, None, limit, flags) {
                Ok(count) if count > 0 => {
                    self.length += count;
                    return Ok(count);
                }
                Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
            // Which of the two is not ready? A full pipe is told before the socket's end or its error, of which the poll
            // tells once; and urgent data looks like none, or like the end.
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            if rustix::net::recv(&socket, &mut [0; 1], flags)?.1 == 0 {
                return Ok(0);
            }
            if is_second {
                return Err(io::ErrorKind::StorageFull.into());
            }
            // They may have come after the first try.
            is_second = true;
        }
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

    /// Fills the room with what is in it, which is that much.
    ///
    /// # Errors
    ///
    /// If the system does not give it back.
    pub(in crate::proxy::driver) fn take(&mut self, room: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < room.len() {
            match rustix::io::read(&self.reader, &mut room[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.length -= filled;
        Ok(())
    }

    /// Bytes in it.
    pub(in crate::proxy::driver) fn len(&self) -> usize {
        self.length
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

    fn take(pipe: &mut Pipe, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.resize(start + pipe.len(), 0);
        pipe.take(&mut bytes[start..]).unwrap();
        assert_eq!(pipe.len(), 0);
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
        let mut pipe = Pipe::new().unwrap();
        for from in [from_tcp.as_fd(), from_unix.as_fd()] {
            let (to, mut end) = self::tcp();
            let mut moved = 0;
            while moved < 40_000 {
                moved += pipe.fill(from, 40_000 - moved).unwrap();
                pipe.drain(&to).unwrap();
                assert_eq!(pipe.len(), 0);
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
                    passed += count - pipe.len();
                    take(&mut pipe, &mut left);
                }
                Ok(_) => take(&mut pipe, &mut left),
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
    fn a_pipe_without_room_is_told_from_a_socket_without_bytes() {
        let (mut source, from) = tcp();
        from.set_nonblocking(true).unwrap();
        source.set_nodelay(true).unwrap();
        let mut pipe = Pipe::new().unwrap();
        source.write_all(b"a").unwrap();
        let mut sent = vec![b'a'];
        let error = loop {
            match pipe.fill(&from, 1) {
                Ok(count) => assert_eq!(count, 1),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Each of these takes a place of its own.
                    let next = sent.len() as u8;
                    source.write_all(&[next]).unwrap();
                    sent.push(next);
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(pipe.len(), sent.len() - 1);
        let mut taken = Vec::new();
        take(&mut pipe, &mut taken);
        while pipe.fill(&from, 1).is_err() {}
        take(&mut pipe, &mut taken);
        assert_eq!(taken, sent);
    }

    #[test]
    fn an_end_and_an_error_behind_a_full_pipe_are_told() {
        for is_reset in [false, true] {
            let (mut source, from) = tcp();
            from.set_nonblocking(true).unwrap();
            let mut pipe = Pipe::new().unwrap();
            loop {
                source.write_all(b"a").unwrap();
                match pipe.fill(&from, 1) {
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    _ => {}
                }
            }
            (&from).read_exact(&mut [0]).unwrap();
            assert_eq!(pipe.fill(&from, 1).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            if is_reset {
                socket2::SockRef::from(&source)
                    .set_linger(Some(std::time::Duration::ZERO))
                    .unwrap();
            }
            drop(source);
            match pipe.fill(&from, 1) {
                Ok(count) => assert!(!is_reset && count == 0),
                Err(error) => assert!(is_reset && error.kind() == io::ErrorKind::ConnectionReset),
            }
        }
    }

    #[test]
    fn urgent_data_is_told_from_none() {
        for start in ["", "abc"] {
            let (mut source, from) = tcp();
            from.set_nonblocking(true).unwrap();
            let mut pipe = Pipe::new().unwrap();
            source.write_all(start.as_bytes()).unwrap();
            socket2::SockRef::from(&source).send_out_of_band(b"!").unwrap();
            source.write_all(b"defg").unwrap();
            let mut taken = Vec::new();
            let error = loop {
                match pipe.fill(&from, 100) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => break error,
                    _ => take(&mut pipe, &mut taken),
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert_eq!(taken, start.as_bytes());
            // Behind it all is as before.
            let mut byte = [0];
            (&from).read_exact(&mut byte).unwrap();
            assert_eq!(byte, *b"d");
            drop(source);
            let mut rest = Vec::new();
            while pipe.fill(&from, 100).unwrap() > 0 {
                take(&mut pipe, &mut rest);
            }
            assert_eq!(rest, b"efg");
        }
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
        assert_eq!(pipe.len(), 3);
    }
}
