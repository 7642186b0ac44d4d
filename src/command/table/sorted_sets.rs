//! Sorted sets.

use super::*;
use crate::command::rule::Blocking;

const BLOCKING_POP: CommandRule =
    CommandRule::keys(KeySpec::range(1, -2, 1)).blocking(Blocking::LastSeconds);

pub(super) const ROWS: &[Row] = &[
    ("BZMPOP", CommandRule::keys(KeySpec::counted(2)).blocking(Blocking::Seconds(1))),
    ("BZPOPMAX", BLOCKING_POP),
    ("BZPOPMIN", BLOCKING_POP),
    ("ZADD", WRITE),
    ("ZCARD", READ),
    ("ZCOUNT", READ),
    ("ZDIFF", READ_COUNTED),
    ("ZDIFFSTORE", STORE_COUNTED),
    ("ZINCRBY", WRITE),
    ("ZINTER", READ_COUNTED),
    ("ZINTERCARD", READ_COUNTED),
    ("ZINTERSTORE", STORE_COUNTED),
    ("ZLEXCOUNT", READ),
    ("ZMPOP", WRITE_COUNTED),
    ("ZMSCORE", READ),
    ("ZPOPMAX", WRITE),
    ("ZPOPMIN", WRITE),
    ("ZRANDMEMBER", READ),
    ("ZRANGE", READ),
    ("ZRANGEBYLEX", READ),
    ("ZRANGEBYSCORE", READ),
    ("ZRANGESTORE", WRITE_TWO),
    ("ZRANK", READ),
    ("ZREM", WRITE),
    ("ZREMRANGEBYLEX", WRITE),
    ("ZREMRANGEBYRANK", WRITE),
    ("ZREMRANGEBYSCORE", WRITE),
    ("ZREVRANGE", READ),
    ("ZREVRANGEBYLEX", READ),
    ("ZREVRANGEBYSCORE", READ),
    ("ZREVRANK", READ),
    ("ZSCAN", READ),
    ("ZSCORE", READ),
    ("ZUNION", READ_COUNTED),
    ("ZUNIONSTORE", STORE_COUNTED),
];
