use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use parking_lot::Mutex;

use super::fake::FakeWorkers;
use super::fake::stats;
use super::*;
use crate::health::NodeState;

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(20);

/// A control plane over fake workers with two pools.
struct Scene {
    control: Control,
    workers: Arc<FakeWorkers>,
    /// What was logged, and what the log was told.
    lines: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ControlSettings)) -> Self {
        let workers = Arc::new(FakeWorkers::default());
        *workers.stats.lock() = stats(&[("a", &["one", "two"]), ("b", &["three"])]);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (of_log, of_reopen, of_level) = (lines.clone(), lines.clone(), lines.clone());
        let of_giving_up = lines.clone();
        let mut settings = ControlSettings {
            places: Places::open(Some(("127.0.0.1", 0)), Some(("localhost", 0))).unwrap(),
            config: "no-such-file.yml".into(),
            config_text: Vec::new(),
            is_watching: false,
            signals: None,
            log: Arc::new(move |_, line| of_log.lock().push(line.to_owned())),
            reopen_log: Box::new(move || of_reopen.lock().push("reopen".into())),
            change_level: Box::new(move |by| of_level.lock().push(format!("level {by}"))),
            give_up: Box::new(move || of_giving_up.lock().push("given up".into())),
        };
        change(&mut settings);
        let control = start(settings, Arc::<FakeWorkers>::clone(&workers)).unwrap();
        Self { control, workers, lines }
    }

    fn connect_stats(&self) -> TcpStream {
        connect(self.control.stats_address())
    }

    fn connect_http(&self) -> TcpStream {
        connect(self.control.http_address())
    }

    /// The first line and the body of the reply.
    fn ask(&self, request: &str) -> (String, String) {
        let mut socket = self.connect_http();
        socket.write_all(request.as_bytes()).unwrap();
        let text = read_all(&mut socket);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(request.starts_with("HEAD") || head.contains(&length), "{text}");
        (head.lines().next().unwrap().into(), body.into())
    }

    fn get(&self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn wait_for_line(&self, line: &str) {
        wait_until(line, || self.lines.lock().iter().any(|logged| logged == line));
    }
}

fn connect(address: Option<SocketAddr>) -> TcpStream {
    let socket = TcpStream::connect(address.unwrap()).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn read_all(socket: &mut impl Read) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = clock::now() + LONG;
    while !is_so() {
        assert!(clock::now() < end, "never: {what}");
        thread::yield_now();
    }
}

fn finish(scene: Scene) -> ExitReason {
    let (sender, receiver) = mpsc::channel();
    let control = scene.control;
    thread::spawn(move || sender.send(control.wait()));
    receiver.recv_timeout(LONG).unwrap()
}

#[test]
fn the_stats_port_gives_one_line_to_everyone_and_closes() {
    let scene = Scene::new();
    let text = read_all(&mut scene.connect_stats());
    assert!(text.starts_with("{\"service\":\"nutcracker\", \"source\":\""), "{text}");
    assert!(text.ends_with("}}\n"), "{text}");
    assert_eq!(text.lines().count(), 1);
    // Also to those who ask, and to those who have said all they will.
    for request in ["GET / HTTP/1.1\r\n\r\n", ""] {
        let mut socket = scene.connect_stats();
        socket.write_all(request.as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        assert!(read_all(&mut socket).ends_with("}}\n"));
    }
}

#[test]
fn each_path_has_its_report() {
    let scene = Scene::new();
    let (status, metrics) = scene.get("/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(metrics.contains("\nshardwright_node_requests_total{pool=\"b\",node=\"three\"} 0\n"));
    let (status, json) = scene.get("/stats?pretty");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(json.starts_with("{\"service\":\"nutcracker\", "), "{json}");
    assert_eq!(scene.get("/healthz"), ("HTTP/1.1 200 OK".into(), "ok\n".into()));

    let head = scene.ask("HEAD /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(head, ("HTTP/1.1 200 OK".into(), String::new()));
    assert_eq!(scene.get("/").0, "HTTP/1.1 404 Not Found");
    assert_eq!(scene.ask("PUT /stats HTTP/1.1\r\n\r\n").0, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(scene.ask("what\r\n\r\n").0, "HTTP/1.1 400 Bad Request");
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(100_000));
    assert_eq!(scene.ask(&long).0, "HTTP/1.1 431 Request Header Fields Too Large");
}

#[test]
fn a_request_may_come_in_pieces() {
    let scene = Scene::new();
    let mut socket = scene.connect_http();
    for byte in b"GET /healthz HTTP/1.1\r\n\r\n" {
        socket.write_all(&[*byte]).unwrap();
        // Somebody else, so that the desk has had its turn.
        scene.get("/healthz");
    }
    assert!(read_all(&mut socket).ends_with("ok\n"));
}

#[test]
fn a_pool_without_a_live_node_is_not_healthy() {
    let scene = Scene::new();
    scene.workers.stats.lock().pools[1].nodes[0].state = NodeState::Ejected;
    let (status, body) = scene.get("/healthz");
    assert_eq!((&status[..], &body[..]), ("HTTP/1.1 503 Service Unavailable", "no live node: b\n"));
}

#[test]
fn silent_clients_are_in_nobodys_way() {
    let scene = Scene::new();
    let silent: Vec<_> = (0..100).map(|_| (scene.connect_http(), scene.connect_stats())).collect();
    let began = clock::now();
    assert_eq!(scene.get("/healthz").1, "ok\n");
    assert!(read_all(&mut scene.connect_stats()).ends_with("}}\n"));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(silent);
}

#[test]
fn who_does_not_read_is_in_nobodys_way() {
    let scene = Scene::new();
    {
        let names: Vec<_> =
            (0..10_000).map(|number| format!("a long name of a node {number:0400}")).collect();
        let names: Vec<_> = names.iter().map(|name| &name[..]).collect();
        *scene.workers.stats.lock() = stats(&[("a", &names)]);
    }
    // More than the buffers of a socket hold.
    let slow: Vec<_> = (0..3).map(|_| scene.connect_stats()).collect();
    assert_eq!(scene.get("/healthz").1, "ok\n");
    for mut socket in slow {
        let text = read_all(&mut socket);
        assert!(text.len() > 6_000_000 && text.ends_with("}\n"), "{}", text.len());
    }
}

#[test]
fn a_slow_worker_costs_a_crowd_once() {
    struct Slow(AtomicU32);
    impl Workers for Slow {
        fn stats(&self) -> Stats {
            self.0.fetch_add(1, Ordering::SeqCst);
            #[expect(clippy::disallowed_methods, reason = "it is slow")]
            thread::sleep(Duration::from_millis(300));
            Stats::default()
        }
        fn reload(&self, _: NutcrackerConfig) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
        fn drain(&self) {}
        fn is_finished(&self) -> bool {
            false
        }
        fn has_lost_one(&self) -> bool {
            false
        }
    }
    let workers = Arc::new(Slow(AtomicU32::new(0)));
    let settings = ControlSettings {
        places: Places::open(Some(("127.0.0.1", 0)), None).unwrap(),
        config: "no-such-file.yml".into(),
        config_text: Vec::new(),
        is_watching: false,
        signals: None,
        log: Arc::new(|_, _| {}),
        reopen_log: Box::new(|| {}),
        change_level: Box::new(|_| {}),
        give_up: Box::new(|| {}),
    };
    let control = start(settings, Arc::<Slow>::clone(&workers)).unwrap();
    let sockets: Vec<_> = (0..20).map(|_| connect(control.stats_address())).collect();
    for mut socket in sockets {
        assert!(read_all(&mut socket).ends_with("}\n"));
    }
    assert!(workers.0.load(Ordering::SeqCst) < 5, "{:?}", workers.0);
}

#[test]
fn orders_reach_those_who_obey_them() {
    let scene = Scene::new();
    for (signal, lines) in [
        (Signal::Hangup, &["signal 1 (SIGHUP) received, reopening log file", "reopen"][..]),
        (Signal::LogMore, &["signal 21 (SIGTTIN) received, up logging level", "level 1"]),
        (Signal::LogLess, &["signal 22 (SIGTTOU) received, down logging level", "level -1"]),
        (Signal::Nothing, &["signal 12 (SIGUSR2) received"]),
    ] {
        scene.control.common.hear(signal);
        lines.iter().for_each(|line| scene.wait_for_line(line));
    }
    assert_eq!(scene.workers.drains.load(Ordering::SeqCst), 0);
}

#[test]
fn a_reload_reads_the_file() {
    let path = std::env::temp_dir().join(format!("shardwright-control-{}.yml", std::process::id()));
    let file = path.clone();
    let scene = Scene::with(move |settings| settings.config = file);
    let text = "fresh:\n  listen: 127.0.0.1:22121\n  servers:\n   - 127.0.0.1:6379:1\n";
    std::fs::write(&path, text).unwrap();
    scene.control.common.hear(Signal::Reload);
    scene.wait_for_line("conf: pool 'fresh' is there");
    assert_eq!(*scene.workers.reloads.lock(), ["fresh"]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn while_the_workers_drain_the_next_process_may_take_its_place() {
    let scene = Scene::new();
    let (mut healthz, mut stats) = (scene.connect_http(), scene.connect_stats());
    scene.control.common.hear(Signal::Terminate);
    assert_eq!(scene.workers.drains.load(Ordering::SeqCst), 1);
    scene.wait_for_line("given up");
    let addresses = [scene.control.stats_address(), scene.control.http_address()];
    let [stats_place, http_place] = addresses.map(|address| {
        let address = address.unwrap();
        (address.ip().to_string(), address.port())
    });
    let next =
        Places::open(Some((&stats_place.0, stats_place.1)), Some((&http_place.0, http_place.1)));
    assert!(next.is_ok());
    // Who was there before has its answer still.
    healthz.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    let text = read_all(&mut healthz);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.ends_with("draining\n"), "{text}");
    assert!(read_all(&mut stats).ends_with("}}\n"));

    scene.control.common.hear(Signal::Reload);
    scene.wait_for_line("conf: not reloaded, this process is draining");

    scene.workers.is_finished.store(true, Ordering::SeqCst);
    assert!(matches!(finish(scene), ExitReason::Drained));
}

#[test]
fn a_second_order_to_end_ends_at_once() {
    let scene = Scene::new();
    scene.control.common.hear(Signal::Interrupt);
    let told = &scene.control.common.told_to_end;
    *told.lock() = clock::now().checked_sub(ECHO);
    scene.control.common.hear(Signal::Terminate);
    assert_eq!(scene.workers.drains.load(Ordering::SeqCst), 1);
    assert!(matches!(finish(scene), ExitReason::Forced));
}

#[test]
fn an_order_to_end_that_comes_twice_at_once_is_one() {
    let scene = Scene::new();
    scene.control.common.hear(Signal::Terminate);
    // However long this machine took between the two.
    *scene.control.common.told_to_end.lock() = Some(clock::now());
    scene.control.common.hear(Signal::Terminate);
    assert_eq!(scene.workers.drains.load(Ordering::SeqCst), 1);
    scene.workers.is_finished.store(true, Ordering::SeqCst);
    assert!(matches!(finish(scene), ExitReason::Drained));
}

#[test]
fn a_worker_that_ends_of_itself_is_noticed() {
    let scene = Scene::new();
    scene.workers.has_lost_one.store(true, Ordering::SeqCst);
    assert!(matches!(finish(scene), ExitReason::WorkersEnded));
}

#[test]
fn a_panic_is_told_to_who_waits() {
    let scene = Scene::with(|settings| settings.reopen_log = Box::new(|| panic!("on purpose")));
    scene.control.common.hear(Signal::Hangup);
    assert!(matches!(finish(scene), ExitReason::Failed(_)));
}

#[test]
fn the_stats_port_may_be_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("shardwright-stats-{}.sock", std::process::id()));
    let host = path.to_str().unwrap().to_owned();
    let scene = Scene::with(move |settings| {
        settings.places = Places::open(Some((&host, 22222)), None).unwrap()
    });
    assert!(scene.control.stats_address().is_none());
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    assert!(read_all(&mut socket).ends_with("}}\n"));
    drop(scene);
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_goes_when_the_workers_drain() {
    let path =
        std::env::temp_dir().join(format!("shardwright-drained-{}.sock", std::process::id()));
    let host = path.to_str().unwrap().to_owned();
    let scene = Scene::with(move |settings| {
        settings.places = Places::open(None, Some((&host, 0))).unwrap()
    });
    assert!(path.exists());
    scene.control.common.hear(Signal::Terminate);
    scene.wait_for_line("given up");
    assert!(!path.exists());
}

#[test]
fn an_address_in_use_is_an_error_of_the_start() {
    let scene = Scene::new();
    let address = scene.control.stats_address().unwrap();
    let host = address.ip().to_string();
    let error = Places::open(None, Some((&host, address.port()))).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on {address} for HTTP: ")), "{text}");
}
