//! What the system says of itself.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Resource;
use rustix::process::Rlimit;

/// What glibc's allocator is told: blocks from so many bytes on go back to the system when they are not used any more
/// (its own default, but without being told it learns from the first large value to keep as much for ever).
const ALLOCATOR: [(&str, &str); 1] = [("MALLOC_MMAP_THRESHOLD_", "131072")];

/// Has the allocator give memory back after a burst. It can be told only before a program begins, so this one begins
/// again, as the same process; where that fails, it goes on as it is. Who has set one of the variables is left alone.
pub(super) fn settle_allocator() {
    let is_told = ALLOCATOR.iter().any(|(name, _)| std::env::var_os(name).is_some());
    if is_told || !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return;
    }
    let mut arguments = std::env::args_os();
    if let (Some(name), Ok(program)) = (arguments.next(), std::env::current_exe()) {
        // It returns only if it has failed.
        let _ = Command::new(program).arg0(name).args(arguments).envs(ALLOCATOR).exec();
    }
}

/// The name of this host, as `gethostname` tells it to nutcracker.
pub(super) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Allows this process as many descriptors as it may allow itself, and says how many; `None` is no limit.
///
/// # Errors
///
/// When the system refuses.
pub(super) fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        rustix::process::setrlimit(Resource::Nofile, raised)?;
    }
    Ok(limit.maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_as_high_as_it_may_be() {
        let limit = raise_descriptor_limit().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Nofile).current, limit);
    }
}
