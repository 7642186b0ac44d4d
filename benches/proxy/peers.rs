//! The servers and the proxies, started here on free ports of the loopback interface and ended when dropped.

use std::env;
use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::workload::Protocol;

/// How many servers of each kind.
const NODES: usize = 4;

/// How long a program may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Four redis-servers, four memcacheds and a directory for what they write.
pub struct Nodes {
    redis: Vec<Peer>,
    memcached: Vec<Peer>,
    directory: PathBuf,
}

/// A process that is measured, and where it listens.
pub struct Peer {
    name: String,
    process: Child,
    redis: Option<u16>,
    memcached: Option<u16>,
}

/// Which proxy, and how it is started.
pub struct Proxy<'a> {
    pub name: &'a str,
    pub program: &'a Path,
    /// A program that runs it, and that one's arguments.
    pub under: &'a [String],
    /// How long it waits for a node.
    pub timeout: Duration,
}

impl Nodes {
    pub fn start() -> Result<Self, String> {
        let directory = env::temp_dir().join(format!("shardwright-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("no directory: {error}"))?;
        let mut nodes = Self { redis: Vec::new(), memcached: Vec::new(), directory };
        for _ in 0..NODES {
            let port = free_port()?;
            let mut redis = program("redis-server");
            redis.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            redis.args(["--save", "", "--appendonly", "no"]).current_dir(&nodes.directory);
            nodes.redis.push(nodes.spawn("redis-server", &mut redis, Some(port), None)?);
            let port = free_port()?;
            let mut memcached = program("memcached");
            memcached.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0", "-u", "root"]);
            memcached.args(["-t", "1", "-m", "256", "-c", "8000", "-I", "16m"]);
            nodes.memcached.push(nodes.spawn("memcached", &mut memcached, None, Some(port))?);
        }
        Ok(nodes)
    }

    /// Starts a proxy before all of them, with a pool of each protocol.
    pub fn start_proxy(&self, proxy: &Proxy<'_>) -> Result<Peer, String> {
        let (redis, memcached, stats) = (free_port()?, free_port()?, free_port()?.to_string());
        let file = self.directory.join(format!("{}.yml", proxy.name));
        let timeout = proxy.timeout.as_millis();
        let mut text = String::new();
        for (pool, port, nodes) in
            [("redis", redis, &self.redis), ("memcached", memcached, &self.memcached)]
        {
            text += &format!(
                "{pool}:\n  listen: 127.0.0.1:{port}\n  hash: fnv1a_64\n  distribution: ketama\n  \
                 redis: {}\n  auto_eject_hosts: false\n  timeout: {timeout}\n  servers:\n",
                pool == "redis",
            );
            for node in nodes {
                text += &format!("   - 127.0.0.1:{}:1\n", node.port(node.protocol()));
            }
        }
        fs::write(&file, text).map_err(|error| format!("no configuration: {error}"))?;
        let mut command = match proxy.under {
            [] => program(proxy.program),
            [under, arguments @ ..] => {
                let mut command = program(under);
                command.args(arguments).arg(proxy.program);
                command
            }
        };
        command.arg("-c").arg(file).args(["-s", &stats, "-a", "127.0.0.1"]);
        self.spawn(proxy.name, &mut command, Some(redis), Some(memcached))
    }

    /// The servers of a protocol.
    pub fn of(&self, protocol: Protocol) -> &[Peer] {
        match protocol {
            Protocol::Redis => &self.redis,
            Protocol::Memcached => &self.memcached,
        }
    }

    /// A file of that name that is gone with the servers.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn spawn(
        &self,
        name: &str,
        command: &mut Command,
        redis: Option<u16>,
        memcached: Option<u16>,
    ) -> Result<Peer, String> {
        let log = self.file(&format!("{name}.log"));
        let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (output, errors) = output.map_err(|error| format!("no log: {error}"))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let process = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut peer = Peer { name: name.to_owned(), process, redis, memcached };
        let start = Instant::now();
        for port in [redis, memcached].into_iter().flatten() {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if !peer.is_running() || start.elapsed() > PATIENCE {
                    let said = fs::read_to_string(&log).unwrap_or_default();
                    return Err(format!("{name} does not listen; it said: {said}"));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if !peer.is_running() {
            return Err(format!("another program has the port of {name}"));
        }
        Ok(peer)
    }
}

impl Peer {
    /// A process that was started elsewhere and listens nowhere.
    pub fn of(name: &str, process: Child) -> Self {
        Self { name: name.to_owned(), process, redis: None, memcached: None }
    }

    /// Asks it to end with a signal, and waits until it has.
    pub fn end(mut self, signal: Signal) -> Result<(), String> {
        kill_process(self.pid(), signal).map_err(|error| format!("no signal: {error}"))?;
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > PATIENCE {
                return Err(format!("{} does not end", self.name));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Where it speaks that protocol.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn port(&self, protocol: Protocol) -> u16 {
        let port = match protocol {
            Protocol::Redis => self.redis,
            Protocol::Memcached => self.memcached,
        };
        port.expect("each server is asked in its own protocol")
    }

    /// The one that a server speaks.
    fn protocol(&self) -> Protocol {
        if self.redis.is_some() { Protocol::Redis } else { Protocol::Memcached }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.redis.clear();
        self.memcached.clear();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a program is installed.
pub fn is_installed(name: impl AsRef<Path>) -> bool {
    let name = name.as_ref();
    let path = search_path();
    env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// A command of that name. Debian has nutcracker where only root looks.
pub fn program(name: impl AsRef<Path>) -> Command {
    let mut command = Command::new(name.as_ref());
    command.env("PATH", search_path());
    command
}

fn search_path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin", env::var("PATH").unwrap_or_default())
}

fn free_port() -> Result<u16, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}
