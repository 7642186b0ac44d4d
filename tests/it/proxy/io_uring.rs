//! Sends through io_uring and without it: what clients and nodes get is the same.

use std::fs;
use std::process::Command;

use super::support::Redis;
use crate::support::eventually;
use crate::support::is_installed;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::array;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;

const OFF: [&str; 1] = ["--io-uring=off"];

/// How many rings a proxy has.
fn rings(proxy: &Proxy) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", proxy.process().id())).expect("it lives");
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy() == "anon_inode:[io_uring]").count()
}

/// How many sends have gone through the rings of a proxy.
fn sends(proxy: &Proxy) -> u64 {
    let directory = format!("/proc/{}/fdinfo", proxy.process().id());
    let files = fs::read_dir(directory).expect("it lives").flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let tail = |text: String| {
        text.lines().find_map(|line| line.strip_prefix("SqTail:")?.trim().parse::<u64>().ok())
    };
    texts.filter_map(tail).sum()
}

/// Whether each of the workers of a proxy comes to have a ring; not where the system forbids it.
fn has_rings(proxy: &Proxy, workers: usize) -> bool {
    let is_refused = || proxy.process().log().contains("io_uring is not available");
    eventually("there are rings, or the log says why not", || {
        rings(proxy) == workers || is_refused()
    });
    if is_refused() {
        eprintln!("skipped: there is no io_uring here: {}", proxy.process().log());
    }
    !is_refused()
}

#[test]
fn each_worker_has_one_if_it_may() {
    let Some(redis) = Redis::start(3) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let pools = [redis.pool(&[])];
    let proxy = Proxy::start_with(Program::Ours, &pools, &["--workers=3"]);
    has_rings(&proxy, 3);
    let proxy = Proxy::start_with(Program::Ours, &pools, &OFF);
    talk(&redis, &mut proxy.client());
    assert_eq!(rings(&proxy), 0);
    assert!(!proxy.process().log().contains("io_uring"), "{}", proxy.process().log());
}

#[test]
fn what_goes_to_several_nodes_goes_through_it() {
    let Some(redis) = Redis::start(3) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
    if !has_rings(&proxy, 1) {
        return;
    }
    let mut client = proxy.client();
    let keys = [0, 1, 2].map(|node| redis.key(node, "key"));
    // Before the first requests there are connections to be made.
    client.ask(&format!("MGET {}", keys.join(" ")));
    let before = sends(&proxy);
    for _ in 0..10 {
        assert_eq!(client.ask(&format!("MGET {}", keys.join(" "))), "*3\r\n$-1\r\n$-1\r\n$-1\r\n");
    }
    assert_eq!(sends(&proxy) - before, 30);
}

#[test]
fn where_it_is_forbidden_the_proxy_says_so_and_serves() {
    let Some(redis) = Redis::start(3) else { return };
    if !Program::Ours.is_chosen() || !is_installed("python3") {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/proxy/without_io_uring.py");
    let proxy = Proxy::start_in(Program::Ours, &[redis.pool(&[])], |program| {
        let mut command = Command::new("python3");
        command.arg(script).arg(program.get_program()).args(program.get_args());
        command.args(["--workers", "3"]);
        command
    });
    talk(&redis, &mut proxy.client());
    assert_eq!(rings(&proxy), 0);
    let text = "io_uring is not available, which costs some processor time: \
                Operation not permitted";
    // Another worker may have served us before that.
    eventually("it is said", || proxy.process().log().contains(text));
    let log = proxy.process().log();
    assert_eq!(log.matches(text).count(), 1, "of three workers: {log}");
}

#[test]
fn a_conversation_is_the_same_with_it_and_without() {
    let Some(redis) = Redis::start(3) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    for arguments in [&[][..], &OFF] {
        let proxy = Proxy::start_with(Program::Ours, &[redis.pool(&[])], arguments);
        talk(&redis, &mut proxy.client());
    }
}

/// Requests that go to all nodes at once, and replies of all sizes, short ones and others.
fn talk(redis: &Redis, client: &mut Client) {
    let keys: Vec<_> = (0..90).map(|number| redis.key(number % 3, &format!("{number}-"))).collect();
    let value = |number: usize| format!("{number}-").repeat(1 << (number % 15));
    let mut mset = vec!["MSET".to_owned()];
    for (number, key) in keys.iter().enumerate() {
        mset.extend([key.clone(), value(number)]);
    }
    let mset: Vec<_> = mset.iter().map(String::as_bytes).collect();
    client.send(request_of(&mset));
    for key in &keys {
        client.send(request(&format!("GET {key}")));
    }
    client.send(request(&format!("MGET {}", keys.join(" "))));
    assert_eq!(client.reply(), "+OK\r\n");
    let values: Vec<_> = (0..keys.len()).map(value).collect();
    for value in &values {
        assert!(client.reply() == format!("${}\r\n{value}\r\n", value.len()), "{}", value.len());
    }
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    assert!(client.reply() == array(&values));
}

/// What sockets do not take of what goes out together is sent later, in order, and holds nobody up.
#[test]
fn clients_that_read_late_get_everything() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    // More than sockets take, and less than anybody is closed for.
    const REPLIES: usize = 600;
    let proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
    let keys: Vec<_> = (0..4).map(|number| redis.key(number % 2, &format!("{number}-"))).collect();
    let value = |key: &str| format!("{key} ").repeat(10_000 / (key.len() + 1));
    let mut reader = proxy.client();
    for key in &keys {
        assert_eq!(reader.ask_with(&[b"SET", key.as_bytes(), value(key).as_bytes()]), "+OK\r\n");
    }
    let mut late: Vec<_> = keys.iter().map(|_| proxy.client()).collect();
    for _ in 0..REPLIES {
        for (client, key) in late.iter_mut().zip(&keys) {
            client.send(request(&format!("GET {key}")));
        }
        assert_eq!(reader.ask(&format!("EXISTS {}", keys.join(" "))), ":4\r\n");
    }
    for (client, key) in late.iter_mut().zip(&keys) {
        let value = value(key);
        for _ in 0..REPLIES {
            assert!(client.reply() == format!("${}\r\n{value}\r\n", value.len()), "{key}");
        }
    }
}
