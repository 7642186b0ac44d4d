//! What a request costs through our proxy, through the installed nutcracker, and without a proxy;
//! `script/bench proxy` runs it.
//!
//! ```text
//! proxy --bench [OPTION]... [FILTER]...   rounds of the workloads that a FILTER names or is part of
//! proxy --bench --counts [FILTER]...      system calls and instructions a request (strace, valgrind)
//! proxy --bench --memory                  memory of connections and large values
//! proxy --plot RECORD...                  draws the last figures of such files of benches/record as SVG
//! proxy --list                            their names, a line each
//! proxy                                   checks both proxies once, if all servers are installed
//! ```
//!
//! Four redis-servers and four memcacheds hold every key. A round measures all sides one after the other, in an
//! order that changes, for a short while, so that what disturbs a busy machine disturbs all alike; what is
//! printed is the median of the rounds, and of the ratios within each round. The first figure is the processor
//! time of the proxy's process: what else runs on the machine hardly changes it. Every reply is checked. It runs
//! on Linux, whose `/proc` has most of the figures.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use figures::Figures;
use rounds::Rounds;
use workload::WORKLOADS;

mod batch;
mod counters;
mod figures;
mod generator;
mod histogram;
mod memory;
mod peers;
mod plot;
mod process;
mod replies;
mod rounds;
mod statistics;
mod workload;

const USAGE: &str = "usage: proxy --bench [OPTION]... [FILTER]...
       proxy --plot RECORD...

  --counts              system calls and instructions a request, in place of rounds
  --memory              what connections and large values take, in place of rounds
  --list                names the workloads
  --rounds N            of each workload (15)
  --seconds S           of each side in a round (0.4)
  --ours PROGRAM        the proxy that is measured, instead of the one built with this
  --against PROGRAM     the proxy that it is measured against, instead of the installed nutcracker
  --figures FILE        adds the figures to it";

/// What the arguments say.
struct Arguments {
    task: Task,
    rounds: usize,
    window: Duration,
    ours: PathBuf,
    against: PathBuf,
    figures: Figures,
    filters: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Check,
    Rounds,
    Counts,
    Memory,
    Plot,
    List,
}

fn main() -> ExitCode {
    let outcome = Arguments::parse().and_then(|mut arguments| arguments.run());
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::from(2)
        }
    }
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut arguments = Self {
            task: Task::Check,
            rounds: 15,
            window: Duration::from_millis(400),
            ours: PathBuf::from(env!("CARGO_BIN_EXE_shardwright-proxy")),
            against: PathBuf::from("nutcracker"),
            figures: Figures::default(),
            filters: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                // `cargo bench` adds it, after what it was given.
                "--bench" if arguments.task == Task::Check => arguments.task = Task::Rounds,
                "--bench" => {}
                "--counts" => arguments.task = Task::Counts,
                "--memory" => arguments.task = Task::Memory,
                "--plot" => arguments.task = Task::Plot,
                "--list" => arguments.task = Task::List,
                "--rounds" => arguments.rounds = number(&value()?)?,
                "--seconds" => {
                    let seconds = Duration::try_from_secs_f64(number(&value()?)?);
                    arguments.window = seconds.map_err(|error| format!("--seconds: {error}"))?;
                }
                "--ours" => arguments.ours = value()?.into(),
                "--against" => arguments.against = value()?.into(),
                "--figures" => arguments.figures = Figures::into_file(value()?.as_ref())?,
                _ if word.starts_with('-') => return Err(USAGE.to_owned()),
                _ => arguments.filters.push(word),
            }
        }
        Ok(arguments)
    }

    fn run(&mut self) -> Result<bool, String> {
        let (against, ours) = (&self.against, &self.ours);
        let is_wanted = |name: &str| is_wanted(&self.filters, name);
        match self.task {
            Task::Check => self.check(),
            Task::Rounds => {
                let rounds = self.rounds.max(1);
                let rounds = Rounds { rounds, window: self.window, nutcracker: against, ours };
                rounds.run(is_wanted, &mut self.figures)
            }
            Task::Counts => counters::run(against, ours, is_wanted, &mut self.figures),
            Task::Memory => memory::run(against, ours, &mut self.figures),
            Task::Plot => plot::print(&self.filters).map(|()| true),
            Task::List => {
                WORKLOADS.iter().for_each(|workload| println!("{}", workload.name));
                Ok(true)
            }
        }
    }

    fn check(&self) -> Result<bool, String> {
        for name in ["redis-server", "memcached", "nutcracker"] {
            if !peers::is_installed(name) {
                eprintln!("{name} is not installed: nothing is checked");
                return Ok(true);
            }
        }
        rounds::check(&self.against)?;
        rounds::check(&self.ours)?;
        Ok(true)
    }
}

/// A name is meant by itself; what is no name is meant by the names that contain it.
fn is_wanted(filters: &[String], name: &str) -> bool {
    let is_name = |filter: &str| WORKLOADS.iter().any(|workload| workload.name == filter);
    let is_meant = |filter: &String| name == filter || (!is_name(filter) && name.contains(filter));
    filters.is_empty() || filters.iter().any(is_meant)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("not a number: {text}\n{USAGE}"))
}
