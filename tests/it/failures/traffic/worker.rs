//! A thread that makes requests and judges what comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use redis::Cmd;
use redis::ConnectionLike;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use shardwright::EjectMode;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

use super::model::Counter;
use super::model::Key;
use super::model::Sight;
use super::scene::LIMIT;
use super::scene::Losses;
use super::scene::Scene;
use super::scene::number;
use crate::support::stopwatch::TOLERANCE;
use crate::support::stopwatch::Took;
use crate::support::stopwatch::pause;
use crate::support::stopwatch::timed;

/// How requests get to the nodes.
pub enum Way {
    Connection(Box<ShardedConnection>),
    /// The client itself, with new sockets for each request.
    Client(Box<ShardedClient>),
}

/// A thread's keys, which nobody else writes, and what it has seen.
pub struct Worker {
    pub(super) scene: Arc<Scene>,
    pub(super) way: Way,
    random: u64,
    pub(super) keys: Vec<Key>,
    /// Two and two have a hash tag in common, and are only written together.
    pub(super) pairs: Vec<[Key; 2]>,
    pub(super) counters: Vec<Counter>,
    pub(super) report: Report,
}

/// What a worker has seen.
#[derive(Debug, Default)]
pub struct Report {
    pub calls: usize,
    /// By kind of request, those that were answered.
    pub answered: [usize; KINDS],
    pub failed: usize,
    /// Of those, the ones that were refused because the node is known to be dead.
    pub refused: usize,
    /// Calls to nodes not in trouble that the machine made late.
    pub starved: usize,
    pub longest: Duration,
    /// The most that a call took longer than its deadline, without what the machine took away.
    pub excess: Duration,
    /// What must not be.
    pub wrong: Vec<String>,
}

pub const KINDS: usize = 10;

/// A command with one key and its place in the worker's list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    Get(usize),
    Set(usize, u64),
    Count(usize),
}

/// Why a call failed, if it is an error of ours; any other has been noted as wrong.
pub(super) type Failed = Option<ShardError>;

impl Worker {
    pub fn new(scene: &Arc<Scene>, way: Way, number: usize, seed: u64) -> Self {
        let key = |name: String| Key::new(name.clone(), scene.home(&name));
        let pair = |index| ["a", "b"].map(|half| key(format!("{{p:{number}:{index}}}:{half}")));
        let counter = |index: usize| {
            let name = format!("count:{number}:{index}");
            let home = scene.home(&name);
            Counter::new(name, home, 1001 + (number * 100 + index) as u64)
        };
        Self {
            scene: Arc::clone(scene),
            way,
            random: seed ^ ((number as u64) << 32),
            keys: (0..60).map(|index| key(format!("key:{number}:{index}"))).collect(),
            pairs: (0..16).map(pair).collect(),
            counters: (0..16).map(counter).collect(),
            report: Report::default(),
        }
    }

    /// Makes requests until the scene is over, then looks at everything it wrote.
    pub fn run(mut self) -> Report {
        while !self.scene.is_over.load(SeqCst) {
            let kind = self.random(KINDS);
            let answered = match kind {
                0 => self.get(),
                1 => self.set(),
                2 => self.mget(),
                3 => self.mset(),
                4 => self.increment(),
                5 => self.exists(),
                6 => self.pipeline(),
                7 => self.write_pair(),
                8 => self.read_pair(),
                _ => self.fly(),
            };
            self.report.answered[kind] += usize::from(answered.is_ok());
            pause(Duration::from_micros(500));
        }
        for index in 0..self.keys.len() {
            let get = redis::cmd("GET").arg(&self.keys[index].name).to_owned();
            let _ = self.ask_one(Task::Get(index), &get);
        }
        self.report
    }

    /// As [`ask`](Self::ask), for one key; it fails only if that key's own node does.
    pub(super) fn ask_one(&mut self, task: Task, command: &Cmd) -> Result<(), Failed> {
        let home = self.home(task);
        let result = self.ask(&[task], |con| command.query(con).map(|reply| vec![reply]));
        if let Err(Some(error)) = &result
            && error.node().map(number) != Some(home)
            && !self.scene.may_have_moved(home)
        {
            self.wrong(format!("{task:?} is at home on {home}: {error:?}"));
        }
        result
    }

    /// Makes a request of which each task has a reply, and judges them.
    pub(super) fn ask(
        &mut self,
        tasks: &[Task],
        request: impl FnOnce(&mut dyn ConnectionLike) -> RedisResult<Vec<Value>>,
    ) -> Result<(), Failed> {
        let before = self.scene.losses();
        let replies = self.call(request).inspect_err(|error| {
            let Some(error) = error else { return };
            for task in tasks {
                self.judge_failed(*task, error, before);
            }
        })?;
        if replies.len() != tasks.len() {
            self.wrong(format!("{} replies to {tasks:?}: {replies:?}", replies.len()));
        }
        for (task, reply) in tasks.iter().zip(&replies) {
            self.judge(*task, reply, before);
        }
        for (pair, replies) in tasks.windows(2).zip(replies.windows(2)) {
            if let [Task::Set(written, number), Task::Get(read)] = pair
                && written == read
                && self.keys[*read].number_in(&replies[1]) != Ok(Some(*number))
            {
                self.wrong(format!("{:?} was read behind {pair:?}", replies[1]));
            }
        }
        Ok(())
    }

    fn judge(&mut self, task: Task, reply: &Value, before: Losses) {
        let judged = match task {
            Task::Get(index) => {
                let sight = self.sight(self.keys[index].home);
                self.keys[index].judge(reply, sight)
            }
            Task::Set(index, number) => {
                let key = &mut self.keys[index];
                key.confirm(number, before[key.home]);
                match reply {
                    Value::Okay => Ok(()),
                    _ => Err(format!("{reply:?} to a write of {}", key.name)),
                }
            }
            Task::Count(index) => {
                let sight = self.sight(self.counters[index].home);
                let counter = &mut self.counters[index];
                counter.confirm(reply, before[counter.home], sight)
            }
        };
        self.note(judged);
    }

    /// What is known of a task whose request failed.
    fn judge_failed(&mut self, task: Task, error: &ShardError, before: Losses) {
        let home = self.home(task);
        let is_done = error.completed_nodes().any(|node| number(node) == home);
        match task {
            // Nothing was sent.
            Task::Set(index, number) if error.kind() == ShardErrorKind::Ejected => {
                self.keys[index].withdraw(number);
            }
            Task::Count(index) if error.kind() == ShardErrorKind::Ejected => {
                self.counters[index].withdraw();
            }
            Task::Set(index, number) if is_done => {
                self.keys[index].confirm(number, before[home]);
            }
            _ => {}
        }
    }

    fn home(&self, task: Task) -> usize {
        match task {
            Task::Get(index) | Task::Set(index, _) => self.keys[index].home,
            Task::Count(index) => self.counters[index].home,
        }
    }

    pub(super) fn call<T>(
        &mut self,
        request: impl FnOnce(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Result<T, Failed> {
        let connection: &mut dyn ConnectionLike = match &mut self.way {
            Way::Connection(connection) => &mut **connection,
            Way::Client(client) => &mut **client,
        };
        let (result, took) = timed(|| request(connection));
        self.conclude(result, took, took.start)
    }

    /// As [`call`](Self::call), of a request that began at `since`.
    pub(super) fn call_since<T>(
        &mut self,
        since: Instant,
        request: impl FnOnce(&mut ShardedConnection) -> RedisResult<T>,
    ) -> Result<T, Failed> {
        let Way::Connection(connection) = &mut self.way else { unreachable!("it has one") };
        let (result, took) = timed(|| request(connection));
        self.conclude(result, took, since)
    }

    fn conclude<T>(
        &mut self,
        result: RedisResult<T>,
        took: Took,
        since: Instant,
    ) -> Result<T, Failed> {
        self.report.calls += 1;
        self.report.longest = self.report.longest.max(took.wall());
        let excess = took.excess(LIMIT);
        self.report.excess = self.report.excess.max(excess);
        if excess > TOLERANCE {
            self.wrong(format!("{excess:?} longer than the deadline: {took:?}"));
        }
        result.map_err(|error| {
            self.report.failed += 1;
            self.judge_error(&error, took, since)
        })
    }

    fn judge_error(
        &mut self,
        error: &RedisError,
        took: Took,
        since: Instant,
    ) -> Option<ShardError> {
        let Some(ours) = ShardError::of(error) else {
            self.wrong(format!("an error of a server: {error:?}"));
            return None;
        };
        let node = ours.node().map(number);
        let is_troubled = node.is_some_and(|node| self.scene.was_troubled(node, since, took.end));
        let judged = match ours.kind() {
            ShardErrorKind::Node | ShardErrorKind::Deadline if is_troubled => Ok(()),
            ShardErrorKind::Deadline => {
                let node = node.unwrap_or(0);
                let slow = self.scene.slowness(node, took.start, took.end);
                let taken = slow.max(took.waited).max(took.standstill());
                self.report.starved += 1;
                if taken > LIMIT / 3 { Ok(()) } else { Err("it is well") }
            }
            ShardErrorKind::Ejected if self.scene.mode == EjectMode::FailFast && is_troubled => {
                self.report.refused += 1;
                let excess = took.excess(Duration::ZERO);
                if excess <= TOLERANCE { Ok(()) } else { Err("a refusal takes no time") }
            }
            _ => Err("this must not be"),
        };
        self.note(judged.map_err(|why| format!("{why}: {ours:?} {took:?}")));
        Some(ours)
    }

    pub(super) fn sight(&self, home: usize) -> Sight {
        let losses = self.scene.losses()[home];
        Sight { is_clear: !self.scene.may_have_moved(home), losses }
    }

    pub(super) fn note(&mut self, judged: Result<(), String>) {
        if let Err(wrong) = judged {
            self.wrong(wrong);
        }
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.report.wrong.push(what);
    }

    /// A number below `count` (splitmix64).
    pub(super) fn random(&mut self, count: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % count as u64) as usize
    }
}
