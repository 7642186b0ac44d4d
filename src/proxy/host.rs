//! What the system says of itself.

use std::io;

use rustix::process::Resource;
use rustix::process::Rlimit;

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
