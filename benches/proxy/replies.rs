//! Whether replies are what was asked for: each value begins with its key, and each array has the keys' order.

use crate::batch::Batch;
use crate::batch::KEY;
use crate::workload::Protocol;
use crate::workload::Request;
use crate::workload::Workload;

/// The replies to one batch, byte by byte.
#[derive(Default)]
pub struct Replies {
    /// How many of them are complete.
    complete: usize,
    /// The keys of the current one that were answered, and how many an array has.
    answered: usize,
    is_array: bool,
    /// Bytes of a value that are still to come and are not looked at.
    skip: usize,
    /// A memcached may answer in any order: what the keys asked for add up to, less those that came.
    balance: [u64; 2],
}

/// What was wrong.
#[derive(Debug, Default)]
pub struct Faults {
    pub count: u64,
    pub first: Option<String>,
}

impl Replies {
    /// Looks at bytes that arrived; `Ok` is how many of them it is done with.
    ///
    /// # Errors
    ///
    /// What came, if nothing after it can be understood.
    pub fn read(
        &mut self,
        bytes: &[u8],
        batch: &Batch,
        workload: &Workload,
        faults: &mut Faults,
    ) -> Result<usize, String> {
        let mut at = 0;
        while at < bytes.len() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len() - at);
                (at, self.skip) = (at + skipped, self.skip - skipped);
                if self.skip == 0 {
                    self.value_is_over(workload);
                }
                continue;
            }
            let rest = &bytes[at..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            if self.complete == workload.pipeline {
                return Err(format!("a reply too many: {}", text(line)));
            }
            let is_value = match workload.protocol {
                Protocol::Redis => line.first() == Some(&b'$') && line.get(1) != Some(&b'-'),
                Protocol::Memcached => line.starts_with(b"VALUE "),
            };
            if !is_value {
                self.line(line, batch, workload, faults)?;
                at += end + 1;
                continue;
            }
            let Some(start) = rest.get(end + 1..end + 1 + KEY) else { break };
            self.value(line, start, batch, workload, faults)?;
            at += end + 1;
        }
        Ok(at)
    }

    pub fn is_over(&self, workload: &Workload) -> bool {
        self.complete == workload.pipeline
    }

    /// How many replies have come.
    pub fn complete(&self) -> usize {
        self.complete
    }

    fn line(
        &mut self,
        line: &[u8],
        batch: &Batch,
        workload: &Workload,
        faults: &mut Faults,
    ) -> Result<(), String> {
        let keys = workload.request.keys();
        match (workload.protocol, workload.request, line) {
            (Protocol::Redis, Request::Set | Request::MultiSet(_), b"+OK")
            | (Protocol::Memcached, Request::Set, b"STORED") => self.next(),
            (Protocol::Redis, Request::MultiGet(_), [b'*', count @ ..]) if !self.is_array => {
                if number(count) != Some(keys) {
                    return Err(format!("an array of another length: {}", text(line)));
                }
                self.is_array = true;
            }
            (Protocol::Redis, _, [b'-' | b'$' | b'+', ..]) => {
                faults.add(|| text(line));
                self.answered += 1;
                if !self.is_array || self.answered == keys {
                    self.next();
                }
            }
            (Protocol::Memcached, Request::Get | Request::MultiGet(_), b"END") => {
                if self.answered != keys {
                    faults.add(|| format!("{} values for {keys} keys", self.answered));
                } else if keys > 1 {
                    let first = self.complete * keys;
                    for key in first..first + keys {
                        self.weigh(batch.key(key), u64::wrapping_add);
                    }
                    if self.balance != [0, 0] {
                        faults.add(|| "values of other keys than those asked for".to_owned());
                    }
                }
                self.next();
            }
            (Protocol::Memcached, _, _) if line.windows(5).any(|word| word == b"ERROR") => {
                faults.add(|| text(line));
                self.next();
            }
            _ => return Err(format!("not a reply to this request: {}", text(line))),
        }
        Ok(())
    }

    /// The line before a value and the first bytes of that.
    fn value(
        &mut self,
        line: &[u8],
        start: &[u8],
        batch: &Batch,
        workload: &Workload,
        faults: &mut Faults,
    ) -> Result<(), String> {
        let keys = workload.request.keys();
        let length = line.rsplit(|byte| matches!(byte, b' ' | b'$')).next().and_then(number);
        if length != Some(workload.value) || self.answered == keys {
            return Err(format!("a value of another length, or one too many: {}", text(line)));
        }
        let expected = batch.key(self.complete * keys + self.answered);
        if workload.protocol == Protocol::Memcached {
            let key = line.get(b"VALUE ".len()..b"VALUE ".len() + KEY).unwrap_or_default();
            if start != key || (keys == 1 && key != expected) {
                faults.add(|| format!("{} has {}", text(key), text(start)));
            }
            self.weigh(key, u64::wrapping_sub);
            self.answered += 1;
        } else if start != expected {
            faults.add(|| format!("for {}: {}", text(expected), text(start)));
        }
        self.skip = workload.value + b"\r\n".len();
        Ok(())
    }

    fn value_is_over(&mut self, workload: &Workload) {
        if workload.protocol == Protocol::Redis {
            self.answered += 1;
            if !self.is_array || self.answered == workload.request.keys() {
                self.next();
            }
        }
    }

    fn next(&mut self) {
        *self = Self { complete: self.complete + 1, ..Self::default() };
    }

    fn weigh(&mut self, key: &[u8], add: fn(u64, u64) -> u64) {
        let digits = key.iter().filter(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
        let [sum, squares] = self.balance;
        self.balance = [add(sum, number), add(squares, number * number)];
    }
}

impl Faults {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(what());
        }
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn text(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(120)].escape_ascii().to_string()
}
