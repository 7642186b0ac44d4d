//! Vector sets (Redis 8).

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("VADD", WRITE),
    ("VCARD", READ),
    ("VDIM", READ),
    ("VEMB", READ),
    ("VGETATTR", READ),
    ("VINFO", READ),
    ("VISMEMBER", READ),
    ("VLINKS", READ),
    ("VRANDMEMBER", READ),
    ("VRANGE", READ),
    ("VREM", WRITE),
    ("VSETATTR", WRITE),
    ("VSIM", READ),
];
