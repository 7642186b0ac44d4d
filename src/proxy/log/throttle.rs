//! At most one line a second of what is said again and again.

use std::time::Duration;
use std::time::Instant;

/// How long what was said is not said again.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets a text pass that is not the one before, and of the same one at most one a second; counts the others.
#[derive(Debug)]
pub(in crate::proxy) struct Throttle {
    /// The text that has passed last, and when.
    last: Option<(String, Instant)>,
    suppressed: u64,
}

impl Throttle {
    pub(in crate::proxy) const fn new() -> Self {
        Self { last: None, suppressed: 0 }
    }

    /// `None` if the text must not pass now, else how many like the last one did not.
    pub(in crate::proxy) fn admit(&mut self, text: &str, now: Instant) -> Option<u64> {
        let is_repeated = self.last.as_ref().is_some_and(|(last, when)| {
            last == text && now.saturating_duration_since(*when) < PAUSE
        });
        if is_repeated {
            self.suppressed += 1;
            return None;
        }
        self.last = Some((text.to_owned(), now));
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_passes_once_a_second_and_another_at_once() {
        #[expect(clippy::disallowed_methods, reason = "whenever that is")]
        let start = Instant::now();
        let mut throttle = Throttle::new();
        let mut at =
            |milliseconds, text| throttle.admit(text, start + Duration::from_millis(milliseconds));
        assert_eq!(at(5, "a"), Some(0));
        assert_eq!((at(6, "a"), at(1004, "a")), (None, None));
        assert_eq!(at(1005, "a"), Some(2));
        assert_eq!((at(1006, "b"), at(1007, "a")), (Some(0), Some(0)));
        assert_eq!((at(1008, "a"), at(1009, "b")), (None, Some(1)));
    }
}
