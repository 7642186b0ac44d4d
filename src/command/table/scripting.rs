//! Scripts and functions.

use super::*;

/// `EVAL script numkeys key …`. Keys that the script uses without naming them are those of whatever
/// node it runs on.
const EVAL: CommandRule = CommandRule::keys(KeySpec::counted(2));
const EVAL_READ_ONLY: CommandRule = EVAL.read_only();

/// Functions are data: a node that misses a change would run another version of them.
const CHANGE: CommandRule = CommandRule::every_node(Gather::First);
/// Scripts are a cache: a node that misses one asks for it (`NOSCRIPT`).
const CACHE: CommandRule = CommandRule::all_nodes(Gather::First);
/// One node runs the script, or has it.
const WHEREVER: CommandRule = CommandRule::all_nodes(Gather::AnySuccess);
const DEBUGGER: CommandRule =
    CommandRule::refused("it turns a connection into a debugger; connect to the node directly")
        .taking_over();

pub(super) const ROWS: &[Row] = &[
    ("EVAL", EVAL),
    ("EVALSHA", EVAL),
    ("EVALSHA_RO", EVAL_READ_ONLY),
    ("EVAL_RO", EVAL_READ_ONLY),
    ("FCALL", EVAL),
    ("FCALL_RO", EVAL_READ_ONLY),
    ("FUNCTION", UNKNOWN),
    ("FUNCTION DELETE", CHANGE.administrative()),
    ("FUNCTION DUMP", DESIGNATED),
    ("FUNCTION FLUSH", CHANGE.administrative()),
    ("FUNCTION HELP", DESIGNATED),
    ("FUNCTION KILL", WHEREVER.administrative()),
    ("FUNCTION LIST", DESIGNATED),
    ("FUNCTION LOAD", CHANGE),
    ("FUNCTION RESTORE", CHANGE.administrative()),
    ("FUNCTION STATS", CommandRule::all_nodes(Gather::ByNode)),
    ("SCRIPT", UNKNOWN),
    ("SCRIPT DEBUG", DEBUGGER.administrative()),
    ("SCRIPT EXISTS", CommandRule::all_nodes(Gather::AndEach)),
    ("SCRIPT FLUSH", CACHE.administrative()),
    ("SCRIPT HELP", DESIGNATED),
    ("SCRIPT KILL", WHEREVER.administrative()),
    ("SCRIPT LOAD", CACHE),
    ("SCRIPT SHOW", WHEREVER),
];
