//! Strings.

use super::Row;
use crate::command::key_spec::KeySpec;
use crate::command::rule::CommandRule;
use crate::command::rule::Gather;

pub(super) const ROWS: &[Row] = &[
    ("GET", CommandRule::key(1).read_only()),
    ("SET", CommandRule::key(1)),
    ("MGET", CommandRule::keys(KeySpec::range(1, -1, 1)).split(Gather::InKeyOrder).read_only()),
    ("MSET", CommandRule::keys(KeySpec::range(1, -1, 2)).split(Gather::First)),
];
