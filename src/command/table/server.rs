//! The server. What changes one goes to all, what is known of one is told of all, and what is only for
//! one is refused.

use super::*;

/// An ejected node that misses it would return with the old setting.
const CHANGE: CommandRule = CommandRule::every_node(Gather::First);
/// OK says that the data is saved: of an ejected node it would not be.
const SAVE: CommandRule = CommandRule::every_node(Gather::First);
const ALL: CommandRule = CommandRule::all_nodes(Gather::First);
const LOG: CommandRule = CommandRule::all_nodes(Gather::Concat);
const COUNT: CommandRule = CommandRule::all_nodes(Gather::Sum);
const BY_NODE: CommandRule = CommandRule::all_nodes(Gather::ByNode);

/// `ACL LOG RESET`, whose reply is no log.
const LOG_RESET: &Exception = &Exception { word: "RESET", at: Some(2), rule: ALL };

const ONE_NODE: CommandRule = CommandRule::refused("it is meant for one node; use on_node");
const REPLICATION: CommandRule =
    CommandRule::refused("it is how one node replicates another; use on_node");
const STREAM: CommandRule =
    CommandRule::refused("it takes its connection over for good; use node_client").taking_over();
const TRAP: CommandRule = CommandRule::refused("a node closes every connection that sends it");

pub(super) const ROWS: &[Row] = &[
    ("ACL", UNKNOWN),
    ("ACL CAT", DESIGNATED),
    ("ACL DELUSER", CHANGE),
    ("ACL DRYRUN", DESIGNATED),
    ("ACL GENPASS", DESIGNATED),
    ("ACL GETUSER", DESIGNATED),
    ("ACL HELP", DESIGNATED),
    ("ACL LIST", DESIGNATED),
    ("ACL LOAD", CHANGE),
    ("ACL LOG", LOG.except(LOG_RESET)),
    ("ACL SAVE", CHANGE),
    ("ACL SETUSER", CHANGE),
    ("ACL USERS", DESIGNATED),
    ("ACL WHOAMI", DESIGNATED),
    ("BGREWRITEAOF", ALL),
    ("BGSAVE", SAVE),
    ("COMMAND", DESIGNATED),
    ("COMMAND COUNT", DESIGNATED),
    ("COMMAND DOCS", DESIGNATED),
    ("COMMAND GETKEYS", DESIGNATED),
    ("COMMAND GETKEYSANDFLAGS", DESIGNATED),
    ("COMMAND HELP", DESIGNATED),
    ("COMMAND INFO", DESIGNATED),
    ("COMMAND LIST", DESIGNATED),
    ("COMMANDLOG", DESIGNATED),
    ("COMMANDLOG GET", LOG),
    ("COMMANDLOG HELP", DESIGNATED),
    ("COMMANDLOG LEN", COUNT),
    ("COMMANDLOG RESET", ALL),
    ("CONFIG", UNKNOWN),
    ("CONFIG GET", DESIGNATED),
    ("CONFIG HELP", DESIGNATED),
    ("CONFIG RESETSTAT", ALL),
    ("CONFIG REWRITE", CHANGE),
    ("CONFIG SET", CHANGE),
    ("DEBUG", ONE_NODE),
    ("DEBUG DIGEST-VALUE", CommandRule::keys(KeySpec::range(2, -1, 1))),
    ("DEBUG HELP", DESIGNATED),
    ("DEBUG HTSTATS-KEY", WRITE_SECOND),
    ("DEBUG LISTPACK", WRITE_SECOND),
    ("DEBUG OBJECT", WRITE_SECOND),
    ("DEBUG QUICKLIST", WRITE_SECOND),
    ("DEBUG SDSLEN", WRITE_SECOND),
    ("DEBUG ZIPLIST", WRITE_SECOND),
    ("FAILOVER", REPLICATION),
    ("HOST:", TRAP),
    ("HOTKEYS", UNKNOWN),
    ("HOTKEYS GET", BY_NODE),
    ("HOTKEYS HELP", DESIGNATED),
    ("HOTKEYS RESET", ALL),
    ("HOTKEYS START", ALL),
    ("HOTKEYS STOP", ALL),
    ("INFO", BY_NODE),
    // What is older than the oldest is saved on all.
    ("LASTSAVE", CommandRule::all_nodes(Gather::Min)),
    ("LATENCY", DESIGNATED),
    ("LATENCY DOCTOR", BY_NODE),
    ("LATENCY GRAPH", BY_NODE),
    ("LATENCY HELP", DESIGNATED),
    ("LATENCY HISTOGRAM", BY_NODE),
    ("LATENCY HISTORY", BY_NODE),
    ("LATENCY LATEST", BY_NODE),
    ("LATENCY RESET", COUNT),
    ("LOLWUT", DESIGNATED.read_only()),
    ("MEMORY", WRITE_SECOND),
    ("MEMORY DOCTOR", BY_NODE),
    ("MEMORY HELP", DESIGNATED),
    ("MEMORY MALLOC-STATS", BY_NODE),
    ("MEMORY PURGE", ALL),
    ("MEMORY STATS", BY_NODE),
    ("MEMORY USAGE", READ_SECOND),
    ("MODULE", UNKNOWN),
    ("MODULE HELP", DESIGNATED),
    ("MODULE LIST", DESIGNATED),
    ("MODULE LOAD", CHANGE),
    ("MODULE LOADEX", CHANGE),
    ("MODULE UNLOAD", CHANGE),
    ("MONITOR", STREAM),
    ("POST", TRAP),
    ("PSYNC", STREAM),
    ("REPLCONF", REPLICATION),
    ("REPLICAOF", REPLICATION),
    ("ROLE", BY_NODE),
    ("SAVE", SAVE),
    ("SENTINEL", CommandRule::refused("the nodes are no sentinels; connect to one directly")),
    ("SHUTDOWN", ONE_NODE),
    ("SLAVEOF", REPLICATION),
    ("SLOWLOG", DESIGNATED),
    ("SLOWLOG GET", LOG),
    ("SLOWLOG HELP", DESIGNATED),
    ("SLOWLOG LEN", COUNT),
    ("SLOWLOG RESET", ALL),
    ("SYNC", STREAM),
    ("TIME", DESIGNATED),
];
