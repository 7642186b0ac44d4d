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
    /// Nanoseconds a request, of the process and of all servers behind it.
    cpu: f64,
    cpu_of_nodes: f64,
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
        let times = || {
            std::thread::sleep(SETTLING);
            let behind = servers.iter().map(|server| processor_time(server.pid())).sum::<u64>();
            (processor_time(peer.pid()), behind)
        };
        let (cpu, behind) = times();
        let tally = checked(generator.run(Extent::For(self.window))?)?;
        let after = times();
        let (cpu, behind) = (after.0 - cpu, after.1 - behind);
        let requests = tally.requests as f64;
        Ok(Sample {
            requests,
            seconds: tally.elapsed.as_secs_f64(),
            cpu: cpu as f64 / requests,
            cpu_of_nodes: behind as f64 / requests,
            p50: tally.latency.percentile(50.0),
            p99: tally.latency.percentile(99.0),
        })
    }
}

/// Sends a few requests of every workload through a proxy, and to a server directly; every reply is checked.
pub fn check(program: &Path) -> Result<(), String> {
    let nodes = Nodes::start()?;
    let proxy = Proxy { name: "checked", program, under: &[], timeout: TIMEOUT };
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
        "{:<11}|{:^46}|{:^21}|{:^17}|{:^15}",
        "", "processor time a request", "requests a second", "p99", "with nodes"
    );
    println!(
        "{:<11}|{:>9} {:>5} {:>10} {:>6} {:>4} {:>6} |{:>9} {:>5} {:>5}|{:>10} {:>6}|{:>8}",
        "times nc's",
        "nc us",
        "ours",
        "95 %",
        "direct",
        "must",
        "",
        "nc",
        "ours",
        "direct",
        "nc us",
        "ours",
        "ours"
    );
}

/// Prints a row and notes its figures. Whether the goals are reached.
fn report(workload: &Workload, sides: &[Vec<Sample>; 3], figures: &mut Figures) -> bool {
    let of = |side: usize, figure: fn(&Sample) -> f64| median(sides[side].iter().map(figure));
    let ratio = |side: usize, figure: fn(&Sample) -> f64| {
        Ratio::of(sides[side].iter().zip(&sides[NUTCRACKER]).map(|(a, b)| figure(a) / figure(b)))
    };
    let cpu: fn(&Sample) -> f64 = |sample| sample.cpu;
    let speed: fn(&Sample) -> f64 = |sample| sample.requests / sample.seconds;
    let p99: fn(&Sample) -> f64 = |sample| sample.p99;
    let total: fn(&Sample) -> f64 = |sample| sample.cpu + sample.cpu_of_nodes;
    let ours = ratio(OURS, cpu);
    let verdict = workload.goal.map_or("", |goal| goal.verdict(ours.median));
    println!(
        "{:<11}|{:9.2} {:5.2} {:4.2}-{:<5.2} {:6.2} {:>4} {:<6} |{:9.0} {:5.2} {:5.2}|{:10.0} {:6.2}|{:8.2}",
        workload.name,
        of(NUTCRACKER, cpu) / 1e3,
        ours.median,
        ours.low,
        ours.high,
        ratio(DIRECT, cpu).median,
        workload.goal.map_or(String::new(), |goal| format!("{:.2}", goal.must)),
        verdict,
        of(NUTCRACKER, speed),
        ratio(OURS, speed).median,
        ratio(DIRECT, speed).median,
        of(NUTCRACKER, p99),
        ratio(OURS, p99).median,
        ratio(OURS, total).median,
    );
    let mut note = |metric: &str, unit: &str, figure: fn(&Sample) -> f64| {
        for (side, of_whom) in [
            (OURS, ""),
            (NUTCRACKER, " of nutcracker in the same rounds"),
            (DIRECT, " of one server in the same rounds"),
        ] {
            figures.note(workload.name, &format!("{metric}{of_whom}"), of(side, figure), unit);
        }
        let ratio = ratio(OURS, figure);
        figures.note(workload.name, &format!("ratio of {metric}s"), ratio.median, "1");
    };
    note("cpu time", "ns", cpu);
    note("throughput", "requests/s", speed);
    note("median latency", "us", |sample| sample.p50);
    note("99th percentile latency", "us", p99);
    note("cpu time with the nodes'", "ns", total);
    verdict != "MISSED"
}
