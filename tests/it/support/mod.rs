//! Real servers for the tests: started on free loopback ports, ended by process id when dropped.
//!
//! A test whose server is not installed is skipped, saying so; under `CI=true` it fails.

use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::net::TcpListener;
use std::net::TcpStream;
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;

pub mod cargo;
#[allow(dead_code, reason = "tests of features need it")]
pub mod certificates;
pub mod fake_node;
#[allow(dead_code, reason = "tests of features need some of it each")]
pub mod memcached;
pub mod nutcracker;
pub mod own_process;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "proxy")]
pub mod proxy_client;
pub mod redis_server;
pub mod stopwatch;

/// Ports for servers.
const PORTS: Range<u16> = 12_000..32_000;

/// A server process that is ended when dropped.
pub struct Process {
    child: Child,
    /// Scratch directory, removed when dropped.
    directory: PathBuf,
}

impl Process {
    /// Starts `command` in a scratch directory of its own.
    pub fn start(command: &mut Command, directory: PathBuf) -> Self {
        let log = fs::File::create(directory.join("log")).expect("scratch directory is writable");
        let child = command
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log file can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, directory }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the server printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Freezes the process: its sockets stay open and nothing is answered.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        // Each of its threads stops when it next looks, and may answer something until then.
        eventually("it is frozen", || self.is_frozen());
    }

    fn is_frozen(&self) -> bool {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else {
            // Elsewhere than on Linux nobody knows.
            return true;
        };
        let mut stats =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
        stats.all(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    }

    /// Lets a frozen process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("our own child can be signalled");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Whether the process ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A new scratch directory.
pub fn scratch() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("shardwright-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory).expect("the temporary directory is writable");
    directory
}

/// Whether `program` is installed. If not, the test that asked is to be skipped, or under CI fails.
pub fn is_installed(program: &str) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&directories)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .any(|directory| directory.join(program).is_file());
    if !found {
        let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!is_ci, "{program} is not installed; run script/bootstrap");
        eprintln!("SKIPPED: {program} is not installed; run script/bootstrap");
    }
    found
}

/// A port that is free, and no other test of this machine gets while this one runs: not even when a server ends and
/// starts again.
///
/// It lies below the ports that the system gives to clients. Another program may take it all the same before the
/// server does, so whoever starts one looks whether it lives and tries again.
pub fn free_port() -> u16 {
    /// What tells the other tests, as long as this process lives.
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    loop {
        let random = RandomState::new().hash_one(std::process::id());
        let port = PORTS.start + (random % PORTS.len() as u64) as u16;
        let name = SocketAddr::from_abstract_name(format!("shardwright-test-{port}"));
        let reserved = UnixListener::bind_addr(&name.expect("the name is short"));
        if let Ok(reserved) = reserved
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            RESERVED.lock().expect("nobody panics with it").push(reserved);
            return port;
        }
    }
}

/// Waits until `check` is true.
pub fn eventually(what: &str, check: impl FnMut() -> bool) {
    within(Duration::from_secs(20), what, check);
}

/// Waits until `check` is true, `limit` at the longest.
pub fn within(limit: Duration, what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < limit, "not in {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether something listens on the port.
pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Starts a server with `start` until one lives to listen on its port.
pub fn start_on_free_port(name: &str, mut start: impl FnMut(u16) -> Process) -> (Process, u16) {
    for _ in 0..10 {
        let port = free_port();
        let mut process = start(port);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) && !process.has_ended() {
            if listens(port) {
                return (process, port);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        eprintln!("{name} did not start on port {port}: {}", process.log());
    }
    panic!("{name} does not start");
}

/// Reads a file of `tests/golden`.
pub fn golden(path: &str) -> io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path))
}
