//! Traffic from several threads while nodes are killed, frozen, slowed and restarted empty: no wrong value,
//! no call longer than its deadline, and nothing of it at nodes that are well.

mod judge;
mod model;
mod requests;
pub mod scene;
mod witness;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::SystemTime;

use redis::Commands;
use redis::RedisResult;
use shardwright::EjectMode;
use shardwright::Event;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedConnection;

use self::scene::LIMIT;
use self::scene::LONGEST_RETRY;
use self::scene::NODES;
use self::scene::RETRY;
use self::scene::Scene;
use self::worker::Report;
use self::worker::Stock;
use self::worker::Way;
use self::worker::Worker;
use super::failure;
use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::TOLERANCE;
use crate::support::stopwatch::in_time;
use crate::support::stopwatch::pause;
use crate::support::stopwatch::timed;
use crate::support::within;

#[test]
fn traffic_without_ejection() {
    run(EjectMode::Off);
}

#[test]
fn traffic_with_a_ring_that_is_rebuilt() {
    run(EjectMode::Rebuild);
}

#[test]
fn traffic_with_successors() {
    run(EjectMode::Successor);
}

#[test]
fn traffic_that_fails_fast() {
    run(EjectMode::FailFast);
}

/// Threads with a connection each; one more uses the client as a connection.
const THREADS: usize = 3;
/// How long a trouble lasts at least.
const WHILE: Duration = Duration::from_millis(600);
/// How long a node may be out behind its trouble: a probe that is failing, the longest wait, one that is
/// answered. The rest is the machine's.
const BACK: Duration = Duration::from_millis(2 * 250 + 300 * 5 / 4 + 500);

/// A pool under traffic.
pub struct Pool {
    servers: Vec<RedisServer>,
    pub scene: Arc<Scene>,
    /// As old as the pool: nothing is ever rebuilt by hand.
    connection: ShardedConnection,
    /// Keys nobody writes, by the node that owns them when all live.
    samples: Vec<Vec<String>>,
}

fn run(mode: EjectMode) {
    let Some(mut pool) = Pool::start(mode, "") else { return };
    let traffic = Traffic::start(&pool.scene);
    pool.suffer();
    let report = traffic.end();
    pool.check(&report, 100);
}

impl Pool {
    /// Starts one whose nodes have `query` in their URLs, or says why the test is skipped.
    pub fn start(mode: EjectMode, query: &str) -> Option<Self> {
        let servers = RedisServer::start_many(NODES)?;
        let scene = Arc::new(Scene::new(&servers, mode, query));
        let connection = scene.client.get_connection().unwrap();
        let mut samples = vec![Vec::new(); NODES];
        for number in 0..400 {
            let key = format!("sample:{number}");
            samples[scene.home(&key)].push(key);
        }
        Some(Self { servers, scene, connection, samples })
    }

    /// One trouble after the other, beside the traffic.
    pub fn suffer(&mut self) {
        pause(WHILE / 3);
        self.pause_clients(0);
        self.kill(3);
        self.freeze(2);
        self.block(1);
        self.empty(3);
        pause(WHILE / 3);
    }

    /// Judges what the traffic has seen, now that it is over. Of that many calls one may be late because the
    /// machine was.
    pub fn check(&self, report: &Report, one_starved_in: usize) {
        let mode = self.scene.mode;
        println!("{mode}: {report:?}");
        self.check_counts(report.starved > 0);
        assert_eq!(report.wrong, [""; 0], "{:#?}", report.wrong);
        assert!(report.answered.iter().all(|answered| *answered > 20), "{report:?}");
        assert!(report.failed > 0, "nothing was tested: {report:?}");
        assert_eq!(report.refused > 0, mode == EjectMode::FailFast);
        assert!(
            report.starved <= report.calls / one_starved_in,
            "the machine is too slow: {report:?}"
        );
    }

    fn ejects(&self) -> bool {
        self.scene.mode != EjectMode::Off
    }

    /// Slow is not dead: nothing may fail.
    fn pause_clients(&mut self, node: usize) {
        let mut direct = self.direct(node);
        redis::cmd("CLIENT").arg(&["PAUSE", "60", "ALL"]).exec(&mut direct).unwrap();
        pause(WHILE / 4);
    }

    /// A crash. The node is back without its data.
    fn kill(&mut self, node: usize) {
        self.scene.begin_trouble(node);
        self.scene.count_loss(node);
        self.servers[node].kill();
        self.scene.count_loss(node);
        self.stay_out(node);
        self.restart(node);
        self.come_back(node);
    }

    /// A node that hangs, and goes on.
    fn freeze(&mut self, node: usize) {
        self.scene.begin_trouble(node);
        self.servers[node].process().stop();
        self.stay_out(node);
        self.servers[node].process().resume();
        self.come_back(node);
    }

    /// A node that is busy for longer than the deadline.
    fn block(&mut self, node: usize) {
        let mut direct = self.direct(node);
        self.scene.begin_trouble(node);
        let sleep = move || redis::cmd("DEBUG").arg(&["SLEEP", "2"]).exec(&mut direct).unwrap();
        let sleep = thread::spawn(sleep);
        self.stay_out(node);
        sleep.join().unwrap();
        self.come_back(node);
    }

    /// A restart so quick that it may go unnoticed, but for the data.
    fn empty(&mut self, node: usize) {
        self.scene.begin_trouble(node);
        self.scene.count_loss(node);
        self.servers[node].kill();
        self.scene.count_loss(node);
        self.restart(node);
        pause(TOLERANCE);
        self.come_back(node);
    }

    fn restart(&mut self, node: usize) {
        self.servers[node].restart();
    }

    /// Looks at a node that is in trouble, until that has been noticed and a little longer.
    fn stay_out(&mut self, node: usize) {
        if self.ejects() {
            let ejected = |state| state != NodeState::Live;
            within(8 * LIMIT, "the node is ejected", || ejected(self.state(node)));
        } else {
            let key = self.samples[node][0].clone();
            within(8 * LIMIT, "the node fails", || self.connection.get::<_, ()>(&key).is_err());
        }
        let client = self.scene.client.clone();
        for (home, keys) in self.samples.iter().enumerate() {
            for key in keys {
                let owner = client.node_for_key(key).map(|node| scene::number(node.name()));
                match self.scene.mode {
                    EjectMode::FailFast if home == node => assert_eq!(owner, None, "{key}"),
                    EjectMode::Rebuild | EjectMode::Successor if home == node => {
                        assert!(owner.is_some_and(|owner| owner != node), "{key} on {owner:?}");
                    }
                    _ => assert_eq!(owner, Some(home), "{key}"),
                }
            }
        }
        for home in 0..NODES {
            let key = self.samples[home][0].clone();
            let (result, took) = timed(|| self.connection.get::<_, Option<String>>(&key));
            if home != node || self.scene.mode.moves_keys() {
                assert_eq!(result, Ok(None), "{key}");
                continue;
            }
            let is_fast = self.scene.mode == EjectMode::FailFast;
            assert!(took.excess(if is_fast { Duration::ZERO } else { LIMIT }) <= TOLERANCE);
            let error = failure(result);
            assert_eq!(error.kind() == ShardErrorKind::Ejected, is_fast, "{error}");
        }
        pause(WHILE);
    }

    /// Behind a trouble: everything is as before.
    fn come_back(&mut self, node: usize) {
        within(BACK, "all nodes are live", || {
            (0..NODES).all(|node| self.state(node) == NodeState::Live)
        });
        self.scene.end_trouble();
        let keys: Vec<_> = self.samples.iter().map(|keys| keys[0].clone()).collect();
        let values: RedisResult<Vec<Option<String>>> =
            in_time(LIMIT, || self.connection.mget(&keys));
        assert_eq!(values, Ok(vec![None; NODES]), "behind the trouble of {node}");
        for (home, key) in keys.iter().enumerate() {
            let owner = self.scene.client.node_for_key(key).unwrap();
            assert_eq!(scene::number(owner.name()), home);
        }
        pause(WHILE / 4);
    }

    fn state(&self, node: usize) -> NodeState {
        let name = format!("n{node}");
        let states = self.scene.client.node_states();
        states.iter().find(|(node, _)| node.name() == name).expect("there is such a node").1
    }

    fn direct(&self, node: usize) -> redis::Connection {
        redis::Client::open(self.servers[node].url()).unwrap().get_connection().unwrap()
    }

    /// What was reported and counted is what happened. A node that is well may have been ejected where the
    /// machine made calls to it late.
    fn check_counts(&self, was_starved: bool) {
        let events = self.scene.events.lock().unwrap();
        for metrics in self.scene.client.metrics() {
            let name = metrics.node.name();
            let of_node: Vec<_> =
                events.iter().filter(|event| event.node() == Some(name)).collect();
            assert_eq!(metrics.in_flight, 0, "{metrics:?}");
            assert!(metrics.connections <= 1, "that of ours: {metrics:?}");
            let ejections = check_course(&of_node);
            assert_eq!(metrics.ejections, ejections, "{of_node:?}");
            // The last one may have been too quick to be noticed.
            let expected = match name {
                _ if !self.ejects() => 0..=0,
                "n0" => 0..=0,
                "n3" => 1..=2,
                _ => 1..=1,
            };
            let most = expected.end() + u64::from(was_starved && self.ejects());
            assert!((*expected.start()..=most).contains(&ejections), "{name}: {of_node:?}");
        }
    }
}

/// Asserts that these events of one node can follow one another; returns the number of ejections.
fn check_course(events: &[&Event]) -> u64 {
    let mut ejections = 0;
    let mut last: Option<&Event> = None;
    for event in events {
        let follows = match (last, event) {
            (None | Some(Event::Reinstated { .. }), Event::Ejected { retry_in, .. }) => {
                ejections += 1;
                (RETRY..RETRY * 5 / 4).contains(retry_in)
            }
            (Some(Event::Ejected { .. } | Event::ProbeFailed { .. }), Event::Probing { .. }) => {
                true
            }
            (Some(Event::Probing { .. }), Event::ProbeFailed { retry_in, .. }) => {
                (LONGEST_RETRY..LONGEST_RETRY * 5 / 4).contains(retry_in)
            }
            (Some(Event::Probing { .. }), Event::Reinstated { after, .. }) => *after >= RETRY,
            _ => false,
        };
        assert!(follows, "{event:?} behind {last:?} in {events:#?}");
        last = Some(event);
    }
    assert!(matches!(last, None | Some(Event::Reinstated { .. })), "{events:#?}");
    ejections
}

const STOCK: Stock = Stock { keys: 60, pairs: 16, counters: 16 };

/// The threads that make requests; they end when it is dropped.
struct Traffic {
    scene: Arc<Scene>,
    workers: Vec<JoinHandle<Report>>,
}

impl Traffic {
    fn start(scene: &Arc<Scene>) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = now.as_nanos() as u64;
        println!("seed {seed}");
        let workers = (0..=THREADS).map(|number| {
            let client = scene.client.clone();
            let way = match number {
                THREADS => Way::Client(Box::new(client)),
                _ => Way::Connection(Box::new(client.get_connection().unwrap())),
            };
            let worker = Worker::new(scene, way, number, seed, STOCK);
            thread::spawn(|| worker.run())
        });
        Self { scene: Arc::clone(scene), workers: workers.collect() }
    }

    /// Ends the threads, and sums up what they have seen.
    fn end(mut self) -> Report {
        self.scene.is_over.store(true, SeqCst);
        let mut sum = Report::default();
        for worker in std::mem::take(&mut self.workers) {
            let report = worker.join().unwrap();
            sum.add(report);
        }
        sum
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.scene.is_over.store(true, SeqCst);
    }
}
