//! The clients: one thread, one loop, and nothing allocated for a request, since it shares the cores with
//! what it measures.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::net::TcpStream;

use crate::batch::Aligned;
use crate::batch::Batch;
use crate::batch::Numbers;
use crate::histogram::Histogram;
use crate::replies::Faults;
use crate::replies::Replies;
use crate::workload::Workload;

/// How long nothing may arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are read at once.
const READ: usize = 256 * 1024;

/// Bytes of an incomplete line, and of a value's first ones, that are kept for the next read.
const REST: usize = 256;

/// Connections to one address.
pub struct Generator<'a> {
    workload: &'a Workload,
    poll: Poll,
    connections: Vec<Connection>,
    /// The rest of what a connection read before ends where a read begins, so that each begins aligned.
    buffer: Aligned,
    numbers: Next,
}

/// When to send nothing more. What was sent is answered then.
#[derive(Clone, Copy)]
pub enum Extent {
    For(Duration),
    Requests(u64),
}

/// What came of it.
#[derive(Default)]
pub struct Tally {
    pub requests: u64,
    pub elapsed: Duration,
    pub latency: Histogram,
    pub faults: Faults,
}

enum Next {
    Random(Numbers),
    /// One after the other.
    Sequence(u32),
}

struct Connection {
    stream: TcpStream,
    batch: Batch,
    replies: Replies,
    rest: Vec<u8>,
    written: usize,
    started: Instant,
    is_idle: bool,
}

impl<'a> Generator<'a> {
    /// Connects all of them. `seed` decides which keys they ask for.
    pub fn connect(port: u16, workload: &'a Workload, seed: u64) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let poll = Poll::new()?;
        let connections = (0..workload.connections).map(|place| {
            // Not all at once: a listener's queue is short.
            let stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(place), interest)?;
            Ok(Connection::new(stream, workload))
        });
        let connections = connections.collect::<io::Result<Vec<_>>>()?;
        let buffer = Aligned::new(REST + READ);
        let numbers = Next::Random(Numbers::new(seed));
        Ok(Self { workload, poll, connections, buffer, numbers })
    }

    /// Asks for the keys in order instead.
    pub fn in_sequence(self) -> Self {
        Self { numbers: Next::Sequence(0), ..self }
    }

    /// Sends and reads until there is enough and no reply is owed.
    ///
    /// # Errors
    ///
    /// Why it cannot go on; wrong replies are no reason.
    pub fn run(&mut self, extent: Extent) -> Result<Tally, String> {
        let start = Instant::now();
        let mut tally = Tally::default();
        let mut sent = 0;
        let mut active = 0;
        let mut events = Events::with_capacity(256);
        for place in 0..self.connections.len() {
            if extent.is_over(sent, start) {
                break;
            }
            active += 1;
            sent += self.start_batch(place, start)?;
        }
        while active > 0 {
            self.poll.poll(&mut events, Some(PATIENCE)).or_else(interrupted)?;
            if events.is_empty() {
                return Err(format!("no reply within {PATIENCE:?}"));
            }
            for event in &events {
                let Token(place) = event.token();
                let connection = &mut self.connections[place];
                if event.is_writable() && !connection.is_idle {
                    connection.write()?;
                }
                if !event.is_readable()
                    || !connection.read(self.workload, &mut self.buffer, &mut tally)?
                {
                    continue;
                }
                let now = Instant::now();
                if extent.is_over(sent, start) {
                    active -= 1;
                } else {
                    sent += self.start_batch(place, now)?;
                }
            }
        }
        tally.elapsed = start.elapsed();
        Ok(tally)
    }

    /// How many requests it sent.
    fn start_batch(&mut self, place: usize, now: Instant) -> Result<u64, String> {
        let connection = &mut self.connections[place];
        connection.batch.number(|| self.numbers.next(self.workload.keys));
        connection.replies = Replies::default();
        connection.started = now;
        connection.is_idle = false;
        connection.written = 0;
        connection.write()?;
        Ok(self.workload.pipeline as u64)
    }
}

impl Connection {
    fn new(stream: TcpStream, workload: &Workload) -> Self {
        Self {
            stream,
            batch: Batch::new(workload),
            replies: Replies::default(),
            rest: Vec::with_capacity(REST),
            written: 0,
            started: Instant::now(),
            is_idle: true,
        }
    }

    fn write(&mut self) -> Result<(), String> {
        while self.written < self.batch.bytes().len() {
            match self.stream.write(&self.batch.bytes()[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot write: {error}")),
            }
        }
        Ok(())
    }

    /// Reads what is there. Whether that ended the batch.
    fn read(
        &mut self,
        workload: &Workload,
        buffer: &mut [u8],
        tally: &mut Tally,
    ) -> Result<bool, String> {
        loop {
            let count = match self.stream.read(&mut buffer[REST..]) {
                Ok(0) => return Err("the connection was closed".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("cannot read: {error}")),
            };
            let start = REST - self.rest.len();
            buffer[start..REST].copy_from_slice(&self.rest);
            let bytes = &buffer[start..REST + count];
            let before = self.replies.complete();
            let used = self.replies.read(bytes, &self.batch, workload, &mut tally.faults)?;
            self.rest.clear();
            self.rest.extend_from_slice(&bytes[used..]);
            if self.rest.len() > REST {
                return Err("a line without an end".to_owned());
            }
            let complete = self.replies.complete() - before;
            if complete > 0 {
                let latency = self.started.elapsed();
                (0..complete).for_each(|_| tally.latency.record(latency));
                tally.requests += complete as u64;
            }
            // A read that fills less than the buffer found the end.
            if count < READ {
                break;
            }
        }
        let is_over = !self.is_idle && self.replies.is_over(workload);
        self.is_idle |= is_over;
        Ok(is_over)
    }
}

impl Extent {
    fn is_over(self, sent: u64, start: Instant) -> bool {
        match self {
            Self::For(duration) => start.elapsed() >= duration,
            Self::Requests(requests) => sent >= requests,
        }
    }
}

impl Next {
    fn next(&mut self, keys: u32) -> u32 {
        match self {
            Self::Random(numbers) => numbers.below(keys),
            Self::Sequence(next) => {
                let number = *next;
                *next = (number + 1) % keys;
                number
            }
        }
    }
}

fn interrupted(error: io::Error) -> Result<(), String> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        _ => Err(format!("cannot wait: {error}")),
    }
}
