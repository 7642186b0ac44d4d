//! System calls and instructions of a request, which are nearly the same however busy the machine is.
//!
//! Either is the difference of two runs, of which one has twice the requests: what it costs to start, to connect
//! and to end is in both.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use crate::figures::Figures;
use crate::generator::Extent;
use crate::peers::Nodes;
use crate::peers::Peer;
use crate::peers::Proxy;
use crate::peers::is_installed;
use crate::peers::program;
use crate::process::is_traced;
use crate::rounds::checked;
use crate::rounds::connect;
use crate::rounds::fill;
use crate::workload::Goal;
use crate::workload::WORKLOADS;
use crate::workload::Workload;

/// What is counted of.
const COUNTED: [&str; 6] = ["get_c50", "get_c1", "get_p16", "mget10", "mget100", "mget100_c1"];

/// Under strace or valgrind everything takes its time.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Who counts, and how many keys make figures that repeat to a few percent. How many requests a proxy finds waiting
/// when it wakes up, and does together, is never quite the same.
struct Counter {
    metric: &'static str,
    program: &'static str,
    keys: u64,
    goal: fn(&Workload) -> Option<Goal>,
    count: fn(&Nodes, &Proxy<'_>, &Workload, u64) -> Result<u64, String>,
}

const COUNTERS: [Counter; 2] = [
    Counter {
        metric: "system calls",
        program: "strace",
        keys: 10_000,
        goal: |workload| workload.system_calls,
        count: system_calls,
    },
    Counter {
        metric: "instructions",
        program: "valgrind",
        keys: 5_000,
        goal: |workload| workload.instructions,
        count: instructions,
    },
];

/// Counts for both proxies and prints a table. Whether every goal is reached.
pub fn run(
    nutcracker: &Path,
    ours: &Path,
    is_wanted: impl Fn(&str) -> bool,
    figures: &mut Figures,
) -> Result<bool, String> {
    let nodes = Nodes::start()?;
    let wanted =
        |workload: &&Workload| COUNTED.contains(&workload.name) && is_wanted(workload.name);
    let wanted: Vec<_> = WORKLOADS.iter().filter(wanted).collect();
    let mut is_good = true;
    // All of them have the same keys.
    wanted.first().map_or(Ok(()), |workload| fill(&nodes, workload))?;
    for counter in COUNTERS {
        if !is_installed(counter.program) {
            eprintln!("{} is not installed: no {}", counter.program, counter.metric);
            continue;
        }
        println!(
            "\n{:<11} {:>14} {:>10} {:>6} {:>9} {:>9}",
            counter.metric, "of nutcracker", "ours", "ratio", "must", "aim"
        );
        for workload in &wanted {
            let [its, own] = [("nutcracker", nutcracker), ("ours", ours)].map(|(name, program)| {
                let proxy = Proxy { name, program, under: &[], timeout: TIMEOUT };
                counter.per_request(&nodes, &proxy, workload)
            });
            let (its, own) = (its?, own?);
            let goal = (counter.goal)(workload);
            let [must, aim] = goal.map_or([String::new(), String::new()], |goal| {
                [goal.must.to_string(), goal.aim.to_string()]
            });
            let verdict = goal.map_or("", |goal| goal.verdict(own));
            println!(
                "{:<11} {its:14.2} {own:10.2} {:6.2} {must:>9} {aim:>9} {verdict}",
                workload.name,
                own / its
            );
            is_good &= verdict != "MISSED";
            figures.note(workload.name, counter.metric, own, "1");
            figures.note(workload.name, &format!("{} of nutcracker", counter.metric), its, "1");
        }
    }
    Ok(is_good)
}

impl Counter {
    fn per_request(
        &self,
        nodes: &Nodes,
        proxy: &Proxy<'_>,
        workload: &Workload,
    ) -> Result<f64, String> {
        // All connections should have their turns.
        let requests = (self.keys / workload.request.keys() as u64).max(1_000);
        let [few, many] = [requests, 2 * requests].map(|requests| {
            let counted = (self.count)(nodes, proxy, workload, requests);
            counted.map_err(|error| format!("{} under {}: {error}", proxy.name, self.program))
        });
        Ok((many? as f64 - few? as f64) / requests as f64)
    }
}

fn system_calls(
    nodes: &Nodes,
    proxy: &Proxy<'_>,
    workload: &Workload,
    requests: u64,
) -> Result<u64, String> {
    let peer = nodes.start_proxy(proxy)?;
    let summary = nodes.file("system-calls");
    let mut command = program("strace");
    command.args(["-q", "-f", "-c", "-o"]).arg(&summary);
    command.args(["-p", &peer.pid().as_raw_nonzero().to_string()]);
    let tracer = command
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start strace: {error}"))?;
    let mut tracer = Peer::of("strace", tracer);
    let start = Instant::now();
    while !is_traced(peer.pid()) {
        if !tracer.is_running() || start.elapsed() > TIMEOUT {
            return Err("strace cannot attach to it".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    send(&peer, workload, requests)?;
    tracer.end(Signal::INT)?;
    // A line is "% time, seconds, usecs/call, calls, errors or nothing, name"; the last is the total.
    let text = fs::read_to_string(&summary).unwrap_or_default();
    let total = text.lines().rfind(|line| line.ends_with(" total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.ok_or_else(|| format!("no total in what strace wrote: {text}"))
}

fn instructions(
    nodes: &Nodes,
    proxy: &Proxy<'_>,
    workload: &Workload,
    requests: u64,
) -> Result<u64, String> {
    let file = nodes.file("instructions");
    let out = format!("--callgrind-out-file={}", file.display());
    // Our proxy would begin again without this, out of valgrind's sight (`host.rs`).
    let told = "MALLOC_MMAP_THRESHOLD_=131072";
    let under = ["env", told, "valgrind", "-q", "--tool=callgrind", &out].map(str::to_owned);
    let peer = nodes.start_proxy(&Proxy { under: &under, ..*proxy })?;
    send(&peer, workload, requests)?;
    peer.end(Signal::TERM)?;
    let text = fs::read_to_string(&file).unwrap_or_default();
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    let total = line.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| "no total in what valgrind wrote".to_owned())
}

fn send(peer: &Peer, workload: &Workload, requests: u64) -> Result<(), String> {
    let tally = connect(peer, workload, 1)?.run(Extent::Requests(requests))?;
    checked(tally).map(|_| ())
}
