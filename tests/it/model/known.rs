//! Where a pool still differs from one server. Each has a test that is ignored until it is mended.

use super::step::Args;
use super::step::Step;
use super::step::is_named;

/// Whether `step` does what is known to differ.
pub fn is_known(step: &Step, is_watching: bool) -> bool {
    let any = |check: fn(&Args) -> bool| step.commands().iter().any(check);
    is_watching && any(|args| is_named(args, &["SELECT", "AUTH", "READONLY", "CLIENT"]))
        || any(|args| is_named(args, &["EXEC"]) && args.len() > 1)
        || any(|args| is_named(args, &["SCAN"]) && args.get(1).is_some_and(is_odd_cursor))
}

/// Whether the server reads it as another number than we do, or as one at all.
fn is_odd_cursor(cursor: &Vec<u8>) -> bool {
    cursor.is_empty() || cursor.starts_with(b"-")
}
