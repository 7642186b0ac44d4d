//! One node's part of a sharded connection.

use redis::Cmd;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::Value;

use super::clock::Patience;
use super::connection::ShardedConnection;
use super::connection::empty_command;
use super::dispatch::commands;
use super::links::Ask;
use crate::node::Node;
use crate::node::NodeId;

/// A connection to one node: what is sent on it goes there, whatever its keys are.
///
/// [`on_node`](ShardedConnection::on_node), [`on_key`](ShardedConnection::on_key) and
/// [`on_all`](ShardedConnection::on_all) lend it. It uses the same socket as the sharded connection, with
/// the same deadline; the node's failures count.
///
/// What changes the connection itself (`SELECT`, `WATCH`, `SUBSCRIBE`) is better said on the sharded
/// connection, which knows about it, or on one of [`ShardedClient::node_client`].
///
/// [`ShardedClient::node_client`]: crate::ShardedClient::node_client
#[derive(Debug)]
pub struct NodeConnection<'a> {
    connection: &'a mut ShardedConnection,
    node: NodeId,
}

impl<'a> NodeConnection<'a> {
    pub(super) fn new(connection: &'a mut ShardedConnection, node: NodeId) -> Self {
        Self { connection, node }
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.connection.router().node(self.node)
    }

    fn ask(&mut self, bytes: Vec<u8>, requests: usize) -> RedisResult<Vec<Value>> {
        if bytes.is_empty() {
            return Err(empty_command());
        }
        let patience = self.patience(&bytes);
        let asks = vec![Ask { node: self.node, bytes, requests }];
        let answer = self.connection.links.ask(asks, patience).pop();
        match answer {
            Some(answer) => {
                answer.failure.map_or(Ok(answer.replies), |failure| Err(failure.into()))
            }
            None => Ok(Vec::new()),
        }
    }
}

impl NodeConnection<'_> {
    /// How long the commands in `bytes` may take, their own waiting time included. What is not to be
    /// understood waits for nothing: the node will say what is wrong with it.
    fn patience(&self, bytes: &[u8]) -> Patience {
        let commands = commands(bytes).unwrap_or_default();
        let rules = commands.iter().filter_map(|command| {
            let rule = self.connection.rule(&command.args).ok()?;
            Some(rule.waiting(&command.args))
        });
        rules.fold(self.connection.patience(), Patience::and_waiting)
    }
}

impl ConnectionLike for NodeConnection<'_> {
    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let requests = usize::from(!command.is_no_response());
        let replies = self.ask(command.get_packed_command(), requests)?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    fn req_packed_command(&mut self, bytes: &[u8]) -> RedisResult<Value> {
        let replies = self.ask(bytes.to_vec(), 1)?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    fn req_packed_commands(
        &mut self,
        bytes: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let replies = self.ask(bytes.to_vec(), offset + count)?;
        super::atomic::executed(replies, offset)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.connection.router().ejected().contains(self.node)
    }
}
