//! What the application set on a connection, replayed on every new link of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::command::SessionCommand;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// The last command of each kind that was carried out, as bytes.
///
/// A sharded connection is many links, opened when needed and again after a failure; an application that
/// said `SELECT 3` must not find itself in database 0 on one of them.
#[derive(Clone, Default)]
pub(crate) struct Session {
    commands: BTreeMap<SessionCommand, Vec<u8>>,
}

impl Session {
    /// Remembers `args`, the command of `kind` that was carried out, in place of an earlier one.
    pub(crate) fn remember(&mut self, kind: SessionCommand, args: &[&[u8]]) {
        match kind {
            SessionCommand::Reset => self.commands.clear(),
            SessionCommand::Hello => self.remember_hello(args),
            _ => self.insert(kind, args),
        }
    }

    /// `HELLO [protover [AUTH username password] [SETNAME clientname]]` is up to three commands in one. What
    /// it does not name stays as it was, so each is remembered as the command that does only that.
    fn remember_hello(&mut self, args: &[&[u8]]) {
        let [name, version, options @ ..] = args else {
            return;
        };
        self.insert(SessionCommand::Hello, &[name, version]);
        let mut options = options;
        loop {
            options = match options {
                [word, user, password, rest @ ..] if word.eq_ignore_ascii_case(b"AUTH") => {
                    self.insert(SessionCommand::Auth, &[word, user, password]);
                    rest
                }
                [word, name, rest @ ..] if word.eq_ignore_ascii_case(b"SETNAME") => {
                    self.insert(SessionCommand::ClientName, &[b"CLIENT", word, name]);
                    rest
                }
                _ => return,
            };
        }
    }

    fn insert(&mut self, kind: SessionCommand, args: &[&[u8]]) {
        let mut bytes = Vec::new();
        write_array_header(&mut bytes, args.len());
        for argument in args {
            write_bulk_string(&mut bytes, argument);
        }
        self.commands.insert(kind, bytes);
    }

    /// The last `AUTH`.
    pub(crate) fn auth(&self) -> Option<&[u8]> {
        self.commands.get(&SessionCommand::Auth).map(Vec::as_slice)
    }

    /// What is replayed, in an order in which it works: password, protocol (a server that wants a password
    /// answers no `HELLO` before), database, the rest.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &[u8]> {
        self.commands.values().map(Vec::as_slice)
    }

    /// All but the `AUTH`.
    pub(crate) fn others(&self) -> impl Iterator<Item = &[u8]> {
        let others = self.commands.iter().filter(|(kind, _)| **kind != SessionCommand::Auth);
        others.map(|(_, command)| command.as_slice())
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

    fn said(session: &Session) -> Vec<String> {
        let line = |bytes: &[u8]| {
            let mut args = Vec::new();
            crate::protocol::resp::request(bytes, &mut args).unwrap();
            let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            words.join(" ")
        };
        session.commands().map(line).collect()
    }

    fn remember(session: &mut Session, kind: SessionCommand, line: &str) {
        let args: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        session.remember(kind, &args);
    }

    #[test]
    fn the_last_of_a_kind_is_replayed_and_reset_forgets() {
        let mut session = Session::default();
        remember(&mut session, SessionCommand::ClientName, "CLIENT SETNAME n");
        remember(&mut session, SessionCommand::Select, "SELECT 1");
        remember(&mut session, SessionCommand::Auth, "AUTH p");
        remember(&mut session, SessionCommand::Select, "SELECT 2");
        assert_eq!(said(&session), ["AUTH p", "SELECT 2", "CLIENT SETNAME n"]);
        remember(&mut session, SessionCommand::Reset, "RESET");
        assert_eq!(session.commands().count(), 0);
    }

    #[test]
    fn hello_takes_the_place_of_what_it_says_and_of_nothing_else() {
        let mut session = Session::default();
        remember(&mut session, SessionCommand::Auth, "AUTH alice p");
        remember(&mut session, SessionCommand::ClientName, "CLIENT SETNAME a");
        remember(&mut session, SessionCommand::Hello, "HELLO 3 setname b auth bob q");
        assert_eq!(said(&session), ["auth bob q", "HELLO 3", "CLIENT setname b"]);
        remember(&mut session, SessionCommand::Hello, "HELLO");
        remember(&mut session, SessionCommand::Auth, "AUTH carol r");
        remember(&mut session, SessionCommand::Hello, "HELLO 2");
        assert_eq!(said(&session), ["AUTH carol r", "HELLO 2", "CLIENT setname b"]);
    }
}
