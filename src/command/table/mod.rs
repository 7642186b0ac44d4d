//! The rows, a file a group.
//!
//! A row says what the servers themselves say of a command (`COMMAND INFO`: its keys, whether it is
//! read-only; `tests/it/commands.rs` compares), and what they cannot know: where it goes if there are
//! several nodes. `src/guide/commands.md` is the same for users.
//!
//! A container (`CONFIG`) has a row of its own for subcommands that have none. Where a subcommand may
//! have a key, that is its second argument. Where it may change something, it is refused: on one node
//! alone the change would be wrong.
//!
//! The files of rows begin with `use super::*`: what stands here is their vocabulary.

use super::key_spec::KeySpec;
use super::proxied::ProxyCommand;
use super::proxied::SubscriptionCommand;
use super::rule::CommandRule;
use super::rule::Exception;
use super::rule::Gather;
use super::rule::LocalReply;
use super::rule::SessionCommand;
use super::rule::Special;
use super::rule::TransactionCommand;

mod bitmaps;
mod bloom;
mod cluster;
mod connection;
mod geo;
mod hashes;
mod hyperloglog;
mod json;
mod keyspace;
mod lists;
mod pubsub;
mod scripting;
mod search;
mod server;
mod sets;
mod sorted_sets;
mod streams;
mod strings;
mod time_series;
mod transactions;
mod vector_sets;

/// A command, or a subcommand as `CONTAINER SUBCOMMAND`, in upper case.
pub(super) type Row = (&'static str, CommandRule);

/// Every row there is, and what its group is called.
pub(super) const GROUPS: &[(&str, &[Row])] = &[
    ("Strings", strings::ROWS),
    ("Bitmaps", bitmaps::ROWS),
    ("HyperLogLog", hyperloglog::ROWS),
    ("Lists", lists::ROWS),
    ("Hashes", hashes::ROWS),
    ("Sets", sets::ROWS),
    ("Sorted sets", sorted_sets::ROWS),
    ("Geo", geo::ROWS),
    ("Streams", streams::ROWS),
    ("Keys", keyspace::ROWS),
    ("Transactions", transactions::ROWS),
    ("Scripts and functions", scripting::ROWS),
    ("Publish and subscribe", pubsub::ROWS),
    ("Connection", connection::ROWS),
    ("Server", server::ROWS),
    ("Redis Cluster", cluster::ROWS),
    ("Vector sets", vector_sets::ROWS),
    ("JSON", json::ROWS),
    ("Filters and sketches", bloom::ROWS),
    ("Time series", time_series::ROWS),
    ("Search", search::ROWS),
];

/// Reads the key that is its first argument.
const READ: CommandRule = WRITE.read_only();
/// Writes the key that is its first argument.
const WRITE: CommandRule = CommandRule::key(1);

/// Reads the key behind a subcommand.
const READ_SECOND: CommandRule = WRITE_SECOND.read_only();
/// Writes the key behind a subcommand.
const WRITE_SECOND: CommandRule = CommandRule::key(2);

/// Writes two keys, one behind the other (`RENAME key newkey`).
const WRITE_TWO: CommandRule = CommandRule::key(1).and_keys(KeySpec::at(2));

/// Reads all its arguments (`SINTER key [key …]`).
const READ_ALL: CommandRule = WRITE_ALL.read_only();
/// Writes all its arguments (`DEL key [key …]`).
const WRITE_ALL: CommandRule = CommandRule::keys(KeySpec::range(1, -1, 1));
/// Puts into its first argument what it makes of all others (`SINTERSTORE destination key [key …]`).
const STORE_ALL: CommandRule = CommandRule::key(1).and_keys(KeySpec::range(2, -1, 1));

/// Reads as many keys as it says (`ZINTER numkeys key [key …] …`).
const READ_COUNTED: CommandRule = WRITE_COUNTED.read_only();
/// Writes as many keys as it says (`LMPOP numkeys key [key …] …`).
const WRITE_COUNTED: CommandRule = CommandRule::keys(KeySpec::counted(1));
/// Puts into its first argument what it makes of others (`ZINTERSTORE destination numkeys key …`).
const STORE_COUNTED: CommandRule = CommandRule::key(1).and_keys(KeySpec::counted(2));

/// Has no key, and one node's reply is as good as another's.
const DESIGNATED: CommandRule = CommandRule::no_key();

/// Subcommands of a container that have no row and may change something.
const UNKNOWN: CommandRule = CommandRule::refused(
    "what this subcommand changes is not known here; send it to each node with on_node",
);

const fn local(reply: LocalReply) -> CommandRule {
    CommandRule::special(Special::Local(reply))
}

const fn session(command: SessionCommand) -> CommandRule {
    CommandRule::special(Special::Session(command))
}

const fn transaction(command: TransactionCommand) -> CommandRule {
    CommandRule::special(Special::Transaction(command))
}

#[cfg(test)]
mod tests;
