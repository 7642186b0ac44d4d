//! Keys of any type.

use super::Row;
use crate::command::key_spec::KeySpec;
use crate::command::rule::CommandRule;
use crate::command::rule::Finder;
use crate::command::rule::Gather;

pub(super) const ROWS: &[Row] = &[
    ("DEL", CommandRule::keys(KeySpec::range(1, -1, 1)).split(Gather::Sum)),
    ("MIGRATE", CommandRule::key(3).found_by(Finder::Migrate)),
    ("SORT", CommandRule::key(1).found_by(Finder::Sort)),
    ("SORT_RO", CommandRule::key(1).found_by(Finder::Sort).read_only()),
];
