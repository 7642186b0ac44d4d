//! Wall time, measured by criterion: `cargo bench --bench wall`, or `script/bench`.

use std::time::Duration;

use criterion::Criterion;
use criterion::Throughput;

mod benchmarks;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    for benchmark in benchmarks::wanted(|_| true) {
        let mut group = criterion.benchmark_group("shardwright");
        group.throughput(Throughput::Elements(benchmark.repeats() as u64));
        group.bench_function(benchmark.name(), |bencher| bencher.iter(|| benchmark.pass()));
        group.finish();
    }
    criterion.final_summary();
}
