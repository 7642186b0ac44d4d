//! Channels over several nodes.
//!
//! `PUBLISH` goes to the node that the channel's name hashes to, and so does `SUBSCRIBE`: they meet. A
//! pattern may match channels of any node, so `PSUBSCRIBE` goes to all.

mod station;
mod subscriptions;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use redis::ControlFlow;
use redis::FromRedisValue;
use redis::Msg;
use redis::RedisError;
use redis::RedisResult;
use redis::ToRedisArgs;
use redis::Value;
use redis::from_redis_value;

use self::station::Refused;
use self::station::Station;
pub(crate) use self::subscriptions::Kind;
pub(crate) use self::subscriptions::Subscriptions;
pub(crate) use self::subscriptions::find_nodes;
pub(crate) use self::subscriptions::look_at_names;
use super::connection::ShardedConnection;
use super::connection::Timeout;
use super::session::Session;
use super::shared::Shared;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::net::wait;

/// What [`redis::PubSub`] is, over several nodes.
///
/// Channels are listened to on the node their name hashes to, patterns on all nodes that are not ejected,
/// on connections of their own that are opened when needed and closed when this is dropped. Channels that
/// begin with `__key` (keyspace notifications) are listened to on all nodes, because each node announces
/// its own keys.
///
/// When a node fails, [`get_message`](Self::get_message) says so once: messages may have been missed.
/// Called again it goes on with the other nodes, connects again behind the scenes, and listens to the
/// same channels; so it does after the topology changed. Nothing is said of a node that was ejected
/// because of what happened on other connections: its messages are missed until it is back, and a
/// [listener](crate::ShardedClientBuilder::listener) is told.
///
/// # Examples
///
/// ```no_run
/// # let client = shardwright::ShardedClient::open("redis://10.0.0.1,redis://10.0.0.2")?;
/// let mut connection = client.get_connection()?;
/// let mut pubsub = connection.as_pubsub();
/// pubsub.subscribe(&["news", "weather"])?;
/// loop {
///     let message = pubsub.get_message()?;
///     let text: String = message.get_payload()?;
///     println!("{}: {text}", message.get_channel_name());
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), redis::RedisError>(())
/// ```
#[derive(Debug)]
pub struct ShardedPubSub<'a> {
    // Borrowed as in redis-rs, so that an application compiles with both.
    connection: &'a mut ShardedConnection,
    shared: Arc<Shared>,
    session: Session,
    generation: u64,
    wanted: Subscriptions,
    stations: Vec<Station>,
    messages: VecDeque<Msg>,
    read_timeout: Timeout,
}

/// How often the topology is looked at while no message comes.
const GLANCE: Duration = Duration::from_millis(100);

impl<'a> ShardedPubSub<'a> {
    pub(super) fn new(connection: &'a mut ShardedConnection) -> Self {
        connection.prepare();
        let shared = Arc::clone(connection.links.shared());
        let session = connection.links.session().clone();
        let read_timeout = Timeout::default();
        let _ = read_timeout.set(connection.message_timeout.get());
        Self {
            connection,
            shared,
            session,
            generation: u64::MAX,
            wanted: Subscriptions::default(),
            stations: Vec::new(),
            messages: VecDeque::new(),
            read_timeout,
        }
    }

    /// Listens to further channels, and waits until their nodes have confirmed it.
    ///
    /// # Errors
    ///
    /// If a node does not confirm it within the connection's timeout, or a channel's node is ejected and
    /// keeps its keys. The others do listen, and [`get_message`](Self::get_message) goes on trying. If no
    /// channel is named.
    ///
    /// A channel that a node refuses (`-NOPERM`) is not tried again; the others are listened to.
    pub fn subscribe<T: ToRedisArgs>(&mut self, channels: T) -> RedisResult<()> {
        let channels = channels.to_redis_args();
        look_at_names(Kind::Channel, &channels)?;
        self.wanted.channels.extend(channels.iter().cloned());
        self.confirm()?;
        self.find_node(&channels)
    }

    /// Listens to further patterns, and waits until all nodes have confirmed it that are not ejected. One
    /// that is ejected is listened to when it is back.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), and if every node is ejected.
    pub fn psubscribe<T: ToRedisArgs>(&mut self, patterns: T) -> RedisResult<()> {
        let patterns = patterns.to_redis_args();
        look_at_names(Kind::Pattern, &patterns)?;
        self.wanted.patterns.extend(patterns);
        self.confirm()?;
        self.find_node(&[])
    }

    /// Listens to these channels no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub fn unsubscribe<T: ToRedisArgs>(&mut self, channels: T) -> RedisResult<()> {
        self.wanted.unsubscribe(Kind::Channel, channels.to_redis_args());
        self.confirm()
    }

    /// Listens to these patterns no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub fn punsubscribe<T: ToRedisArgs>(&mut self, patterns: T) -> RedisResult<()> {
        self.wanted.unsubscribe(Kind::Pattern, patterns.to_redis_args());
        self.confirm()
    }

    /// Pings one of the nodes that are listened to, with a message.
    ///
    /// # Errors
    ///
    /// If it does not answer within the connection's timeout.
    pub fn ping_message<T: FromRedisValue>(&mut self, message: impl ToRedisArgs) -> RedisResult<T> {
        let arguments = message.to_redis_args();
        self.ping_with(&arguments)
    }

    /// Pings one of the nodes that are listened to.
    ///
    /// # Errors
    ///
    /// If it does not answer within the connection's timeout.
    pub fn ping<T: FromRedisValue>(&mut self) -> RedisResult<T> {
        self.ping_with(&[])
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// If none comes within the [read timeout](Self::set_read_timeout), and once for each node that is
    /// lost: messages may have been missed. In both cases it can be called again.
    pub fn get_message(&mut self) -> RedisResult<Msg> {
        let deadline = Deadline::after(clock::now(), self.read_timeout.get());
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            if let Some(error) = self.listen(deadline) {
                return Err(error);
            }
            if self.messages.is_empty() && deadline.has_passed(clock::now()) {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "no message came").into());
            }
        }
    }

    /// Bounds the wait for a message; `None` waits for ever.
    ///
    /// # Errors
    ///
    /// For a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> RedisResult<()> {
        self.read_timeout.set(timeout)
    }

    pub(super) fn run<U>(&mut self, mut func: impl FnMut(Msg) -> ControlFlow<U>) -> RedisResult<U> {
        loop {
            if let ControlFlow::Break(value) = func(self.get_message()?) {
                return Ok(value);
            }
        }
    }

    /// Waits until every node has confirmed what it is to listen to.
    fn confirm(&mut self) -> RedisResult<()> {
        let deadline = Deadline::after(clock::now(), self.connection.patience().limit);
        self.assign(clock::now());
        for station in &mut self.stations {
            station.hurry();
        }
        let mut failed = None;
        while self.stations.iter().any(Station::is_pending) {
            if let Some(error) = self.listen(deadline) {
                failed = failed.or(Some(error));
            }
            if deadline.has_passed(clock::now()) {
                break;
            }
        }
        let late = self.stations.iter().find(|station| !station.is_settled());
        let late = late.map(|station| station.is_late(deadline).into());
        for station in &mut self.stations {
            station.rest();
        }
        failed.or(late).map_or(Ok(()), Err)
    }

    /// Looks whether there is a node to listen to for each of `channels`.
    fn find_node(&self, channels: &[Vec<u8>]) -> RedisResult<()> {
        Ok(find_nodes(channels, self.shared.topology.current().router())?)
    }

    fn ping_with<T: FromRedisValue>(&mut self, arguments: &[Vec<u8>]) -> RedisResult<T> {
        let deadline = Deadline::after(clock::now(), self.connection.patience().limit);
        let Some(place) = self.stations.iter().position(Station::is_up) else {
            let pong = match arguments.first() {
                Some(message) => Value::BulkString(message.clone()),
                None => Value::SimpleString("PONG".into()),
            };
            return Ok(from_redis_value(pong)?);
        };
        self.stations[place].ping(arguments);
        loop {
            if let Some(pong) = self.stations[place].take_pong() {
                return Ok(from_redis_value(pong.extract_error()?)?);
            }
            if let Some(error) = self.listen(deadline) {
                return Err(error);
            }
            if deadline.has_passed(clock::now()) {
                return Err(self.stations[place].is_late(deadline).into());
            }
        }
    }

    /// Waits once for anything to happen, and does what follows from it. Returns what a node failed
    /// with or refused.
    fn listen(&mut self, deadline: Deadline) -> Option<RedisError> {
        let now = clock::now();
        if self.generation != self.shared.topology.generation() {
            self.assign(now);
        }
        let connect_limit = self.shared.options.connect_timeout.or(self.shared.options.timeout);
        let mut failure: Option<RedisError> = None;
        let mut has_news = false;
        for station in &mut self.stations {
            let messages = &mut self.messages;
            match station.advance(&self.session, connect_limit, now, messages) {
                Ok(news) => has_news |= news,
                Err(failed) => {
                    self.shared.observe(station.member(), failed.epoch, failed.incident);
                    // What was down and stays down has been said.
                    if failed.was_up || station.is_hurried() {
                        failure = failure.or(Some(failed.failure.into()));
                    }
                    station.rest();
                }
            }
            for Refused { name, error } in station.take_refused() {
                if let Some((kind, name)) = name {
                    self.wanted.of_mut(kind).remove(&name);
                }
                // Other nodes may have let us.
                self.generation = u64::MAX;
                failure = failure.or_else(|| Value::ServerError(error).extract_error().err());
            }
        }
        if failure.is_some() || has_news || !self.messages.is_empty() {
            return failure;
        }
        let wakes = self.stations.iter().filter_map(Station::wakes);
        let wakes: Option<Instant> = wakes.chain(deadline.at()).min();
        let limit = wakes.map_or(GLANCE, |at| at.saturating_duration_since(now).min(GLANCE));
        let interests = self.stations.iter().map(Station::interest);
        match wait(interests, Some(limit)) {
            Ok(_) => None,
            Err(error) => {
                let message = format!("cannot wait for messages: {error}");
                Some(
                    ShardError::new(ShardErrorKind::Node, message)
                        .with_io_kind(error.kind())
                        .into(),
                )
            }
        }
    }

    /// Tells each station what to listen to, as the topology has it now.
    fn assign(&mut self, now: Instant) {
        let snapshot = self.shared.topology.current();
        self.generation = snapshot.generation();
        let router = snapshot.router();
        let mut old = std::mem::take(&mut self.stations);
        for node in router.live_nodes() {
            let wanted = self.wanted.heard_on(node, router);
            let member = snapshot.member(node);
            let place = old.iter().position(|station| station.member().id() == member.id());
            if wanted.is_empty() && place.is_none() {
                continue;
            }
            let mut station =
                place.map_or_else(|| Station::new(member, now), |place| old.swap_remove(place));
            station.assign(wanted);
            self.stations.push(station);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_shared<T: Send + Sync>() {}

    #[test]
    fn a_subscription_may_go_from_thread_to_thread_as_in_redis_rs() {
        assert_shared::<redis::PubSub<'_>>();
        assert_shared::<ShardedPubSub<'_>>();
    }
}
