//! What the application set on a connection, replayed on every new link of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::command::SessionCommand;

/// The last command of each kind that was carried out, as bytes.
///
/// A sharded connection is many links, opened when needed and again after a failure; an application that
/// said `SELECT 3` must not find itself in database 0 on one of them.
#[derive(Clone, Default)]
pub(crate) struct Session {
    commands: BTreeMap<SessionCommand, Vec<u8>>,
}

impl Session {
    /// Remembers `bytes`, the command of `kind` that was carried out, in place of an earlier one.
    pub(crate) fn remember(&mut self, kind: SessionCommand, bytes: &[u8]) {
        if kind == SessionCommand::Reset {
            self.commands.clear();
        } else {
            self.commands.insert(kind, bytes.to_vec());
        }
    }

    /// What is replayed, in an order in which it works: protocol, password, database, the rest.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &[u8]> {
        self.commands.values().map(Vec::as_slice)
    }
}

/// The kinds only: one of the commands is the password.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.commands.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_kind_is_replayed_and_reset_forgets() {
        let mut session = Session::default();
        session.remember(SessionCommand::ClientName, b"name");
        session.remember(SessionCommand::Select, b"1");
        session.remember(SessionCommand::Auth, b"auth");
        session.remember(SessionCommand::Select, b"2");
        assert_eq!(session.commands().collect::<Vec<_>>(), [&b"auth"[..], b"2", b"name"]);
        session.remember(SessionCommand::Reset, b"reset");
        assert_eq!(session.commands().count(), 0);
    }
}
