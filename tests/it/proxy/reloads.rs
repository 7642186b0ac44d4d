//! Reloads that leave an address and change what is behind it: the socket stays.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::slice;

use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::getrlimit;
use rustix::process::prlimit;

use super::support::Redis;
use super::support::line;
use super::support::pool;
use crate::support::eventually;
use crate::support::free_port;
use crate::support::listens;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::strings;

const PONG: &str = "+PONG\r\n";

/// A pool of this name, with these lines.
fn named(name: &str, listen: &str, lines: &str) -> String {
    format!("{name}:\n  listen: {listen}\n{lines}")
}

/// Loads the text and waits until it is in force.
fn reload(proxy: &Proxy, text: &str) {
    let count = |text: &str| proxy.process().log().matches(text).count();
    let [loads, refusals] = ["' is reloaded", "' is refused"];
    let before = [count(loads), count(refusals)];
    proxy.rewrite_text(text);
    proxy.process().signal(Signal::USR1);
    eventually("it is in force", || {
        assert_eq!(count(refusals), before[1], "{}", proxy.process().log());
        count(loads) > before[0]
    });
}

#[test]
fn what_is_behind_an_address_may_change() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    for workers in ["1", "3"] {
        let pools = [redis.pool(&[]), redis.pool(&[])];
        let proxy = Proxy::start_with(Program::Ours, &pools, &["--workers", workers]);
        let [one, two] = [0, 1].map(|place: usize| format!("127.0.0.1:{}", proxy.ports()[place]));
        let lines = redis.pool(&[]);
        let mut client = proxy.client();

        // How clients are taken in.
        for directive in ["tcpkeepalive: true", "backlog: 16", "reuseport: true"] {
            let changed = named("pool000", &one, &redis.pool(&[directive]));
            reload(&proxy, &[changed, named("pool001", &two, &lines)].concat());
            assert_eq!(client.ask("PING"), PONG, "{directive}");
            assert_eq!(proxy.client().ask("PING"), PONG, "{directive}");
        }
        // The name: clients of the old pool are closed, and those that come are served.
        let text = [named("new", &one, &lines), named("pool001", &two, &lines)].concat();
        reload(&proxy, &text);
        assert_eq!(client.rest(), "");
        assert_eq!(proxy.client().ask("PING"), PONG);
        assert!(proxy.stats()["new"].is_object());
        // Two pools change places.
        reload(&proxy, &[named("new", &two, &lines), named("pool001", &one, &lines)].concat());
        for port in proxy.ports() {
            assert_eq!(Client::connect(*port).ask("PING"), PONG);
        }
        // The protocol, there and back.
        let memcached = lines.replace("redis: true", "redis: false");
        reload(&proxy, &[named("new", &two, &memcached), named("pool001", &one, &lines)].concat());
        let reply = Client::connect(proxy.ports()[1]).ask_memcached("what");
        assert_eq!(reply, "ERROR\r\n");
        reload(&proxy, &[named("new", &two, &lines), named("pool001", &one, &lines)].concat());
        assert_eq!(Client::connect(proxy.ports()[1]).ask("PING"), PONG);
        // And when nobody has it any more it is closed.
        reload(&proxy, &named("pool001", &one, &lines));
        eventually("it is closed", || !listens(proxy.ports()[1]));
        assert_eq!(proxy.client().ask("PING"), PONG);
    }
}

#[test]
fn a_unix_socket_stays_where_it_is() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let path = crate::support::scratch().join("pool.sock");
    let connects = |path: &Path| UnixStream::connect(path).is_ok();
    let pools = [redis.pool(&[&format!("listen: {}", path.display())]), redis.pool(&[])];
    let proxy = Proxy::start_where(Program::Ours, &pools, |ports| vec![ports[1]]);
    let second = named("pool001", &format!("127.0.0.1:{}", proxy.ports()[1]), &redis.pool(&[]));
    for name in ["pool000", "renamed"] {
        let listen = format!("{} 0600", path.display());
        reload(&proxy, &[named(name, &listen, &redis.pool(&[])), second.clone()].concat());
        let mode = fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        assert!(connects(&path));
    }
    reload(&proxy, &second);
    eventually("it is gone", || !path.exists());
    let _ = fs::remove_dir_all(path.parent().expect("it has a directory"));
}

/// Leaves the process so many descriptors that it can open; answers the limit that it had.
fn leave_descriptors(proxy: &Proxy, count: usize) -> Rlimit {
    let id = proxy.process().id();
    let open = fs::read_dir(format!("/proc/{id}/fd")).expect("it lives");
    let open: BTreeSet<u64> = open
        .map(|entry| entry.expect("it lives").file_name().into_string().expect("a number"))
        .map(|name| name.parse().expect("a number"))
        .collect();
    let mut free = (0..).filter(|number| !open.contains(number));
    // The most that it may have is what it has from us.
    let limit = Rlimit { current: free.nth(count), ..getrlimit(Resource::Nofile) };
    prlimit(pid(proxy), Resource::Nofile, limit).expect("our own child can be limited")
}

fn pid(proxy: &Proxy) -> Option<Pid> {
    Pid::from_raw(i32::try_from(proxy.process().id()).expect("a pid"))
}

/// A socket on which nobody accepts would let clients wait for ever.
#[test]
fn without_descriptors_a_pool_is_refused_or_listens_whole() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let lines = redis.pool(&[]);
    let proxy = Proxy::start_with(Program::Ours, slice::from_ref(&lines), &["--workers", "3"]);
    let first = named("pool000", &format!("127.0.0.1:{}", proxy.port()), &lines);
    // Each worker has begun: how many clients it may have depends on the limit that it finds.
    reload(&proxy, &first);
    let count = |text: &str| proxy.process().log().matches(text).count();
    let mut outcomes = [0, 0];
    for left in 0..14 {
        let port = free_port();
        let second = named("second", &format!("127.0.0.1:{port}"), &lines);
        let before = [count("' is refused"), count("' is reloaded")];
        let text = [first.clone(), second].concat();
        proxy.rewrite_text(&text);
        let limit = leave_descriptors(&proxy, left);
        proxy.process().signal(Signal::USR1);
        eventually("it is tried", || [count("' is refused"), count("' is reloaded")] != before);
        prlimit(pid(&proxy), Resource::Nofile, limit).expect("it is ours to raise again");
        let is_refused = count("' is refused") > before[0];
        outcomes[usize::from(!is_refused)] += 1;
        if is_refused {
            assert!(!listens(port), "with {left} left it is refused, and listens");
            let log = proxy.process().log();
            let reason = log.lines().rfind(|line| line.contains("' is refused"));
            assert!(reason.is_some_and(|line| line.contains("Too many open files")), "{log}");
        } else {
            // There is room for clients again; for the listeners nothing is different.
            reload(&proxy, &text);
            // The system spreads them over the workers.
            let mut clients: Vec<_> = (0..24).map(|_| Client::connect(port)).collect();
            for client in &mut clients {
                assert_eq!(client.ask("PING"), PONG, "with {left} left");
            }
        }
        assert_eq!(proxy.client().ask("PING"), PONG);
        reload(&proxy, &first);
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

/// It would go on in the middle of another server's keys, and pass over some of them.
#[test]
fn a_scan_of_an_only_node_does_not_go_on_on_another_one() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let lines = [0, 1].map(|node| pool(&["redis: true"], &[line(0, redis.ports()[node])]));
    let proxy = Proxy::start(Program::Ours, &lines[..1]);
    let listen = format!("127.0.0.1:{}", proxy.port());
    let mut client = proxy.client();
    let keys: BTreeSet<String> = (0..500).map(|number| format!("key{number}")).collect();
    for key in &keys {
        assert_eq!(client.ask(&format!("SET {key} v")), "+OK\r\n");
    }
    let (mut found, mut cursor) = (BTreeSet::new(), "0".to_owned());
    loop {
        let mut reply = strings(&client.ask(&format!("SCAN {cursor} COUNT 50")));
        let next = reply.remove(0);
        found.extend(reply);
        if next == "0" {
            break;
        }
        cursor = next;
    }
    assert_eq!(found, keys);
    reload(&proxy, &named("pool000", &listen, &lines[1]));
    let outdated = "-ERR invalid cursor: the pool had other nodes when this scan began\r\n";
    assert_eq!(client.ask(&format!("SCAN {cursor}")), outdated);
    assert!(client.ask("SCAN 0").starts_with("*2\r\n"));
    // It is the server's words if it is no cursor at all.
    assert_eq!(client.ask("SCAN x"), redis.direct(1).ask("SCAN x"));
}
