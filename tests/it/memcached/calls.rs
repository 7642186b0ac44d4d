//! The system calls of a request: one to send, one to receive.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use shardwright::MemcacheProtocol;

use super::builder;
use crate::support::memcached::Memcached;
use crate::support::own_process;
use crate::support::scratch;

const NAME: &str = "memcached::calls::a_request_is_one_send_and_one_receive";
const ROUNDS: usize = 200;

/// Shows in the trace.
fn mark(what: &str) {
    let _ = fs::metadata(format!("/shardwright-{what}"));
}

#[test]
fn a_request_is_one_send_and_one_receive() {
    if own_process::is_alone(NAME) {
        return ask();
    }
    let is_there = |path: &Path| path.join("strace").is_file();
    if !env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|path| is_there(&path)))
    {
        eprintln!("SKIPPED: strace is not installed");
        return;
    }
    let directory = scratch();
    let file = directory.join("trace");
    let inner = own_process::command(NAME);
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&file).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().unwrap();
    let trace = fs::read_to_string(&file).unwrap_or_default();
    fs::remove_dir_all(&directory).unwrap();
    if trace.is_empty() {
        eprintln!("SKIPPED: strace is not allowed here");
        return;
    }
    own_process::judge(NAME, &output);
    for protocol in ["Auto", "Ascii"] {
        for request in ["get", "set"] {
            judge(&trace, &format!("{protocol}-{request}"));
        }
    }
}

/// Judges the calls between the marks.
fn judge(trace: &str, what: &str) {
    let Some(start) = trace.find(&format!("/shardwright-{what}-begin")) else {
        return eprintln!("SKIPPED: no server is installed");
    };
    let end = trace.find(&format!("/shardwright-{what}-end")).expect("it began, so it ended");
    let begin = trace[..start].rfind('\n').map_or(0, |at| at + 1);
    let thread = trace[begin..].split(' ').next().unwrap();
    let (mut sent, mut received, mut peeked, mut others) = (0, 0, 0, Vec::new());
    for line in trace[start..end].lines().skip(1) {
        let Some((number, call)) = line.split_once(' ') else { continue };
        if number != thread || call.ends_with("<unfinished ...>") {
            continue;
        }
        // One that another thread's call came between is counted when it is over.
        let call = call.trim_start().trim_start_matches("<... ");
        match call.split(['(', ' ']).next().unwrap() {
            "sendto" => sent += 1,
            // A connection that rested for a millisecond is looked at, and under strace all do.
            "recvfrom" if call.contains("MSG_PEEK") => peeked += 1,
            "recvfrom" => received += 1,
            // The marks; and the clock, where it is no memory that can be read.
            "statx" | "stat" | "newfstatat" | "clock_gettime" => {}
            _ => others.push(call),
        }
    }
    println!("{what}: {sent} sent, {received} received, {peeked} peeked, others {others:?}");
    assert_eq!((sent, received, others.len()), (ROUNDS, ROUNDS, 0), "{what}: {others:?}");
    assert!(peeked <= ROUNDS);
}

fn ask() {
    let Some(servers) = Memcached::start_many(1) else { return };
    for protocol in [MemcacheProtocol::Auto, MemcacheProtocol::Ascii] {
        let cache = builder(&servers).protocol(protocol).build().unwrap();
        for _ in 0..3 {
            cache.set("key", "value", 0).unwrap();
            cache.get::<String>("key").unwrap();
        }
        mark(&format!("{protocol:?}-get-begin"));
        for _ in 0..ROUNDS {
            cache.get::<String>("key").unwrap();
        }
        mark(&format!("{protocol:?}-get-end"));
        mark(&format!("{protocol:?}-set-begin"));
        for _ in 0..ROUNDS {
            cache.set("key", "value", 0).unwrap();
        }
        mark(&format!("{protocol:?}-set-end"));
    }
}
