//! One process in the place of another: `kill PID && shardwright-proxy -d …`, as scripts have it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use rustix::process::test_kill_process;

use super::support::line;
use super::support::pool;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::free_port;
use crate::support::listens;
use crate::support::proxy::Program;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::scratch;
use crate::support::within;

const PONG: &str = "+PONG\r\n";

/// Where daemons of one configuration run, one after the other.
struct Place {
    directory: PathBuf,
    port: u16,
    stats_port: u16,
    http_port: u16,
}

impl Place {
    fn new(pool: &str) -> Self {
        let directory = scratch();
        let [port, stats_port, http_port] = [free_port(), free_port(), free_port()];
        let text = format!("p:\n  listen: 127.0.0.1:{port}\n{pool}");
        fs::write(directory.join("F"), text).unwrap();
        Self { directory, port, stats_port, http_port }
    }

    /// Starts a daemon; it runs when this returns.
    fn start(&self, workers: &str) -> Daemon {
        let (stats, http) = (self.stats_port.to_string(), self.http_port.to_string());
        let output = Command::new(env!("CARGO_BIN_EXE_shardwright-proxy"))
            .args(["-d", "-c", "F", "-o", "log", "-p", "pid", "-a", "127.0.0.1", "-s", &stats])
            .args(["--http", &http, "--workers", workers])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{}", self.log());
        let daemon = Daemon(self.pid().expect("it has a number"));
        assert_eq!(Client::connect(self.port).ask("PING"), PONG);
        assert!(listens(self.stats_port) && listens(self.http_port));
        daemon
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.directory.join("pid")).ok()?;
        Pid::from_raw(text.parse().expect("a number"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A process that is nobody's child. Ended when dropped, if it has not ended by then.
struct Daemon(Pid);

impl Daemon {
    fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).expect("it runs");
    }

    fn has_ended(&self) -> bool {
        // Where nobody waits for orphans it stays as a zombie.
        let stat = Path::new("/proc").join(self.0.as_raw_nonzero().to_string()).join("stat");
        let stat = fs::read_to_string(stat).unwrap_or_default();
        test_kill_process(self.0).is_err()
            || stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill_process(self.0, Signal::KILL);
        }
    }
}

#[test]
fn the_next_one_is_started_while_the_one_before_it_drains() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let is_slow = Arc::new(AtomicBool::new(true));
    let waits = Arc::clone(&is_slow);
    let node = FakeNode::start(move |request| {
        within(Duration::from_secs(60), "it may answer", || !waits.load(SeqCst));
        vec![Step::Send(bulk(&request.key()).into())]
    });
    let place = Place::new(&pool(&["redis: true"], &[line(0, node.port())]));
    let first = place.start("2");
    let mut client = Client::connect(place.port);
    client.send(request("GET slow"));
    eventually("the node has it", || node.lines().len() == 1);
    first.signal(Signal::TERM);
    let second = place.start("2");
    assert!(second.0 != first.0 && !first.has_ended(), "{}", place.log());
    is_slow.store(false, SeqCst);
    assert_eq!(client.rest(), bulk("slow"));
    eventually("it has ended", || first.has_ended());
    // It has left the file to the second, which takes it away itself.
    assert_eq!(place.pid(), Some(second.0));
    assert_eq!(Client::connect(place.port).ask("PING"), PONG);
    second.signal(Signal::TERM);
    eventually("it has ended", || second.has_ended());
    assert_eq!(place.pid(), None);
}

#[test]
fn the_next_one_is_started_before_the_one_before_it_has_heard_that_it_is_to_end() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let place = Place::new(&pool(&["redis: true"], &[line(0, 1)]));
    let mut last = place.start("3");
    for _ in 0..5 {
        let mut idle = Client::connect(place.port);
        assert_eq!(idle.ask("PING"), PONG);
        // Still it has to do something else first.
        last.signal(Signal::STOP);
        last.signal(Signal::TERM);
        let next = std::thread::scope(|scope| {
            let next = scope.spawn(|| place.start("3"));
            eventually("it waits", || place.log().contains("waiting for another process: "));
            last.signal(Signal::CONT);
            next.join().unwrap()
        });
        assert_eq!(idle.rest(), "");
        eventually("it has ended", || last.has_ended());
        assert_eq!(place.pid(), Some(next.0));
        fs::write(place.directory.join("log"), "").unwrap();
        last = next;
    }
}
