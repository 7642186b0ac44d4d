//! Durations, each known to 1.6 % and none kept.

use std::time::Duration;

/// Places for each power of two.
const STEPS: usize = 64;

/// How many durations there were of which length.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[place(nanoseconds)] += 1;
        self.total += 1;
    }

    /// What so many of a hundred do not exceed, in microseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let wanted = (self.total as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        start(found.unwrap_or_default()) as f64 / 1e3
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * STEPS], total: 0 }
    }
}

/// Numbers under 64 have a place of their own, then 64 numbers share two, then four ...
fn place(number: u64) -> usize {
    let power = number.max(1).ilog2();
    match power.checked_sub(6) {
        None => number as usize,
        Some(shift) => (shift as usize + 1) * STEPS + ((number >> shift) as usize - STEPS),
    }
}

/// The least number of a place.
fn start(place: usize) -> u64 {
    match (place / STEPS).checked_sub(1) {
        None => place as u64,
        Some(shift) => ((place % STEPS + STEPS) as u64) << shift,
    }
}
