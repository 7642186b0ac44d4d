//! Subscriptions on the connection itself, whose messages come as pushes of RESP3.

use redis::ErrorKind;
use redis::ProtocolVersion;
use redis::RedisResult;
use redis::ToRedisArgs;
use redis::Value;

use super::connection::ShardedConnection;
use super::dispatch::part;
use super::links::Ask;
use super::pubsub::Kind;
use super::pubsub::find_nodes;
use crate::node::NodeId;
use crate::plan::no_live_node;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// A subscription is confirmed by pushes, as many as it has names; then this is answered.
const MARK: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// What goes to one node: the names.
type Part = (NodeId, Vec<Vec<u8>>);

impl ShardedConnection {
    /// Listens to channels on this connection; messages go to the [push
    /// sender](Self::set_push_sender).
    ///
    /// Each channel is listened to on its node. A socket that breaks is opened again when it is needed, but what was
    /// listened to on it is not: the push sender gets a `Disconnection`, as it does from redis-rs. A
    /// [`ShardedPubSub`](crate::ShardedPubSub) listens again by itself.
    ///
    /// # Errors
    ///
    /// If the nodes are not asked over RESP3 (`?protocol=resp3`), if a node fails or refuses.
    pub fn subscribe_resp3<T: ToRedisArgs>(&mut self, channel: T) -> RedisResult<()> {
        self.prepare();
        let parts = self.by_node(&channel.to_redis_args())?;
        self.tell(b"SUBSCRIBE", parts)
    }

    /// Listens to patterns on this connection, on all live nodes; see
    /// [`subscribe_resp3`](Self::subscribe_resp3).
    ///
    /// # Errors
    ///
    /// As [`subscribe_resp3`](Self::subscribe_resp3).
    pub fn psubscribe_resp3<T: ToRedisArgs>(&mut self, pchannel: T) -> RedisResult<()> {
        self.prepare();
        let parts = self.everywhere(pchannel.to_redis_args())?;
        self.tell(b"PSUBSCRIBE", parts)
    }

    /// Listens to channels on this connection no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe_resp3`](Self::subscribe_resp3).
    pub fn unsubscribe_resp3<T: ToRedisArgs>(&mut self, channel: T) -> RedisResult<()> {
        self.prepare();
        let channels = channel.to_redis_args();
        let parts =
            if channels.is_empty() { self.where_open(&[]) } else { self.by_node(&channels)? };
        self.tell(b"UNSUBSCRIBE", parts)
    }

    /// Listens to patterns on this connection no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe_resp3`](Self::subscribe_resp3).
    pub fn punsubscribe_resp3<T: ToRedisArgs>(&mut self, pchannel: T) -> RedisResult<()> {
        self.prepare();
        let parts = self.where_open(&pchannel.to_redis_args());
        self.tell(b"PUNSUBSCRIBE", parts)
    }

    /// Reads what nodes have pushed, if somebody wants it: applications of redis-rs send a `PING` for that.
    pub(super) fn read_pushes(&mut self) {
        if self.links.has_push_sender() {
            let ask = |node| Ask { node, bytes: MARK.to_vec(), requests: 1 };
            let asks = self.links.open_nodes().map(ask).collect();
            // A node that does not answer is counted as one, and its connection closed. The next request says so.
            self.links.ask(asks, self.patience());
        }
    }

    fn by_node(&self, channels: &[Vec<u8>]) -> RedisResult<Vec<Part>> {
        let router = self.router();
        find_nodes(channels, router)?;
        let part = |node| {
            let heard = |name: &&Vec<u8>| Kind::Channel.is_heard_on(name, node, router);
            (node, channels.iter().filter(heard).cloned().collect::<Vec<_>>())
        };
        Ok(router.live_nodes().map(part).filter(|(_, names)| !names.is_empty()).collect())
    }

    fn everywhere(&self, names: Vec<Vec<u8>>) -> RedisResult<Vec<Part>> {
        let parts: Vec<_> = self.router().live_nodes().map(|node| (node, names.clone())).collect();
        if parts.is_empty() { Err(no_live_node().into()) } else { Ok(parts) }
    }

    /// Where something may be listened to.
    fn where_open(&self, names: &[Vec<u8>]) -> Vec<Part> {
        self.links.open_nodes().map(|node| (node, names.to_vec())).collect()
    }

    fn tell(&mut self, word: &[u8], parts: Vec<Part>) -> RedisResult<()> {
        if self.links.protocol() == ProtocolVersion::RESP2 {
            // In the words of redis-rs.
            let error = (ErrorKind::InvalidClientConfig, "RESP3 is required for this command");
            return Err(error.into());
        }
        let asks = parts.into_iter().map(|(node, names)| {
            let mut bytes = self.links.buffer();
            write_array_header(&mut bytes, names.len() + 1);
            write_bulk_string(&mut bytes, word);
            names.iter().for_each(|name| write_bulk_string(&mut bytes, name));
            bytes.extend_from_slice(MARK);
            Ask { node, bytes, requests: 1 }
        });
        let asks = asks.collect();
        let mut outcome = Ok(());
        for answer in self.links.ask(asks, self.patience()) {
            match part(answer) {
                Ok(part) => {
                    if let Value::ServerError(error) = part.reply {
                        // That was not the mark's reply, which is still to come.
                        self.links.close(part.node);
                        outcome = outcome.and(Err(error.into()));
                    }
                }
                Err(failure) => outcome = outcome.and(Err(failure.into())),
            }
        }
        outcome
    }
}
