//! A proxy under test: nutcracker or ours, with the same flags and the same nutcracker.yml.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use super::Process;
use super::free_port;
use super::is_installed;
use super::listens;
use super::proxy_client::Client;
use super::scratch;

/// Names the one program that tests run, `nutcracker` or `ours`; without it they run both.
const VARIABLE: &str = "SHARDWRIGHT_PROXY";

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nutcracker,
    Ours,
}

impl Program {
    /// Those that this run is about. What is not installed is left out, saying so.
    pub fn chosen() -> Vec<Self> {
        let mut chosen = match std::env::var(VARIABLE).as_deref() {
            Ok("nutcracker") => vec![Self::Nutcracker],
            Ok("ours") => vec![Self::Ours],
            Ok(other) => panic!("{VARIABLE} is 'nutcracker' or 'ours', not '{other}'"),
            Err(_) => vec![Self::Nutcracker, Self::Ours],
        };
        chosen.retain(|program| *program == Self::Ours || is_installed("nutcracker"));
        chosen
    }

    /// Whether this run is about it.
    pub fn is_chosen(self) -> bool {
        Self::chosen().contains(&self)
    }

    pub fn command(self) -> Command {
        match self {
            Self::Nutcracker => Command::new("nutcracker"),
            Self::Ours => Command::new(env!("CARGO_BIN_EXE_shardwright-proxy")),
        }
    }
}

/// A running proxy. Its pools listen on 127.0.0.1, each on a port of its own.
pub struct Proxy {
    program: Program,
    process: Process,
    ports: Vec<u16>,
    stats_port: u16,
}

impl Proxy {
    /// Starts `program` with some pools: the lines of each as in nutcracker.yml, without `listen:`.
    pub fn start(program: Program, pools: &[String]) -> Self {
        Self::start_with(program, pools, &[])
    }

    /// Starts it with further arguments.
    pub fn start_with(program: Program, pools: &[String], arguments: &[&str]) -> Self {
        Self::start_as(program, pools, arguments, |command| command, <[u16]>::to_vec)
    }

    /// Starts it where pools say themselves where they listen: when it does on the ports of `waited`,
    /// made from those of the pools, it has started.
    pub fn start_where(
        program: Program,
        pools: &[String],
        waited: impl Fn(&[u16]) -> Vec<u16>,
    ) -> Self {
        Self::start_as(program, pools, &[], |command| command, waited)
    }

    /// Starts it as `wrap` has it, by another program that sets limits.
    pub fn start_in(program: Program, pools: &[String], wrap: impl Fn(Command) -> Command) -> Self {
        Self::start_as(program, pools, &[], wrap, <[u16]>::to_vec)
    }

    fn start_as(
        program: Program,
        pools: &[String],
        arguments: &[&str],
        wrap: impl Fn(Command) -> Command,
        waited: impl Fn(&[u16]) -> Vec<u16>,
    ) -> Self {
        for _ in 0..10 {
            let ports: Vec<_> = pools.iter().map(|_| free_port()).collect();
            let stats_port = free_port();
            let directory = scratch();
            fs::write(directory.join("nutcracker.yml"), configuration(&ports, pools))
                .expect("scratch is writable");
            let mut command = program.command();
            command.args(["-c", "nutcracker.yml", "-a", "127.0.0.1"]);
            // nutcracker's numbers are older than this, when nothing happens.
            command.args(["-s", &stats_port.to_string(), "-i", "50"]).args(arguments);
            let process = Process::start(&mut wrap(command), directory);
            let mut proxy = Self { program, process, ports, stats_port };
            if proxy.begins(waited(&proxy.ports)) {
                return proxy;
            }
            eprintln!("{program:?} did not start: {}", proxy.process.log());
        }
        panic!("{program:?} does not start");
    }

    /// Whether it comes to listen on all these ports and that of the stats. Another process may have taken one.
    fn begins(&mut self, mut ports: Vec<u16>) -> bool {
        ports.push(self.stats_port);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) && !self.process.has_ended() {
            ports.retain(|port| !listens(*port));
            if ports.is_empty() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }

    /// Writes other pools into its file, which listen where the ones before did.
    pub fn rewrite(&self, pools: &[String]) {
        // As careful administrators do: nobody sees half a file.
        let path = self.process.directory().join("new.yml");
        fs::write(&path, configuration(&self.ports, pools)).expect("scratch is writable");
        fs::rename(path, self.file()).expect("scratch is writable");
    }

    /// Writes any text into its file.
    pub fn rewrite_text(&self, text: &str) {
        fs::write(self.file(), text).expect("scratch is writable");
    }

    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    pub fn program(&self) -> Program {
        self.program
    }

    pub fn is_ours(&self) -> bool {
        self.program == Program::Ours
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its nutcracker.yml.
    pub fn file(&self) -> PathBuf {
        self.process.directory().join("nutcracker.yml")
    }

    /// The port of its first pool.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The port of each of its pools.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// A new connection to its first pool.
    pub fn client(&self) -> Client {
        Client::connect(self.port())
    }

    /// What its first pool sends back for bytes sent at once: all of it until it closes the
    /// connection, of which we close our half behind the bytes.
    pub fn transcript(&self, bytes: &[u8]) -> String {
        transcript(self.port(), bytes)
    }

    /// The text that its stats port sends.
    pub fn stats_text(&self) -> String {
        let mut text = String::new();
        let stream = TcpStream::connect(("127.0.0.1", self.stats_port));
        let mut stream = stream.expect("the stats port listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_to_string(&mut text).expect("stats are sent whole");
        text
    }

    pub fn stats(&self) -> Value {
        let text = self.stats_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A number of its first pool.
    pub fn pool_stat(&self, name: &str) -> i64 {
        number(&self.stats()[pool_name(0)][name], name)
    }

    /// A number of a node of its first pool.
    pub fn node_stat(&self, node: &str, name: &str) -> i64 {
        number(&self.stats()[pool_name(0)][node][name], name)
    }

    /// The kilobytes of memory that it has.
    pub fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(status).expect("the proxy lives");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).expect("Linux tells")
    }
}

fn number(value: &Value, name: &str) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no number '{name}' in the stats: {value}"))
}

/// The name of the pool with this number.
pub fn pool_name(number: usize) -> String {
    format!("pool{number:03}")
}

fn configuration(ports: &[u16], pools: &[String]) -> String {
    let pool = |(number, (port, pool)): (usize, (&u16, &String))| {
        // A pool may say itself where it listens.
        let own = pool.lines().any(|line| line.trim_start().starts_with("listen:"));
        let listen = if own { String::new() } else { format!("  listen: 127.0.0.1:{port}\n") };
        format!("{}:\n{listen}{pool}", pool_name(number))
    };
    ports.iter().zip(pools).enumerate().map(pool).collect()
}

/// What a port sends back for bytes sent at once.
pub fn transcript(port: u16, bytes: &[u8]) -> String {
    let mut client = Client::connect(port);
    client.send(bytes);
    client.finish()
}
