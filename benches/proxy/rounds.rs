//! Processor time, throughput and latency: a server asked directly, nutcracker and our proxy in turns.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::figures::Figures;
use crate::generator::Extent;
use crate::generator::Generator;
use crate::generator::Tally;
use crate::peers::Nodes;
use crate::peers::Peer;
use crate::peers::Proxy;
use crate::process::processor_time;
use crate::statistics::Ratio;
use crate::statistics::median;
use crate::workload::WORKLOADS;
use crate::workload::Workload;

/// How long a proxy waits for a server on a machine that has other things to do.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whose cost is compared, in the order of the columns.
const SIDES: [&str; 3] = ["direct", "nutcracker", "ours"];
const DIRECT: usize = 0;
const NUTCRACKER: usize = 1;
const OURS: usize = 2;

/// What is looked at of a sample.
type Figure = fn(&Sample) -> f64;

/// How long a process may take from its last reply to its sleep.
const SETTLING: Duration = Duration::from_millis(2);

/// What is measured, and how often.
pub struct Rounds<'a> {
    pub rounds: usize,
    pub window: Duration,
    pub nutcracker: &'a Path,
    pub ours: &'a Path,
}

/// One side in one round.
struct Sample {
    requests: f64,
    seconds: f64,
    /// Nanoseconds a request, of the process, and of it and all servers behind it.
    cpu: f64,
    cpu_of_all: f64,
    p50: f64,
    p99: f64,
}

impl Rounds<'_> {
    /// Measures the workloads of these names and prints a table. Whether every goal is reached.
    pub fn run(
        &self,
        is_wanted: impl Fn(&str) -> bool,
        figures: &mut Figures,
    ) -> Result<bool, String> {
        let nodes = Nodes::start()?;
        let mut proxies = [self.start(&nodes, NUTCRACKER)?, self.start(&nodes, OURS)?];
        print_header();
        let mut filled: Option<&Workload> = None;
        let mut is_good = true;
        for workload in WORKLOADS.iter().filter(|workload| is_wanted(workload.name)) {
            if !filled.is_some_and(|filled| filled.shares_keys_with(workload)) {
                fill(&nodes, workload)?;
                filled = Some(workload);
            }
            match self.measure(&nodes, &proxies, workload) {
                Ok(sides) => is_good &= report(workload, &sides, figures),
                Err(error) => {
                    println!("{:<11} FAILED: {error}", workload.name);
                    is_good = false;
                    for (side, proxy) in [NUTCRACKER, OURS].into_iter().zip(&mut proxies) {
                        if !proxy.is_running() {
                            *proxy = self.start(&nodes, side)?;
                        }
                    }
                }
            }
        }
        Ok(is_good)
    }

    fn start(&self, nodes: &Nodes, side: usize) -> Result<Peer, String> {
        let program = if side == OURS { self.ours } else { self.nutcracker };
        nodes.start_proxy(&Proxy { name: SIDES[side], program, under: &[], timeout: TIMEOUT })
    }

    fn measure(
        &self,
        nodes: &Nodes,
        proxies: &[Peer; 2],
        workload: &Workload,
    ) -> Result<[Vec<Sample>; 3], String> {
        let servers = nodes.of(workload.protocol);
        let peers = [&servers[0], &proxies[0], &proxies[1]];
        let mut sides = [const { Vec::new() }; 3];
        for round in 0..self.rounds {
            for turn in 0..SIDES.len() {
                let side = (round + turn) % SIDES.len();
                let sample = self.sample(peers[side], servers, workload, round as u64);
                let sample = sample.map_err(|error| format!("{}: {error}", SIDES[side]))?;
                sides[side].push(sample);
            }
        }
        Ok(sides)
    }

    fn sample(
        &self,
        peer: &Peer,
        servers: &[Peer],
        workload: &Workload,
        seed: u64,
    ) -> Result<Sample, String> {
        let mut generator = connect(peer, workload, seed)?;
        checked(generator.run(Extent::For(self.window / 4))?)?;
        let is_server = servers.iter().any(|server| server.pid() == peer.pid());
        let times = || {
            std::thread::sleep(SETTLING);
            let all = servers.iter().map(|server| processor_time(server.pid())).sum::<u64>();
            let own = processor_time(peer.pid());
            (own, if is_server { all } else { own + all })
        };
        let before = times();
        let tally = checked(generator.run(Extent::For(self.window))?)?;
        let after = times();
        let requests = tally.requests as f64;
        Ok(Sample {
            requests,
            seconds: tally.elapsed.as_secs_f64(),
            cpu: after.0.saturating_sub(before.0) as f64 / requests,
            cpu_of_all: after.1.saturating_sub(before.1) as f64 / requests,
            p50: tally.latency.percentile(50.0),
            p99: tally.latency.percentile(99.0),
        })
    }
}

/// Sends a few requests of every workload through a proxy, and to a server directly; every reply is checked.
pub fn check(program: &Path) -> Result<(), String> {
    let nodes = Nodes::start()?;
    let proxy = Proxy { name: "the proxy", program, under: &[], timeout: TIMEOUT };
    let proxy = nodes.start_proxy(&proxy)?;
    let mut filled: Option<&Workload> = None;
    for workload in &WORKLOADS {
        if !filled.is_some_and(|filled| filled.shares_keys_with(workload)) {
            fill(&nodes, workload)?;
            filled = Some(workload);
        }
        for peer in [&nodes.of(workload.protocol)[0], &proxy] {
            let few = Extent::Requests(2 * (workload.connections * workload.pipeline) as u64);
            let tally = connect(peer, workload, 1).and_then(|mut clients| clients.run(few));
            tally.and_then(checked).map_err(|error| format!("{}: {error}", workload.name))?;
        }
    }
    Ok(())
}

/// Stores every key of a workload on every server of its protocol, so that no placement matters.
pub fn fill(nodes: &Nodes, workload: &Workload) -> Result<(), String> {
    let filling = workload.filling();
    for server in nodes.of(workload.protocol) {
        let mut generator = connect(server, &filling, 0)?.in_sequence();
        checked(generator.run(Extent::Requests(u64::from(workload.keys)))?)?;
    }
    Ok(())
}

pub fn connect<'a>(
    peer: &Peer,
    workload: &'a Workload,
    seed: u64,
) -> Result<Generator<'a>, String> {
    let connected = Generator::connect(peer.port(workload.protocol), workload, seed);
    connected.map_err(|error: io::Error| format!("cannot connect: {error}"))
}

/// A run counts only if no reply was wrong.
pub fn checked(tally: Tally) -> Result<Tally, String> {
    match tally.faults.first {
        None => Ok(tally),
        Some(first) => Err(format!("{} wrong replies, the first {first}", tally.faults.count)),
    }
}

fn print_header() {
    println!(
        "{:<11}|{:^39}|{:^29}|{:^24}|{:^9}",
        "", "processor time a request", "requests a second", "99th percentile", "all cpu"
    );
    println!(
        "{:<11}|{:>9} {:>5} {:>10} {:>4} {:<6} |{:>9} {:>5} {:>6} {:<6} |{:>9} {:>5} {:<6} |{:>5} {:>6}",
        "",
        "nc us",
        "ours",
        "95 %",
        "must",
        "",
        "nc",
        "ours",
        "share",
        "",
        "nc us",
        "ours",
        "",
        "ours",
        "direct"
    );
}

/// Prints a row and notes its figures. Whether the goals are reached.
///
/// Figures of ours are in terms of nutcracker's, and so is the processor time of the proxy and all servers
/// together; the share of requests a second is in terms of one server that is asked directly.
fn report(workload: &Workload, sides: &[Vec<Sample>; 3], figures: &mut Figures) -> bool {
    let of = |side: usize, figure: Figure| median(sides[side].iter().map(figure));
    let ratio = |side: usize, against: usize, figure: Figure| {
        let pairs = sides[side].iter().zip(&sides[against]);
        Ratio::of(pairs.map(|(sample, other)| figure(sample) / figure(other)))
    };
    let [cpu, speed, p99, total]: [Figure; 4] = [
        |sample| sample.cpu,
        |sample| sample.requests / sample.seconds,
        |sample| sample.p99,
        |sample| sample.cpu_of_all,
    ];
    let cost = ratio(OURS, NUTCRACKER, cpu);
    let share = ratio(OURS, DIRECT, speed).median;
    let latency = ratio(OURS, NUTCRACKER, p99);
    let verdicts = [
        workload.goal.map_or("", |goal| goal.verdict(cost.median)),
        workload.share.map_or("", |least| if share < least { "MISSED" } else { "must" }),
        // A single burst of other work moves it: it is worse when that is sure.
        if latency.is_above_one() { "WORSE" } else { "" },
    ];
    println!(
        "{:<11}|{:9.2} {:5.2} {:>5.2}-{:4.2} {:>4} {:<6} |{:9.0} {:5.2} {:6.2} {:<6} |{:9.0} {:5.2} {:<6} |{:5.2} {:6.2}",
        workload.name,
        of(NUTCRACKER, cpu) / 1e3,
        cost.median,
        cost.low,
        cost.high,
        workload.goal.map_or(String::new(), |goal| format!("{:.2}", goal.must)),
        verdicts[0],
        of(NUTCRACKER, speed),
        ratio(OURS, NUTCRACKER, speed).median,
        share,
        verdicts[1],
        of(NUTCRACKER, p99),
        latency.median,
        verdicts[2],
        ratio(OURS, NUTCRACKER, total).median,
        ratio(DIRECT, NUTCRACKER, total).median,
    );
    let mut note = |metric: &str, several: &str, unit: &str, figure: Figure| {
        let elsewhere = [(NUTCRACKER, "nutcracker"), (DIRECT, "one server")];
        figures.note(workload.name, metric, of(OURS, figure), unit);
        for (side, whose) in elsewhere {
            let metric = format!("{metric} of {whose} in the same rounds");
            figures.note(workload.name, &metric, of(side, figure), unit);
        }
        let ratio = ratio(OURS, NUTCRACKER, figure).median;
        figures.note(workload.name, &format!("ratio of {several}"), ratio, "1");
    };
    note("cpu time", "cpu times", "ns", cpu);
    note("total cpu time", "total cpu times", "ns", total);
    note("throughput", "throughputs", "1/s", speed);
    note("median latency", "median latencies", "us", |sample| sample.p50);
    note("99th percentile latency", "99th percentile latencies", "us", p99);
    figures.note(workload.name, "ratio of throughputs to one server", share, "1");
    !verdicts.iter().any(|verdict| ["MISSED", "WORSE"].contains(verdict))
}
