//! What the system knows of another process.

use std::fs;

use rustix::process::Pid;

/// The processor time of all its threads so far, in nanoseconds. What runs at the moment is known to a tick of
/// the system's clock; what waits is exact.
pub fn processor_time(pid: Pid) -> u64 {
    let directory = format!("/proc/{}/task", pid.as_raw_nonzero());
    let threads = fs::read_dir(directory).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    times.sum()
}

/// Bytes of its memory that are in use, exactly: the page tables are walked for it.
pub fn resident(pid: Pid) -> u64 {
    kilobytes(pid, "smaps_rollup", "Rss:") * 1024
}

/// The most that [`resident`] ever was, give or take some pages.
pub fn peak(pid: Pid) -> u64 {
    kilobytes(pid, "status", "VmHWM:") * 1024
}

/// Whether every thread of it is traced.
pub fn is_traced(pid: Pid) -> bool {
    let directory = format!("/proc/{}/task", pid.as_raw_nonzero());
    let mut threads = fs::read_dir(directory).into_iter().flatten().flatten();
    threads.all(|thread| {
        let text = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !text.contains("TracerPid:\t0\n")
    })
}

fn kilobytes(pid: Pid, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_nonzero()));
    let text = text.unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
