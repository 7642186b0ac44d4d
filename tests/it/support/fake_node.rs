//! A node that does what a script says: what no real server will do, or not at the right moment.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

/// A listening port whose connections follow a script.
pub struct FakeNode {
    port: u16,
    inner: Arc<Inner>,
    acceptor: Option<JoinHandle<()>>,
}

/// What a connection does next.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    /// Sends the bytes one by one, this far apart.
    Trickle(Vec<u8>, Duration),
    /// Sends the same again and again until the client hangs up.
    Flood(Vec<u8>),
    Wait(Duration),
    /// Hangs up.
    Close,
    /// Keeps the connection, and neither reads nor writes.
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many connections came before this one.
    pub connection: usize,
    /// How many requests came before it on its connection, the handshake not counted.
    pub number: usize,
    pub args: Vec<Vec<u8>>,
}

impl Request {
    /// Its words, for scripts to look at.
    pub fn line(&self) -> String {
        let words = self.args.iter().map(|argument| String::from_utf8_lossy(argument));
        words.collect::<Vec<_>>().join(" ")
    }

    pub fn is_greeting(&self) -> bool {
        let line = self.line();
        ["CLIENT SETINFO", "HELLO", "AUTH", "SELECT"].iter().any(|word| line.starts_with(word))
            || ["version", "mn"].contains(&line.as_str())
    }

    /// The key of a request of memcached's.
    pub fn key(&self) -> String {
        self.args.get(1).map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default()
    }

    /// The reply of a memcached in which the value of each key is the key.
    pub fn echo(&self) -> Vec<u8> {
        let value = |key: &Vec<u8>| {
            let line = format!("VALUE {} 0 {}\r\n", key.escape_ascii(), key.len());
            [line.as_bytes(), key, b"\r\n"].concat()
        };
        match self.args[0].as_slice() {
            b"mg" => {
                let key = self.key();
                format!("VA {} f0 O{}\r\n{key}\r\n", key.len(), self.opaque()).into_bytes()
            }
            _ => [self.args[1..].iter().flat_map(value).collect(), b"END\r\n".to_vec()].concat(),
        }
    }

    /// The opaque of a meta request.
    pub fn opaque(&self) -> u32 {
        let text = self.args.iter().find_map(|word| word.strip_prefix(b"O"));
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

/// The steps of a plain reply.
pub fn reply(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}

/// The bytes of a bulk string.
pub fn bulk(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

type Reader = fn(&mut BufReader<&TcpStream>) -> io::Result<Option<Vec<Vec<u8>>>>;
type Script = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

struct Inner {
    read: Reader,
    script: Box<Script>,
    is_over: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    /// Those whose client has not hung up.
    open: AtomicUsize,
    requests: Mutex<Vec<Request>>,
}

impl FakeNode {
    /// Starts one that shakes hands as a server does and answers everything else as `script` says.
    pub fn start(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_rude(
            move |request| {
                if request.is_greeting() { reply("+OK\r\n") } else { script(request) }
            },
        )
    }

    /// Starts one whose handshake is up to `script` too.
    pub fn start_rude(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_reading(|reader| read_request(reader), script)
    }

    /// Starts one that reads requests as memcached does, and greets as a new one of those.
    pub fn start_memcached(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_rude_memcached(move |request| match request.line().as_str() {
            "version" => reply("VERSION 1.6.18\r\n"),
            "mn" => reply("MN\r\n"),
            _ => script(request),
        })
    }

    /// The same, whose greeting is up to `script` too.
    pub fn start_rude_memcached(
        script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::start_reading(|reader| read_memcached(reader), script)
    }

    fn start_reading(
        read: Reader,
        script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let inner = Arc::new(Inner {
            read,
            script: Box::new(script),
            is_over: AtomicBool::new(false),
            streams: Mutex::default(),
            open: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        let acceptor = thread::spawn(move || accepting.accept(&listener));
        Self { port, inner, acceptor: Some(acceptor) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.inner.streams.lock().unwrap().len()
    }

    /// How many of them are open still, as far as it looked.
    pub fn open(&self) -> usize {
        self.inner.open.load(SeqCst)
    }

    /// What was asked so far, without the handshakes.
    pub fn lines(&self) -> Vec<String> {
        let requests = self.inner.requests.lock().unwrap();
        requests.iter().filter(|request| !request.is_greeting()).map(Request::line).collect()
    }

    /// Hangs up on everybody. Further connections are welcome.
    pub fn hang_up(&self) {
        for stream in self.inner.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.inner.is_over.store(true, SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.hang_up();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.hang_up();
    }
}

impl Inner {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.is_over.load(SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            // A reply in two pieces is to arrive in two pieces.
            let _ = stream.set_nodelay(true);
            let number = {
                let mut streams = self.streams.lock().unwrap();
                streams.push(stream.try_clone().expect("a socket can be shared"));
                streams.len() - 1
            };
            let inner = Arc::clone(self);
            // It ends with the connection.
            inner.open.fetch_add(1, SeqCst);
            thread::spawn(move || {
                let _ = inner.serve(number, &stream);
                inner.open.fetch_sub(1, SeqCst);
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    }

    fn serve(&self, connection: usize, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut number = 0;
        while let Some(args) = (self.read)(&mut reader)? {
            let request = Request { connection, number, args };
            number += usize::from(!request.is_greeting());
            self.requests.lock().unwrap().push(request.clone());
            for step in (self.script)(&request) {
                self.perform(step, stream)?;
            }
        }
        Ok(())
    }

    fn perform(&self, step: Step, mut stream: &TcpStream) -> io::Result<()> {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes),
            Step::Trickle(bytes, pause) => bytes.iter().try_for_each(|byte| {
                thread::sleep(pause);
                stream.write_all(&[*byte])
            }),
            Step::Flood(bytes) => loop {
                stream.write_all(&bytes)?;
            },
            Step::Wait(time) => {
                thread::sleep(time);
                Ok(())
            }
            Step::Close => Err(io::ErrorKind::ConnectionAborted.into()),
            Step::Hang => {
                while !self.is_over.load(SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            }
        }
    }
}

/// The next request; none at the end of the stream.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
    let Some(count) = read_number(reader, '*')? else {
        return Ok(None);
    };
    let mut args = Vec::new();
    for _ in 0..count {
        let Some(length) = read_number(reader, '$')? else {
            return Ok(None);
        };
        let mut argument = vec![0; length + 2];
        reader.read_exact(&mut argument)?;
        argument.truncate(length);
        args.push(argument);
    }
    Ok(Some(args))
}

/// The next request of memcached's: the words of its line, and the value if it has one.
fn read_memcached(reader: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words: Vec<_> =
        line.trim_end().split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let length = match words[0].as_slice() {
        b"ms" => Some(2),
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => Some(4),
        _ => None,
    };
    if let Some(place) = length {
        let length = words.get(place).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        let length: usize = length.ok_or(io::ErrorKind::InvalidData)?;
        let mut value = vec![0; length + 2];
        reader.read_exact(&mut value)?;
        value.truncate(length);
        words.push(value);
    }
    Ok(Some(words))
}

fn read_number(reader: &mut impl BufRead, kind: char) -> io::Result<Option<usize>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let number = line.strip_prefix(kind).and_then(|number| number.trim_end().parse().ok());
    number.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
