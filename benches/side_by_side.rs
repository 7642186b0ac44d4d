//! What a request through this crate costs next to the same request through redis-rs; `script/bench` runs
//! it.
//!
//! ```text
//! side_by_side [--rounds N] [FILTER]      the pairs whose names contain FILTER
//! side_by_side --list                     their names, a line each
//! ```
//!
//! A round measures one after the other, in an order that changes, so that what disturbs a busy machine
//! disturbs both alike. What is printed is the median of the rounds, and of the ratios within each round.

use std::time::Duration;
use std::time::Instant;

use benchmarks::Benchmark;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

mod benchmarks;

/// What is compared: ours, and what it is measured against.
const PAIRS: [(&str, &str); 31] = [
    ("client/get/shardwright/1", "client/get/redis-rs/1"),
    ("client/get/shardwright/4", "client/get/redis-rs/1"),
    ("client/set/shardwright/1", "client/set/redis-rs/1"),
    ("client/set/shardwright/4", "client/set/redis-rs/1"),
    ("client/mget_100x1k/shardwright/1", "client/mget_100x1k/redis-rs/1"),
    ("client/mget_100x1k/shardwright/4", "client/mget_100x1k/redis-rs/1"),
    ("client/pipeline_100/shardwright/1", "client/pipeline_100/redis-rs/1"),
    ("client/pipeline_100/shardwright/4", "client/pipeline_100/redis-rs/1"),
    ("aio/get_by_1/shardwright/1", "aio/get_by_1/redis-rs/1"),
    ("aio/get_by_1/shardwright/4", "aio/get_by_1/redis-rs/1"),
    ("aio/get_by_10/shardwright/1", "aio/get_by_10/redis-rs/1"),
    ("aio/get_by_10/shardwright/4", "aio/get_by_10/redis-rs/1"),
    ("aio/get_by_50/shardwright/1", "aio/get_by_50/redis-rs/1"),
    ("aio/get_by_50/shardwright/4", "aio/get_by_50/redis-rs/1"),
    ("aio/get_by_200/shardwright/1", "aio/get_by_200/redis-rs/1"),
    ("aio/get_by_200/shardwright/4", "aio/get_by_200/redis-rs/1"),
    ("aio/mget_100_by_10/shardwright/1", "aio/mget_100_by_10/redis-rs/1"),
    ("aio/mget_100_by_10/shardwright/4", "aio/mget_100_by_10/redis-rs/1"),
    ("memcached/get/shardwright/1", "memcached/get/memcache/1"),
    ("memcached/get/shardwright/4", "memcached/get/memcache-ascii/1"),
    ("memcached/set/shardwright/1", "memcached/set/memcache/1"),
    ("memcached/set/shardwright/4", "memcached/set/memcache-ascii/1"),
    ("memcached/gets_100/shardwright/1", "memcached/gets_100/memcache/1"),
    ("memcached/gets_100/shardwright/4", "memcached/gets_100/shardwright/1"),
    ("memcached/gets_100x1k/shardwright/1", "memcached/gets_100x1k/memcache/1"),
    ("memcached/gets_100x1k/shardwright/4", "memcached/gets_100x1k/shardwright/1"),
    ("memcached/gets_100x16k/shardwright/1", "memcached/gets_100x16k/memcache/1"),
    ("memcached/gets_100x16k/shardwright/4", "memcached/gets_100x16k/shardwright/1"),
    ("memcached/gets_100/shardwright/4", "memcached/gets_100/memcache/1"),
    ("memcached/gets_100x1k/shardwright/4", "memcached/gets_100x1k/memcache/1"),
    ("memcached/gets_100x16k/shardwright/4", "memcached/gets_100x16k/memcache/1"),
];

/// How long one side is measured in a round.
const SLICE: Duration = Duration::from_millis(30);

/// What one repeat takes: the processor time of this process and the time that passes, in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (rounds, filter) = match arguments[..] {
        [] => (41, ""),
        ["--list"] => return PAIRS.iter().for_each(|(ours, _)| println!("{ours}")),
        [filter] if !filter.starts_with('-') => (41, filter),
        ["--rounds", rounds] => (number(rounds), ""),
        ["--rounds", rounds, filter] => (number(rounds), filter),
        _ => panic!("usage: side_by_side [--list | [--rounds N] [FILTER]]"),
    };
    println!("name,against,cpu_ns,against_cpu_ns,cpu_ratio,wall_ns,against_wall_ns,wall_ratio");
    for (ours, against) in PAIRS.into_iter().filter(|(ours, _)| ours.contains(filter)) {
        let mut found = benchmarks::wanted(|name| name == ours || name == against);
        found.sort_by_key(|benchmark| benchmark.name() != ours);
        // One of them is left out where redis-server is missing, and says so.
        if let [first, second] = &found[..] {
            println!("{ours},{against},{}", compared(first, second, rounds));
        }
    }
}

fn number(rounds: &str) -> usize {
    rounds.parse().ok().filter(|rounds| *rounds > 0).expect("the number of rounds is a number")
}

fn compared(ours: &Benchmark, against: &Benchmark, rounds: usize) -> String {
    let passes = [ours, against].map(passes_in_a_slice);
    let mut costs = Vec::new();
    for round in 0..rounds {
        let mut both = [Cost { cpu: 0.0, wall: 0.0 }; 2];
        for side in [round % 2, 1 - round % 2] {
            both[side] = cost([ours, against][side], passes[side]);
        }
        costs.push(both);
    }
    let figures = [|cost: &Cost| cost.cpu, |cost: &Cost| cost.wall].map(|of: fn(&Cost) -> f64| {
        let side = |side: usize| median(costs.iter().map(|both| of(&both[side])));
        let ratio = median(costs.iter().map(|both| of(&both[0]) / of(&both[1])));
        format!("{:.0},{:.0},{ratio:.3}", side(0), side(1))
    });
    figures.join(",")
}

/// How many passes fill a slice, and a warm-up.
fn passes_in_a_slice(benchmark: &Benchmark) -> u32 {
    let start = Instant::now();
    let mut passes = 0;
    while start.elapsed() < SLICE {
        benchmark.pass();
        passes += 1;
    }
    passes
}

fn cost(benchmark: &Benchmark, passes: u32) -> Cost {
    let (cpu, wall) = (processor_time(), Instant::now());
    (0..passes).for_each(|_| benchmark.pass());
    let (cpu, wall) = (processor_time() - cpu, wall.elapsed());
    let repeats = f64::from(passes) * benchmark.repeats() as f64;
    Cost { cpu: cpu.as_nanos() as f64 / repeats, wall: wall.as_nanos() as f64 / repeats }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("time is not negative")
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
