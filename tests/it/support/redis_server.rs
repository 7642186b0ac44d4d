//! Real redis-servers.

use std::path::PathBuf;
use std::process::Command;

use super::Process;
use super::eventually;
use super::is_installed;
use super::listens;
use super::scratch;
use super::start_on_free_port;

/// A redis-server without persistence.
pub struct RedisServer {
    process: Process,
    port: u16,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts one, or says why the test is skipped.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with further arguments (`--requirepass`, …).
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        if !is_installed("redis-server") {
            return None;
        }
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let (process, port) =
            start_on_free_port("redis-server", |port| spawn(port, &arguments, scratch()));
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
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The path of its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.process.directory().join("redis.sock")
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.port, &self.arguments, scratch());
        eventually("redis-server is back", || listens(self.port));
    }
}

fn spawn(port: u16, arguments: &[String], directory: PathBuf) -> Process {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "yes"])
        .args(["--unixsocket", "redis.sock"])
        .args(arguments);
    Process::start(&mut command, directory)
}
