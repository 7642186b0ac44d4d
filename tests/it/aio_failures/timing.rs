//! A runtime whose calls can be timed as [`stopwatch`](crate::support::stopwatch) times those of a thread.
//!
//! A task runs now on one thread and now on another. So all threads of the runtime are watched: what the
//! machine took away from a call is the most that one of them was ready and did not run meanwhile, or for
//! how long the whole machine stood still. That the runtime has much to do, or that somebody blocks one of
//! its threads, is in neither, and nothing is taken off for it.

use std::collections::VecDeque;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::Once;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::support::stopwatch::TOLERANCE;
use crate::support::stopwatch::Took;
use crate::support::stopwatch::UNTIL_KNOWN;
use crate::support::stopwatch::pause;
use crate::support::stopwatch::standstill;
use crate::support::stopwatch::start_companion;
use crate::support::stopwatch::time_waited_by;

/// A runtime of two threads that are watched.
pub fn runtime() -> tokio::runtime::Runtime {
    start_companion();
    static START: Once = Once::new();
    START.call_once(|| drop(thread::Builder::new().name("sampler".into()).spawn(keep_sampling)));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(register)
        .build()
        .unwrap()
}

/// Runs a test on such a runtime.
pub fn run<F: Future>(test: F) -> F::Output {
    register();
    runtime().block_on(test)
}

/// Makes a call and measures it.
pub async fn timed<F: Future>(call: F) -> (F::Output, Took) {
    let start = Instant::now();
    let result = call.await;
    let end = Instant::now();
    let mut took = Took { start, end, waited: Duration::ZERO, stood: Some(Duration::ZERO) };
    // What is shorter is late by no deadline of these tests.
    if end - start > TOLERANCE {
        tokio::time::sleep(UNTIL_KNOWN).await;
        took.waited = waited(start, end);
        took.stood = Some(standstill(start, end));
    }
    (result, took)
}

/// Makes a call and asserts that it is over after `deadline`.
pub async fn in_time<F: Future>(deadline: Duration, call: F) -> F::Output {
    let (result, took) = timed(call).await;
    let excess = took.excess(deadline);
    assert!(excess <= TOLERANCE, "{excess:?} longer than {deadline:?}: {took:?}");
    result
}

/// Waits until `check` is true.
pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The threads of runtimes, as paths of `/proc`.
static THREADS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// When it was, and how long each of the threads had been ready without running.
type Sample = (Instant, Vec<Duration>);

/// Those of the last seconds.
static SAMPLES: Mutex<VecDeque<Sample>> = Mutex::new(VecDeque::new());

const EVERY: Duration = Duration::from_millis(5);
const MOST: usize = 2000;

fn register() {
    let path = fs::read_link("/proc/thread-self").unwrap();
    THREADS.lock().unwrap().push(PathBuf::from("/proc").join(path));
}

fn keep_sampling() {
    loop {
        let threads = THREADS.lock().unwrap().clone();
        let sample = (Instant::now(), threads.iter().map(time_waited_by).collect());
        let mut samples = SAMPLES.lock().unwrap();
        samples.push_back(sample);
        if samples.len() > MOST {
            samples.pop_front();
        }
        drop(samples);
        pause(EVERY);
    }
}

/// The longest that one of the threads was ready without running between `start` and `end`.
fn waited(start: Instant, end: Instant) -> Duration {
    let samples = SAMPLES.lock().unwrap();
    let before = samples.iter().rev().find(|(at, _)| *at <= start);
    let after = samples.iter().find(|(at, _)| *at >= end).or(samples.back());
    let (Some((_, before)), Some((_, after))) = (before, after) else {
        return Duration::ZERO;
    };
    let waited = before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before));
    waited.max().unwrap_or_default()
}
