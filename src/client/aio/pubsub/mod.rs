//! Channels over several nodes, asynchronously.
//!
//! ```text
//!   ShardedPubSubSink ──► Driver ──► Station ──► redis::aio::PubSub     a station a node,
//!                           │        Station ──► redis::aio::PubSub     each a task of its own
//!                           │           │
//!   ShardedPubSubStream ◄───│───────────┘
//!           └─ owns ────────┘ owns
//! ```
//!
//! The driver knows which node is to be listened to for what, and looks at the topology; a station
//! connects, tells its node, hands on its messages, and connects again.

mod driver;
mod sink;
mod station;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use futures_util::Stream;
use redis::FromRedisValue;
use redis::Msg;
use redis::RedisResult;
use redis::ToRedisArgs;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;

pub use self::sink::ShardedPubSubSink;

use self::driver::Driver;
use super::runtime::Task;
use super::runtime::spawn;
use crate::client::ShardedClient;
use crate::client::shared::Shared;

/// What [`redis::aio::PubSub`] is, over several nodes.
///
/// Channels are listened to on the node their name hashes to, patterns on all nodes that are not ejected,
/// on connections of their own that are opened when needed and closed when this is dropped. Channels that
/// begin with `__key` (keyspace notifications) are listened to on all nodes, because each node announces
/// its own keys.
///
/// The stream does not end when a node is lost, and the other nodes' messages go on: behind the scenes it
/// is connected to again, and listened to for the same channels; so it is after the topology changed, or
/// when an ejected node is back. What was published meanwhile is missed, and nothing is said of that on the
/// stream; a [listener](crate::ShardedClientBuilder::listener) is told of ejections. A node that hangs and
/// keeps the connection open is not noticed before the connection ends or a request goes to it.
///
/// As with redis-rs, messages that nobody takes are kept, however many they are.
///
/// # Examples
///
/// ```no_run
/// use futures_util::StreamExt;
///
/// # async fn listen() -> redis::RedisResult<()> {
/// let client = shardwright::ShardedClient::open("redis://10.0.0.1,redis://10.0.0.2")?;
/// let mut pubsub = client.get_async_pubsub().await?;
/// pubsub.subscribe(&["news", "weather"]).await?;
/// let mut messages = pubsub.on_message();
/// while let Some(message) = messages.next().await {
///     let text: String = message.get_payload()?;
///     println!("{}: {text}", message.get_channel_name());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ShardedAsyncPubSub {
    sink: ShardedPubSubSink,
    stream: ShardedPubSubStream,
}

/// The half of a [`ShardedAsyncPubSub`] that gives the messages.
///
/// It does not end when the sink is dropped, or a node is lost. Dropping it closes all connections.
#[derive(Debug)]
pub struct ShardedPubSubStream {
    messages: UnboundedReceiver<Msg>,
    /// Ends with this, and with it all stations.
    _driver: Task,
}

impl ShardedClient {
    /// Listens to channels and patterns, on connections that are opened when there is something to listen
    /// to.
    ///
    /// # Errors
    ///
    /// None: subscribing says what is wrong with a node. The signature is redis-rs's.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, if only tokio is compiled in.
    pub async fn get_async_pubsub(&self) -> RedisResult<ShardedAsyncPubSub> {
        Ok(ShardedAsyncPubSub::new(Arc::clone(&self.shared)))
    }
}

impl ShardedAsyncPubSub {
    fn new(shared: Arc<Shared>) -> Self {
        let (requests, received) = mpsc::unbounded_channel();
        let (sender, messages) = mpsc::unbounded_channel();
        let driver = Driver::new(Arc::clone(&shared), received, requests.clone(), sender);
        Self {
            sink: ShardedPubSubSink { shared, requests },
            stream: ShardedPubSubStream { messages, _driver: spawn(driver.run()) },
        }
    }

    /// Listens to further channels, and waits until their nodes have confirmed it.
    ///
    /// # Errors
    ///
    /// As [`ShardedPubSubSink::subscribe`].
    pub async fn subscribe(&mut self, channel_name: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.subscribe(channel_name).await
    }

    /// Listens to these channels no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`ShardedPubSubSink::unsubscribe`].
    pub async fn unsubscribe(&mut self, channel_name: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.unsubscribe(channel_name).await
    }

    /// Listens to further patterns, and waits until all nodes have confirmed it that are not ejected.
    ///
    /// # Errors
    ///
    /// As [`ShardedPubSubSink::psubscribe`].
    pub async fn psubscribe(&mut self, channel_pattern: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.psubscribe(channel_pattern).await
    }

    /// Listens to these patterns no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`ShardedPubSubSink::unsubscribe`].
    pub async fn punsubscribe(&mut self, channel_pattern: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.punsubscribe(channel_pattern).await
    }

    /// Pings one of the nodes that are listened to.
    ///
    /// # Errors
    ///
    /// If it does not answer within the client's timeout.
    pub async fn ping<T: FromRedisValue>(&mut self) -> RedisResult<T> {
        self.sink.ping().await
    }

    /// Pings one of the nodes that are listened to, with a message.
    ///
    /// # Errors
    ///
    /// If it does not answer within the client's timeout.
    pub async fn ping_message<T: FromRedisValue>(
        &mut self,
        message: impl ToRedisArgs,
    ) -> RedisResult<T> {
        self.sink.ping_message(message).await
    }

    /// The messages, as they come.
    pub fn on_message(&mut self) -> impl Stream<Item = Msg> + '_ {
        &mut self.stream
    }

    /// The messages, as they come. No further channel can be listened to.
    pub fn into_on_message(self) -> ShardedPubSubStream {
        self.stream
    }

    /// Takes it apart, so that subscriptions can be changed while messages are waited for.
    pub fn split(self) -> (ShardedPubSubSink, ShardedPubSubStream) {
        (self.sink, self.stream)
    }
}

impl Stream for ShardedPubSubStream {
    type Item = Msg;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Msg>> {
        self.messages.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_shared<T: Send + Sync + Unpin>() {}
    fn assert_cloned<T: Clone>() {}
    fn assert_sent<T: Send>(_: impl FnOnce(&'static mut ShardedAsyncPubSub) -> T) {}

    #[test]
    fn the_halves_go_from_thread_to_thread_as_in_redis_rs() {
        assert_shared::<redis::aio::PubSub>();
        assert_shared::<redis::aio::PubSubSink>();
        assert_shared::<redis::aio::PubSubStream>();
        assert_shared::<ShardedAsyncPubSub>();
        assert_shared::<ShardedPubSubSink>();
        assert_shared::<ShardedPubSubStream>();
        assert_cloned::<redis::aio::PubSubSink>();
        assert_cloned::<ShardedPubSubSink>();
        assert_sent(|pubsub| pubsub.subscribe("channel"));
        assert_sent(|pubsub| pubsub.ping::<String>());
        assert_sent(|pubsub| pubsub.on_message());
    }
}
