//! Servers for what is measured through a connection.

use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(feature = "redis", feature = "memcache")),
    allow(dead_code, reason = "each client has its servers")
)]
pub(super) enum Program {
    /// Without persistence.
    RedisServer,
    Memcached,
}

/// A server on a free port of the loopback interface, ended when dropped.
pub(super) struct Server {
    program: Program,
    process: Child,
    port: u16,
}

/// Servers, if they can be had.
pub(super) type Servers = Option<Vec<Server>>;

impl Server {
    /// Starts `count` of them; none if the program is not installed.
    ///
    /// # Panics
    ///
    /// Under `CI=true`, if it is not installed; and if it does not come up.
    pub(super) fn start_many(program: Program, count: usize) -> Option<Vec<Self>> {
        let name = program.name();
        let found = Command::new(name).arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} is not installed");
            eprintln!("{name} is not installed: what needs it is left out");
            return None;
        }
        Some((0..count).map(|_| Self::start(program)).collect())
    }

    fn start(program: Program) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("there is a free port").port();
        let process = program.command(port).stdout(Stdio::null()).spawn().expect("it starts");
        let mut server = Self { program, process, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "{program:?} does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(5));
        }
        let ended = server.process.try_wait().expect("its state can be asked for");
        assert!(ended.is_none(), "another server has port {port}");
        server
    }

    pub(super) fn url(&self) -> String {
        let scheme = match self.program {
            Program::RedisServer => "redis",
            Program::Memcached => "memcache",
        };
        format!("{scheme}://127.0.0.1:{}/", self.port)
    }

    #[cfg(feature = "memcache")]
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::RedisServer => "redis-server",
            Self::Memcached => "memcached",
        }
    }

    fn command(self, port: u16) -> Command {
        let mut command = Command::new(self.name());
        let port = port.to_string();
        match self {
            Self::RedisServer => command.args(["--port", &port, "--bind", "127.0.0.1"]).args([
                "--save",
                "",
                "--appendonly",
                "no",
            ]),
            Self::Memcached => command.args(["-p", &port, "-l", "127.0.0.1", "-u", "root"]),
        };
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
