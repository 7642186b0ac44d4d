//! Health: whether a node may be used now.
//!
//! ```text
//!            failure_limit failures          retry_timeout
//!            in a row                        has passed
//!   live ─────────────────────────► ejected ──────────────► probing
//!    ▲                                 ▲                    │    │
//!    │                                 └── the probe failed ┘    │
//!    └───────────────────────────────────── the probe succeeded ─┘
//! ```
//!
//! [`EjectPolicy`] says when, [`NodeHealth`] is where one node stands, and `outcome` alone knows what
//! counts as a failure. Time enters as `now`, randomness as `jitter`; nothing here waits, probes or
//! reports: transitions are returned.

mod outcome;
mod policy;

use std::time::Duration;
use std::time::Instant;

pub(crate) use outcome::Incident;
pub(crate) use outcome::Outcome;
pub use policy::EjectMode;
pub use policy::EjectPolicy;

/// Whether a node may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// The node gets requests.
    Live,
    /// The node failed too often; it gets no requests.
    Ejected,
    /// The node is ejected, and one probe is on its way to it.
    Probing,
}

/// Where one node stands.
#[derive(Clone, Debug)]
pub(crate) struct NodeHealth {
    stage: Stage,
    /// Failures in a row while live.
    failures: u32,
    /// Whether it was said that the node fails and stays.
    is_kept: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Live,
    /// `probes` probes have failed since the ejection.
    Ejected {
        since: Instant,
        until: Instant,
        probes: u32,
    },
    Probing {
        since: Instant,
        probes: u32,
    },
}

impl NodeHealth {
    pub(crate) fn new() -> Self {
        Self { stage: Stage::Live, failures: 0, is_kept: false }
    }

    pub(crate) fn state(&self) -> NodeState {
        match self.stage {
            Stage::Live => NodeState::Live,
            Stage::Ejected { .. } => NodeState::Ejected,
            Stage::Probing { .. } => NodeState::Probing,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// When the next probe is due, if the node is ejected and none is on its way.
    pub(crate) fn probe_due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Ejected { until, .. } => Some(until),
            _ => None,
        }
    }

    /// A request failed. Says whether that is one too many, and the node should be ejected.
    ///
    /// Nothing changes but the count: whether it may be ejected is for the pool to say.
    pub(crate) fn count_failure(&mut self, policy: &EjectPolicy) -> bool {
        if !self.is_live() {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        self.failures >= policy.failure_limit.max(1)
    }

    /// A request was answered.
    pub(crate) fn forget_failures(&mut self) {
        self.failures = 0;
        self.is_kept = false;
    }

    /// The node has failed too often, but stays. Says whether that is news: it is not until a request was
    /// answered in between.
    pub(crate) fn keep(&mut self) -> bool {
        self.failures = 0;
        !std::mem::replace(&mut self.is_kept, true)
    }

    /// How long the node has been out.
    pub(crate) fn out_for(&self, now: Instant) -> Option<Duration> {
        match self.stage {
            Stage::Live => None,
            Stage::Ejected { since, .. } | Stage::Probing { since, .. } => {
                Some(now.saturating_duration_since(since))
            }
        }
    }

    /// Takes the node out. The first probe is due after the policy's retry timeout and a little more.
    pub(crate) fn eject(&mut self, policy: &EjectPolicy, now: Instant, jitter: u64) -> Duration {
        let wait = policy.probe_delay(0, jitter);
        self.stage = Stage::Ejected { since: now, until: now + wait, probes: 0 };
        self.failures = 0;
        wait
    }

    /// Claims the one probe that is due. False if none is due, or another holds it.
    pub(crate) fn begin_probe(&mut self, now: Instant) -> bool {
        match self.stage {
            Stage::Ejected { since, until, probes } if now >= until => {
                self.stage = Stage::Probing { since, probes };
                true
            }
            _ => false,
        }
    }

    /// The probe was answered: the node is live again. Returns how long it was out.
    pub(crate) fn reinstate(&mut self, now: Instant) -> Option<Duration> {
        let Stage::Probing { since, .. } = self.stage else {
            return None;
        };
        *self = Self::new();
        Some(now.saturating_duration_since(since))
    }

    /// The probe failed: the node stays out, for twice as long. Returns the wait.
    pub(crate) fn fail_probe(
        &mut self,
        policy: &EjectPolicy,
        now: Instant,
        jitter: u64,
    ) -> Option<Duration> {
        let Stage::Probing { since, probes } = self.stage else {
            return None;
        };
        let probes = probes.saturating_add(1);
        let wait = policy.probe_delay(probes, jitter);
        self.stage = Stage::Ejected { since, until: now + wait, probes };
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> EjectPolicy {
        EjectPolicy::rebuild().failure_limit(2).retry_timeout(SECOND).max_retry_timeout(4 * SECOND)
    }

    #[test]
    fn only_failures_in_a_row_count() {
        let mut health = NodeHealth::new();
        assert!(!health.count_failure(&policy()));
        health.forget_failures();
        assert!(!health.count_failure(&policy()));
        assert!(health.count_failure(&policy()));
    }

    #[test]
    fn a_failure_limit_of_zero_behaves_like_one() {
        // nutcracker.md 1.2.
        assert!(NodeHealth::new().count_failure(&policy().failure_limit(0)));
    }

    #[test]
    fn one_probe_is_claimed_when_it_is_due() {
        let now = Instant::now_for_tests();
        let mut health = NodeHealth::new();
        assert_eq!(health.eject(&policy(), now, 0), SECOND);
        assert_eq!(health.state(), NodeState::Ejected);
        assert_eq!(health.probe_due(), Some(now + SECOND));
        assert!(!health.begin_probe(now + SECOND / 2));
        assert!(health.begin_probe(now + SECOND));
        assert_eq!(health.state(), NodeState::Probing);
        assert!(!health.begin_probe(now + SECOND), "the probe is taken");
        assert_eq!(health.reinstate(now + 2 * SECOND), Some(2 * SECOND));
        assert!(health.is_live());
    }

    #[test]
    fn a_probe_that_fails_doubles_the_wait_up_to_the_limit() {
        let mut now = Instant::now_for_tests();
        let mut health = NodeHealth::new();
        now += health.eject(&policy(), now, 0);
        for seconds in [2, 4, 4] {
            assert!(health.begin_probe(now));
            let wait = health.fail_probe(&policy(), now, 0).unwrap();
            assert_eq!(wait, seconds * SECOND);
            assert!(!health.begin_probe(now + wait - SECOND / 100));
            now += wait;
        }
    }

    #[test]
    fn failures_of_requests_do_not_touch_an_ejected_node() {
        let now = Instant::now_for_tests();
        let mut health = NodeHealth::new();
        health.eject(&policy(), now, 0);
        assert!(!health.count_failure(&policy()));
        assert_eq!(health.probe_due(), Some(now + SECOND));
        assert_eq!(health.reinstate(now), None, "only a probe reinstates");
    }

    /// The one place where tests of this floor read the clock: an origin to step from.
    trait Origin {
        fn now_for_tests() -> Instant;
    }

    impl Origin for Instant {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
        fn now_for_tests() -> Instant {
            Instant::now()
        }
    }
}
