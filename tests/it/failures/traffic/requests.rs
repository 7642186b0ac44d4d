//! The requests that a worker makes.

use std::array;
use std::time::Instant;

use redis::Value;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedConnection;

use super::worker::Failed;
use super::worker::Task;
use super::worker::Way;
use super::worker::Worker;

impl Worker {
    pub(super) fn get(&mut self) -> Result<(), Failed> {
        let index = self.random(self.keys.len());
        let get = redis::cmd("GET").arg(&self.keys[index].name).to_owned();
        self.ask_one(Task::Get(index), &get)
    }

    pub(super) fn set(&mut self) -> Result<(), Failed> {
        let (task, value) = self.write();
        let Task::Set(index, _) = task else { unreachable!("it writes") };
        let set = redis::cmd("SET").arg(&self.keys[index].name).arg(value).to_owned();
        self.ask_one(task, &set)
    }

    pub(super) fn increment(&mut self) -> Result<(), Failed> {
        let index = self.random(self.counters.len());
        let counter = &mut self.counters[index];
        counter.next();
        let increment = redis::cmd("INCRBY").arg(&counter.name).arg(counter.step).to_owned();
        self.ask_one(Task::Count(index), &increment)
    }

    pub(super) fn mget(&mut self) -> Result<(), Failed> {
        let count = 2 + self.random(12);
        // A key may be there twice.
        let tasks: Vec<_> = (0..count).map(|_| Task::Get(self.random(self.keys.len()))).collect();
        let mut mget = redis::cmd("MGET");
        for task in &tasks {
            mget.arg(self.name(*task));
        }
        self.ask(&tasks, |con| mget.query(con))
    }

    pub(super) fn mset(&mut self) -> Result<(), Failed> {
        let mut mset = redis::cmd("MSET");
        let mut tasks = Vec::new();
        for _ in 0..2 + self.random(6) {
            let (task, value) = self.write();
            mset.arg(self.name(task)).arg(value);
            tasks.push(task);
        }
        self.ask(&tasks, |con| mset.query(con).map(|reply: Value| vec![reply; tasks.len()]))
    }

    /// Each key is named as often as no sum of the others, so that the reply says which are there.
    pub(super) fn exists(&mut self) -> Result<(), Failed> {
        let first = self.random(self.keys.len());
        let indexes = [0, 1, 2].map(|offset| (first + offset) % self.keys.len());
        let mut exists = redis::cmd("EXISTS");
        for (bit, index) in indexes.into_iter().enumerate() {
            for _ in 0..1 << bit {
                exists.arg(&self.keys[index].name);
            }
        }
        let count = self.call(|con| exists.query::<u64>(con))?;
        if count > 7 {
            self.wrong(format!("EXISTS of 7 keys: {count}"));
        }
        for (bit, index) in indexes.into_iter().enumerate() {
            let sight = self.sight(self.keys[index].home);
            let judged = self.keys[index].judge_existence(count & 1 << bit != 0, sight);
            self.note(judged);
        }
        Ok(())
    }

    pub(super) fn pipeline(&mut self) -> Result<(), Failed> {
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
        self.ask(&tasks, |con| pipeline.query(con))
    }

    pub(super) fn write_pair(&mut self) -> Result<(), Failed> {
        let index = self.random(self.pairs.len());
        let pair = &mut self.pairs[index];
        let numbers = [pair[0].next(), pair[1].next()];
        let values = [pair[0].value(numbers[0]), pair[1].value(numbers[1])];
        let mut pipeline = redis::pipe();
        pipeline.atomic().set(&pair[0].name, &values[0]).ignore();
        pipeline.set(&pair[1].name, &values[1]).ignore().get(&pair[0].name).get(&pair[1].name);
        let before = self.scene.losses();
        let result = self.call(|con| pipeline.query::<[String; 2]>(con));
        let is_refused = matches!(&result, Err(Some(error)) if is_refusal(error));
        for (key, number) in self.pairs[index].iter_mut().zip(numbers) {
            match &result {
                Ok(_) => key.confirm(number, before[key.home]),
                Err(_) if is_refused => key.withdraw(number),
                Err(_) => {}
            }
        }
        let read = result?;
        if read != values {
            self.wrong(format!("{read:?} was read where {values:?} was written"));
        }
        Ok(())
    }

    pub(super) fn read_pair(&mut self) -> Result<(), Failed> {
        let index = self.random(self.pairs.len());
        let names = [0, 1].map(|half| self.pairs[index][half].name.clone());
        let mut pipeline = redis::pipe();
        pipeline.atomic().get(&names[0]).get(&names[1]);
        let read = self.call(|con| pipeline.query::<[Value; 2]>(con))?;
        let sight = self.sight(self.pairs[index][0].home);
        let pair = &self.pairs[index];
        let judged: Vec<_> =
            pair.iter().zip(&read).map(|(key, reply)| key.judge(reply, sight)).collect();
        let numbers: [_; 2] = array::from_fn(|half| pair[half].number_in(&read[half]));
        judged.into_iter().for_each(|judged| self.note(judged));
        if numbers[0] != numbers[1] {
            self.wrong(format!("{read:?} were never written together"));
        }
        Ok(())
    }

    /// Requests that are all sent before the first reply is fetched.
    pub(super) fn fly(&mut self) -> Result<(), Failed> {
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

    /// Chooses a key and what is written to it.
    pub(super) fn write(&mut self) -> (Task, String) {
        let index = self.random(self.keys.len());
        let key = &mut self.keys[index];
        let number = key.next();
        (Task::Set(index, number), key.value(number))
    }

    pub(super) fn name(&self, task: Task) -> &str {
        match task {
            Task::Get(index) | Task::Set(index, _) => &self.keys[index].name,
            Task::Count(index) => &self.counters[index].name,
        }
    }
}

fn is_refusal(error: &ShardError) -> bool {
    error.kind() == ShardErrorKind::Ejected
}
