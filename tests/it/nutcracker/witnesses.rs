//! Servers that answer every request with their own number, whatever was asked.
//!
//! Behind a real nutcracker they tell where it sends a key, which is all the parity tests ask.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use shardwright::Address;

/// Some servers in one thread; their numbers are their places in `addresses`.
pub(crate) struct Witnesses {
    addresses: Vec<Address>,
    orders: mpsc::Sender<Order>,
    /// A byte here makes the thread look for orders; its end ends the thread.
    bell: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// Close the witness with this number, and tell when it is done.
struct Order(usize, mpsc::Sender<()>);

trait Listener: AsFd + Send {
    fn accept(&self) -> io::Result<Box<dyn Socket>>;
}

trait Socket: AsFd + Read + Write + Send {}

impl<T: AsFd + Read + Write + Send> Socket for T {}

impl Listener for TcpListener {
    fn accept(&self) -> io::Result<Box<dyn Socket>> {
        let (socket, _) = TcpListener::accept(self)?;
        socket.set_nodelay(true)?;
        Ok(Box::new(socket))
    }
}

impl Listener for UnixListener {
    fn accept(&self) -> io::Result<Box<dyn Socket>> {
        Ok(Box::new(UnixListener::accept(self)?.0))
    }
}

impl Witnesses {
    /// Starts `tcp` of them on 127.0.0.1, and where this machine has it: `unix` on sockets in
    /// `directory`, two on IPv6 and two on port 11211 of loopback addresses that nobody else uses.
    pub(crate) fn start(tcp: usize, unix: usize, directory: &Path) -> Self {
        let mut listeners: Vec<Box<dyn Listener>> = Vec::new();
        let mut addresses = Vec::new();
        let mut listen = |host: &str, port| {
            let listener = TcpListener::bind((host, port))?;
            let port = listener.local_addr()?.port();
            addresses.push(Address::tcp(host, port));
            listeners.push(Box::new(listener));
            io::Result::Ok(())
        };
        for _ in 0..tcp {
            listen("127.0.0.1", 0).expect("loopback has a free port");
        }
        for _ in 0..2 {
            let _ = listen("::1", 0);
        }
        // Only Linux answers for all of 127.0.0.0/8, and another test process may be there already.
        let process = std::process::id().to_be_bytes();
        for last in 1..3 {
            let _ = listen(&format!("127.{}.{}.{last}", process[2], process[3]), 11211);
        }
        for number in 0..unix {
            let path = directory.join(format!("{number}.sock"));
            let listener = UnixListener::bind(&path).expect("the scratch directory is writable");
            addresses.push(Address::Unix(path.to_str().expect("scratch paths are text").into()));
            listeners.push(Box::new(listener));
        }
        let (bell, hears) = UnixStream::pair().expect("a socket pair can be made");
        let (orders, received) = mpsc::channel();
        let thread = std::thread::spawn(move || serve(listeners, &hears, &received));
        Self { addresses, orders, bell: Some(bell), thread: Some(thread) }
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Closes a witness with all its connections, as if its process had died.
    pub(crate) fn kill(&self, number: usize) {
        let (done, is_done) = mpsc::channel();
        self.orders.send(Order(number, done)).expect("the thread lives");
        self.bell.as_ref().expect("the bell hangs until the end").write_all(b"!").unwrap();
        is_done.recv().expect("the thread lives");
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.bell = None;
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(ended.is_some_and(|ended| ended.is_ok()), "the witnesses panicked");
        }
    }
}

struct Connection {
    socket: Box<dyn Socket>,
    number: usize,
    unread: Vec<u8>,
}

fn serve(listeners: Vec<Box<dyn Listener>>, bell: &UnixStream, orders: &mpsc::Receiver<Order>) {
    let mut listeners: Vec<_> = listeners.into_iter().enumerate().collect();
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        let descriptors = listeners
            .iter()
            .map(|(_, listener)| listener.as_fd())
            .chain(connections.iter().map(|connection| connection.socket.as_fd()))
            .chain([bell.as_fd()]);
        let mut polled: Vec<_> =
            descriptors.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result.expect("our own descriptors can be polled"),
        };
        let mut is_ready: Vec<_> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let bell_rings = is_ready.pop() == Some(true);

        let mut ready = is_ready.split_off(listeners.len()).into_iter();
        connections.retain_mut(|connection| ready.next() != Some(true) || connection.answer());
        for ((number, listener), _) in listeners.iter().zip(is_ready).filter(|(_, ready)| *ready) {
            if let Ok(socket) = listener.accept() {
                connections.push(Connection { socket, number: *number, unread: Vec::new() });
            }
        }
        if bell_rings {
            if (&*bell).read(&mut [0]).unwrap_or(0) == 0 {
                return;
            }
            for Order(killed, done) in orders.try_iter() {
                listeners.retain(|(number, _)| *number != killed);
                connections.retain(|connection| connection.number != killed);
                let _ = done.send(());
            }
        }
    }
}

impl Connection {
    /// Reads once and answers every whole request. False at the end of the connection.
    fn answer(&mut self) -> bool {
        let mut buffer = [0; 1 << 16];
        let length = self.socket.read(&mut buffer).unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..length]);
        let mut answers = Vec::new();
        let mut start = 0;
        while let Some((length, answer)) = answer(&self.unread[start..], self.number) {
            start += length;
            answers.extend(answer);
        }
        self.unread.drain(..start);
        length > 0 && self.socket.write_all(&answers).is_ok()
    }
}

/// The length of the first request in `bytes` and the answer to it, if it is whole.
fn answer(bytes: &[u8], number: usize) -> Option<(usize, Vec<u8>)> {
    let (line, mut end) = line(bytes, 0)?;
    let Some(count) = line.strip_prefix(b"*") else {
        let Some(key) = line.strip_prefix(b"get ") else {
            // A proxy that asks whether it is there.
            return Some((end, b"VERSION 1.6.18\r\n".to_vec()));
        };
        let number = number.to_string();
        let mut answer = [b"VALUE ", key].concat();
        answer.extend(format!(" 0 {}\r\n{number}\r\nEND\r\n", number.len()).into_bytes());
        return Some((end, answer));
    };
    for _ in 0..decimal(count) {
        let (header, after) = self::line(bytes, end)?;
        end = after + decimal(&header[1..]) + 2;
    }
    (end <= bytes.len()).then(|| (end, format!(":{number}\r\n").into_bytes()))
}

/// The line that begins at `start`, and where the next one begins.
fn line(bytes: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(start..)?;
    let length = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&rest[..length], start + length + 2))
}

fn decimal(digits: &[u8]) -> usize {
    std::str::from_utf8(digits).unwrap().parse().expect("nutcracker writes numbers")
}
