//! One node's part of a sharded connection.

use std::io;

use redis::Cmd;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::connection::empty_command;
use super::dispatch::PackedCommand;
use super::dispatch::commands;
use super::dispatch::refused;
use super::links::Ask;
use super::patience::Patience;
use super::transaction::is_end_of_exec;
use crate::command::Effect;
use crate::command::FanOut;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::node::Node;
use crate::node::NodeId;

/// A connection to one node: what is sent on it goes there, whatever its keys are.
///
/// [`on_node`](ShardedConnection::on_node), [`on_key`](ShardedConnection::on_key) and
/// [`on_all`](ShardedConnection::on_all) lend it. It uses the same socket as the sharded connection, with
/// the same deadline; the node's failures count.
///
/// What changes the connection itself (`SELECT`, `WATCH`, `MULTI`) holds until the closure is over; then the
/// socket is closed, and the sharded connection opens another one when it needs it. If the socket breaks
/// before, everything further fails, as it does on a `redis::Connection`. What takes a connection over
/// (`SUBSCRIBE`, `MONITOR`, `CLIENT REPLY`) is refused; a connection of [`ShardedClient::node_client`] is
/// for that. So is everything while a `MULTI` is open on the sharded connection.
///
/// [`ShardedClient::node_client`]: crate::ShardedClient::node_client
#[derive(Debug)]
pub struct NodeConnection<'a> {
    connection: &'a mut ShardedConnection,
    node: NodeId,
    hold: Hold,
}

/// Which link must be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Any.
    No,
    /// The one with this serial number: it was told something that lasts.
    Link(u64),
    /// One that is gone.
    Lost,
}

/// What is to be known of commands before they are sent.
struct Outlook {
    patience: Patience,
    /// They change what later ones mean.
    is_lasting: bool,
    /// They are a whole transaction.
    is_transaction: bool,
}

impl<'a> NodeConnection<'a> {
    pub(super) fn new(connection: &'a mut ShardedConnection, node: NodeId) -> Self {
        Self { connection, node, hold: Hold::No }
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.connection.router().node(self.node)
    }

    /// Sends `bytes`, which must be `count` commands, and reads `requests` replies: all, or none.
    fn ask(&mut self, bytes: Vec<u8>, count: usize, requests: usize) -> RedisResult<Vec<Value>> {
        let outlook = self.look_at(&bytes, count)?;
        let replies = self.send(bytes, requests, outlook.patience);
        if outlook.is_lasting && self.hold == Hold::No {
            let serial = self.connection.links.link_serial(self.node);
            self.hold = serial.map_or(Hold::Lost, Hold::Link);
        }
        let ends = |replies: &Vec<Value>| replies.last().is_some_and(is_end_of_exec);
        let is_over = !outlook.is_transaction || replies.as_ref().is_ok_and(ends);
        if requests < count || !is_over {
            self.connection.links.close(self.node);
        }
        replies
    }

    fn send(
        &mut self,
        bytes: Vec<u8>,
        requests: usize,
        patience: Patience,
    ) -> RedisResult<Vec<Value>> {
        let node = self.node;
        let links = &mut self.connection.links;
        match self.hold {
            Hold::No => {
                let answer = links.ask(vec![Ask { node, bytes, requests }], patience).pop();
                answer.map_or(Ok(Vec::new()), |answer| {
                    answer.failure.map_or(Ok(answer.replies), |failure| Err(failure.into()))
                })
            }
            Hold::Link(serial) if links.holds(node, serial) => {
                Ok(links.ask_open(node, &bytes, requests, patience)?)
            }
            Hold::Link(_) | Hold::Lost => {
                let what = "the connection that was told what is to hold is gone; nothing was sent";
                let error = ShardError::new(ShardErrorKind::Node, what)
                    .with_io_kind(io::ErrorKind::NotConnected)
                    .with_node(self.node().shared_name().clone());
                Err(error.into())
            }
        }
    }

    /// Looks at the commands in `bytes`, of which there must be `count`: a reply too many would answer
    /// somebody else's request.
    fn look_at(&self, bytes: &[u8], count: usize) -> RedisResult<Outlook> {
        let commands = commands(bytes)?;
        let Some(first) = commands.first().and_then(|command| command.args.first()) else {
            return Err(empty_command());
        };
        if commands.len() != count {
            let why = format!("{count} replies are wanted to {} commands", commands.len());
            return Err(refused(first, &why).into());
        }
        if self.connection.transaction.is_open() {
            return Err(refused(first, "a MULTI is open on the sharded connection").into());
        }
        let (said, is_transaction) = match commands.as_slice() {
            [first, inner @ .., last]
                if self.is(first, TransactionCommand::Multi)
                    && self.is(last, TransactionCommand::Exec) =>
            {
                (inner, true)
            }
            all => (all, false),
        };
        let mut outlook =
            Outlook { patience: self.connection.patience(), is_lasting: false, is_transaction };
        for PackedCommand { args, .. } in said {
            let Some(name) = args.first() else {
                return Err(empty_command());
            };
            // Of what is not in a strict table nobody knows what it does.
            let Ok(rule) = self.connection.rule(args) else {
                outlook.is_lasting = true;
                continue;
            };
            match (rule.effect(), rule.fan_out()) {
                (Effect::TakesOver, FanOut::Special(Special::Refused(why))) => {
                    return Err(refused(name, why).into());
                }
                (effect, _) => outlook.is_lasting |= effect != Effect::None,
            }
            outlook.patience = outlook.patience.and_waiting(rule.waiting(args));
        }
        Ok(outlook)
    }

    fn is(&self, command: &PackedCommand<'_>, wanted: TransactionCommand) -> bool {
        let wanted = FanOut::Special(Special::Transaction(wanted));
        self.connection.rule(&command.args).is_ok_and(|rule| rule.fan_out() == wanted)
    }
}

/// What was set is of the closure, and the link with it.
impl Drop for NodeConnection<'_> {
    fn drop(&mut self) {
        if self.hold != Hold::No {
            self.connection.links.close(self.node);
        }
    }
}

impl ConnectionLike for NodeConnection<'_> {
    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let requests = usize::from(!command.is_no_response());
        let replies = self.ask(command.get_packed_command(), 1, requests)?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    fn req_packed_command(&mut self, bytes: &[u8]) -> RedisResult<Value> {
        let replies = self.ask(bytes.to_vec(), 1, 1)?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    fn req_packed_commands(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let count = offset.saturating_add(count);
        let replies = self.ask(bytes.to_vec(), count, count)?;
        super::atomic::executed(replies, offset)
    }

    /// The database that the node's URL names.
    fn get_db(&self) -> i64 {
        self.connection.links.database(self.node.index())
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.connection.router().ejected().contains(self.node)
    }
}
