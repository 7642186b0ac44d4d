//! What connections and large values take of a proxy's memory, and what it gives back.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use crate::figures::Figures;
use crate::peers::Nodes;
use crate::peers::Peer;
use crate::peers::Proxy;
use crate::process::peak;
use crate::process::resident;
use crate::workload::Goal;
use crate::workload::Protocol;

/// Connections of the two measurements of which the difference counts.
const FEW: usize = 1_000;
const MANY: usize = 5_000;

const MEBIBYTE: usize = 1024 * 1024;

/// Requests for large values of a client that reads none of the replies, and how long it stays at least.
const BURST: usize = 30;
const BURST_VALUE: usize = 10_000_000;
const STAYS: Duration = Duration::from_secs(4);

const TIMEOUT: Duration = Duration::from_secs(60);

/// How long its memory has to stay the same to be believed, and when that is believed that never does.
const QUIET: Duration = Duration::from_secs(2);
const SETTLING: Duration = Duration::from_secs(15);

/// What is measured of a proxy, the unit, and what is demanded of ours.
const METRICS: [(&str, &str, Option<Goal>); 8] = [
    ("at the start", "KiB", None),
    ("per idle connection", "B", Some(Goal { must: 300.0, aim: 200.0 })),
    ("per used connection", "B", Some(Goal { must: 400.0, aim: 300.0 })),
    ("when they have left", "KiB", None),
    ("after a value of 10 MiB", "KiB", None),
    ("before a burst", "KiB", None),
    ("most in a burst", "KiB", Some(Goal { must: 65_536.0, aim: 32_768.0 })),
    ("kept after a burst", "KiB", Some(Goal { must: 4_096.0, aim: 1_024.0 })),
];

/// Measures both proxies and prints a table. Whether every goal is reached.
pub fn run(nutcracker: &Path, ours: &Path, figures: &mut Figures) -> Result<bool, String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| format!("no more files: {error}"))?;
    let nodes = Nodes::start()?;
    let mut measured = Vec::new();
    for (name, program) in [("nutcracker", nutcracker), ("ours", ours)] {
        let proxy = Proxy { name, program, under: &[], timeout: TIMEOUT };
        let figures = measure(&nodes, &proxy).map_err(|error| format!("{name}: {error}"))?;
        measured.push(figures);
    }
    println!(
        "\n{:<26} {:>14} {:>12} {:>9} {:>9}",
        "memory", "of nutcracker", "ours", "must", "aim"
    );
    let mut is_good = true;
    for (place, (metric, unit, goal)) in METRICS.into_iter().enumerate() {
        let (its, own) = (measured[0][place], measured[1][place]);
        let [must, aim] = goal.map_or([String::new(), String::new()], |goal| {
            [goal.must.to_string(), goal.aim.to_string()]
        });
        let verdict = goal.map_or("", |goal| goal.verdict(own));
        println!("{metric:<22} {unit:>3} {its:14.0} {own:12.0} {must:>9} {aim:>9} {verdict}");
        is_good &= verdict != "MISSED";
        figures.note("memory", metric, own, unit);
        figures.note("memory", &format!("{metric} of nutcracker"), its, unit);
    }
    Ok(is_good)
}

/// The figures in the order of [`METRICS`].
fn measure(nodes: &Nodes, proxy: &Proxy<'_>) -> Result<[f64; 8], String> {
    let peer = nodes.start_proxy(proxy)?;
    let mut client = Client::connect(&peer)?;
    client.set("small", 64)?;
    let kibibytes = |bytes: u64| bytes as f64 / 1024.0;
    let start = settled(&peer);

    let mut clients = Vec::new();
    let mut sizes = Vec::new();
    for count in [FEW, MANY] {
        while clients.len() < count {
            clients.push(Client::connect(&peer)?);
            // A listener's queue is short.
            if clients.len() % 100 == 0 {
                client.ask("small", 64)?;
            }
        }
        sizes.push(settled(&peer) as f64);
    }
    let idle = (sizes[1] - sizes[0]) / (MANY - FEW) as f64;
    for client in &mut clients {
        client.ask("small", 64)?;
    }
    let used = (settled(&peer) - start) as f64 / MANY as f64;
    drop(clients);
    let left = settled(&peer);
    client.set("large", 10 * MEBIBYTE)?;
    client.ask("large", 10 * MEBIBYTE)?;
    drop(client);
    let large = settled(&peer);
    peer.end(Signal::TERM)?;

    // What it had before would hide what the burst takes.
    let peer = nodes.start_proxy(proxy)?;
    Client::connect(&peer)?.set("burst", BURST_VALUE)?;
    let before = settled(&peer);
    let client = Client::connect(&peer)?;
    let request = Client::request("burst").repeat(BURST);
    (&client.0).write_all(request.as_bytes()).map_err(|error| format!("cannot write: {error}"))?;
    let start_of_burst = Instant::now();
    while settled(&peer) <= before && start_of_burst.elapsed() < SETTLING {}
    std::thread::sleep(STAYS.saturating_sub(start_of_burst.elapsed()));
    drop(client);
    let kept = settled(&peer).saturating_sub(before);
    let most = peak(peer.pid());
    let all = [kibibytes(start), idle, used, kibibytes(left), kibibytes(large)];
    let [start, idle, used, left, large] = all;
    Ok([start, idle, used, left, large, kibibytes(before), kibibytes(most), kibibytes(kept)])
}

/// What it takes when that has not changed for a while.
fn settled(peer: &Peer) -> u64 {
    let start = Instant::now();
    let mut size = resident(peer.pid());
    let mut since = start;
    while since.elapsed() < QUIET && start.elapsed() < SETTLING {
        std::thread::sleep(QUIET / 10);
        let now = resident(peer.pid());
        if now != size {
            (size, since) = (now, Instant::now());
        }
    }
    size
}

/// A client that waits for each reply.
struct Client(TcpStream);

impl Client {
    fn connect(peer: &Peer) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", peer.port(Protocol::Redis)))
            .and_then(|stream| stream.set_read_timeout(Some(TIMEOUT)).map(|()| stream));
        stream.map(Self).map_err(|error| format!("cannot connect: {error}"))
    }

    fn set(&mut self, key: &str, size: usize) -> Result<(), String> {
        let value = "v".repeat(size);
        let request =
            format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${size}\r\n{value}\r\n", key.len());
        self.exchange(&request, "+OK\r\n")
    }

    fn ask(&mut self, key: &str, size: usize) -> Result<(), String> {
        let value = "v".repeat(size);
        self.exchange(&Self::request(key), &format!("${size}\r\n{value}\r\n"))
    }

    fn request(key: &str) -> String {
        format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())
    }

    fn exchange(&mut self, request: &str, expected: &str) -> Result<(), String> {
        let mut reply = vec![0; expected.len()];
        let exchanged = self.0.write_all(request.as_bytes());
        exchanged
            .and_then(|()| self.0.read_exact(&mut reply))
            .map_err(|error| format!("no reply: {error}"))?;
        if reply != expected.as_bytes() {
            let start = reply[..reply.len().min(60)].escape_ascii();
            return Err(format!("another reply: {start}"));
        }
        Ok(())
    }
}
