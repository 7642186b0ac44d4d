//! Pools of real servers behind one program or both.

use std::sync::Mutex;

use shardwright::Node;
use shardwright::Router;
use shardwright::Topology;

use crate::support::Process;
use crate::support::fake_node::FakeNode;
use crate::support::memcached::Memcached;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::redis_server::RedisServer;

/// A server that can be ended and started again.
pub(super) trait Server: Sized {
    /// `redis:` of a pool of them.
    const PROTOCOL: &'static str;

    fn start(arguments: &[&str]) -> Option<Self>;
    fn empty(client: &mut Client);
    fn port(&self) -> u16;
    fn process(&self) -> &Process;
    fn kill(&mut self);
    fn restart(&mut self);
}

impl Server for RedisServer {
    const PROTOCOL: &'static str = "redis: true";

    fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_with(arguments)
    }

    fn empty(client: &mut Client) {
        client.ask("FLUSHALL");
        client.ask("SCRIPT FLUSH");
    }

    fn port(&self) -> u16 {
        self.port()
    }

    fn process(&self) -> &Process {
        self.process()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.restart();
    }
}

impl Server for Memcached {
    const PROTOCOL: &'static str = "redis: false";

    fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_with(arguments)
    }

    fn empty(client: &mut Client) {
        assert_eq!(client.ask_memcached("flush_all"), "OK\r\n");
    }

    fn port(&self) -> u16 {
        self.port()
    }

    fn process(&self) -> &Process {
        self.process()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.restart();
    }
}

/// The servers of a pool. They are named `node0`, `node1` and so on, so that a key is on the same one
/// in every run.
pub(super) struct Group<S> {
    ports: Vec<u16>,
    servers: Vec<Mutex<Member<S>>>,
}

struct Member<S> {
    server: S,
    is_dead: bool,
}

pub(super) type Redis = Group<RedisServer>;
pub(super) type Memcacheds = Group<Memcached>;

impl<S: Server> Group<S> {
    /// Starts some, or says why the test is skipped.
    pub(super) fn start(count: usize) -> Option<Self> {
        Self::start_with(count, &[])
    }

    /// Starts some with further arguments.
    pub(super) fn start_with(count: usize, arguments: &[&str]) -> Option<Self> {
        let servers: Option<Vec<_>> = (0..count).map(|_| S::start(arguments)).collect();
        let servers = servers?;
        let ports = servers.iter().map(S::port).collect();
        let member = |server| Mutex::new(Member { server, is_dead: false });
        Some(Self { ports, servers: servers.into_iter().map(member).collect() })
    }

    pub(super) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Ends one at once, as a crash would.
    pub(super) fn kill(&self, node: usize) {
        let mut member = self.servers[node].lock().unwrap();
        member.server.kill();
        member.is_dead = true;
    }

    /// Starts one again, empty.
    pub(super) fn restart(&self, node: usize) {
        let mut member = self.servers[node].lock().unwrap();
        member.server.restart();
        member.is_dead = false;
    }

    /// Freezes one.
    pub(super) fn stop(&self, node: usize) {
        self.servers[node].lock().unwrap().server.process().stop();
    }

    pub(super) fn resume(&self, node: usize) {
        self.servers[node].lock().unwrap().server.process().resume();
    }

    /// A connection to one itself.
    pub(super) fn direct(&self, node: usize) -> Client {
        Client::connect(self.ports[node])
    }

    /// A key that is on a node, another one for another `salt`, with the default hash.
    pub(super) fn key(&self, node: usize, salt: &str) -> String {
        key_on(self.ports.len(), node, salt)
    }

    /// The pool's lines in nutcracker.yml, with some settings (`timeout: 100`).
    pub(super) fn pool(&self, settings: &[&str]) -> String {
        let lines = self.ports.iter().enumerate().map(|(node, port)| line(node, *port));
        pool(&[&[S::PROTOCOL], settings].concat(), &lines.collect::<Vec<_>>())
    }
}

/// What is behind a proxy, as far as comparisons care.
pub(super) trait Backends {
    fn lines(&self, settings: &[&str]) -> String;

    /// Makes it as it was in the beginning.
    fn renew(&self);
}

impl<S: Server> Backends for Group<S> {
    fn lines(&self, settings: &[&str]) -> String {
        self.pool(settings)
    }

    fn renew(&self) {
        for node in 0..self.ports.len() {
            self.resume_or_restart(node);
            S::empty(&mut self.direct(node));
        }
    }
}

impl<S: Server> Group<S> {
    fn resume_or_restart(&self, node: usize) {
        if self.servers[node].lock().unwrap().is_dead {
            self.restart(node);
        } else {
            self.resume(node);
        }
    }
}

/// The line of a server in nutcracker.yml.
pub(super) fn line(node: usize, port: u16) -> String {
    format!("127.0.0.1:{port}:1 node{node}")
}

/// The lines of a pool in nutcracker.yml, but for `listen:`.
pub(super) fn pool(settings: &[&str], servers: &[String]) -> String {
    let settings: String = settings.iter().map(|setting| format!("  {setting}\n")).collect();
    let servers: String = servers.iter().map(|server| format!("   - '{server}'\n")).collect();
    format!("{settings}  servers:\n{servers}")
}

/// A key that is on `node` of `nodes` that are named `node0`, `node1` and so on.
pub(super) fn key_on(nodes: usize, node: usize, salt: &str) -> String {
    let router = router(nodes);
    let mut keys = (0..).map(|number| format!("{salt}{number}"));
    keys.find(|key| owner(&router, key) == node).expect("every node has keys")
}

/// Where such nodes keep keys, with the default hash.
pub(super) fn router(nodes: usize) -> Router {
    let lines = (0..nodes).map(|node| line(node, 1).parse::<Node>().expect("our own line"));
    Topology::new(lines).expect("there are nodes").router()
}

/// The number of the node that owns a key.
pub(super) fn owner(router: &Router, key: &str) -> usize {
    let node = router.node(router.node_for_key(key.as_bytes()).expect("all live"));
    node.name()["node".len()..].parse().expect("our own name")
}

/// The programs that this run is about, each in front of the same servers.
pub(super) struct Sides<'a> {
    backends: &'a dyn Backends,
    proxies: Vec<Proxy>,
}

impl<'a> Sides<'a> {
    pub(super) fn start(backends: &'a dyn Backends, settings: &[&str]) -> Self {
        Self::of(backends, settings, &Program::chosen())
    }

    /// With ours alone, if this run is about it; no sides otherwise.
    pub(super) fn ours(backends: &'a dyn Backends, settings: &[&str]) -> Self {
        let ours = [Program::Ours];
        let programs = if Program::Ours.is_chosen() { &ours[..] } else { &[] };
        Self::of(backends, settings, programs)
    }

    fn of(backends: &'a dyn Backends, settings: &[&str], programs: &[Program]) -> Self {
        let start = |program: &Program| Proxy::start(*program, &[backends.lines(settings)]);
        Self { backends, proxies: programs.iter().map(start).collect() }
    }

    /// Runs `test` on each, everything behind it being new.
    pub(super) fn each(&self, test: impl Fn(&Proxy)) {
        for proxy in &self.proxies {
            self.backends.renew();
            eprintln!("with {:?}", proxy.program());
            test(proxy);
        }
    }

    /// What each answers to bytes on a new connection, asserted to be the same.
    pub(super) fn alike(&self, bytes: impl AsRef<[u8]>) -> String {
        let bytes = bytes.as_ref();
        self.alike_as(bytes, |proxy| proxy.transcript(bytes))
    }

    /// What comes of `transcript` with each, asserted to be the same; `bytes` are told if it is not.
    pub(super) fn alike_as(&self, bytes: &[u8], transcript: impl Fn(&Proxy) -> String) -> String {
        let mut transcripts = self.proxies.iter().map(|proxy| {
            self.backends.renew();
            (proxy.program(), transcript(proxy))
        });
        let (first, expected) = transcripts.next().expect("something is to be tested");
        for (program, transcript) in transcripts {
            let what = escaped(bytes);
            assert_eq!(transcript, expected, "{program:?}, not as {first:?}, to {what}");
        }
        expected
    }

    /// Asserts what each answers to bytes on a new connection: texts for [`fits`].
    pub(super) fn differ(&self, bytes: impl AsRef<[u8]>, theirs: &str, ours: &str) {
        let bytes = bytes.as_ref();
        self.each(|proxy| {
            let expected = if proxy.is_ours() { ours } else { theirs };
            let transcript = proxy.transcript(bytes);
            let (program, what) = (proxy.program(), escaped(bytes));
            assert!(fits(&transcript, expected), "{program:?}: {transcript:?} to {what}");
        });
    }
}

/// The beginning of some bytes, for people.
fn escaped(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(400)].escape_ascii().to_string()
}

/// Runs `test` with each program in front of nodes that `make` makes for it.
pub(super) fn before_fakes(
    settings: &[&str],
    make: impl Fn() -> Vec<FakeNode>,
    test: impl Fn(&Proxy, &[FakeNode]),
) {
    for program in Program::chosen() {
        eprintln!("with {program:?}");
        let nodes = make();
        let lines = nodes.iter().enumerate().map(|(number, node)| line(number, node.port()));
        let proxy = Proxy::start(program, &[pool(settings, &lines.collect::<Vec<_>>())]);
        test(&proxy, &nodes);
    }
}

/// Whether a text is as the pattern says, in which `…` stands for anything in one line.
pub(super) fn fits(text: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut is_open = false;
    for piece in pieces {
        is_open = piece.is_empty();
        let line = rest.find("\r\n").unwrap_or(rest.len());
        let Some(at) = rest.find(piece) else { return false };
        if at > line {
            return false;
        }
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty() || is_open && !rest.contains("\r\n")
}

#[track_caller]
pub(super) fn assert_fits(text: &str, pattern: &str) {
    assert!(fits(text, pattern), "{text:?}, not {pattern:?}");
}
