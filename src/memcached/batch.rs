//! What one node is asked in one write, and what came of it.
//!
//! ```text
//!   asks      get a   get b   get c   delete d   get e
//!   lines     get a b c               delete d   get e         requests on the wire, each with one reply
//! ```

use super::ask::Ask;
use super::ask::Outcome;
use super::link::FoundTurn;
use super::link::Link;
use super::wire_error::WireError;
use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::Found;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::write_gets;

/// Requests to one node that are made at the same time.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    asks: &'a [Ask<'a>],
    lines: Vec<Line>,
    /// Those of the asks that have been answered.
    outcomes: Vec<Option<Outcome>>,
    /// Which line is answered next, and which of its asks perhaps.
    line: usize,
    place: usize,
}

/// One request on the wire: of one ask, or gets of several keys.
#[derive(Clone, Copy, Debug)]
struct Line {
    first: usize,
    count: usize,
    opaque: u32,
    /// Where it ends in what is sent.
    end: usize,
}

/// How many keys go into one line: it has 25 kB then at most.
const KEYS_A_LINE: usize = 100;

impl<'a> Batch<'a> {
    pub(super) fn new(asks: &'a [Ask<'a>]) -> Self {
        let outcomes = asks.iter().map(|_| None).collect();
        Self { asks, lines: Vec::new(), outcomes, line: 0, place: 0 }
    }

    /// Appends the requests to `out`, for `link` to send.
    pub(super) fn write(&mut self, link: &mut Link, out: &mut Vec<u8>) {
        let mut first = 0;
        while let Some(ask) = self.asks.get(first) {
            let with_cas = is_get(ask);
            let alike = |other: &&Ask<'_>| with_cas.is_some() && is_get(other) == with_cas;
            let rest = self.asks[first + 1..].iter().take(KEYS_A_LINE - 1);
            let count = 1 + rest.take_while(alike).count();
            let opaque = match (count, with_cas) {
                (2.., Some(with_cas)) => {
                    let keys = self.asks[first..first + count].iter().map(Ask::key);
                    write_gets(out, keys, with_cas);
                    0
                }
                _ => link.write(ask, out),
            };
            self.lines.push(Line { first, count, opaque, end: out.len() });
            first += count;
        }
    }

    /// Where a piece ends that begins at `sent`: behind as many whole requests as have `limit` bytes, or
    /// behind the one that it begins in.
    pub(super) fn end_of_piece(&self, sent: usize, limit: usize) -> usize {
        let next = self.lines.partition_point(|line| line.end <= sent);
        let start = next.checked_sub(1).map_or(0, |last| self.lines[last].end);
        let mut ends = self.lines[next..].iter().map(|line| line.end);
        let end = ends.next().unwrap_or(sent);
        let fitting = ends.take_while(|end| start == sent && end - sent <= limit);
        fitting.last().unwrap_or(end)
    }

    pub(super) fn is_written(&self) -> bool {
        !self.lines.is_empty()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.is_written() && self.line == self.lines.len()
    }

    /// What came of the asks; `None` for those that were not answered.
    pub(super) fn into_outcomes(self) -> Vec<Option<Outcome>> {
        self.outcomes
    }

    /// Reads the replies that have arrived on `link`, and adds their lengths to `received`. Returns how many
    /// bytes are missing at least of the next one.
    ///
    /// # Errors
    ///
    /// If what has arrived is no reply to what was asked.
    pub(super) fn read(
        &mut self,
        link: &mut Link,
        received: &mut usize,
    ) -> Result<usize, WireError> {
        while let Some(line) = self.lines.get(self.line).copied() {
            if line.count > 1 {
                match self.read_found(line, link, received)? {
                    Some(missing) => return Ok(missing),
                    None => continue,
                }
            }
            match link.next(&self.asks[line.first], line.opaque)? {
                Ok((outcome, length)) => {
                    self.outcomes[line.first] = Some(outcome);
                    *received += length;
                    self.line += 1;
                }
                Err(missing) => return Ok(missing),
            }
        }
        Ok(1)
    }

    /// Reads one value of a line with several keys, or its end.
    fn read_found(
        &mut self,
        line: Line,
        link: &mut Link,
        received: &mut usize,
    ) -> Result<Option<usize>, WireError> {
        let with_cas = is_get(&self.asks[line.first]).unwrap_or_default();
        let (asks, outcomes, place) = (self.asks, &mut self.outcomes, &mut self.place);
        let accept = |found: Found<'_>| {
            let Found { key, data, flags, cas } = found;
            let index = line.place_of(key, asks, outcomes, *place).ok_or(BrokenReply::Key)?;
            outcomes[line.first + index] = Some(Outcome::Value { data: data.to_vec(), flags, cas });
            *place = index + 1;
            Ok(())
        };
        let (turn, length) = link.next_found(with_cas, accept)?;
        *received += length;
        let rest = match turn {
            FoundTurn::Missing(count) => return Ok(Some(count)),
            FoundTurn::Value => return Ok(None),
            FoundTurn::End => Outcome::Miss,
            FoundTurn::Refused(refusal) => Outcome::Refused(refusal),
        };
        for outcome in &mut self.outcomes[line.first..line.first + line.count] {
            if outcome.is_none() {
                *outcome = Some(rest.clone());
            }
        }
        self.line += 1;
        self.place = 0;
        Ok(None)
    }
}

impl Line {
    /// Which of the line's keys this is. A server has them in the order they were asked for, so they are
    /// looked for from `place` on; what stands in between, a proxy, may have another order.
    fn place_of(
        self,
        key: &[u8],
        asks: &[Ask<'_>],
        outcomes: &[Option<Outcome>],
        place: usize,
    ) -> Option<usize> {
        let is_it = |index: &usize| {
            let index = self.first + index;
            outcomes[index].is_none() && asks[index].key() == key
        };
        (place..self.count).find(is_it).or_else(|| (0..place).find(is_it))
    }
}

/// For a get, whether it wants the cas.
fn is_get(ask: &Ask<'_>) -> Option<bool> {
    match ask {
        Ask::Key { request: Request::Get { with_cas }, .. } => Some(*with_cas),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_requests_end() {
        let lines = |ends: &[usize]| {
            let line = |&end: &usize| Line { first: 0, count: 1, opaque: 0, end };
            Batch { lines: ends.iter().map(line).collect(), ..Batch::new(&[]) }
        };
        let pieces = |ends: &[usize]| {
            let (batch, mut sent, mut pieces) = (lines(ends), 0, Vec::new());
            while sent < ends[ends.len() - 1] {
                sent = batch.end_of_piece(sent, 10);
                pieces.push(sent);
            }
            pieces
        };
        assert_eq!(pieces(&[5]), [5]);
        assert_eq!(pieces(&[5, 10, 11]), [10, 11]);
        assert_eq!(pieces(&[3, 20, 21, 22]), [3, 20, 22]);
        assert_eq!(pieces(&[25, 27, 60, 61]), [25, 27, 60, 61]);
        // What is left of a long request stays alone.
        assert_eq!(lines(&[25, 27]).end_of_piece(20, 10), 25);
    }
}
