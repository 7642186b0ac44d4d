//! What a worker makes of what comes back.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use shardwright::EjectMode;
use shardwright::ShardError;
use shardwright::ShardErrorKind;

use super::model::Counter;
use super::model::Key;
use super::model::Sight;
use super::scene::LIMIT;
use super::scene::Losses;
use super::scene::NODES;
use super::scene::Scene;
use super::scene::number;
use super::worker::Failed;
use super::worker::Report;
use super::worker::Stock;
use super::worker::Task;
use super::worker::Worker;
use crate::support::stopwatch::TOLERANCE;
use crate::support::stopwatch::Took;

impl<W> Worker<W> {
    pub fn new(scene: &Arc<Scene>, way: W, number: usize, seed: u64, stock: Stock) -> Self {
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
            keys: (0..stock.keys).map(|index| key(format!("key:{number}:{index}"))).collect(),
            pairs: (0..stock.pairs).map(pair).collect(),
            counters: (0..stock.counters).map(counter).collect(),
            is_stepwise: false,
            report: Report::default(),
        }
    }

    /// A request for one key fails only if that key's own node does.
    pub fn judge_place(&mut self, task: Task, result: Result<(), Failed>) -> Result<(), Failed> {
        let home = self.home(task);
        if let Err(Some(error)) = &result
            && error.node().map(number) != Some(home)
            && !self.scene.may_have_moved(home)
        {
            self.wrong(format!("{task:?} is at home on {home}: {error:?}"));
        }
        result
    }

    /// Judges the replies to a request, of which each task has one; `before` are the losses before it.
    pub fn settle(
        &mut self,
        tasks: &[Task],
        replies: Result<Vec<Value>, Failed>,
        before: Losses,
    ) -> Result<(), Failed> {
        let replies = replies.inspect_err(|error| {
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

    /// Judges how long a request took, and why it failed; it began at `since`.
    pub fn conclude<T>(
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
        let was_troubled = |node| self.scene.was_troubled(node, since, took.end);
        let is_troubled =
            node.is_some_and(was_troubled) || self.is_stepwise && (0..NODES).any(was_troubled);
        let judged = match ours.kind() {
            ShardErrorKind::Node | ShardErrorKind::Deadline if is_troubled => Ok(()),
            ShardErrorKind::Deadline => {
                let node = node.unwrap_or(0);
                let slow = self.scene.slowness(node, took.start, took.end);
                let taken = slow.max(took.waited).max(took.standstill());
                self.report.starved += 1;
                if taken <= LIMIT / 3 {
                    let last = self.scene.since_trouble(node, took.end);
                    self.wrong(format!("{node} was {slow:?} slow, in trouble {last:?} before"));
                    Err("it is well")
                } else {
                    Ok(())
                }
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

    pub fn sight(&self, home: usize) -> Sight {
        let losses = self.scene.losses()[home];
        Sight { is_clear: !self.scene.may_have_moved(home), losses }
    }

    pub fn note(&mut self, judged: Result<(), String>) {
        if let Err(wrong) = judged {
            self.wrong(wrong);
        }
    }

    pub fn wrong(&mut self, what: String) {
        self.report.wrong.push(what);
    }

    /// A number below `count` (splitmix64).
    pub fn random(&mut self, count: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % count as u64) as usize
    }
}
