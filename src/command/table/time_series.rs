//! RedisTimeSeries.

use super::*;

/// Series are chosen by their labels, on every node its own.
const BY_LABEL: CommandRule = CommandRule::all_nodes(Gather::Concat).read_only();

/// A group that has series on two nodes would come twice, each time reduced from half of them.
const GROUPED: &Exception = &Exception {
    word: "GROUPBY",
    at: None,
    rule: CommandRule::refused(
        "a group may have series on several nodes; ask without GROUPBY and reduce the series",
    ),
};

/// The rule copies on the node that has the source.
const RULE: CommandRule = CommandRule::keys(KeySpec::range(1, 1, 1));

pub(super) const ROWS: &[Row] = &[
    ("TS.ADD", WRITE),
    ("TS.ALTER", WRITE),
    ("TS.CREATE", WRITE),
    ("TS.CREATERULE", RULE),
    ("TS.DECRBY", WRITE),
    ("TS.DEL", WRITE),
    ("TS.DELETERULE", RULE),
    ("TS.GET", READ),
    ("TS.INCRBY", WRITE),
    ("TS.INFO", READ),
    // TS.MADD key timestamp value [key timestamp value …]
    ("TS.MADD", CommandRule::keys(KeySpec::range(1, -1, 3))),
    ("TS.MGET", BY_LABEL),
    ("TS.MRANGE", BY_LABEL.except(GROUPED)),
    ("TS.MREVRANGE", BY_LABEL.except(GROUPED)),
    ("TS.QUERYINDEX", BY_LABEL),
    ("TS.RANGE", READ),
    ("TS.REVRANGE", READ),
];
