//! Real memcacheds.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use super::Process;
use super::eventually;
use super::is_installed;
use super::listens;
use super::scratch;
use super::start_on_free_port;

/// A memcached that listens on a port of the loopback.
pub struct Memcached {
    process: Process,
    port: u16,
    arguments: Vec<String>,
}

impl Memcached {
    /// Starts one, or says why the test is skipped.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with further arguments (`-m`, `-I`, `-Y`, …).
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        if !is_installed("memcached") {
            return None;
        }
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let (process, port) =
            start_on_free_port("memcached", |port| spawn(port, &arguments, scratch()));
        Some(Self { process, port, arguments })
    }

    /// Starts `count` of them.
    pub fn start_many(count: usize) -> Option<Vec<Self>> {
        (0..count).map(|_| Self::start()).collect()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("memcache://127.0.0.1:{}", self.port)
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.port, &self.arguments, scratch());
        eventually("memcached is back", || listens(self.port));
    }
}

/// A memcached that listens on a unix socket, and on nothing else.
pub struct MemcachedSocket {
    process: Process,
}

impl MemcachedSocket {
    /// Starts one, or says why the test is skipped.
    pub fn start() -> Option<Self> {
        if !is_installed("memcached") {
            return None;
        }
        let mut command = command();
        command.args(["-s", "memcached.sock"]);
        let server = Self { process: Process::start(&mut command, scratch()) };
        eventually("memcached has its socket", || UnixStream::connect(server.path()).is_ok());
        Some(server)
    }

    /// The path of its socket.
    pub fn path(&self) -> PathBuf {
        self.process.directory().join("memcached.sock")
    }

    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn spawn(port: u16, arguments: &[String], directory: PathBuf) -> Process {
    let mut command = command();
    command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0"]).args(arguments);
    Process::start(&mut command, directory)
}

/// Started as root it gives up, unless it is told whom to become; else it takes no notice of `-u`.
fn command() -> Command {
    let mut command = Command::new("memcached");
    command.args(["-u", "root"]);
    command
}
