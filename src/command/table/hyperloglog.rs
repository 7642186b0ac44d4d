//! HyperLogLog.

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("PFADD", WRITE),
    // The union of several keys cannot be told from the counts of each.
    ("PFCOUNT", READ_ALL),
    ("PFDEBUG", WRITE_SECOND.administrative()),
    ("PFMERGE", STORE_ALL),
    ("PFSELFTEST", DESIGNATED.administrative()),
];
