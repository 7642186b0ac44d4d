//! Bitmaps.

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("BITCOUNT", READ),
    ("BITFIELD", WRITE),
    ("BITFIELD_RO", READ),
    // BITOP operation destination key [key …]
    ("BITOP", CommandRule::key(2).and_keys(KeySpec::range(3, -1, 1))),
    ("BITPOS", READ),
    ("GETBIT", READ),
    ("SETBIT", WRITE),
];
