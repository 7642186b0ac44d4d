//! How long a call took, on a machine that others use too.
//!
//! A call may end up to [`TOLERANCE`] after its deadline. That bound is for the library; what the machine
//! takes away from a thread is not the library's doing, and is measured and taken off:
//!
//! - The kernel counts for each thread how long it was ready to run and did not (`schedstat`, the second
//!   number). That is exact, and no sleep or wait is in it: a thread that waits too long for a node gets
//!   nothing taken off.
//! - Sometimes the whole machine stands still (a virtual machine that is not scheduled), which no thread's
//!   count shows. A companion thread sleeps a millisecond at a time; by how much it wakes too late, less
//!   its own time of being ready and not running, is such a standstill.
//!
//! Of both the greater one is taken off, not the sum: a standstill is in the count of a thread that was
//! ready when it began.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::Once;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// How much later than its deadline a call may end.
pub const TOLERANCE: Duration = Duration::from_millis(50);

/// A call, measured.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub start: Instant,
    pub end: Instant,
    /// How long the thread was ready to run and did not.
    pub waited: Duration,
    /// How long the machine stood still, if that is known already.
    pub stood: Option<Duration>,
}

/// Makes a call and measures it.
pub fn timed<T>(call: impl FnOnce() -> T) -> (T, Took) {
    start_companion();
    let waited = time_waited();
    let start = Instant::now();
    let result = call();
    let end = Instant::now();
    (result, Took { start, end, waited: time_waited().saturating_sub(waited), stood: None })
}

/// Makes a call and asserts that it is over after `deadline`.
pub fn in_time<T>(deadline: Duration, call: impl FnOnce() -> T) -> T {
    let (result, took) = timed(call);
    let excess = took.excess(deadline);
    assert!(excess <= TOLERANCE, "{excess:?} longer than {deadline:?}: {took:?}");
    result
}

impl Took {
    pub fn wall(&self) -> Duration {
        self.end - self.start
    }

    /// How much longer than `deadline` it took, without what the machine took away.
    pub fn excess(&self, deadline: Duration) -> Duration {
        let plain = self.wall().saturating_sub(deadline);
        if plain <= TOLERANCE {
            return plain;
        }
        plain.saturating_sub(self.waited.max(self.standstill()))
    }

    /// How long the machine stood still during the call.
    pub fn standstill(&self) -> Duration {
        self.stood.unwrap_or_else(|| {
            pause(UNTIL_KNOWN);
            standstill(self.start, self.end)
        })
    }
}

/// Our own waking from a standstill may come before the companion's, so much later it is known.
pub const UNTIL_KNOWN: Duration = Duration::from_millis(30);

/// How long the machine stood still between `start` and `end`.
pub fn standstill(start: Instant, end: Instant) -> Duration {
    let standstills = STANDSTILLS.lock().unwrap();
    let within = standstills
        .iter()
        .map(|&(from, to)| to.min(end).saturating_duration_since(from.max(start)));
    within.sum()
}

/// Waits; what a test waits for must take time, or there would be a condition to wait for.
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// When the machine stood still.
static STANDSTILLS: Mutex<Vec<(Instant, Instant)>> = Mutex::new(Vec::new());

const NAP: Duration = Duration::from_millis(1);
/// Timers are not exact; what is shorter is not noted.
const NOTABLE: Duration = Duration::from_millis(2);

/// Watches for standstills from now on.
pub fn start_companion() {
    static START: Once = Once::new();
    START.call_once(|| {
        thread::Builder::new().name("companion".into()).spawn(keep_watch).expect("a thread");
    });
}

fn keep_watch() {
    loop {
        let (start, waited) = (Instant::now(), time_waited());
        pause(NAP);
        let end = Instant::now();
        let late = (end - start).saturating_sub(NAP);
        let late = late.saturating_sub(time_waited().saturating_sub(waited));
        if late > NOTABLE {
            STANDSTILLS.lock().unwrap().push((end - late, end));
        }
    }
}

/// How long this thread has been ready to run and did not.
fn time_waited() -> Duration {
    time_waited_by("/proc/thread-self")
}

/// The same of the thread that `/proc` has under this path.
pub fn time_waited_by(thread: impl AsRef<Path>) -> Duration {
    let text = fs::read_to_string(thread.as_ref().join("schedstat")).unwrap_or_default();
    let nanoseconds = text.split(' ').nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
