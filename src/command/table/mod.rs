//! The rows, a file a group.

use super::rule::CommandRule;

/// A command, or a subcommand as `CONTAINER SUBCOMMAND`, in upper case.
pub(super) type Row = (&'static str, CommandRule);

mod keyspace;
mod strings;

/// Every row there is.
pub(super) const GROUPS: &[&[Row]] = &[keyspace::ROWS, strings::ROWS];
