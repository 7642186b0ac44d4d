//! How the system schedules a worker.
//!
//! On a machine whose processors are all busy, a thread that wakes up takes the processor from the one that runs. That
//! may be the node which has just answered the first of many requests: the worker passes on that one reply, sleeps
//! again, and every reply costs system calls and two changes of threads of its own. Under `SCHED_BATCH` a thread that
//! wakes up lets the other one come to the end of what it does, and finds all of it. A memcached get of 10 keys with
//! 50 clients then cost about half of the processor time, where both processors were busy (Linux 6.18; where they were
//! not there was little to gain). Beside programs that compute it costs milliseconds, though, and turns that have much to
//! do anyway gain little. So it is asked for only while many clients wait and turns have next to nothing to do.

use std::time::Duration;
use std::time::Instant;

/// How long turns are counted before looking at them.
const WINDOW: Duration = Duration::from_millis(100);
/// A worker with fewer turns in a window has time to spare.
const BUSY: u32 = 200;
/// Turns are too short when so many clients wait for each event that one has. As long as fewer clients than this wait,
/// the policy is the usual one.
const CROWD: usize = 24;

/// The scheduling policy of the worker's thread, by what there is to do.
#[derive(Debug)]
pub(super) struct Policy {
    turns: u32,
    events: u32,
    since: Instant,
    is_batch: bool,
    /// Whether the system, or who started us, has decided otherwise.
    is_settled: bool,
}

impl Policy {
    /// That of the thread that calls this.
    pub(super) fn of_this_thread(now: Instant) -> Self {
        let is_usual = std::fs::read_to_string("/proc/thread-self/stat")
            .is_ok_and(|stat| policy_in(&stat) == Some(SCHED_OTHER));
        Self { turns: 0, events: 0, since: now, is_batch: false, is_settled: !is_usual }
    }

    /// Takes note of the events of a turn; `waiting` counts the clients that wait for a reply.
    #[inline]
    pub(super) fn count(&mut self, events: u32, now: Instant, waiting: impl FnOnce() -> usize) {
        self.turns += 1;
        self.events = self.events.saturating_add(events);
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.look(waiting);
            (self.turns, self.events, self.since) = (0, 0, now);
        }
    }

    fn look(&mut self, waiting: impl FnOnce() -> usize) {
        let (turns, events) = (self.turns as usize, self.events as usize);
        let should_be_batch = if self.is_batch {
            waiting() >= CROWD
        } else {
            // Where turns are long enough for any crowd nobody need be counted.
            self.turns >= BUSY && events < 4 * turns && waiting() * turns >= CROWD * events
        };
        if should_be_batch != self.is_batch && !self.is_settled {
            self.is_settled = !ask_for(should_be_batch);
            self.is_batch = should_be_batch;
        }
    }
}

/// The number of the usual policy, Linux's `SCHED_OTHER`.
const SCHED_OTHER: u32 = 0;

/// The number of a policy in the `stat` of a thread: field 41 (proc(5)).
fn policy_in(stat: &str) -> Option<u32> {
    // The second field is the name, which may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(41 - 3)?.parse().ok()
}

/// Whether the system does it.
#[cfg(target_os = "linux")]
fn ask_for(is_batch: bool) -> bool {
    let policy = if is_batch { scheduler::Policy::Batch } else { scheduler::Policy::Other };
    scheduler::set_self_policy(policy, 0).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn ask_for(_: bool) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const SCHED_BATCH: u32 = 3;
    const SCHED_IDLE: u32 = 5;

    fn of_system() -> Option<u32> {
        policy_in(&std::fs::read_to_string("/proc/thread-self/stat").unwrap())
    }

    #[expect(clippy::disallowed_methods, reason = "a beginning is needed, whatever it is")]
    fn policy() -> Policy {
        Policy::of_this_thread(Instant::now())
    }

    /// A window of turns with so many events each.
    fn pass(policy: &mut Policy, turns: u32, events: u32, waiting: usize) {
        let end = policy.since + WINDOW;
        for _ in 1..turns {
            policy.count(events, policy.since, || panic!("it is not time"));
        }
        policy.count(events, end, || waiting);
    }

    #[test]
    fn short_turns_before_a_crowd_are_scheduled_as_a_batch() {
        let mut policy = policy();
        if policy.is_settled {
            // Whoever runs the tests wants it so.
            return;
        }
        for (turns, events, waiting) in [(BUSY - 1, 1, 50), (BUSY, 3, 71), (BUSY, 4, 1000)] {
            pass(&mut policy, turns, events, waiting);
            assert_eq!(of_system(), Some(SCHED_OTHER), "{turns} {events} {waiting}");
        }
        pass(&mut policy, BUSY, 2, 48);
        assert_eq!(of_system(), Some(SCHED_BATCH));
        // The turns are longer for it.
        pass(&mut policy, 10, 40, CROWD);
        assert_eq!(of_system(), Some(SCHED_BATCH));
        pass(&mut policy, 10, 40, CROWD - 1);
        assert_eq!(of_system(), Some(SCHED_OTHER));
    }

    #[test]
    fn another_policy_is_left_alone() {
        scheduler::set_self_policy(scheduler::Policy::Idle, 0).unwrap();
        let mut policy = policy();
        pass(&mut policy, BUSY, 1, 1000);
        assert_eq!(of_system(), Some(SCHED_IDLE));
    }

    #[test]
    fn the_name_of_a_thread_may_have_anything_in_it() {
        let stat = format!("1 (a) b) S {} 3 0", ["1"; 37].join(" "));
        assert_eq!(policy_in(&stat), Some(3));
        assert_eq!(policy_in("1 (a) S 1"), None);
    }
}
