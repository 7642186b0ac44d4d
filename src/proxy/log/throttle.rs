//! At most one line a second from one place.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Lets one in a second pass and counts the others.
#[derive(Debug)]
pub(in crate::proxy) struct Throttle {
    /// Milliseconds since the first question of the process at which the next one may pass.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl Throttle {
    pub(in crate::proxy) const fn new() -> Self {
        Self { next: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// `None` if it must not pass now, else how many did not pass since the last that did.
    #[allow(clippy::disallowed_methods, reason = "a second of real time is meant")]
    pub(in crate::proxy) fn admit(&self) -> Option<u64> {
        static START: OnceLock<Instant> = OnceLock::new();
        self.admit_at(START.get_or_init(Instant::now).elapsed())
    }

    fn admit_at(&self, now: Duration) -> Option<u64> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let next = self.next.load(Ordering::Relaxed);
        let passes = now >= next
            && self
                .next
                .compare_exchange(next, now + 1000, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if passes {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_passes_and_tells_how_many_did_not() {
        let throttle = Throttle::new();
        let at = |milliseconds| throttle.admit_at(Duration::from_millis(milliseconds));
        assert_eq!(at(5), Some(0));
        assert_eq!((at(6), at(1004)), (None, None));
        assert_eq!(at(1005), Some(2));
        assert_eq!((at(2004), at(9000), at(10_000)), (None, Some(1), Some(0)));
    }
}
