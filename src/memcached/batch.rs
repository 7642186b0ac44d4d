//! What one node is asked in one write, and what came of it.

use super::ask::Ask;
use super::ask::Outcome;
use super::lines::lines;
use super::lines::place_of;
use super::lines::wants_cas;
use super::link::FoundTurn;
use super::link::Link;
use super::wire_error::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::Found;

/// How many bytes are put together before the clock is looked at again.
const BETWEEN_LOOKS: usize = 1 << 20;

/// Requests to one node that are made at the same time.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    asks: &'a [Ask<'a>],
    lines: Vec<Sent>,
    /// Those of the asks that have been answered.
    outcomes: Vec<Option<Outcome>>,
    /// Which line is answered next, and which of its asks perhaps.
    line: usize,
    place: usize,
}

/// One request on the wire: of one ask, or gets of several keys.
#[derive(Clone, Copy, Debug)]
struct Sent {
    first: usize,
    count: usize,
    /// Of one with several keys, whether it wants the cas.
    with_cas: Option<bool>,
    opaque: u32,
    /// Where it ends in what is sent.
    end: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn new(asks: &'a [Ask<'a>]) -> Self {
        let outcomes = asks.iter().map(|_| None).collect();
        Self { asks, lines: Vec::new(), outcomes, line: 0, place: 0 }
    }

    /// Appends the requests to `out`, for `link` to send.
    ///
    /// # Errors
    ///
    /// If that takes longer than the deadline leaves.
    pub(super) fn write(
        &mut self,
        link: &mut Link,
        out: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), WireError> {
        let Some((first, others)) = self.asks.split_first() else { return Ok(()) };
        let (line, others) = lines(first, others);
        let (mut first, mut looked_at) = (0, out.len());
        for line in std::iter::once(line).chain(others) {
            let opaque = link.write(line, out);
            let (count, with_cas) = (1 + line.1.len(), wants_cas(line));
            self.lines.push(Sent { first, count, with_cas, opaque, end: out.len() });
            first += count;
            if out.len() - looked_at > BETWEEN_LOOKS {
                looked_at = out.len();
                if deadline.has_passed(clock::now()) {
                    return Err(WireError::Unsent);
                }
            }
        }
        Ok(())
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
            if let Some(with_cas) = line.with_cas {
                match self.read_found(line, with_cas, link, received)? {
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
        line: Sent,
        with_cas: bool,
        link: &mut Link,
        received: &mut usize,
    ) -> Result<Option<usize>, WireError> {
        let (asks, outcomes, place) = (self.asks, &mut self.outcomes, &mut self.place);
        let accept = |found: Found<'_>| {
            let Found { key, data, flags, cas } = found;
            let is_it = |index: &usize| {
                let index = line.first + index;
                outcomes[index].is_none() && asks[index].key() == key
            };
            let index = place_of(line.count, *place, is_it).ok_or(BrokenReply::Key)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_requests_end() {
        let lines = |ends: &[usize]| {
            let line = |&end: &usize| Sent { first: 0, count: 1, with_cas: None, opaque: 0, end };
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
