//! Hashes.

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("HDEL", WRITE),
    ("HEXISTS", READ),
    ("HEXPIRE", WRITE),
    ("HEXPIREAT", WRITE),
    ("HEXPIRETIME", READ),
    ("HGET", READ),
    ("HGETALL", READ),
    ("HGETDEL", WRITE),
    ("HGETEX", WRITE),
    ("HINCRBY", WRITE),
    ("HINCRBYFLOAT", WRITE),
    ("HKEYS", READ),
    ("HLEN", READ),
    ("HMGET", READ),
    ("HMSET", WRITE),
    ("HPERSIST", WRITE),
    ("HPEXPIRE", WRITE),
    ("HPEXPIREAT", WRITE),
    ("HPEXPIRETIME", READ),
    ("HPTTL", READ),
    ("HRANDFIELD", READ),
    ("HSCAN", READ),
    ("HSET", WRITE),
    ("HSETEX", WRITE),
    ("HSETNX", WRITE),
    ("HSTRLEN", READ),
    ("HTTL", READ),
    ("HVALS", READ),
];
