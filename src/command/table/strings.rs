//! Strings.

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("APPEND", WRITE),
    ("DECR", WRITE),
    ("DECRBY", WRITE),
    ("DELEX", WRITE),
    ("DELIFEQ", WRITE),
    ("DIGEST", READ),
    ("GET", READ),
    ("GETDEL", WRITE),
    ("GETEX", WRITE),
    ("GETRANGE", READ),
    ("GETSET", WRITE),
    ("INCR", WRITE),
    ("INCRBY", WRITE),
    ("INCRBYFLOAT", WRITE),
    ("INCREX", WRITE),
    ("LCS", CommandRule::keys(KeySpec::range(1, 1, 1)).read_only()),
    ("MGET", READ_ALL.split(Gather::InKeyOrder)),
    ("MSET", CommandRule::keys(KeySpec::range(1, -1, 2)).split(Gather::First)),
    // All keys or none: there is no such promise across nodes.
    ("MSETEX", CommandRule::keys(KeySpec::counted(1).every(2))),
    ("MSETNX", CommandRule::keys(KeySpec::range(1, -1, 2))),
    ("PSETEX", WRITE),
    ("SET", WRITE),
    ("SETEX", WRITE),
    ("SETNX", WRITE),
    ("SETRANGE", WRITE),
    ("STRLEN", READ),
    ("SUBSTR", READ),
];
