//! What the proxy answers itself.

use std::fmt::Write;

use super::Command;
use super::Step;
use crate::command::LocalReply;
use crate::command::ProxyCommand;
use crate::command::SessionCommand;
use crate::protocol::resp::write_bulk_string;
use crate::proxy::core::Core;
use crate::proxy::core::Sockets;

impl Core {
    pub(super) fn local(&mut self, key: usize, command: Command<'_>, local: LocalReply) -> Step {
        match (local, command.args) {
            (LocalReply::Pong, [_]) => self.reply(key, command, b"+PONG\r\n"),
            (LocalReply::Pong | LocalReply::Echo, [_, message]) => {
                let reply = bulk(message);
                self.reply(key, command, &reply)
            }
            (LocalReply::Quit, _) => {
                self.close_with(key, command.index, b"+OK\r\n", false);
                Step::Done
            }
            _ => self.wrong_arity(key, command),
        }
    }

    pub(super) fn proxy_command(
        &mut self,
        key: usize,
        command: Command<'_>,
        local: ProxyCommand,
    ) -> Step {
        let session = &self.sessions[key];
        let reply = match local {
            ProxyCommand::ClientId => format!(":{}\r\n", self.client_id(key)).into_bytes(),
            ProxyCommand::ClientName => match &session.name {
                Some(name) => bulk(name),
                None if session.is_resp3 => b"_\r\n".to_vec(),
                None => b"$-1\r\n".to_vec(),
            },
            ProxyCommand::ClientInfo => {
                let name = session.name.as_ref().map_or(&[][..], |name| name.as_slice());
                let line = format!(
                    "id={} name={} db={} resp={}\n",
                    self.client_id(key),
                    String::from_utf8_lossy(name),
                    self.pools[session.pool].settings.database,
                    if session.is_resp3 { 3 } else { 2 }
                );
                bulk(line.as_bytes())
            }
            ProxyCommand::Info => bulk(self.info(key).as_bytes()),
            ProxyCommand::Subscription(_) => return Step::Done,
        };
        self.reply(key, command, &reply)
    }

    /// The number of a client, of all workers.
    pub(super) fn client_id(&self, key: usize) -> u64 {
        u64::from(self.worker) << 32 | u64::from(self.sessions[key].serial)
    }

    /// What `INFO` says of the proxy: enough for clients that look whether the server is ready.
    fn info(&self, key: usize) -> String {
        let pool = &self.pools[self.sessions[key].pool];
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "# Server\r\nredis_version:{}\r\nredis_mode:standalone\r\nshardwright_version:{}\r\n\
             process_id:{}\r\nuptime_in_seconds:{}\r\n\r\n\
             # Clients\r\nconnected_clients:{}\r\n\r\n\
             # Persistence\r\nloading:0\r\n\r\n\
             # Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n\
             # Shardwright\r\npool:{}\r\nnodes:{}\r\n",
            super::hello::REDIS_VERSION,
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            self.micros / 1_000_000,
            pool.clients,
            pool.settings.name,
            pool.nodes.len(),
        );
        for node in pool.snapshot.router().nodes() {
            let is_out = pool
                .snapshot
                .router()
                .id_of(node.name())
                .is_some_and(|id| pool.snapshot.router().ejected().contains(id));
            let state = if is_out { "ejected" } else { "live" };
            let _ = write!(
                text,
                "node:name={},address={},state={state}\r\n",
                node.name(),
                node.address()
            );
        }
        text
    }

    pub(super) fn session_command(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        session: SessionCommand,
    ) -> Step {
        match (session, command.args) {
            (SessionCommand::Auth, args) => self.auth(key, command, &args[1..]),
            (SessionCommand::Hello, args) => self.hello(key, command, &args[1..]),
            (SessionCommand::Select, [_, number]) => self.select(key, command, number),
            (SessionCommand::ClientName, [_, _, name]) => match self.set_name(key, name) {
                Ok(()) => self.reply(key, command, b"+OK\r\n"),
                Err(text) => self.say(key, command, text),
            },
            (
                SessionCommand::ClientLibraryName | SessionCommand::ClientLibraryVersion,
                [_, _, option, _],
            ) => {
                let is_known = [&b"LIB-NAME"[..], b"LIB-VER"];
                if is_known.iter().any(|known| known.eq_ignore_ascii_case(option)) {
                    return self.reply(key, command, b"+OK\r\n");
                }
                let text = format!("ERR Unrecognized option '{}'", option.escape_ascii());
                self.say(key, command, &text)
            }
            (
                SessionCommand::ClientNoEvict
                | SessionCommand::ClientNoTouch
                | SessionCommand::ClientImportSource,
                [_, _, _],
            ) => self.reply(key, command, b"+OK\r\n"),
            (SessionCommand::ReadOnly, [_]) => {
                self.say(key, command, "ERR This instance has cluster support disabled")
            }
            // What is under way must be answered first: on connections of its own, or by another protocol.
            (SessionCommand::Reset, [_]) if !self.sessions[key].queue.is_empty() => {
                self.sessions[key].is_barred = true;
                Step::Stalled
            }
            (SessionCommand::Reset, [_]) => {
                if let Some(mode) = self.sessions[key].mode.take() {
                    self.end_mode(sockets, *mode);
                }
                let session = &mut self.sessions[key];
                let settings = &self.pools[session.pool].settings;
                session.is_authenticated = settings.client_auth.is_none();
                session.is_resp3 = false;
                session.name = None;
                self.reply(key, command, b"+RESET\r\n")
            }
            _ => self.wrong_arity(key, command),
        }
    }

    fn select(&mut self, key: usize, command: Command<'_>, number: &[u8]) -> Step {
        let database = self.pools[self.sessions[key].pool].settings.database;
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<i64>().ok());
        match number {
            Some(number) if number == i64::from(database) => self.reply(key, command, b"+OK\r\n"),
            Some(_) => self.say(key, command, "ERR DB index is out of range"),
            None => self.say(key, command, "ERR value is not an integer or out of range"),
        }
    }

    /// # Errors
    ///
    /// Redis's words for a name that is none.
    pub(super) fn set_name(&mut self, key: usize, name: &[u8]) -> Result<(), &'static str> {
        if name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
            return Err("ERR Client names cannot contain spaces, newlines or special characters.");
        }
        self.sessions[key].name = (!name.is_empty()).then(|| Box::new(name.to_vec()));
        Ok(())
    }
}

/// A bulk string.
pub(super) fn bulk(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    write_bulk_string(&mut out, bytes);
    out
}
