//! Streams.

use super::*;
use crate::command::rule::Blocking;
use crate::command::rule::Finder;

/// `XREAD`, with `STREAMS` from argument `from` on.
const fn read(from: u8) -> CommandRule {
    CommandRule::keys(KeySpec::first_half_after("STREAMS", from))
        .found_by(Finder::Streams)
        .blocking(Blocking::StreamBlock)
}

pub(super) const ROWS: &[Row] = &[
    ("XACK", WRITE),
    ("XACKDEL", WRITE),
    ("XADD", WRITE),
    ("XAUTOCLAIM", WRITE),
    ("XCFGSET", WRITE),
    ("XCLAIM", WRITE),
    ("XDEL", WRITE),
    ("XDELEX", WRITE),
    ("XGROUP", WRITE_SECOND),
    ("XGROUP CREATE", WRITE_SECOND),
    ("XGROUP CREATECONSUMER", WRITE_SECOND),
    ("XGROUP DELCONSUMER", WRITE_SECOND),
    ("XGROUP DESTROY", WRITE_SECOND),
    ("XGROUP HELP", DESIGNATED),
    ("XGROUP SETID", WRITE_SECOND),
    ("XINFO", WRITE_SECOND),
    ("XINFO CONSUMERS", READ_SECOND),
    ("XINFO GROUPS", READ_SECOND),
    ("XINFO HELP", DESIGNATED),
    ("XINFO STREAM", READ_SECOND),
    ("XLEN", READ),
    ("XNACK", WRITE),
    ("XPENDING", READ),
    ("XRANGE", READ),
    ("XREAD", read(1).read_only()),
    ("XREADGROUP", read(4)),
    ("XREVRANGE", READ),
    ("XSETID", WRITE),
    ("XTRIM", WRITE),
];
