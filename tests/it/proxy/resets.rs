//! A node that resets its connections, and one whose name nobody knows.

use std::io::Read;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::Redis;
use super::support::line;
use super::support::pool;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::requests;

const PONG: &str = "+PONG\r\n";

/// Row 50.
#[test]
fn a_reset_is_told_as_such() {
    for program in Program::chosen() {
        let node = ResettingNode::start();
        let pool = pool(&["redis: true"], &[line(0, node.port)]);
        let proxy = Proxy::start(program, &[pool]);
        let transcript = proxy.transcript(&requests(&["GET a", "PING"]));
        assert_eq!(transcript, format!("-ERR Connection reset by peer\r\n{PONG}"));
    }
    for program in Program::chosen() {
        let node = ResettingNode::start();
        let pool = pool(&["redis: false"], &[line(0, node.port)]);
        let proxy = Proxy::start(program, &[pool]);
        assert_eq!(proxy.transcript(b"get a\r\n"), "SERVER_ERROR Connection reset by peer\r\n");
    }
}

/// Row 51.
#[test]
fn a_name_that_nobody_knows_is_a_host_that_is_down() {
    let Some(redis) = Redis::start(1) else { return };
    let unknown = "shardwright.invalid:6379:1 node0".to_owned();
    for program in Program::chosen() {
        let servers = [unknown.clone(), line(1, redis.ports()[0])];
        let proxy = Proxy::start(program, &[pool(&["redis: true"], &servers)]);
        let mut client = proxy.client();
        let [down, up] = [0, 1].map(|node| super::support::key_on(2, node, "key"));
        assert_eq!(client.ask(&format!("SET {up} v")), "+OK\r\n");
        assert_eq!(client.ask(&format!("GET {down}")), "-ERR Host is down\r\n");
        assert_eq!(client.ask(&format!("GET {up}")), bulk("v"));
    }
    // A pool of one.
    for program in Program::chosen() {
        let proxy =
            Proxy::start(program, &[pool(&["redis: false"], std::slice::from_ref(&unknown))]);
        assert_eq!(proxy.transcript(b"get a\r\n"), "SERVER_ERROR Host is down\r\n");
    }
}

/// Row 76.
#[test]
fn a_node_may_be_written_in_brackets() {
    let Some(redis) = Redis::start_with(1, &["--bind", "127.0.0.1", "::1"]) else { return };
    let port = redis.ports()[0];
    if TcpStream::connect(("::1", port)).is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    for program in Program::chosen() {
        let servers = |form: &str| pool(&["redis: true"], &[format!("{form}:{port}:1")]);
        let proxy = Proxy::start(program, &[servers("::1"), servers("[::1]")]);
        let clients = proxy
            .ports()
            .iter()
            .map(|port| crate::support::proxy_client::Client::connect(*port).ask("SET k v"));
        let brackets = if proxy.is_ours() { "+OK\r\n" } else { "-ERR Host is down\r\n" };
        assert_eq!(clients.collect::<Vec<_>>(), ["+OK\r\n", brackets]);
    }
}

/// Takes connections, reads something and resets them.
struct ResettingNode {
    port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ResettingNode {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(SeqCst) {
                    return;
                }
                // With no time to linger, closing is resetting.
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                let _ = (&stream).read(&mut [0; 1000]);
            }
        });
        Self { port, is_over, thread: Some(thread) }
    }
}

impl Drop for ResettingNode {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
