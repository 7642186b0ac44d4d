//! A client that sends any bytes and reads replies of both protocols as they are.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::time::Duration;

/// How long a test waits for a reply that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a proxy or a server. Replies are texts: what is not UTF-8 is replaced.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        Self::new(stream)
    }

    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes. If nobody takes them, the reading tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Sends a line of words as a request of Redis and reads the reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(request(line));
        self.reply()
    }

    /// Sends a request of Redis with any arguments and reads the reply.
    pub fn ask_with(&mut self, args: &[&[u8]]) -> String {
        self.send(request_of(args));
        self.reply()
    }

    /// Sends a line of memcached's, with all that belongs to it but the last line end.
    pub fn ask_memcached(&mut self, line: impl AsRef<[u8]>) -> String {
        self.send([line.as_ref(), b"\r\n"].concat());
        self.memcached_reply()
    }

    /// The next reply of Redis's.
    pub fn reply(&mut self) -> String {
        let reply = self.try_reply();
        reply.unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next reply of Redis's, or why there is none.
    pub fn try_reply(&mut self) -> io::Result<String> {
        let mut reply = Vec::new();
        match read_reply(&mut self.stream, &mut reply) {
            Ok(()) => Ok(text(&reply)),
            Err(error) => {
                let start = &reply[..reply.len().min(300)];
                let what = format!("{error} after '{}'", start.escape_ascii());
                Err(io::Error::new(error.kind(), what))
            }
        }
    }

    /// The next reply of memcached's: `VALUE`s and `STAT`s with their `END`, or one line.
    pub fn memcached_reply(&mut self) -> String {
        let reply = self.try_memcached_reply();
        reply.unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    pub fn try_memcached_reply(&mut self) -> io::Result<String> {
        let mut reply = Vec::new();
        while !read_memcached(&mut self.stream, &mut reply)? {}
        Ok(text(&reply))
    }

    /// Closes our half; the other may still be read.
    pub fn close_half(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Closes our half and reads all that comes until it is closed.
    pub fn finish(mut self) -> String {
        self.close_half();
        self.rest()
    }

    /// All that comes until the connection is closed.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let result = self.stream.read_to_end(&mut rest);
        if let Err(error) = result {
            // Closed all the same, with something of ours unread.
            let is_reset = error.kind() == io::ErrorKind::ConnectionReset;
            assert!(is_reset, "not closed: {error} after {}", rest.escape_ascii());
        }
        text(&rest)
    }

    /// Whether nothing comes for a while.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let result = self.stream.fill_buf().map(<[u8]>::len);
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        let is_late = |kind| matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        result.is_err_and(|error| is_late(error.kind()))
    }
}

/// Words as a request of Redis. Two spaces make an empty word.
pub fn request(line: &str) -> Vec<u8> {
    request_of(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

/// Several requests, one behind the other.
pub fn requests(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| request(line)).collect()
}

/// Arguments as a request of Redis.
pub fn request_of(args: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", args.len()).into_bytes();
    for argument in args {
        request.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        request.extend_from_slice(argument);
        request.extend_from_slice(b"\r\n");
    }
    request
}

/// A bulk string.
pub fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// An array of bulk strings.
pub fn array(elements: &[&str]) -> String {
    let strings: String = elements.iter().map(|element| bulk(element)).collect();
    format!("*{}\r\n{strings}", elements.len())
}

/// The strings of a reply that is an array of bulk strings without line ends in them, or of more such.
pub fn strings(reply: &str) -> Vec<String> {
    let mut lines = reply.split("\r\n");
    let mut strings = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with('$') && line != "$-1" {
            strings.push(lines.next().expect("behind its length is the string").to_owned());
        }
    }
    strings
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_line(stream: &mut impl BufRead, reply: &mut Vec<u8>) -> io::Result<String> {
    let start = reply.len();
    stream.read_until(b'\n', reply)?;
    if !reply.ends_with(b"\r\n") || reply.len() < start + 2 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text(&reply[start..reply.len() - 2]))
}

fn read_bytes(stream: &mut impl BufRead, reply: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let read = stream.take(length as u64 + 2).read_to_end(reply)?;
    if read == length + 2 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Appends a whole reply.
fn read_reply(stream: &mut impl BufRead, reply: &mut Vec<u8>) -> io::Result<()> {
    let line = read_line(stream, reply)?;
    let kind = line.chars().next();
    let count = || line[1..].parse::<i64>().ok().and_then(|count| usize::try_from(count).ok());
    let parts = match kind {
        Some('$' | '=' | '!') => {
            return count().map_or(Ok(()), |length| read_bytes(stream, reply, length));
        }
        Some('*' | '~' | '>') => count().unwrap_or(0),
        Some('%') => 2 * count().unwrap_or(0),
        // The attribute and what it is an attribute of.
        Some('|') => 2 * count().unwrap_or(0) + 1,
        Some('+' | '-' | ':' | '_' | '#' | ',' | '(') => 0,
        _ => panic!("no reply of Redis: '{}'", reply.escape_ascii()),
    };
    (0..parts).try_for_each(|_| read_reply(stream, reply))
}

/// Appends a part of a reply. True if it is the last one.
fn read_memcached(stream: &mut impl BufRead, reply: &mut Vec<u8>) -> io::Result<bool> {
    let line = read_line(stream, reply)?;
    let words: Vec<_> = line.split(' ').collect();
    let (length, is_last) = match words[0] {
        "VALUE" => (words.get(3), false),
        "VA" => (words.get(1), true),
        "STAT" => return Ok(false),
        _ => return Ok(true),
    };
    let length = length.and_then(|word| word.parse().ok());
    read_bytes(stream, reply, length.ok_or(io::ErrorKind::InvalidData)?)?;
    Ok(is_last)
}
