//! The rows, a file a group.
//!
//! The files of rows begin with `use super::*`: what stands here is their vocabulary.

use super::key_spec::KeySpec;
use super::rule::CommandRule;

mod geo;
mod keyspace;
mod streams;
mod strings;

/// A command, or a subcommand as `CONTAINER SUBCOMMAND`, in upper case.
pub(super) type Row = (&'static str, CommandRule);

/// Every row there is.
pub(super) const GROUPS: &[&[Row]] = &[strings::ROWS, geo::ROWS, streams::ROWS, keyspace::ROWS];

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

/// Has no key, and one node's reply is as good as another's.
const DESIGNATED: CommandRule = CommandRule::no_key();
