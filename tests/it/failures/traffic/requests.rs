//! The requests that a worker makes, and what is made of the replies to some of them.

use std::array;

use redis::Cmd;
use redis::Pipeline;
use redis::Value;
use shardwright::ShardError;
use shardwright::ShardErrorKind;

use super::scene::Losses;
use super::worker::Failed;
use super::worker::Task;
use super::worker::Worker;

/// A transaction that writes both halves of a pair, and reads them.
#[derive(Debug)]
pub struct Writing {
    pub pipeline: Pipeline,
    index: usize,
    numbers: [u64; 2],
    values: [String; 2],
}

impl<W> Worker<W> {
    pub fn a_get(&mut self) -> (Task, Cmd) {
        let index = self.random(self.keys.len());
        (Task::Get(index), redis::cmd("GET").arg(&self.keys[index].name).to_owned())
    }

    pub fn a_set(&mut self) -> (Task, Cmd) {
        let (task, value) = self.write();
        (task, redis::cmd("SET").arg(self.name(task)).arg(value).to_owned())
    }

    pub fn an_increment(&mut self) -> (Task, Cmd) {
        let index = self.random(self.counters.len());
        let counter = &mut self.counters[index];
        counter.next();
        let increment = redis::cmd("INCRBY").arg(&counter.name).arg(counter.step).to_owned();
        (Task::Count(index), increment)
    }

    pub fn an_mget(&mut self) -> (Vec<Task>, Cmd) {
        let count = 2 + self.random(12);
        // A key may be there twice.
        let tasks: Vec<_> = (0..count).map(|_| Task::Get(self.random(self.keys.len()))).collect();
        let mut mget = redis::cmd("MGET");
        for task in &tasks {
            mget.arg(self.name(*task));
        }
        (tasks, mget)
    }

    pub fn an_mset(&mut self) -> (Vec<Task>, Cmd) {
        let mut mset = redis::cmd("MSET");
        let mut tasks = Vec::new();
        for _ in 0..2 + self.random(6) {
            let (task, value) = self.write();
            mset.arg(self.name(task)).arg(value);
            tasks.push(task);
        }
        (tasks, mset)
    }

    /// Each key is named as often as no sum of the others, so that the reply says which are there.
    pub fn an_exists(&mut self) -> ([usize; 3], Cmd) {
        let first = self.random(self.keys.len());
        let indexes = [0, 1, 2].map(|offset| (first + offset) % self.keys.len());
        let mut exists = redis::cmd("EXISTS");
        for (bit, index) in indexes.into_iter().enumerate() {
            for _ in 0..1 << bit {
                exists.arg(&self.keys[index].name);
            }
        }
        (indexes, exists)
    }

    pub fn judge_exists(&mut self, indexes: [usize; 3], count: u64) {
        if count > 7 {
            self.wrong(format!("EXISTS of 7 keys: {count}"));
        }
        for (bit, index) in indexes.into_iter().enumerate() {
            let sight = self.sight(self.keys[index].home);
            let judged = self.keys[index].judge_existence(count & 1 << bit != 0, sight);
            self.note(judged);
        }
    }

    pub fn a_pipeline(&mut self) -> (Vec<Task>, Pipeline) {
        let mut pipeline = redis::pipe();
        let mut tasks = Vec::new();
        for _ in 0..2 + self.random(10) {
            match self.random(3) {
                0 => tasks.push(Task::Get(self.random(self.keys.len()))),
                1 => {
                    let (task, value) = self.write();
                    pipeline.cmd("SET").arg(self.name(task)).arg(value);
                    let Task::Set(index, _) = task else { unreachable!("it writes") };
                    // What is read behind it on the same node is what was written.
                    tasks.extend([task, Task::Get(index)]);
                }
                _ => {
                    let index = self.random(self.counters.len());
                    let counter = &mut self.counters[index];
                    counter.next();
                    pipeline.cmd("INCRBY").arg(&counter.name).arg(counter.step);
                    tasks.push(Task::Count(index));
                }
            }
            if let Some(Task::Get(index)) = tasks.last() {
                pipeline.cmd("GET").arg(&self.keys[*index].name);
            }
        }
        (tasks, pipeline)
    }

    pub fn a_write_of_a_pair(&mut self) -> Writing {
        let index = self.random(self.pairs.len());
        let pair = &mut self.pairs[index];
        let numbers = [pair[0].next(), pair[1].next()];
        let values = [pair[0].value(numbers[0]), pair[1].value(numbers[1])];
        let mut pipeline = redis::pipe();
        pipeline.atomic().set(&pair[0].name, &values[0]).ignore();
        pipeline.set(&pair[1].name, &values[1]).ignore().get(&pair[0].name).get(&pair[1].name);
        Writing { pipeline, index, numbers, values }
    }

    pub fn judge_write(
        &mut self,
        writing: &Writing,
        read: Result<[String; 2], Failed>,
        before: Losses,
    ) -> Result<(), Failed> {
        let is_refused = matches!(&read, Err(Some(error)) if is_refusal(error));
        for (key, number) in self.pairs[writing.index].iter_mut().zip(writing.numbers) {
            match &read {
                Ok(_) => key.confirm(number, before[key.home]),
                Err(_) if is_refused => key.withdraw(number),
                Err(_) => {}
            }
        }
        let (read, values) = (read?, &writing.values);
        if read != *values {
            self.wrong(format!("{read:?} was read where {values:?} was written"));
        }
        Ok(())
    }

    pub fn a_read_of_a_pair(&mut self) -> (usize, Pipeline) {
        let index = self.random(self.pairs.len());
        let mut pipeline = redis::pipe();
        pipeline.atomic().get(&self.pairs[index][0].name).get(&self.pairs[index][1].name);
        (index, pipeline)
    }

    pub fn judge_read(&mut self, index: usize, read: &[Value; 2]) {
        let sight = self.sight(self.pairs[index][0].home);
        let pair = &self.pairs[index];
        let judged: Vec<_> =
            pair.iter().zip(read).map(|(key, reply)| key.judge(reply, sight)).collect();
        let numbers: [_; 2] = array::from_fn(|half| pair[half].number_in(&read[half]));
        judged.into_iter().for_each(|judged| self.note(judged));
        if numbers[0] != numbers[1] {
            self.wrong(format!("{read:?} were never written together"));
        }
    }

    /// Chooses a key and what is written to it.
    fn write(&mut self) -> (Task, String) {
        let index = self.random(self.keys.len());
        let key = &mut self.keys[index];
        let number = key.next();
        (Task::Set(index, number), key.value(number))
    }

    fn name(&self, task: Task) -> &str {
        match task {
            Task::Get(index) | Task::Set(index, _) => &self.keys[index].name,
            Task::Count(index) => &self.counters[index].name,
        }
    }
}

fn is_refusal(error: &ShardError) -> bool {
    error.kind() == ShardErrorKind::Ejected
}
