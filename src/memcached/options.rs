//! What a client can be told besides its nodes.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::config::FailedReads;
use crate::net::PROBE_LIMIT;
use crate::net::ProbeLimit;

/// Which protocol is spoken with the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemcacheProtocol {
    /// The meta commands where the server has them (memcached 1.6.10 and later), the classic text protocol
    /// otherwise. Each new connection asks, which costs it one round trip. The default.
    #[default]
    Auto,
    /// The classic text protocol (`get`, `set`), and nothing is asked: for what understands no more, such
    /// as a nutcracker in between.
    Ascii,
    /// The meta commands (`mg`, `ms`), without asking.
    Meta,
}

/// What a client can be told besides its nodes.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) timeouts: Timeouts,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) max_connections: usize,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) protocol: MemcacheProtocol,
    pub(super) failed_reads: FailedReads,
}

/// As Dalli has it. memcache::Client has none, and a cache that hangs must not hang the application.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A thread holds a connection for as long as its request takes: so many threads may ask one node at the
/// same time.
const MAX_CONNECTIONS: usize = 32;

impl Default for Options {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::new(Some(TIMEOUT), None),
            connect_timeout: None,
            max_connections: MAX_CONNECTIONS,
            max_lifetime: None,
            protocol: MemcacheProtocol::default(),
            failed_reads: FailedReads::default(),
        }
    }
}

impl Clone for Options {
    fn clone(&self) -> Self {
        let Self { timeouts, .. } = self;
        Self { timeouts: Timeouts::new(timeouts.read(), timeouts.write()), ..*self }
    }
}

impl Options {
    /// How long a request may take.
    pub(super) fn limit(&self) -> Option<Duration> {
        let Timeouts { read, write } = &self.timeouts;
        duration(read).map(|read| read.max(duration(write).unwrap_or_default()))
    }

    /// How long a new connection may take, if it is not for a request.
    pub(super) fn connect_limit(&self) -> Option<Duration> {
        self.connect_timeout.or_else(|| self.limit())
    }
}

impl ProbeLimit for Options {
    fn probe_limit(&self) -> Duration {
        self.connect_limit().unwrap_or(PROBE_LIMIT)
    }
}

/// The times that may be changed while the client is in use.
///
/// A request has one deadline: that for reading, or that for writing if it is longer. Without one for reading
/// there is none.
#[derive(Debug)]
pub(super) struct Timeouts {
    /// Nanoseconds; 0 is never.
    read: AtomicU64,
    write: AtomicU64,
}

impl Timeouts {
    fn new(read: Option<Duration>, write: Option<Duration>) -> Self {
        Self { read: AtomicU64::new(nanoseconds(read)), write: AtomicU64::new(nanoseconds(write)) }
    }

    pub(super) fn read(&self) -> Option<Duration> {
        duration(&self.read)
    }

    pub(super) fn write(&self) -> Option<Duration> {
        duration(&self.write)
    }

    pub(super) fn set_read(&self, timeout: Option<Duration>) {
        self.read.store(nanoseconds(timeout), Relaxed);
    }

    pub(super) fn set_write(&self, timeout: Option<Duration>) {
        self.write.store(nanoseconds(timeout), Relaxed);
    }
}

fn nanoseconds(timeout: Option<Duration>) -> u64 {
    // 584 years are as good as for ever.
    timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
}

fn duration(nanoseconds: &AtomicU64) -> Option<Duration> {
    Some(nanoseconds.load(Relaxed)).filter(|&count| count > 0).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_timeout_bounds_a_request() {
        let options = Options::default();
        assert_eq!(options.limit(), Some(TIMEOUT));
        options.timeouts.set_write(Some(Duration::from_secs(2)));
        assert_eq!(options.limit(), Some(Duration::from_secs(2)));
        options.timeouts.set_write(None);
        options.timeouts.set_read(Some(Duration::from_millis(3)));
        assert_eq!(options.clone().limit(), Some(Duration::from_millis(3)));
        options.timeouts.set_read(None);
        assert_eq!(options.limit(), None);
        options.timeouts.set_write(Some(Duration::from_millis(50)));
        assert_eq!(options.limit(), None);
        options.timeouts.set_read(Some(Duration::MAX));
        assert!(options.limit() > Some(Duration::from_secs(1 << 30)));
    }
}
