//! A stream socket, TCP or unix.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use socket2::Domain;
use socket2::SockAddr;
use socket2::TcpKeepalive;
use socket2::Type;

/// A write to a closed socket is an error and not a signal. Apple's systems know this as an option of the
/// socket, which socket2 sets.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// What a TCP socket is told.
#[derive(Clone, Debug)]
pub(crate) struct TcpOptions {
    pub(crate) is_nodelay: bool,
    pub(crate) keepalive: Option<TcpKeepalive>,
    /// How long what was sent may go without an acknowledgement, on systems that know this.
    pub(crate) user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    /// Every request is one write here, so waiting for more gains nothing.
    fn default() -> Self {
        Self { is_nodelay: true, keepalive: None, user_timeout: None }
    }
}

/// A connected socket, or one that is about to be.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: socket2::Socket,
}

/// How long a read blocks at least when it is bounded: zero would mean for ever.
const SHORTEST: Duration = Duration::from_millis(1);

impl Socket {
    /// Begins to connect to an address; [`finish_connecting`](Self::finish_connecting) when the socket
    /// is writable.
    pub(crate) fn dial_tcp(address: SocketAddr, options: &TcpOptions) -> io::Result<Self> {
        let socket = Self::dial(Domain::for_address(address), &address.into())?;
        socket.inner.set_tcp_nodelay(options.is_nodelay)?;
        if let Some(keepalive) = &options.keepalive {
            socket.inner.set_tcp_keepalive(keepalive)?;
        }
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        socket.inner.set_tcp_user_timeout(options.user_timeout)?;
        Ok(socket)
    }

    /// Begins to connect to the unix socket at `path`.
    pub(crate) fn dial_unix(path: &Path) -> io::Result<Self> {
        Self::dial(Domain::UNIX, &SockAddr::unix(path)?)
    }

    fn dial(domain: Domain, address: &SockAddr) -> io::Result<Self> {
        let inner = socket2::Socket::new(domain, Type::STREAM, None)?;
        inner.set_nonblocking(true)?;
        match inner.connect(address) {
            Ok(()) => {}
            Err(error) if is_in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { inner })
    }

    /// Says whether the attempt to connect that made the socket writable succeeded.
    pub(crate) fn finish_connecting(&self) -> io::Result<()> {
        match self.inner.take_error()? {
            Some(error) => Err(error),
            None if self.is_its_own_peer() => Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "nobody listens: the connection met itself",
            )),
            None => self.inner.set_nonblocking(false),
        }
    }

    /// Whether the other end is this end. On the way to a port of this host where nobody listens, the
    /// system may choose that very port for our end, and then TCP is content; every request would come
    /// back as its own reply.
    fn is_its_own_peer(&self) -> bool {
        let ends = (self.inner.local_addr(), self.inner.peer_addr());
        matches!(ends, (Ok(ours), Ok(theirs)) if ours.as_socket().is_some() && ours == theirs)
    }

    /// Bounds each read that blocks.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_read_timeout(timeout.map(|timeout| timeout.max(SHORTEST)))
    }

    /// Writes as much as goes without waiting; none if nothing does.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::net::send(self, bytes, SEND | SendFlags::DONTWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(0),
                result => return Ok(result?),
            }
        }
    }

    /// The next byte that has arrived, left where it is; an error of kind `WouldBlock` if none has.
    pub(crate) fn peek(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(self, &mut byte, flags) {
            Ok((_, 0)) => Ok(None),
            Ok(_) => Ok(Some(byte[0])),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// Whether what failed is this process or its machine: no node is ejected for that.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const OURS: [Errno; 5] =
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| OURS.iter().any(|errno| errno.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_that_met_itself_is_refused() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let inner = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        inner.bind(&free.into()).unwrap();
        inner.connect(&free.into()).unwrap();
        let error = Socket { inner }.finish_connecting().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let options = TcpOptions::default();
        let socket = Socket::dial_tcp(listener.local_addr().unwrap(), &options).unwrap();
        let _accepted = listener.accept().unwrap();
        socket.finish_connecting().unwrap();
    }

    #[test]
    fn both_ends_of_a_unix_socket_without_names_are_two_ends() {
        let (inner, _other) = socket2::Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        Socket { inner }.finish_connecting().unwrap();
    }
}
