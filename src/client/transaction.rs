//! Transactions: `WATCH`, `MULTI`, `EXEC`, which one node and one socket hold.
//!
//! ```text
//!   WATCH k ──► pins the link to the node of k
//!   MULTI   ──► nothing is sent: the node may not be known yet
//!   command ──► names the node; MULTI and what was held back are sent before it
//!   EXEC    ──► to the pinned link, if it is still the same one
//! ```
//!
//! A socket that breaks takes its `WATCH` and its queue with it. An `EXEC` on another socket would run
//! unguarded, so it is refused ([`TransactionLost`](crate::ShardErrorKind::TransactionLost)); and so it is
//! when what is watched has moved to another node.

use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::dispatch::Source;
use super::failure::Failure;
use super::links::Ask;
use super::partial::broken;
use super::place::Place;
use super::place::place_in_transaction;
use super::special::wrong_arity;
use super::wire::error_value;
use crate::command::CommandRule;
use crate::command::FanOut;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::plan::BrokenReply;
use crate::plan::cross_shard;
use crate::plan::designated;
use crate::plan::one_node;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// Where the connection stands.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// The link that holds a `WATCH`, an open `MULTI`, or both.
    pin: Option<Pin>,
    /// What the application takes for watched or queued is not: `EXEC` must not be carried out.
    is_lost: bool,
    open: Option<Open>,
}

#[derive(Clone, Debug)]
struct Pin {
    /// The node, as its member's id: node ids change with the topology.
    member: u64,
    /// The link's serial number.
    serial: u64,
    /// The keys that are watched, or the one that named the node of a `MULTI`. Never empty.
    keys: Vec<Vec<u8>>,
}

/// Between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
struct Open {
    /// Whether the node has seen the `MULTI`.
    is_sent: bool,
    /// Commands that came before one named a node.
    held: Vec<u8>,
    held_count: usize,
    /// A command was refused: `EXEC` will be too.
    is_dirty: bool,
}

impl Pin {
    fn first_key(&self) -> &[u8] {
        self.keys.first().map(Vec::as_slice).unwrap_or_default()
    }
}

impl Transaction {
    /// Whether nothing is watched and no `MULTI` is open.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.pin.is_none() && self.open.is_none() && !self.is_lost
    }

    /// Whether a `MULTI` is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What was to be watched is not: the `EXEC` behind it must not be carried out.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }

    /// What is watched goes down with its link.
    pub(super) fn unpin(&mut self) {
        self.is_lost |= self.pin.take().is_some();
    }

    /// Forgets everything, as a node does behind `RESET`.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A key that was named, for the message when another node's is.
    pub(super) fn first_key(&self) -> &[u8] {
        self.pin.as_ref().map(Pin::first_key).unwrap_or_default()
    }
}

fn packed(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_array_header(&mut bytes, 1);
    write_bulk_string(&mut bytes, name);
    bytes
}

fn queued() -> Value {
    Value::SimpleString("QUEUED".into())
}

/// Whether `reply`, one to an `EXEC`, says that the node has no transaction any more. Behind another error
/// (`-OOM`, `-NOPERM`) the `MULTI` may be open still, and what follows would be queued.
pub(super) fn is_end_of_exec(reply: &Value) -> bool {
    match reply {
        Value::Array(_) | Value::Nil => true,
        Value::ServerError(error) => error.code() == "EXECABORT",
        _ => false,
    }
}

pub(super) fn lost() -> ShardError {
    ShardError::new(
        ShardErrorKind::TransactionLost,
        "the connection that held the transaction is gone; nothing was executed",
    )
}

impl ShardedConnection {
    /// `WATCH`, `UNWATCH`, `MULTI`, `EXEC` and `DISCARD`.
    pub(super) fn execute_transaction(
        &mut self,
        command: TransactionCommand,
        args: &[&[u8]],
        source: Source<'_>,
    ) -> RedisResult<Value> {
        let takes_keys = command == TransactionCommand::Watch;
        if (args.len() > 1) != takes_keys {
            return Ok(self.refuse_arity(command, args[0]));
        }
        match command {
            TransactionCommand::Watch => self.watch(args, source),
            TransactionCommand::Unwatch => self.unwatch(source),
            TransactionCommand::Multi => {
                if self.transaction.open.is_some() {
                    return Ok(error_value("ERR MULTI calls can not be nested"));
                }
                self.transaction.open = Some(Open::default());
                Ok(Value::Okay)
            }
            TransactionCommand::Exec => self.exec(),
            TransactionCommand::Discard => Ok(self.discard()),
        }
    }

    /// The reply to a transaction command with wrong arguments. As with any other, an open `MULTI` will
    /// not be executed; an `EXEC` ends it (Redis 7.0 `server.c` `rejectCommand`).
    fn refuse_arity(&mut self, command: TransactionCommand, name: &[u8]) -> Value {
        if command == TransactionCommand::Exec {
            if self.transaction.open.is_some() {
                self.discard();
            }
            return error_value(
                "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' \
                 command",
            );
        }
        if let Some(open) = &mut self.transaction.open {
            open.is_dirty = true;
        }
        wrong_arity(name)
    }

    /// One that fails leaves nothing watched: an application that tries again on another node, as
    /// `redis::transaction` does behind an error, must not be held up by what it watched before.
    fn watch(&mut self, args: &[&[u8]], source: Source<'_>) -> RedisResult<Value> {
        if self.transaction.open.is_some() {
            return Ok(error_value("ERR WATCH inside MULTI is not allowed"));
        }
        let watched = self.node_to_watch(args).and_then(|node| {
            let reply = self.links.ask_one(node, source.packed().into_owned(), self.patience())?;
            Ok((node, reply))
        });
        let (node, reply) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                self.lose_watch();
                return Err(error);
            }
        };
        if reply == Value::Okay {
            self.transaction.is_lost = false;
            self.pin(node, &args[1..]);
        }
        Ok(reply)
    }

    fn node_to_watch(&mut self, args: &[&[u8]]) -> RedisResult<NodeId> {
        let rule = self.rule(args)?;
        let node = one_node(args, &rule, self.router())?;
        if let Some(pin) = self.transaction.pin.clone() {
            self.check(&pin, node, args[0], args[1])?;
        }
        Ok(node)
    }

    /// Ends what is watched. If anything was, `EXEC` is refused until there is a `WATCH` again.
    pub(super) fn lose_watch(&mut self) {
        if let Some(pin) = self.transaction.pin.clone() {
            let node = self.node_of(&pin);
            self.abandon(node, false);
            self.transaction.is_lost = true;
        }
    }

    fn unwatch(&mut self, source: Source<'_>) -> RedisResult<Value> {
        if self.transaction.open.is_some() {
            // Redis queues it, to no effect.
            return Ok(self.hold(&source.packed()));
        }
        let pin = self.transaction.pin.take();
        self.transaction.is_lost = false;
        match pin.and_then(|pin| self.node_of(&pin)) {
            Some(node) => {
                let bytes = source.packed().into_owned();
                let reply = self.links.ask_one(node, bytes, self.patience())?;
                if reply != Value::Okay {
                    self.links.close(node);
                }
                Ok(reply)
            }
            None => Ok(Value::Okay),
        }
    }

    /// A command while something is watched or a `MULTI` is open. `None`: it is carried out as always.
    pub(super) fn execute_in_transaction(
        &mut self,
        args: &[&[u8]],
        rule: &CommandRule,
        source: Source<'_>,
    ) -> Option<RedisResult<Value>> {
        let is_transaction_command =
            matches!(rule.fan_out(), FanOut::Special(Special::Transaction(_)));
        if self.transaction.open.is_none() || is_transaction_command {
            return None;
        }
        let reply = self.queue(args, rule, source);
        let is_refused = matches!(&reply, Err(_) | Ok(Value::ServerError(_)));
        if let Some(open) = &mut self.transaction.open {
            open.is_dirty |= is_refused;
        }
        Some(reply)
    }

    /// Queues a command behind `MULTI`.
    fn queue(
        &mut self,
        args: &[&[u8]],
        rule: &CommandRule,
        source: Source<'_>,
    ) -> RedisResult<Value> {
        let (node, key) = match place_in_transaction(args, rule, self.router())? {
            Place::Node(node, key) => (node, key),
            Place::Any => match self.transaction.pin.clone() {
                Some(pin) => (self.node_of(&pin).ok_or_else(lost)?, pin.first_key().to_vec()),
                None => return Ok(self.hold(&source.packed())),
            },
        };
        if let Some(pin) = self.transaction.pin.clone() {
            self.check(&pin, node, args[0], &key)?;
        }
        let reply = self.send_queued(node, &source.packed())?;
        if self.transaction.pin.is_none() {
            self.pin(node, &[&key]);
        }
        Ok(reply)
    }

    /// Keeps a command until the node is known.
    fn hold(&mut self, bytes: &[u8]) -> Value {
        if let Some(open) = &mut self.transaction.open {
            open.held.extend_from_slice(bytes);
            open.held_count += 1;
        }
        queued()
    }

    /// Sends the open transaction to `node`: `MULTI` if it has not seen it, what was held back, and
    /// `bytes`. Returns the last reply; one that is an error makes the transaction dirty.
    fn send_queued(&mut self, node: NodeId, bytes: &[u8]) -> RedisResult<Value> {
        let before = self.until;
        if before.at().is_none() {
            self.until = Deadline::after(clock::now(), self.patience().limit);
        }
        let reply = self.send_multi(node).and_then(|refusal| match refusal {
            Some(refusal) => Ok(refusal),
            None => self.send_held(node, bytes),
        });
        self.until = before;
        let is_error = matches!(reply, Ok(Value::ServerError(_)));
        self.transaction.is_lost |= reply.is_err();
        if let Some(open) = &mut self.transaction.open {
            open.is_dirty |= is_error;
        }
        Ok(reply?)
    }

    /// Sends `MULTI`, if `node` has not seen it, and nothing with it: what came behind one that is refused
    /// (ACL) would be executed at once. Returns the refusal.
    fn send_multi(&mut self, node: NodeId) -> Result<Option<Value>, Failure> {
        if self.transaction.open.as_ref().is_none_or(|open| open.is_sent) {
            return Ok(None);
        }
        let is_pinned = self.transaction.pin.is_some();
        match self.ask_transaction(node, packed(b"MULTI"), 1, is_pinned)?.pop() {
            Some(Value::Okay) => {}
            Some(refusal @ Value::ServerError(_)) => {
                self.links.close(node);
                return Ok(Some(refusal));
            }
            _ => {
                self.links.close(node);
                return Err(broken(BrokenReply { node }, b"MULTI", self.router()).into());
            }
        }
        if let Some(open) = &mut self.transaction.open {
            open.is_sent = true;
        }
        Ok(None)
    }

    /// Sends what was held back, and `bytes`, over the link that has seen the `MULTI`.
    fn send_held(&mut self, node: NodeId, bytes: &[u8]) -> Result<Value, Failure> {
        let (mut out, mut requests) = (Vec::new(), 1);
        if let Some(open) = &mut self.transaction.open {
            out.append(&mut open.held);
            requests += std::mem::take(&mut open.held_count);
        }
        out.extend_from_slice(bytes);
        let mut replies = self.ask_transaction(node, out, requests, true)?;
        let last = replies.pop().unwrap_or_else(queued);
        if let Some(open) = &mut self.transaction.open {
            open.is_dirty |= replies.iter().any(|reply| matches!(reply, Value::ServerError(_)));
        }
        Ok(last)
    }

    /// Sends `requests` requests to `node`; if it `is_pinned`, over the link that is open and over no new
    /// one, on which they would be executed unguarded.
    pub(super) fn ask_transaction(
        &mut self,
        node: NodeId,
        bytes: Vec<u8>,
        requests: usize,
        is_pinned: bool,
    ) -> Result<Vec<Value>, Failure> {
        let patience = self.patience();
        if !is_pinned {
            let answer = self.links.ask(vec![Ask { node, bytes, requests }], patience).pop();
            return answer
                .map_or(Ok(Vec::new()), |answer| answer.failure.map_or(Ok(answer.replies), Err));
        }
        self.links.ask_open(node, &bytes, requests, patience)
    }

    fn exec(&mut self) -> RedisResult<Value> {
        let Some(open) = &self.transaction.open else {
            return Ok(error_value("ERR EXEC without MULTI"));
        };
        let (is_dirty, is_sent) = (open.is_dirty, open.is_sent);
        let pinned = match self.pinned_node() {
            Ok(pinned) => pinned,
            Err(error) => {
                self.end_transaction();
                return Err(error.into());
            }
        };
        if is_dirty {
            self.abandon(pinned, is_sent);
            return Ok(error_value("EXECABORT Transaction discarded because of previous errors."));
        }
        let node = match pinned {
            Some(node) => node,
            None => designated(self.router())?,
        };
        let reply = self.send_queued(node, &packed(b"EXEC"));
        self.transaction = Transaction::default();
        let reply = reply?;
        if !is_end_of_exec(&reply) {
            self.links.close(node);
        }
        Ok(reply)
    }

    fn discard(&mut self) -> Value {
        if self.transaction.open.is_none() {
            return error_value("ERR DISCARD without MULTI");
        }
        self.end_transaction();
        Value::Okay
    }

    /// Forgets the transaction, here and on the node.
    pub(super) fn end_transaction(&mut self) {
        let is_sent = self.transaction.open.as_ref().is_some_and(|open| open.is_sent);
        let node = self.transaction.pin.clone().and_then(|pin| self.node_of(&pin));
        self.abandon(node, is_sent);
    }

    /// The node that holds the transaction, if one does already.
    ///
    /// # Errors
    ///
    /// If it is lost.
    pub(super) fn pinned_node(&mut self) -> Result<Option<NodeId>, ShardError> {
        if self.transaction.is_lost {
            return Err(lost());
        }
        match self.transaction.pin.clone() {
            Some(pin) => self.node_of(&pin).map(Some).ok_or_else(lost),
            None => Ok(None),
        }
    }

    /// Forgets the transaction, and makes the node forget it and what it watches.
    fn abandon(&mut self, node: Option<NodeId>, is_sent: bool) {
        self.transaction = Transaction::default();
        if let Some(node) = node {
            let bytes = packed(if is_sent { b"DISCARD" } else { b"UNWATCH" });
            // One that may not say so (ACL) is made to forget by hanging up.
            if !matches!(self.links.ask_one(node, bytes, self.patience()), Ok(Value::Okay)) {
                self.links.close(node);
            }
        }
    }

    /// Notes that the link to `node` holds what was said of `keys`.
    fn pin(&mut self, node: NodeId, keys: &[&[u8]]) {
        let keys = keys.iter().map(|key| key.to_vec());
        if let Some(pin) = &mut self.transaction.pin {
            pin.keys.extend(keys);
        } else if let Some(serial) = self.links.link_serial(node) {
            let member = self.links.member_of_node(node);
            self.transaction.pin = Some(Pin { member, serial, keys: keys.collect() });
        }
    }

    /// The node of a pin, if its link is still the same one and its keys are still there.
    fn node_of(&mut self, pin: &Pin) -> Option<NodeId> {
        let node = self.links.node_of_member(pin.member)?;
        let is_there = |key: &Vec<u8>| self.router().route(key) == Ok(node);
        (pin.keys.iter().all(is_there) && self.links.holds(node, pin.serial)).then_some(node)
    }

    /// Whether a command for `key` on `node` may join what is pinned.
    ///
    /// # Errors
    ///
    /// If the link is gone, or the key is on another node.
    fn check(&mut self, pin: &Pin, node: NodeId, command: &[u8], key: &[u8]) -> RedisResult<()> {
        let Some(pinned) = self.node_of(pin) else {
            self.transaction.is_lost = true;
            return Err(lost().into());
        };
        if pinned == node {
            return Ok(());
        }
        let pinned = (pin.first_key(), pinned);
        Err(cross_shard(command, pinned, (key, node), self.router()).into())
    }
}
