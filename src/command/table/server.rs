//! The server. What changes one goes to all, what is known of one is told of all, and what is only for
//! one is refused.

use super::*;

/// An ejected node that misses it would return with the old setting.
const CHANGE: CommandRule = CommandRule::every_node(Gather::First).administrative();
/// OK says that the data is saved: of an ejected node it would not be.
const SAVE: CommandRule = CommandRule::every_node(Gather::First).administrative();
const ALL: CommandRule = CommandRule::all_nodes(Gather::First).administrative();
const LOG: CommandRule = CommandRule::all_nodes(Gather::Concat).administrative();
const COUNT: CommandRule = CommandRule::all_nodes(Gather::Sum).administrative();
const BY_NODE: CommandRule = CommandRule::all_nodes(Gather::ByNode).administrative();
/// What one node shows, all would.
const SHOW: CommandRule = DESIGNATED.administrative();
const DEBUG_KEY: CommandRule = WRITE_SECOND.administrative();
const OTHERS: CommandRule = UNKNOWN.administrative();

/// `ACL LOG RESET`, whose reply is no log.
const LOG_RESET: &Exception = &Exception { word: "RESET", at: Some(2), rule: ALL };

const ONE_NODE: CommandRule =
    CommandRule::refused("it is meant for one node; use on_node").administrative();
const REPLICATION: CommandRule =
    CommandRule::refused("it is how one node replicates another; use on_node").administrative();
const STREAM: CommandRule =
    CommandRule::refused("it takes its connection over for good; use node_client")
        .taking_over()
        .administrative();
const TRAP: CommandRule = CommandRule::refused("a node closes every connection that sends it");

pub(super) const ROWS: &[Row] = &[
    ("ACL", OTHERS),
    ("ACL CAT", DESIGNATED),
    ("ACL DELUSER", CHANGE),
    ("ACL DRYRUN", SHOW),
    ("ACL GENPASS", DESIGNATED),
    ("ACL GETUSER", SHOW),
    ("ACL HELP", DESIGNATED),
    ("ACL LIST", SHOW),
    ("ACL LOAD", CHANGE),
    ("ACL LOG", LOG.except(LOG_RESET)),
    ("ACL SAVE", CHANGE),
    ("ACL SETUSER", CHANGE),
    ("ACL USERS", SHOW),
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
    ("COMMANDLOG", SHOW),
    ("COMMANDLOG GET", LOG),
    ("COMMANDLOG HELP", DESIGNATED),
    ("COMMANDLOG LEN", COUNT),
    ("COMMANDLOG RESET", ALL),
    ("CONFIG", OTHERS),
    ("CONFIG GET", SHOW),
    ("CONFIG HELP", DESIGNATED),
    ("CONFIG RESETSTAT", ALL),
    ("CONFIG REWRITE", CHANGE),
    ("CONFIG SET", CHANGE),
    ("DEBUG", ONE_NODE),
    ("DEBUG DIGEST-VALUE", CommandRule::keys(KeySpec::range(2, -1, 1)).administrative()),
    ("DEBUG HELP", DESIGNATED),
    ("DEBUG HTSTATS-KEY", DEBUG_KEY),
    ("DEBUG LISTPACK", DEBUG_KEY),
    ("DEBUG OBJECT", DEBUG_KEY),
    ("DEBUG QUICKLIST", DEBUG_KEY),
    ("DEBUG SDSLEN", DEBUG_KEY),
    ("DEBUG ZIPLIST", DEBUG_KEY),
    ("FAILOVER", REPLICATION),
    ("HOST:", TRAP),
    ("HOTKEYS", OTHERS),
    ("HOTKEYS GET", BY_NODE),
    ("HOTKEYS HELP", DESIGNATED),
    ("HOTKEYS RESET", ALL),
    ("HOTKEYS START", ALL),
    ("HOTKEYS STOP", ALL),
    ("INFO", CommandRule::all_nodes(Gather::ByNode).answered_by_proxy(ProxyCommand::Info)),
    // What is older than the oldest is saved on all.
    ("LASTSAVE", CommandRule::all_nodes(Gather::Min)),
    ("LATENCY", SHOW),
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
    ("MODULE", OTHERS),
    ("MODULE HELP", DESIGNATED),
    ("MODULE LIST", SHOW),
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
    ("SLOWLOG", SHOW),
    ("SLOWLOG GET", LOG),
    ("SLOWLOG HELP", DESIGNATED),
    ("SLOWLOG LEN", COUNT),
    ("SLOWLOG RESET", ALL),
    ("SYNC", STREAM),
    ("TIME", DESIGNATED),
];
