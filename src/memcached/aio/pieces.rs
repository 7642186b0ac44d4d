//! Where what is sent over TLS is cut.

use std::collections::VecDeque;

/// The requests that are still to be sent, where no piece may have the end of a request that is longer than
/// a piece and the beginning of another (as with [`Link::piece`](crate::memcached::link::Link::piece)).
#[derive(Debug)]
pub(super) struct Pieces {
    /// How long a piece of several requests may be.
    limit: usize,
    /// How much of each is to be sent.
    requests: VecDeque<usize>,
    /// Whether some of the first was sent.
    is_begun: bool,
}

impl Pieces {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, requests: VecDeque::new(), is_begun: false }
    }

    /// Notes that a request of so many bytes is to be sent behind the others.
    pub(super) fn add(&mut self, length: usize) {
        self.requests.push_back(length);
    }

    /// Notes that so much was sent.
    pub(super) fn sent(&mut self, count: usize) {
        let mut left = count;
        while left > 0
            && let Some(first) = self.requests.front_mut()
        {
            if left < *first {
                *first -= left;
                self.is_begun = true;
                return;
            }
            left -= *first;
            self.requests.pop_front();
            self.is_begun = false;
        }
    }

    /// How long the next piece is: as many whole requests as fit, or one, or what is left of one.
    pub(super) fn next(&self) -> usize {
        let mut requests = self.requests.iter();
        let first = requests.next().copied().unwrap_or_default();
        if self.is_begun {
            return first;
        }
        requests
            .scan(first, |end, request| {
                *end += request;
                Some(*end)
            })
            .take_while(|end| *end <= self.limit)
            .last()
            .unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(requests: &[usize]) -> Vec<usize> {
        let mut pieces = Pieces::new(10);
        requests.iter().for_each(|&length| pieces.add(length));
        let mut seen = Vec::new();
        while pieces.next() > 0 {
            seen.push(pieces.next());
            pieces.sent(pieces.next());
        }
        seen
    }

    #[test]
    fn pieces_end_where_requests_end() {
        assert_eq!(pieces(&[5]), [5]);
        assert_eq!(pieces(&[5, 5, 1]), [10, 1]);
        assert_eq!(pieces(&[3, 17, 1, 1]), [3, 17, 2]);
        assert_eq!(pieces(&[25, 2, 33, 1]), [25, 2, 33, 1]);
    }

    #[test]
    fn what_is_left_of_a_request_stays_alone() {
        let mut pieces = Pieces::new(10);
        pieces.add(12);
        pieces.sent(9);
        pieces.add(1);
        assert_eq!(pieces.next(), 3);
        pieces.sent(3);
        assert_eq!(pieces.next(), 1);
    }

    proptest! {
        #[test]
        fn no_piece_has_a_long_request_and_another(
            requests in prop::collection::vec(1..30_usize, 1..50),
            // How much of a piece goes at once, at most.
            turns in prop::collection::vec(1..40_usize, 1..20),
        ) {
            let mut pieces = Pieces::new(10);
            let mut ends = vec![0];
            for &length in &requests {
                pieces.add(length);
                ends.push(ends[ends.len() - 1] + length);
            }
            let total = ends[ends.len() - 1];
            let mut start = 0;
            for turn in turns.iter().cycle() {
                let length = pieces.next();
                if length == 0 {
                    break;
                }
                let inside = ends.iter().filter(|&&end| start < end && end < start + length);
                prop_assert!(length <= 10 || inside.count() == 0);
                prop_assert!(ends.contains(&(start + length)));
                let count = length.min(*turn);
                pieces.sent(count);
                start += count;
            }
            prop_assert_eq!(start, total);
        }
    }
}
