//! RedisJSON and Valkey's JSON module.

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("JSON.ARRAPPEND", WRITE),
    ("JSON.ARRINDEX", READ),
    ("JSON.ARRINSERT", WRITE),
    ("JSON.ARRLEN", READ),
    ("JSON.ARRPOP", WRITE),
    ("JSON.ARRTRIM", WRITE),
    ("JSON.CLEAR", WRITE),
    ("JSON.DEBUG", WRITE_SECOND),
    ("JSON.DEBUG DEPTH", READ_SECOND),
    ("JSON.DEBUG FIELDS", READ_SECOND),
    ("JSON.DEBUG HELP", DESIGNATED),
    ("JSON.DEBUG MEMORY", READ_SECOND),
    ("JSON.DEL", WRITE),
    ("JSON.FORGET", WRITE),
    ("JSON.GET", READ),
    ("JSON.MERGE", WRITE),
    // JSON.MGET key [key …] path
    (
        "JSON.MGET",
        CommandRule::keys(KeySpec::range(1, -2, 1)).split(Gather::InKeyOrder).read_only(),
    ),
    // JSON.MSET key path value [key path value …]
    ("JSON.MSET", CommandRule::keys(KeySpec::range(1, -1, 3)).split(Gather::First)),
    ("JSON.NUMINCRBY", WRITE),
    ("JSON.NUMMULTBY", WRITE),
    ("JSON.NUMPOWBY", WRITE),
    ("JSON.OBJKEYS", READ),
    ("JSON.OBJLEN", READ),
    ("JSON.RESP", READ),
    ("JSON.SET", WRITE),
    ("JSON.STRAPPEND", WRITE),
    ("JSON.STRLEN", READ),
    ("JSON.TOGGLE", WRITE),
    ("JSON.TYPE", READ),
];
