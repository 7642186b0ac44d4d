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
        let mut nodes: Vec<NodeId> = self.links.open_nodes().collect();
        if nodes.is_empty() {
            // Somebody has to say whether the database exists, or the password is right.
            nodes.push(designated(self.router())?);
        }
        let bytes = source.packed();
        let asks =
            nodes.iter().map(|&node| Ask { node, bytes: bytes.to_vec(), requests: 1 }).collect();
        let answers = self.links.ask(asks, self.patience());
        let parts = answers.into_iter().map(part).collect();
        let rule = CommandRule::all_nodes(Gather::First);
        let reply = self.join(Joining::Nodes(Gather::First), parts, args, &rule);
        let is_done = matches!(&reply, Ok(reply) if !matches!(reply, Value::ServerError(_)));
        if is_done {
            self.links.session_mut().remember(kind, &bytes);
        }
        if !is_done || kind == SessionCommand::Reset {
            // Some have changed and others not, or they have forgotten the password of the URL too: a new
            // link says what holds.
            for node in nodes {
                self.links.close(node);
            }
        }
        reply
    }

    /// Scans the node that the cursor names.
    fn scan(&mut self, args: &[&[u8]], source: Source<'_>) -> RedisResult<Value> {
        let Some(cursor) = args.get(1).and_then(|cursor| cursor_of(cursor)) else {
            // The server says what is wrong with it.
            let node = designated(self.router())?;
            return Ok(self.links.ask_one(node, source.packed().into_owned(), self.patience())?);
        };
        let Some(scan) = ScanCursor::decode(cursor, self.router()) else {
            return if self.router().live_nodes().next().is_some() {
                Ok(error_value("ERR invalid cursor"))
            } else {
                Err(crate::plan::no_live_node().into())
            };
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

/// The cursor that an argument is. As for the server nothing is zero, and a negative number counts from
/// the greatest downwards (Redis 7.0 `db.c` `parseScanCursorOrReply`, which calls `strtoul`).
fn cursor_of(argument: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match argument {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let number: u64 = match digits {
        [b'0'..=b'9', ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    Some(if is_negative { number.wrapping_neg() } else { number })
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
