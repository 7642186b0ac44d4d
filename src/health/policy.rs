//! When a node is ejected, what becomes of its keys, and when it is tried again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Result;
use crate::error::ShardError;

/// What happens to the keys of a node that is ejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EjectMode {
    /// Nodes are never ejected; every request tries its node. nutcracker's default, and right for a
    /// store whose keys must not move.
    #[default]
    Off,
    /// The ring is built anew from the live nodes, as nutcracker does with `auto_eject_hosts: true`.
    /// Some keys of healthy nodes move too where weights are unequal, and with equal ones where the number
    /// of live nodes passes one at which ketama rounds (25, 47, 50 …); with `modula` nearly all move, and
    /// with `jump` if it was not the last node.
    Rebuild,
    /// The ring stays, and a key of the ejected node goes to the node that follows on it. No other
    /// key moves. Right for a cache.
    Successor,
    /// No key moves: a request for a key of the ejected node fails at once instead of waiting for the
    /// deadline. Right for a store.
    FailFast,
}

impl EjectMode {
    const ALL: [Self; 4] = [Self::Off, Self::Rebuild, Self::Successor, Self::FailFast];

    /// The name in URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Rebuild => "rebuild",
            Self::Successor => "successor",
            Self::FailFast => "fail_fast",
        }
    }

    /// Whether ejecting a node sends its keys to other nodes.
    pub const fn moves_keys(self) -> bool {
        matches!(self, Self::Rebuild | Self::Successor)
    }
}

impl fmt::Display for EjectMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EjectMode {
    type Err = ShardError;

    /// Reads a name, in lower case.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration) for any other text.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name).ok_or_else(|| {
            ShardError::configuration(format!(
                "\"{name}\" is not a valid ejection mode; one of {} is",
                Self::ALL.map(Self::as_str).join(", ")
            ))
        })
    }
}

/// When a node is ejected, what becomes of its keys, and when it is tried again.
///
/// A node is ejected after [`failure_limit`](Self::failure_limit) failures in a row. What counts is
/// every I/O error, timeouts included, once a request; a reply never counts, whatever it says, nor
/// does the timeout of a blocking command. After [`retry_timeout`](Self::retry_timeout) the node is
/// probed; it gets requests again only when it has answered the probe. Each probe that fails doubles
/// the wait, up to [`max_retry_timeout`](Self::max_retry_timeout).
///
/// Where keys move (`rebuild`, `successor`) ejection fails open: the last live node is never
/// ejected, nor more nodes than [`max_ejected_share`](Self::max_ejected_share) allows, because the
/// others would have to carry the load of all.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use shardwright::EjectPolicy;
///
/// let policy = EjectPolicy::successor().failure_limit(3).retry_timeout(Duration::from_secs(5));
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EjectPolicy {
    pub(crate) mode: EjectMode,
    pub(crate) failure_limit: u32,
    pub(crate) retry_timeout: Duration,
    pub(crate) max_retry_timeout: Duration,
    pub(crate) max_ejected_share: f64,
}

/// Waits are cut to this, so that adding one to the clock cannot overflow.
const SHORTEST: Duration = Duration::from_millis(1);
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Default for EjectPolicy {
    /// No ejection; the other settings are nutcracker's defaults: 2 failures, 30 seconds.
    fn default() -> Self {
        Self {
            mode: EjectMode::Off,
            failure_limit: 2,
            retry_timeout: Duration::from_secs(30),
            max_retry_timeout: Duration::from_secs(300),
            max_ejected_share: 1.0,
        }
    }
}

impl EjectPolicy {
    /// The defaults, with `mode`.
    pub fn new(mode: EjectMode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// [`EjectMode::Rebuild`].
    pub fn rebuild() -> Self {
        Self::new(EjectMode::Rebuild)
    }

    /// [`EjectMode::Successor`].
    pub fn successor() -> Self {
        Self::new(EjectMode::Successor)
    }

    /// [`EjectMode::FailFast`].
    pub fn fail_fast() -> Self {
        Self::new(EjectMode::FailFast)
    }

    /// How many failures in a row eject a node (2). 0 means 1, as in nutcracker.
    pub fn failure_limit(self, failures: u32) -> Self {
        Self { failure_limit: failures, ..self }
    }

    /// How long a node stays out before it is probed (30 s), at least a millisecond. Up to a quarter more
    /// is added at random, so that many processes do not probe at once.
    pub fn retry_timeout(self, timeout: Duration) -> Self {
        Self { retry_timeout: timeout, ..self }
    }

    /// The longest wait between two probes (5 min), if it is longer than the retry timeout.
    pub fn max_retry_timeout(self, timeout: Duration) -> Self {
        Self { max_retry_timeout: timeout, ..self }
    }

    /// The share of the nodes, 0 to 1, that may be out at the same time where keys move (1, which
    /// leaves the last node in). Numbers outside are cut to it.
    pub fn max_ejected_share(self, share: f64) -> Self {
        let share = if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
        Self { max_ejected_share: share, ..self }
    }

    /// What becomes of the keys of an ejected node.
    pub fn mode(&self) -> EjectMode {
        self.mode
    }

    /// Whether one more node may go when `ejected` of `nodes` are out.
    pub(crate) fn permits_another(&self, ejected: usize, nodes: usize) -> bool {
        match self.mode {
            EjectMode::Off => false,
            EjectMode::FailFast => true,
            EjectMode::Rebuild | EjectMode::Successor => {
                // A share of 0.29 of 100 nodes is 28.999…: what rounding takes is given back.
                let most = (self.max_ejected_share * nodes as f64 + 1e-9).floor() as usize;
                ejected + 1 < nodes && ejected < most
            }
        }
    }

    /// The wait before the next probe after `probes` failed ones; `jitter` adds up to a quarter.
    pub(crate) fn probe_delay(&self, probes: u32, jitter: u64) -> Duration {
        let first = self.retry_timeout.max(SHORTEST);
        let longest = self.max_retry_timeout.max(first).min(FOREVER);
        let doubled = first.saturating_mul(1 << probes.min(31)).min(longest);
        let quarter = doubled.as_nanos() as u64 / 4;
        doubled + Duration::from_nanos(jitter.checked_rem(quarter).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_node_stays_where_keys_move() {
        for policy in [EjectPolicy::rebuild(), EjectPolicy::successor()] {
            assert!(policy.permits_another(0, 2));
            assert!(!policy.permits_another(1, 2));
            assert!(!policy.permits_another(0, 1));
        }
        assert!(EjectPolicy::fail_fast().permits_another(0, 1), "no key moves, so nothing is lost");
        assert!(!EjectPolicy::default().permits_another(0, 9));
    }

    #[test]
    fn no_more_nodes_go_than_the_share_allows() {
        let policy = EjectPolicy::successor().max_ejected_share(0.3);
        assert!(policy.permits_another(2, 10));
        assert!(!policy.permits_another(3, 10));
        assert!(!policy.permits_another(0, 3), "0.3 of 3 nodes is none");
        for nodes in 2..200 {
            for out in 1..nodes {
                let policy = EjectPolicy::successor().max_ejected_share(out as f64 / nodes as f64);
                assert!(policy.permits_another(out - 1, nodes), "{out} of {nodes}");
                assert!(!policy.permits_another(out, nodes), "{out} of {nodes}");
            }
        }
    }

    #[test]
    fn the_wait_doubles_and_is_never_shorter_than_asked() {
        let second = Duration::from_secs(1);
        let policy = EjectPolicy::rebuild().retry_timeout(second).max_retry_timeout(8 * second);
        for (probes, seconds) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 8), (u32::MAX, 8)] {
            for jitter in [0, 1, u64::MAX / 3, u64::MAX] {
                let wait = policy.probe_delay(probes, jitter);
                assert!(wait >= seconds * second && wait < seconds * second * 5 / 4, "{wait:?}");
            }
        }
        let zero = EjectPolicy::rebuild().retry_timeout(Duration::ZERO);
        assert_eq!(zero.probe_delay(0, 0), SHORTEST, "a probe after the other would be a flood");
        assert_eq!(zero.probe_delay(4, 0), 16 * SHORTEST);
        let endless = EjectPolicy::rebuild().retry_timeout(Duration::MAX);
        assert!(endless.probe_delay(3, u64::MAX) <= FOREVER * 5 / 4);
    }
}
