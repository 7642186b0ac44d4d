//! RediSearch and Valkey's search module. An index is made on all nodes, and on each it has the node's
//! own documents.

use super::*;

/// An ejected node that misses it would return without the index.
const CHANGE: CommandRule = CommandRule::every_node(Gather::First);
const UNION: CommandRule = CommandRule::all_nodes(Gather::Union);
/// The order, the limits and the scores of a result are those of one node's documents.
const SEARCH: CommandRule = CommandRule::refused(
    "an index has only the documents of its node; search each with on_node and merge the results",
);
const CURSOR: CommandRule =
    CommandRule::refused("a cursor is one node's; read it from that node with on_node");

/// Reads the document behind the index (RediSearch 1).
const READ_DOCUMENT: CommandRule = READ_SECOND;
/// Writes the document behind the index (RediSearch 1).
const WRITE_DOCUMENT: CommandRule = WRITE_SECOND;

pub(super) const ROWS: &[Row] = &[
    ("FT._ALIASADDIFNX", CHANGE),
    ("FT._ALIASDELIFX", CHANGE),
    ("FT._ALIASLIST", UNION),
    ("FT._ALTERIFNX", CHANGE),
    ("FT._CREATEIFNX", CHANGE),
    ("FT._DEBUG", SEARCH.administrative()),
    ("FT._DROPIFX", CHANGE),
    ("FT._DROPINDEXIFX", CHANGE),
    ("FT._LIST", UNION),
    ("FT.ADD", WRITE_DOCUMENT),
    ("FT.AGGREGATE", SEARCH),
    ("FT.ALIASADD", CHANGE),
    ("FT.ALIASDEL", CHANGE),
    ("FT.ALIASUPDATE", CHANGE),
    ("FT.ALTER", CHANGE),
    ("FT.CONFIG", UNKNOWN.administrative()),
    ("FT.CONFIG GET", DESIGNATED.administrative()),
    ("FT.CONFIG HELP", DESIGNATED),
    ("FT.CONFIG SET", CHANGE.administrative()),
    ("FT.CREATE", CHANGE),
    ("FT.CURSOR", CURSOR),
    ("FT.CURSOR DEL", CURSOR),
    ("FT.CURSOR READ", CURSOR),
    ("FT.DEL", WRITE_DOCUMENT),
    ("FT.DICTADD", CHANGE),
    ("FT.DICTDEL", CHANGE),
    ("FT.DICTDUMP", DESIGNATED),
    ("FT.DROP", CHANGE),
    ("FT.DROPINDEX", CHANGE),
    ("FT.EXPLAIN", DESIGNATED),
    ("FT.EXPLAINCLI", DESIGNATED),
    ("FT.GET", READ_DOCUMENT),
    ("FT.HYBRID", SEARCH),
    ("FT.INFO", CommandRule::all_nodes(Gather::ByNode)),
    ("FT.MGET", CommandRule::keys(KeySpec::range(2, -1, 1)).read_only()),
    ("FT.PROFILE", SEARCH),
    ("FT.SAFEADD", WRITE_DOCUMENT),
    ("FT.SEARCH", SEARCH),
    ("FT.SPELLCHECK", SEARCH),
    // Suggestions are a key like any other.
    ("FT.SUGADD", WRITE),
    ("FT.SUGDEL", WRITE),
    ("FT.SUGGET", READ),
    ("FT.SUGLEN", READ),
    ("FT.SYNADD", CHANGE),
    ("FT.SYNDUMP", DESIGNATED),
    ("FT.SYNUPDATE", CHANGE),
    ("FT.TAGVALS", UNION),
];
