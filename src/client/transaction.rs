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
//! unguarded, so it is refused ([`TransactionLost`](crate::ShardErrorKind::TransactionLost)).

use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::dispatch::Source;
use super::dispatch::refused;
use super::links::Ask;
use super::special::wrong_arity;
use super::wire::error_value;
use crate::command::CommandRule;
use crate::command::FanOut;
use crate::command::LocalReply;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::node::NodeId;
use crate::plan::cross_shard;
use crate::plan::designated;
use crate::plan::one_node;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// Where the connection stands.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// The link that holds a `WATCH`, an open `MULTI`, or both.
    pub(super) pin: Option<Pin>,
    /// A `WATCH` or a `MULTI` went down with its link.
    pub(super) is_lost: bool,
    pub(super) open: Option<Open>,
}

#[derive(Clone, Debug)]
pub(super) struct Pin {
    /// The node, as its member's id: node ids change with the topology.
    member: u64,
    /// The link's serial number.
    serial: u64,
    /// A key that was named, for the message when another node's is.
    pub(super) key: Vec<u8>,
}

/// Between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Whether the node has seen the `MULTI`.
    is_sent: bool,
    /// Commands that came before one named a node.
    held: Vec<u8>,
    held_count: usize,
    /// A command was refused: `EXEC` will be too.
    is_dirty: bool,
}

impl Transaction {
    /// Whether nothing is watched and no `MULTI` is open.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.pin.is_none() && self.open.is_none() && !self.is_lost
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

    fn watch(&mut self, args: &[&[u8]], source: Source<'_>) -> RedisResult<Value> {
        if self.transaction.open.is_some() {
            return Ok(error_value("ERR WATCH inside MULTI is not allowed"));
        }
        let rule = self.rule(args)?;
        let key = args[1];
        let node = one_node(args, &rule, self.router())?;
        if let Some(pin) = self.transaction.pin.clone() {
            self.check(&pin, node, args[0], key)?;
        }
        let reply = self.links.ask_one(node, source.packed().into_owned(), self.patience())?;
        if reply == Value::Okay && self.transaction.pin.is_none() {
            self.pin(node, key);
        }
        Ok(reply)
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
                Ok(self.links.ask_one(node, source.packed().into_owned(), self.patience())?)
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
        let (node, key) = match self.place_in_transaction(args, rule)? {
            Place::Node(node, key) => (node, key),
            Place::Any => match self.transaction.pin.clone() {
                Some(pin) => (self.node_of(&pin).ok_or_else(lost)?, pin.key),
                None => return Ok(self.hold(&source.packed())),
            },
        };
        if let Some(pin) = self.transaction.pin.clone() {
            self.check(&pin, node, args[0], &key)?;
        }
        let mut replies = self.send_queued(node, Some(&source.packed()))?;
        if self.transaction.pin.is_none() {
            self.pin(node, &key);
        }
        Ok(replies.pop().unwrap_or_else(queued))
    }

    /// The node that a command behind `MULTI` belongs to.
    pub(super) fn place_in_transaction(
        &self,
        args: &[&[u8]],
        rule: &CommandRule,
    ) -> RedisResult<Place> {
        let not_here = |why| Err(refused(args[0], why).into());
        match rule.fan_out() {
            FanOut::Special(Special::Refused(why)) => not_here(why),
            FanOut::Special(Special::Local(LocalReply::Pong | LocalReply::Echo)) => Ok(Place::Any),
            FanOut::Special(_) => not_here("it does not belong into a transaction here"),
            FanOut::AllNodes(_) | FanOut::UntilFound => {
                not_here("it concerns all nodes, and a transaction belongs to one")
            }
            FanOut::OneNode | FanOut::ByKey(_) => {
                let keys = rule.keys_of(args).map(|keys| keys.places).unwrap_or_default();
                match keys.first().and_then(|place| args.get(*place)) {
                    Some(key) => {
                        let node = one_node(args, rule, self.router())?;
                        Ok(Place::Node(node, key.to_vec()))
                    }
                    None => Ok(Place::Any),
                }
            }
        }
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
    /// `bytes`. Returns the replies; one that is an error makes the transaction dirty.
    fn send_queued(&mut self, node: NodeId, bytes: Option<&[u8]>) -> RedisResult<Vec<Value>> {
        let Some(open) = &mut self.transaction.open else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        let mut requests = 0;
        if !open.is_sent {
            out.extend_from_slice(&packed(b"MULTI"));
            requests += 1;
        }
        out.append(&mut open.held);
        requests += std::mem::take(&mut open.held_count);
        if let Some(bytes) = bytes {
            out.extend_from_slice(bytes);
            requests += 1;
        }
        let asks = vec![Ask { node, bytes: out, requests }];
        let answer = self.links.ask(asks, self.patience()).pop();
        let Some(answer) = answer else {
            return Ok(Vec::new());
        };
        if let Some(failure) = answer.failure {
            self.transaction.is_lost = true;
            return Err(failure.into());
        }
        if let Some(open) = &mut self.transaction.open {
            open.is_sent = true;
            let has_error = |reply: &Value| matches!(reply, Value::ServerError(_));
            open.is_dirty |= answer.replies.iter().any(has_error);
        }
        Ok(answer.replies)
    }

    fn exec(&mut self) -> RedisResult<Value> {
        let Some(open) = &self.transaction.open else {
            return Ok(error_value("ERR EXEC without MULTI"));
        };
        let (is_dirty, is_sent) = (open.is_dirty, open.is_sent);
        let pinned = match self.transaction.pin.clone() {
            None => None,
            Some(pin) => match self.node_of(&pin) {
                Some(node) if !self.transaction.is_lost => Some(node),
                _ => {
                    self.transaction = Transaction::default();
                    return Err(lost().into());
                }
            },
        };
        if self.transaction.is_lost {
            self.transaction = Transaction::default();
            return Err(lost().into());
        }
        if is_dirty {
            self.abandon(pinned, is_sent);
            return Ok(error_value("EXECABORT Transaction discarded because of previous errors."));
        }
        let node = match pinned {
            Some(node) => node,
            None => designated(self.router())?,
        };
        let replies = self.send_queued(node, Some(&packed(b"EXEC")));
        self.transaction = Transaction::default();
        Ok(replies?.pop().unwrap_or(Value::Nil))
    }

    fn discard(&mut self) -> Value {
        let Some(open) = &self.transaction.open else {
            return error_value("ERR DISCARD without MULTI");
        };
        let is_sent = open.is_sent;
        let pinned = self.transaction.pin.clone().and_then(|pin| self.node_of(&pin));
        self.abandon(pinned, is_sent);
        Value::Okay
    }

    /// Forgets the transaction, and makes the node forget it and what it watches.
    pub(super) fn abandon(&mut self, node: Option<NodeId>, is_sent: bool) {
        self.transaction = Transaction::default();
        if let Some(node) = node {
            let bytes = packed(if is_sent { b"DISCARD" } else { b"UNWATCH" });
            if self.links.ask_one(node, bytes, self.patience()).is_err() {
                self.links.close(node);
            }
        }
    }

    fn pin(&mut self, node: NodeId, key: &[u8]) {
        if let Some(serial) = self.links.link_serial(node) {
            let member = self.links.member_of_node(node);
            self.transaction.pin = Some(Pin { member, serial, key: key.to_vec() });
        }
    }

    /// The node of a pin, if its link is still the same one.
    pub(super) fn node_of(&mut self, pin: &Pin) -> Option<NodeId> {
        let node = self.links.node_of_member(pin.member)?;
        self.links.holds(node, pin.serial).then_some(node)
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
        Err(cross_shard(command, (&pin.key, pinned), (key, node), self.router()).into())
    }
}

/// Where a command of a transaction belongs.
pub(super) enum Place {
    /// To this node, because of this key.
    Node(NodeId, Vec<u8>),
    /// To whatever node the others belong to.
    Any,
}
