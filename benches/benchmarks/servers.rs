//! redis-servers for what is measured through a connection.

use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A redis-server without persistence on a free port of the loopback interface, ended when dropped.
pub(super) struct Server {
    process: Child,
    port: u16,
}

/// Servers, if they can be had.
pub(super) type Servers = Option<Vec<Server>>;

impl Server {
    /// Starts `count` of them; none if redis-server is not installed.
    ///
    /// # Panics
    ///
    /// Under `CI=true`, if it is not installed; and if it does not come up.
    pub(super) fn start_many(count: usize) -> Option<Vec<Self>> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "redis-server is not installed");
            return None;
        }
        Some((0..count).map(|_| Self::start()).collect())
    }

    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("there is a free port").port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let mut server = Self { process, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "redis-server does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(5));
        }
        let ended = server.process.try_wait().expect("its state can be asked for");
        assert!(ended.is_none(), "another server has port {port}");
        server
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
