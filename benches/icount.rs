//! Passes of one benchmark for callgrind to count; `script/bench` runs it.
//!
//! ```text
//! icount                  checks every benchmark once
//! icount --list           prints the names and repeats a pass, a line each
//! icount NAME PASSES      does so many passes of one
//! ```
//!
//! The difference between two runs with different numbers of passes is free of what it costs to start
//! and to prepare.

use benchmarks::Benchmark;

mod benchmarks;

fn main() {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => benchmarks::wanted(|_| true).iter().for_each(Benchmark::pass),
        ["--list"] => {
            for benchmark in benchmarks::wanted(|_| true) {
                println!("{} {}", benchmark.name(), benchmark.repeats());
            }
        }
        [name, passes] => {
            let found = benchmarks::wanted(|other| other == name);
            let benchmark = found.first().unwrap_or_else(|| panic!("no benchmark is '{name}'"));
            let passes: u32 = passes.parse().expect("the number of passes is a number");
            (0..passes).for_each(|_| benchmark.pass());
        }
        _ => panic!("usage: icount [--list | NAME PASSES]"),
    }
}
