//! Traffic from several threads while nodes are killed, frozen and restarted empty: no value of another key,
//! no call longer than its deadline, and nothing of it at nodes that are well.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use memcache::CommandError;
use memcache::MemcacheError;
use shardwright::EjectMode;
use shardwright::EjectPolicy;
use shardwright::MemcacheProtocol;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;

use super::key_of;
use super::named;
use super::ports;
use super::state;
use crate::support::memcached::Memcached;
use crate::support::stopwatch::TOLERANCE;
use crate::support::stopwatch::Took;
use crate::support::stopwatch::pause;
use crate::support::stopwatch::timed;
use crate::support::within;

const LIMIT: Duration = Duration::from_millis(250);
const RETRY: Duration = Duration::from_millis(100);
const THREADS: usize = 4;
const KEYS: usize = 120;
/// How long a trouble lasts at least.
const WHILE: Duration = Duration::from_millis(500);

/// When which node was in trouble; it is over when the end is there.
type Troubles = Mutex<Vec<(&'static str, Instant, Option<Instant>)>>;

struct Scene {
    cache: ShardedMemcache,
    mode: EjectMode,
    troubles: Troubles,
    is_over: AtomicBool,
}

/// What a thread has seen.
#[derive(Debug, Default)]
struct Report {
    calls: usize,
    answered: usize,
    found: usize,
    failed: usize,
    refused: usize,
    /// Calls to nodes not in trouble that the machine made late.
    starved: usize,
    longest: Duration,
    wrong: Vec<String>,
}

struct Worker {
    scene: Arc<Scene>,
    number: usize,
    random: u64,
    report: Report,
}

impl Scene {
    fn was_troubled(&self, node: &str, took: &Took) -> bool {
        let troubles = self.troubles.lock().unwrap();
        troubles.iter().any(|(name, start, end)| {
            *name == node && *start <= took.end && end.is_none_or(|end| took.start <= end)
        })
    }

    fn trouble(&self, node: &'static str) {
        self.troubles.lock().unwrap().push((node, Instant::now(), None));
    }

    /// Waits until `node` is as before.
    fn end_trouble(&self, node: &str, key: &str) {
        within(Duration::from_secs(5), "it is back", || {
            state(&self.cache, node) == NodeState::Live && self.cache.get::<String>(key).is_ok()
        });
        self.troubles.lock().unwrap().last_mut().unwrap().2 = Some(Instant::now());
    }
}

impl Worker {
    fn run(mut self) -> Report {
        while !self.scene.is_over.load(SeqCst) {
            self.ask();
            pause(Duration::from_micros(300));
        }
        self.report
    }

    /// A number below `count` (splitmix64).
    fn random(&mut self, count: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % count as u64) as usize
    }

    fn key(&mut self) -> String {
        format!("key:{}", self.random(KEYS))
    }

    fn ask(&mut self) {
        let scene = Arc::clone(&self.scene);
        let cache = &scene.cache;
        let key = self.key();
        let value = format!("{key}#{}:{}", self.number, self.report.calls);
        match self.random(9) {
            0 | 1 => {
                let (result, took) = timed(|| cache.get::<String>(&key));
                if let Some(found) = self.judge(&key, result, &took) {
                    self.look(&key, found);
                }
            }
            2 => {
                let (result, took) = timed(|| cache.set(&key, value, 60));
                self.judge(&key, result, &took);
            }
            3 => {
                let (result, took) = timed(|| cache.append(&key, "+"));
                self.judge(&key, result, &took);
            }
            4 => {
                let (result, took) = timed(|| cache.delete(&key));
                self.judge(&key, result, &took);
            }
            5 => {
                let key = format!("count:{}", self.number);
                let (result, took) = timed(|| cache.increment(&key, 1_000_003));
                if let Some(number) = self.judge(&key, result, &took)
                    && number % 1_000_003 != 0
                {
                    self.report.wrong.push(format!("{key} is {number}"));
                }
            }
            6 => {
                let keys: Vec<_> = (0..10).map(|_| self.key()).collect();
                let (results, took) = timed(|| cache.get_many::<String, _>(&keys));
                for (key, result) in keys.iter().zip(results) {
                    if let Some(found) = self.judge(key, result, &took) {
                        self.look(key, found);
                    }
                }
            }
            7 => {
                let keys: Vec<_> = (0..10).map(|_| self.key()).collect();
                let entries: Vec<_> = keys.iter().map(|key| (key, format!("{key}#many"))).collect();
                let (results, took) = timed(|| cache.set_many(&entries, 60));
                for (key, result) in keys.iter().zip(results) {
                    self.judge(key, result, &took);
                }
            }
            _ => {
                let (result, took) = timed(|| cache.get::<(Vec<u8>, u32, Option<u64>)>(&key));
                let Some(Some((found, _, cas))) = self.judge(&key, result, &took) else { return };
                self.look(&key, Some(String::from_utf8(found).unwrap()));
                let (result, took) = timed(|| cache.cas(&key, value, 60, cas.unwrap()));
                self.judge(&key, result, &took);
            }
        }
    }

    /// A value names its key.
    fn look(&mut self, key: &str, found: Option<String>) {
        let Some(found) = found else { return };
        self.report.found += 1;
        if !found.starts_with(&format!("{key}#")) {
            self.report.wrong.push(format!("{found:?} under {key}"));
        }
    }

    fn judge<T>(&mut self, key: &str, result: Result<T, MemcacheError>, took: &Took) -> Option<T> {
        self.report.calls += 1;
        self.report.longest = self.report.longest.max(took.wall());
        let excess = took.excess(LIMIT);
        if excess > TOLERANCE {
            self.report.wrong.push(format!("{excess:?} longer than the deadline: {took:?}"));
        }
        let error = match result {
            Ok(value) => {
                self.report.answered += 1;
                return Some(value);
            }
            Err(MemcacheError::CommandError(CommandError::KeyNotFound)) => return None,
            Err(error) => error,
        };
        self.report.failed += 1;
        let Some(ours) = ShardError::of_memcache(&error) else {
            self.report.wrong.push(format!("an error of a server: {error:?}"));
            return None;
        };
        let is_troubled = ours.node().is_some_and(|node| self.scene.was_troubled(node, took));
        match ours.kind() {
            ShardErrorKind::Node | ShardErrorKind::Deadline if is_troubled => {}
            ShardErrorKind::Ejected if self.scene.mode == EjectMode::FailFast && is_troubled => {
                self.report.refused += 1;
            }
            ShardErrorKind::Deadline if took.waited.max(took.standstill()) > LIMIT / 3 => {
                self.report.starved += 1;
            }
            _ => self.report.wrong.push(format!("{key}: {ours:?} {took:?}")),
        }
        None
    }
}

fn run(mode: EjectMode, protocol: MemcacheProtocol) {
    let Some(mut servers) = Memcached::start_many(3) else { return };
    let policy = EjectPolicy::new(mode).failure_limit(2).retry_timeout(RETRY);
    let cache = named(ports(&servers))
        .timeout(LIMIT)
        .protocol(protocol)
        .max_connections(THREADS as u32 - 1)
        .eject(policy)
        .build()
        .unwrap();
    let keys = ["n0", "n1", "n2"].map(|node| key_of(&cache, node));
    let is_over = AtomicBool::new(false);
    let scene = Arc::new(Scene { cache, mode, troubles: Mutex::default(), is_over });
    // Counters are made before, as the classic protocol does not.
    for number in 0..THREADS {
        scene.cache.set(&format!("count:{number}"), 0, 0).unwrap();
    }
    let workers: Vec<_> = (0..THREADS)
        .map(|number| {
            let scene = Arc::clone(&scene);
            let random = 7 + ((number as u64) << 32);
            let worker = Worker { scene, number, random, report: Report::default() };
            thread::spawn(|| worker.run())
        })
        .collect();
    pause(WHILE);
    for round in 0..2 {
        scene.trouble("n2");
        servers[2].kill();
        pause(WHILE);
        assert_eq!(state(&scene.cache, "n2") == NodeState::Live, mode == EjectMode::Off);
        servers[2].restart();
        scene.end_trouble("n2", &keys[2]);
        pause(WHILE / 4);

        scene.trouble("n1");
        servers[1].process().stop();
        pause(WHILE * 3);
        assert_eq!(state(&scene.cache, "n1") == NodeState::Live, mode == EjectMode::Off);
        servers[1].process().resume();
        scene.end_trouble("n1", &keys[1]);
        pause(WHILE / 4);

        // A restart so quick that it may go unnoticed, but for the data.
        scene.trouble("n0");
        servers[0].restart();
        scene.end_trouble("n0", &keys[0]);
        pause(WHILE / (round + 1));
    }
    scene.is_over.store(true, SeqCst);
    let mut sum = Report::default();
    for worker in workers {
        let report = worker.join().unwrap();
        sum.calls += report.calls;
        sum.answered += report.answered;
        sum.found += report.found;
        sum.failed += report.failed;
        sum.refused += report.refused;
        sum.starved += report.starved;
        sum.longest = sum.longest.max(report.longest);
        sum.wrong.extend(report.wrong);
    }
    println!("{mode} {protocol:?}: {sum:?}");
    assert_eq!(sum.wrong, [""; 0], "{:#?}", sum.wrong);
    assert!(sum.answered > 1000 && sum.found > 200, "{sum:?}");
    assert!(sum.failed > 4, "nothing was tested: {sum:?}");
    assert_eq!(sum.refused > 0, mode == EjectMode::FailFast);
    assert!(sum.starved <= sum.calls / 100, "the machine is too slow: {sum:?}");
    for metrics in scene.cache.metrics() {
        assert_eq!(metrics.in_flight, 0, "{metrics:?}");
        assert!(metrics.connections < THREADS as u64, "{metrics:?}");
        let ejections = metrics.ejections;
        match (mode, metrics.node.name()) {
            (EjectMode::Off, _) => assert_eq!(ejections, 0, "{metrics:?}"),
            (_, "n0") => assert!(ejections <= 2 || sum.starved > 0, "{metrics:?}"),
            _ => assert!(ejections == 2 || sum.starved > 0 && ejections > 2, "{metrics:?}"),
        }
    }
}

#[test]
fn traffic_without_ejection() {
    run(EjectMode::Off, MemcacheProtocol::Auto);
}

#[test]
fn traffic_with_a_ring_that_is_rebuilt() {
    run(EjectMode::Rebuild, MemcacheProtocol::Ascii);
}

#[test]
fn traffic_with_successors() {
    run(EjectMode::Successor, MemcacheProtocol::Auto);
}

#[test]
fn traffic_that_fails_fast() {
    run(EjectMode::FailFast, MemcacheProtocol::Ascii);
}
