//! Keys of any type, and databases as a whole.

use super::*;
use crate::command::rule::Blocking;
use crate::command::rule::Finder;

/// An ejected node that misses it would bring its data back.
const FLUSH: CommandRule = CommandRule::every_node(Gather::First).administrative();

pub(super) const ROWS: &[Row] = &[
    ("COPY", WRITE_TWO),
    ("DBSIZE", CommandRule::all_nodes(Gather::Sum).read_only()),
    ("DEL", WRITE_ALL.split(Gather::Sum)),
    ("DUMP", READ),
    ("EXISTS", READ_ALL.split(Gather::Sum)),
    ("EXPIRE", WRITE),
    ("EXPIREAT", WRITE),
    ("EXPIRETIME", READ),
    ("FLUSHALL", FLUSH),
    ("FLUSHDB", FLUSH),
    ("KEYS", CommandRule::all_nodes(Gather::Concat).read_only().administrative()),
    // MIGRATE host port key|"" db timeout …
    (
        "MIGRATE",
        // It makes a node connect to wherever the client says.
        CommandRule::key(3)
            .found_by(Finder::Migrate)
            .blocking(Blocking::TransferMilliseconds(5))
            .administrative(),
    ),
    ("MOVE", WRITE),
    ("OBJECT", WRITE_SECOND),
    ("OBJECT ENCODING", READ_SECOND),
    ("OBJECT FREQ", READ_SECOND),
    ("OBJECT HELP", DESIGNATED),
    ("OBJECT IDLETIME", READ_SECOND),
    ("OBJECT REFCOUNT", READ_SECOND),
    ("PERSIST", WRITE),
    ("PEXPIRE", WRITE),
    ("PEXPIREAT", WRITE),
    ("PEXPIRETIME", READ),
    ("PTTL", READ),
    ("RANDOMKEY", CommandRule::until_found().read_only()),
    ("RENAME", WRITE_TWO),
    ("RENAMENX", WRITE_TWO),
    ("RESTORE", WRITE),
    ("RESTORE-ASKING", WRITE),
    ("SCAN", CommandRule::special(Special::Scan).read_only()),
    ("SORT", WRITE.found_by(Finder::Sort)),
    ("SORT_RO", READ.found_by(Finder::Sort)),
    // A node that misses it would go on with the other database.
    ("SWAPDB", CommandRule::every_node(Gather::First).administrative()),
    ("TOUCH", READ_ALL.split(Gather::Sum)),
    ("TTL", READ),
    ("TYPE", READ),
    ("UNLINK", WRITE_ALL.split(Gather::Sum)),
    ("WAIT", CommandRule::all_nodes(Gather::Min).blocking(Blocking::Milliseconds(2))),
    ("WAITAOF", CommandRule::all_nodes(Gather::MinEach).blocking(Blocking::Milliseconds(3))),
];
