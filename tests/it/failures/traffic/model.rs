//! What a key may hold, as its only writer knows it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use redis::Value;

/// A key whose values are its name and a number that grows with each write.
#[derive(Debug)]
pub struct Key {
    pub name: String,
    /// The node that owns it when all live.
    pub home: usize,
    /// The number of the last write that was tried.
    tried: u64,
    /// That of the last one that was confirmed.
    written: Option<u64>,
    /// Those of which it is not known whether they were carried out, or will be.
    doubtful: BTreeSet<u64>,
    /// The losses of its home before the confirmed write.
    losses: u64,
}

/// How closely a reply can be judged.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The key was always at home.
    pub is_clear: bool,
    /// The losses of its home after the reply.
    pub losses: u64,
}

impl Key {
    pub fn new(name: String, home: usize) -> Self {
        Self { name, home, tried: 0, written: None, doubtful: BTreeSet::new(), losses: 0 }
    }

    /// The number of a write that is going to be tried.
    pub fn next(&mut self) -> u64 {
        self.tried += 1;
        self.doubtful.insert(self.tried);
        self.tried
    }

    pub fn value(&self, number: u64) -> String {
        format!("{}={number}", self.name)
    }

    /// A write was confirmed. `losses` are those of before it was sent.
    pub fn confirm(&mut self, number: u64, losses: u64) {
        self.doubtful.remove(&number);
        self.written = Some(number);
        self.losses = losses;
    }

    /// A write was not sent.
    pub fn withdraw(&mut self, number: u64) {
        self.doubtful.remove(&number);
    }

    /// Whether the key can hold this.
    pub fn judge(&self, reply: &Value, sight: Sight) -> Result<(), String> {
        let fits = match self.number_in(reply)? {
            None => self.can_be_missing(sight),
            Some(number) if sight.is_clear => {
                self.written == Some(number) || self.doubtful.contains(&number)
            }
            Some(number) => (1..=self.tried).contains(&number),
        };
        if fits { Ok(()) } else { Err(format!("{reply:?} for {self:?} seen with {sight:?}")) }
    }

    /// Whether the key can be there, or not.
    pub fn judge_existence(&self, exists: bool, sight: Sight) -> Result<(), String> {
        let fits = if exists { self.tried > 0 } else { self.can_be_missing(sight) };
        if fits { Ok(()) } else { Err(format!("exists: {exists}, {self:?} seen with {sight:?}")) }
    }

    /// The number in a value of this key.
    ///
    /// # Errors
    ///
    /// For whatever is no value of this key.
    pub fn number_in(&self, reply: &Value) -> Result<Option<u64>, String> {
        let foreign = || format!("{reply:?} is no value of {}", self.name);
        match reply {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| foreign())?;
                let (name, number) = text.split_once('=').ok_or_else(foreign)?;
                let number = number.parse().map_err(|_| foreign())?;
                if name == self.name { Ok(Some(number)) } else { Err(foreign()) }
            }
            _ => Err(foreign()),
        }
    }

    fn can_be_missing(&self, sight: Sight) -> bool {
        !sight.is_clear || self.written.is_none() || sight.losses > self.losses
    }
}

/// A counter that grows in steps which no other counter has, so that a reply says whose it is.
#[derive(Debug)]
pub struct Counter {
    pub name: String,
    pub home: usize,
    pub step: u64,
    tried: u64,
    /// What the last reply said.
    count: u64,
    doubtful: u64,
    losses: u64,
}

impl Counter {
    pub fn new(name: String, home: usize, step: u64) -> Self {
        Self { name, home, step, tried: 0, count: 0, doubtful: 0, losses: 0 }
    }

    /// A step is going to be tried.
    pub fn next(&mut self) {
        self.tried += 1;
        self.doubtful += 1;
    }

    /// A step was not sent.
    pub fn withdraw(&mut self) {
        self.tried -= 1;
        self.doubtful -= 1;
    }

    /// Whether the step can have been answered so; `losses` are those of before it was sent.
    pub fn confirm(&mut self, reply: &Value, losses: u64, sight: Sight) -> Result<(), String> {
        let Value::Int(number) = reply else {
            return Err(format!("{reply:?} is no count of {}", self.name));
        };
        let number = u64::try_from(*number).unwrap_or(0);
        let count = number / self.step;
        self.doubtful -= 1;
        if number % self.step != 0 || !self.possible(sight).contains(&count) {
            return Err(format!("{reply:?} for {self:?} seen with {sight:?}"));
        }
        self.count = count;
        self.losses = losses;
        Ok(())
    }

    fn possible(&self, sight: Sight) -> RangeInclusive<u64> {
        if sight.is_clear && sight.losses == self.losses {
            self.count + 1..=self.count + 1 + self.doubtful
        } else {
            1..=self.tried
        }
    }
}
