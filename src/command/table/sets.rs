//! Sets.

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("SADD", WRITE),
    ("SCARD", READ),
    ("SDIFF", READ_ALL),
    ("SDIFFSTORE", STORE_ALL),
    ("SINTER", READ_ALL),
    ("SINTERCARD", READ_COUNTED),
    ("SINTERSTORE", STORE_ALL),
    ("SISMEMBER", READ),
    ("SMEMBERS", READ),
    ("SMISMEMBER", READ),
    ("SMOVE", WRITE_TWO),
    ("SPOP", WRITE),
    ("SRANDMEMBER", READ),
    ("SREM", WRITE),
    ("SSCAN", READ),
    ("SUNION", READ_ALL),
    ("SUNIONSTORE", STORE_ALL),
];
