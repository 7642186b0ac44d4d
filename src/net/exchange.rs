//! Several nodes at the same time.

use std::io;
use std::time::Instant;

use super::clock;
use super::clock::Deadline;
use super::poll::Interest;
use super::poll::wait;

/// The part of an exchange that concerns one node.
pub(crate) trait Job {
    /// What it waits for; none once it is over.
    fn interest(&self) -> Option<Interest<'_>>;

    /// When it wants its turn even if nothing happens.
    fn wakes(&self) -> Option<Instant>;
}

/// Has each of `jobs` advance whenever it can, until none waits for anything or the deadline has passed.
///
/// Every job has its first turn before anything is waited for, and then as its socket allows: one that
/// hangs delays no other.
///
/// # Errors
///
/// If the system refuses to wait (too many descriptors, no memory).
pub(crate) fn exchange<J: Job>(
    jobs: &mut [J],
    deadline: Deadline,
    mut advance: impl FnMut(&mut J, Instant),
) -> io::Result<()> {
    let mut now = clock::now();
    let mut is_ready = vec![true; jobs.len()];
    loop {
        for (job, is_ready) in jobs.iter_mut().zip(&is_ready) {
            if *is_ready || job.wakes().is_some_and(|at| at <= now) {
                advance(job, now);
            }
        }
        if jobs.iter().all(|job| job.interest().is_none()) || deadline.has_passed(now) {
            return Ok(());
        }
        let wakes = jobs.iter().filter_map(Job::wakes).chain(deadline.at()).min();
        let limit = wakes.map(|at| at.saturating_duration_since(now));
        is_ready = wait(jobs.iter().map(Job::interest), limit)?;
        now = clock::now();
    }
}

/// The same error once more, for another who waits.
pub(crate) fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
