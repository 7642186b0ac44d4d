//! What the operating system says about this process.

use std::fs;
use std::time::Duration;

use rustix::process::Resource;
use rustix::time::ClockId;

/// What this process has of the machine. What the system does not tell is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) max_files: Option<u64>,
    /// Of all threads since the process began.
    pub(super) cpu: Duration,
}

impl Resources {
    pub(super) fn read() -> Self {
        let cpu = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
        Self {
            resident_bytes: fs::read_to_string("/proc/self/status")
                .ok()
                .as_deref()
                .and_then(resident),
            // The directory that is read is open itself.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| (files.count() as u64).saturating_sub(1)),
            max_files: rustix::process::getrlimit(Resource::Nofile).current,
            cpu: Duration::try_from(cpu).unwrap_or_default(),
        }
    }
}

/// `VmRSS` of `/proc/PID/status`, which is in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_found_among_the_rest() {
        let status = "VmPeak:\t  999 kB\nVmRSS:\t    6400 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(6400 * 1024));
        assert_eq!(resident("VmRSS: many kB\n"), None);
        assert_eq!(resident(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_everything() {
        let resources = Resources::read();
        assert!(resources.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(resources.open_files.is_some_and(|files| files >= 3));
        assert!(!resources.cpu.is_zero());
    }
}
