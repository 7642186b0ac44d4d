//! Commands that concern the connection rather than a node.

use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::dispatch::Source;
use super::dispatch::part;
use super::dispatch::refused;
use super::links::Ask;
use super::partial::Joining;
use super::wire::error_value;
use crate::command::CommandRule;
use crate::command::Gather;
use crate::command::LocalReply;
use crate::command::SessionCommand;
use crate::command::Special;
use crate::node::NodeId;
use crate::plan::designated;
use crate::plan::scan::Next;
use crate::plan::scan::ScanCursor;
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
            Special::Local(reply) => Ok(self.reply_locally(reply, args)),
            Special::Session(kind) => self.change_session(kind, args, source),
            Special::Transaction(command) => self.execute_transaction(command, args, source),
            Special::Scan => self.scan(args, source),
            Special::Refused(reason) => Err(refused(args[0], reason).into()),
        }
    }

    /// What redis-server replies, arity errors included.
    pub(super) fn reply_locally(&mut self, reply: LocalReply, args: &[&[u8]]) -> Value {
        match (reply, args) {
            (LocalReply::Pong, [_]) => Value::SimpleString("PONG".into()),
            (LocalReply::Pong | LocalReply::Echo, [_, message]) => {
                Value::BulkString(message.to_vec())
            }
            (LocalReply::Quit, _) => {
                self.transaction.unpin();
                let nodes: Vec<_> = self.links.open_nodes().collect();
                for node in nodes {
                    self.links.close(node);
                }
                Value::Okay
            }
            _ => wrong_arity(args[0]),
        }
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
        let cursor = match args.get(1) {
            Some(cursor) if self.router().nodes().len() > 1 => *cursor,
            // The one node's own cursors need no node in them; without any the server says what is wrong.
            _ => {
                let node = designated(self.router())?;
                return Ok(self.links.ask_one(
                    node,
                    source.packed().into_owned(),
                    self.patience(),
                )?);
            }
        };
        let Some(cursor) = std::str::from_utf8(cursor).ok().and_then(|cursor| cursor.parse().ok())
        else {
            // No node may be asked: what is no number here may be one there (Redis 7.0 reads "-1" and
            // ""), and the reply would be a scan of that node alone.
            return Ok(invalid_cursor());
        };
        if self.router().live_nodes().next().is_none() {
            return Err(crate::plan::no_live_node().into());
        }
        let scan = match ScanCursor::decode(cursor, self.router()) {
            Some(Next::Scan(scan)) => scan,
            Some(Next::Nothing) => return Ok(nothing_left()),
            None => return Ok(invalid_cursor()),
        };
        let mut bytes = self.links.buffer();
        write_array_header(&mut bytes, args.len());
        write_bulk_string(&mut bytes, args[0]);
        write_bulk_string(&mut bytes, scan.own.to_string().as_bytes());
        for argument in &args[2..] {
            write_bulk_string(&mut bytes, argument);
        }
        let reply = self.links.ask_one(scan.node, bytes, self.patience())?;
        match reply {
            Value::ServerError(_) => Ok(reply),
            Value::Array(mut parts) if parts.len() == 2 => {
                let own = parts.first().and_then(as_cursor);
                let next = own.and_then(|own| scan.advance(own, self.router()));
                let Some(next) = next else {
                    return Err(refused(args[0], "the node's cursor has more than 52 bits").into());
                };
                parts[0] = Value::BulkString(next.to_string().into_bytes());
                Ok(Value::Array(parts))
            }
            _ => {
                self.links.close(scan.node);
                let reply = crate::plan::BrokenReply { node: scan.node };
                Err(super::partial::broken(reply, args[0], self.router()).into())
            }
        }
    }
}

fn is_error(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(_))
}

/// The end of a scan.
fn nothing_left() -> Value {
    Value::Array(vec![Value::BulkString(b"0".to_vec()), Value::Array(Vec::new())])
}

/// Redis's own words (7.0 `db.c` `parseScanCursorOrReply`).
fn invalid_cursor() -> Value {
    error_value("ERR invalid cursor")
}

fn as_cursor(reply: &Value) -> Option<u64> {
    match reply {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// Redis's own words (7.0 `server.c` `processCommand`).
pub(super) fn wrong_arity(name: &[u8]) -> Value {
    let name = name.to_ascii_lowercase();
    error_value(&format!("ERR wrong number of arguments for '{}' command", name.escape_ascii()))
}
