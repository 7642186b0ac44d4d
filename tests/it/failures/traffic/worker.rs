//! A thread that makes requests and judges what comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use redis::Cmd;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;
use shardwright::ShardError;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

use super::model::Counter;
use super::model::Key;
use super::scene::Scene;
use crate::support::stopwatch::pause;
use crate::support::stopwatch::timed;

/// How requests get to the nodes.
pub enum Way {
    Connection(Box<ShardedConnection>),
    /// The client itself, with new sockets for each request.
    Client(Box<ShardedClient>),
}

/// A thread's keys, which nobody else writes, and what it has seen.
pub struct Worker<W> {
    pub scene: Arc<Scene>,
    pub way: W,
    pub(super) random: u64,
    pub keys: Vec<Key>,
    /// Two and two have a hash tag in common, and are only written together.
    pub pairs: Vec<[Key; 2]>,
    pub counters: Vec<Counter>,
    /// The request goes to one node after the other, and the time that one took is missing for the next.
    pub is_stepwise: bool,
    pub report: Report,
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

impl Report {
    /// Adds what another worker has seen.
    pub fn add(&mut self, other: Self) {
        for kind in 0..KINDS {
            self.answered[kind] += other.answered[kind];
        }
        self.calls += other.calls;
        self.failed += other.failed;
        self.refused += other.refused;
        self.starved += other.starved;
        self.longest = self.longest.max(other.longest);
        self.excess = self.excess.max(other.excess);
        self.wrong.extend(other.wrong);
    }
}

/// A command with one key and its place in the worker's list.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    Get(usize),
    Set(usize, u64),
    Count(usize),
}

/// Why a call failed, if it is an error of ours; any other has been noted as wrong.
pub type Failed = Option<ShardError>;

/// How many keys, pairs and counters a worker has.
#[derive(Clone, Copy, Debug)]
pub struct Stock {
    pub keys: usize,
    pub pairs: usize,
    pub counters: usize,
}

impl Worker<Way> {
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
    fn ask_one(&mut self, task: Task, command: &Cmd) -> Result<(), Failed> {
        let result = self.ask(&[task], |con| command.query(con).map(|reply| vec![reply]));
        self.judge_place(task, result)
    }

    /// Makes a request of which each task has a reply, and judges them.
    fn ask(
        &mut self,
        tasks: &[Task],
        request: impl FnOnce(&mut dyn ConnectionLike) -> RedisResult<Vec<Value>>,
    ) -> Result<(), Failed> {
        let before = self.scene.losses();
        let replies = self.call(request);
        self.settle(tasks, replies, before)
    }

    fn call<T>(
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
    fn call_since<T>(
        &mut self,
        since: Instant,
        request: impl FnOnce(&mut ShardedConnection) -> RedisResult<T>,
    ) -> Result<T, Failed> {
        let Way::Connection(connection) = &mut self.way else { unreachable!("it has one") };
        let (result, took) = timed(|| request(connection));
        self.conclude(result, took, since)
    }

    fn get(&mut self) -> Result<(), Failed> {
        let (task, get) = self.a_get();
        self.ask_one(task, &get)
    }

    fn set(&mut self) -> Result<(), Failed> {
        let (task, set) = self.a_set();
        self.ask_one(task, &set)
    }

    fn increment(&mut self) -> Result<(), Failed> {
        let (task, increment) = self.an_increment();
        self.ask_one(task, &increment)
    }

    fn mget(&mut self) -> Result<(), Failed> {
        let (tasks, mget) = self.an_mget();
        self.ask(&tasks, |con| mget.query(con))
    }

    fn mset(&mut self) -> Result<(), Failed> {
        let (tasks, mset) = self.an_mset();
        self.ask(&tasks, |con| mset.query(con).map(|reply: Value| vec![reply; tasks.len()]))
    }

    fn exists(&mut self) -> Result<(), Failed> {
        let (indexes, exists) = self.an_exists();
        let count = self.call(|con| exists.query(con))?;
        self.judge_exists(indexes, count);
        Ok(())
    }

    fn pipeline(&mut self) -> Result<(), Failed> {
        let (tasks, pipeline) = self.a_pipeline();
        self.ask(&tasks, |con| pipeline.query(con))
    }

    fn write_pair(&mut self) -> Result<(), Failed> {
        let writing = self.a_write_of_a_pair();
        let before = self.scene.losses();
        let read = self.call(|con| writing.pipeline.query(con));
        self.judge_write(&writing, read, before)
    }

    fn read_pair(&mut self) -> Result<(), Failed> {
        let (index, pipeline) = self.a_read_of_a_pair();
        let read = self.call(|con| pipeline.query(con))?;
        self.judge_read(index, &read);
        Ok(())
    }

    /// Requests that are all sent before the first reply is fetched.
    fn fly(&mut self) -> Result<(), Failed> {
        let Way::Connection(_) = self.way else {
            return self.get();
        };
        // That a node could not be written to is said when its reply is fetched.
        let start = Instant::now();
        let mut sent = Vec::new();
        let mut refused = Ok(());
        for _ in 0..1 + self.random(6) {
            let index = self.random(self.keys.len());
            let get = redis::cmd("GET").arg(&self.keys[index].name).get_packed_command();
            refused = self.call_since(start, |con| con.send_packed_command(&get));
            if refused.is_err() {
                break;
            }
            sent.push(index);
        }
        for index in sent {
            match self.call_since(start, ShardedConnection::recv_response) {
                Ok(reply) => {
                    let sight = self.sight(self.keys[index].home);
                    let judged = self.keys[index].judge(&reply, sight);
                    self.note(judged);
                }
                Err(error) => refused = Err(error),
            }
        }
        refused
    }
}
