//! The clocks of the control plane.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

#[expect(clippy::disallowed_methods, reason = "the front end is where time enters")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The time of day, as what has passed since 1970. Zero before that.
#[expect(clippy::disallowed_methods, reason = "the front end is where time enters")]
pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
