//! Lists.

use super::*;
use crate::command::rule::Blocking;

const BLOCKING_POP: CommandRule =
    CommandRule::keys(KeySpec::range(1, -2, 1)).blocking(Blocking::LastSeconds);

pub(super) const ROWS: &[Row] = &[
    ("BLMOVE", WRITE_TWO.blocking(Blocking::LastSeconds)),
    ("BLMPOP", CommandRule::keys(KeySpec::counted(2)).blocking(Blocking::Seconds(1))),
    ("BLPOP", BLOCKING_POP),
    ("BRPOP", BLOCKING_POP),
    ("BRPOPLPUSH", WRITE_TWO.blocking(Blocking::LastSeconds)),
    ("LINDEX", READ),
    ("LINSERT", WRITE),
    ("LLEN", READ),
    ("LMOVE", WRITE_TWO),
    ("LMPOP", WRITE_COUNTED),
    ("LPOP", WRITE),
    ("LPOS", READ),
    ("LPUSH", WRITE),
    ("LPUSHX", WRITE),
    ("LRANGE", READ),
    ("LREM", WRITE),
    ("LSET", WRITE),
    ("LTRIM", WRITE),
    ("RPOP", WRITE),
    ("RPOPLPUSH", WRITE_TWO),
    ("RPUSH", WRITE),
    ("RPUSHX", WRITE),
];
