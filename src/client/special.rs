//! Commands that concern the connection rather than a node.

use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::dispatch::Source;
use super::dispatch::part;
use super::dispatch::refused;
use super::links::Ask;
use super::partial::Joining;
use super::scan::ScanFailed;
use super::scan::ScanStep;
use super::scan::begin_scan;
use super::scan::end_scan;
use super::wire::error_value;
use crate::command::CommandRule;
use crate::command::Gather;
use crate::command::LocalReply;
use crate::command::SessionCommand;
use crate::command::Special;
use crate::node::NodeId;
use crate::plan::designated;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

impl ShardedConnection {
    pub(super) fn execute_special(
        &mut self,
        special: Special,
        args: &[&[u8]],
        source: Source<'_>,
    ) -> RedisResult<Value> {
        match special {
            Special::Local(reply) => {
                if reply == LocalReply::Pong {
                    self.read_pushes();
                }
                Ok(self.reply_locally(reply, args))
            }
            Special::Session(kind) => self.change_session(kind, args, source),
            Special::Transaction(command) => self.execute_transaction(command, args, source),
            Special::Scan => self.scan(args, source),
            Special::Refused(reason) => Err(refused(args[0], reason).into()),
        }
    }

    /// What needs no node. `QUIT` closes all links.
    pub(super) fn reply_locally(&mut self, reply: LocalReply, args: &[&[u8]]) -> Value {
        if reply == LocalReply::Quit {
            self.transaction.unpin();
            let nodes: Vec<_> = self.links.open_nodes().collect();
            for node in nodes {
                self.links.close(node);
            }
        }
        local_reply(reply, args)
    }

    /// Tells all open links, and remembers it for those that will be opened.
    fn change_session(
        &mut self,
        kind: SessionCommand,
        args: &[&[u8]],
        source: Source<'_>,
    ) -> RedisResult<Value> {
        // An ejected node may take the whole timeout. It hears of it with the greeting of its next link.
        let ejected = self.router().ejected().clone();
        let (out, mut nodes): (Vec<_>, Vec<_>) =
            self.links.open_nodes().partition(|node| ejected.contains(*node));
        for node in out {
            self.links.close(node);
        }
        if nodes.is_empty() {
            // Somebody has to say whether the database exists, or the password is right.
            nodes.push(designated(self.router())?);
        }
        let bytes = source.packed();
        let asks =
            nodes.iter().map(|&node| Ask { node, bytes: bytes.to_vec(), requests: 1 }).collect();
        let answers = self.links.ask(asks, self.patience());
        let parts: Vec<_> = answers.into_iter().map(part).collect();
        let has_refused = |node: &NodeId| {
            let mut refusals = parts.iter().flatten().filter(|part| is_error(&part.reply));
            refusals.any(|part| part.node == *node)
        };
        // Where it was refused nothing has changed; but HELLO may have done a part of what it says.
        let (unchanged, changed): (Vec<_>, Vec<_>) =
            nodes.into_iter().partition(|node| kind != SessionCommand::Hello && has_refused(node));
        let rule = CommandRule::all_nodes(Gather::First);
        // What was not set everywhere is not set: an error in the place of the reply would not keep a
        // pipeline from going on.
        let failed = parts.iter().find_map(|part| part.as_ref().err().cloned());
        let reply = self.join(Joining::Nodes(Gather::First), parts, args, &rule);
        let reply = reply.and_then(|reply| failed.map_or(Ok(reply), |failure| Err(failure.into())));
        let is_done = unchanged.is_empty() && reply.as_ref().is_ok_and(|reply| !is_error(reply));
        if kind == SessionCommand::Reset {
            self.transaction.reset();
        }
        if is_done {
            self.links.session_mut().remember(kind, args);
        }
        if !is_done || kind == SessionCommand::Reset {
            // Some have changed and others not, or they have forgotten the password of the URL too: a new
            // link says what holds.
            for node in changed {
                self.links.close(node);
            }
        }
        reply
    }

    /// Scans the node that the cursor names.
    fn scan(&mut self, args: &[&[u8]], source: Source<'_>) -> RedisResult<Value> {
        let scan = match begin_scan(args, self.router())? {
            ScanStep::Forward(node) => {
                let bytes = source.packed().into_owned();
                return Ok(self.links.ask_one(node, bytes, self.patience())?);
            }
            ScanStep::Done(reply) => return Ok(reply),
            ScanStep::Scan(scan) => scan,
        };
        let mut bytes = self.links.buffer();
        write_array_header(&mut bytes, args.len());
        write_bulk_string(&mut bytes, args[0]);
        write_bulk_string(&mut bytes, scan.own.to_string().as_bytes());
        for argument in &args[2..] {
            write_bulk_string(&mut bytes, argument);
        }
        let reply = self.links.ask_one(scan.node, bytes, self.patience())?;
        end_scan(scan, reply, args[0], self.router()).map_err(|failed| match failed {
            ScanFailed::Refused(error) => error.into(),
            ScanFailed::Broken(reply) => {
                self.links.close(reply.node);
                super::partial::broken(reply, args[0], self.router()).into()
            }
        })
    }
}

/// What redis-server replies, arity errors included.
pub(super) fn local_reply(reply: LocalReply, args: &[&[u8]]) -> Value {
    match (reply, args) {
        (LocalReply::Pong, [_]) => Value::SimpleString("PONG".into()),
        (LocalReply::Pong | LocalReply::Echo, [_, message]) => Value::BulkString(message.to_vec()),
        (LocalReply::Quit, _) => Value::Okay,
        _ => wrong_arity(args[0]),
    }
}

pub(super) fn is_error(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(_))
}

/// Redis's own words (7.0 `server.c` `processCommand`).
pub(super) fn wrong_arity(name: &[u8]) -> Value {
    let name = name.to_ascii_lowercase();
    error_value(&format!("ERR wrong number of arguments for '{}' command", name.escape_ascii()))
}
