//! Traffic of two thousand tasks over one connection while nodes are killed, frozen, slowed and restarted
//! empty: no wrong value, no call longer than its deadline, no task that does not end.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::SystemTime;

use redis::Value;
use shardwright::AsyncConnectionConfig;
use shardwright::EjectMode;
use shardwright::ShardedMultiplexedConnection;
use tokio::task::JoinSet;

use super::timing::eventually;
use super::timing::run as block_on;
use super::timing::runtime;
use super::timing::timed;
use crate::failures::traffic::Pool;
use crate::failures::traffic::scene::Scene;
use crate::failures::traffic::worker::Failed;
use crate::failures::traffic::worker::KINDS;
use crate::failures::traffic::worker::Report;
use crate::failures::traffic::worker::Stock;
use crate::failures::traffic::worker::Task;
use crate::failures::traffic::worker::Worker;

const TASKS: usize = 2000;

/// The longest pause of a task between two requests. In the mean all make some two thousand a second: more
/// would keep the threads busy in a debug build, and what is late for that says nothing.
const PAUSE: Duration = Duration::from_secs(2);

/// Each has few keys, all have many.
const STOCK: Stock = Stock { keys: 6, pairs: 2, counters: 2 };

#[test]
fn traffic_without_ejection() {
    run(EjectMode::Off, "", 1);
}

#[test]
fn traffic_with_a_ring_that_is_rebuilt() {
    run(EjectMode::Rebuild, "", 1);
}

#[test]
fn traffic_with_successors() {
    run(EjectMode::Successor, "", 2);
}

#[test]
fn traffic_that_fails_fast() {
    run(EjectMode::FailFast, "", 1);
}

#[test]
fn traffic_over_resp3() {
    run(EjectMode::Successor, "?protocol=resp3", 1);
}

fn run(mode: EjectMode, query: &str, connections_per_node: usize) {
    let Some(mut pool) = Pool::start(mode, query) else { return };
    let runtime = runtime();
    let config = AsyncConnectionConfig::new().set_connections_per_node(connections_per_node);
    let connection = pool.scene.client.get_multiplexed_async_connection_with_config(&config);
    let connection = runtime.block_on(connection).unwrap();
    let workers = {
        let _within = runtime.enter();
        start(&pool.scene, &connection)
    };
    drop(connection);
    pool.suffer();
    pool.scene.is_over.store(true, SeqCst);
    let report = block_on(end(workers));
    block_on(eventually("no task is left", || runtime.metrics().num_alive_tasks() == 0));
    // Where a thread would make one call while the machine stands still, hundreds of tasks make one each.
    pool.check(&report, 20);
}

fn start(scene: &Arc<Scene>, connection: &ShardedMultiplexedConnection) -> JoinSet<Report> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = now.as_nanos() as u64;
    println!("seed {seed}");
    let worker = |number| Worker::new(scene, connection.clone(), number, seed, STOCK).serve();
    (0..TASKS).map(worker).collect()
}

/// Waits for the tasks and sums up what they have seen.
async fn end(mut workers: JoinSet<Report>) -> Report {
    let all = async {
        let mut sum = Report::default();
        while let Some(report) = workers.join_next().await {
            sum.add(report.unwrap());
        }
        sum
    };
    // Behind their last pause each makes a few requests more, and nothing is slow any more.
    let limit = 3 * PAUSE + Duration::from_secs(10);
    tokio::time::timeout(limit, all).await.expect("a task is stuck")
}

impl Worker<ShardedMultiplexedConnection> {
    /// Makes requests until the scene is over, then looks at everything it wrote.
    async fn serve(mut self) -> Report {
        while !self.scene.is_over.load(SeqCst) {
            let share = self.random(1000) as u32;
            tokio::time::sleep(PAUSE * share / 1000).await;
            let kind = self.random(KINDS);
            let answered = self.ask(kind).await;
            self.report.answered[kind] += usize::from(answered.is_ok());
        }
        let keys: Vec<_> = self.keys.iter().map(|key| key.name.clone()).collect();
        for (index, key) in keys.into_iter().enumerate() {
            let result = self.one(Task::Get(index), &super::get(&key)).await;
            drop(result);
        }
        self.report
    }

    async fn ask(&mut self, kind: usize) -> Result<(), Failed> {
        match kind {
            0 => {
                let (task, get) = self.a_get();
                self.one(task, &get).await
            }
            1 => {
                let (task, set) = self.a_set();
                self.one(task, &set).await
            }
            2 => {
                let (task, increment) = self.an_increment();
                self.one(task, &increment).await
            }
            3 => {
                let (tasks, mget) = self.an_mget();
                let before = self.scene.losses();
                let (replies, took) = timed(mget.query_async(&mut self.way)).await;
                let replies = self.conclude(replies, took, took.start);
                self.settle(&tasks, replies, before)
            }
            4 => {
                let (tasks, mset) = self.an_mset();
                let before = self.scene.losses();
                let (reply, took) = timed(mset.query_async::<Value>(&mut self.way)).await;
                let replies = reply.map(|reply| vec![reply; tasks.len()]);
                let replies = self.conclude(replies, took, took.start);
                self.settle(&tasks, replies, before)
            }
            5 => {
                let (indexes, exists) = self.an_exists();
                let (count, took) = timed(exists.query_async(&mut self.way)).await;
                let count = self.conclude(count, took, took.start)?;
                self.judge_exists(indexes, count);
                Ok(())
            }
            6 | 7 => {
                let (tasks, mut pipeline) = self.a_pipeline();
                if kind == 7 {
                    // With that its commands are carried out one after the other.
                    pipeline.cmd("SCAN").arg(0).arg("COUNT").arg(1).ignore();
                }
                let before = self.scene.losses();
                let (replies, took) = timed(pipeline.query_async(&mut self.way)).await;
                self.is_stepwise = kind == 7;
                let replies = self.conclude(replies, took, took.start);
                self.is_stepwise = false;
                self.settle(&tasks, replies, before)
            }
            8 => {
                let writing = self.a_write_of_a_pair();
                let before = self.scene.losses();
                let (read, took) = timed(writing.pipeline.query_async(&mut self.way)).await;
                let read = self.conclude(read, took, took.start);
                self.judge_write(&writing, read, before)
            }
            _ => {
                let (index, pipeline) = self.a_read_of_a_pair();
                let (read, took) = timed(pipeline.query_async(&mut self.way)).await;
                let read: [Value; 2] = self.conclude(read, took, took.start)?;
                self.judge_read(index, &read);
                Ok(())
            }
        }
    }

    /// A request for one key.
    async fn one(&mut self, task: Task, command: &redis::Cmd) -> Result<(), Failed> {
        let before = self.scene.losses();
        let (reply, took) = timed(command.query_async::<Value>(&mut self.way)).await;
        let replies = self.conclude(reply.map(|reply| vec![reply]), took, took.start);
        let result = self.settle(&[task], replies, before);
        self.judge_place(task, result)
    }
}
