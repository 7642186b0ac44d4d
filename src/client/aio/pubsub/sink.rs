//! What subscriptions are changed with.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use redis::FromRedisValue;
use redis::RedisError;
use redis::RedisResult;
use redis::ToRedisArgs;
use redis::Value;
use redis::from_redis_value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::driver::Arranged;
use super::driver::Awaited;
use super::driver::Request;
use crate::client::aio::dialing::disconnected;
use crate::client::aio::runtime::within;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::failure::incident;
use crate::client::patience::Patience;
use crate::client::pubsub::Kind;
use crate::client::pubsub::look_at_names;
use crate::client::shared::Shared;
use crate::client::wire::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;

/// The half of a [`ShardedAsyncPubSub`](super::ShardedAsyncPubSub) that subscribes and unsubscribes.
///
/// Clones change the same subscriptions. Dropping it ends nothing; once the stream is dropped, all its
/// methods fail. A call whose future is dropped is carried out nevertheless.
#[derive(Clone, Debug)]
pub struct ShardedPubSubSink {
    pub(super) shared: Arc<Shared>,
    pub(super) requests: UnboundedSender<Request>,
}

impl ShardedPubSubSink {
    /// Listens to further channels, and waits until their nodes have confirmed it.
    ///
    /// # Errors
    ///
    /// If a node cannot be connected to, does not confirm it within the client's timeout or is lost
    /// before it does, or if a channel's node is ejected and keeps its keys. In all these cases the
    /// channel stays subscribed: it is listened to as soon as its node can be.
    ///
    /// If a node does not permit a channel (`-NOPERM`): it is not tried again, the others are listened to. If
    /// no channel is named.
    pub async fn subscribe(&mut self, channel_name: impl ToRedisArgs) -> RedisResult<()> {
        self.listen(Kind::Channel, channel_name.to_redis_args()).await
    }

    /// Listens to these channels no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// If a node does not confirm it within the client's timeout, or is lost before it does. In both cases
    /// it is not listened to any more once the node answers, or is connected to again.
    pub async fn unsubscribe(&mut self, channel_name: impl ToRedisArgs) -> RedisResult<()> {
        self.forget(Kind::Channel, channel_name.to_redis_args()).await
    }

    /// Listens to further patterns, and waits until all nodes have confirmed it that are not ejected. One
    /// that is ejected is listened to when it is back.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), and if every node is ejected.
    pub async fn psubscribe(&mut self, channel_pattern: impl ToRedisArgs) -> RedisResult<()> {
        self.listen(Kind::Pattern, channel_pattern.to_redis_args()).await
    }

    /// Listens to these patterns no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`unsubscribe`](Self::unsubscribe).
    pub async fn punsubscribe(&mut self, channel_pattern: impl ToRedisArgs) -> RedisResult<()> {
        self.forget(Kind::Pattern, channel_pattern.to_redis_args()).await
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
        let pong = self.pong(message.to_redis_args()).await?;
        Ok(from_redis_value(pong)?)
    }

    /// Pings one of the nodes that are listened to.
    ///
    /// # Errors
    ///
    /// If it does not answer within the client's timeout.
    pub async fn ping<T: FromRedisValue>(&mut self) -> RedisResult<T> {
        let pong = self.pong(Vec::new()).await?;
        Ok(from_redis_value(pong)?)
    }

    async fn listen(&self, kind: Kind, names: Vec<Vec<u8>>) -> RedisResult<()> {
        look_at_names(kind, &names)?;
        let deadline = self.deadline();
        loop {
            let names = names.clone();
            let request = |reply| Request::Listen { kind, names, reply };
            let Arranged { awaited, homeless } = self.ask(request).await?;
            if self.confirmed(awaited, deadline).await? {
                return homeless.map_or(Ok(()), Err);
            }
        }
    }

    async fn forget(&self, kind: Kind, names: Vec<Vec<u8>>) -> RedisResult<()> {
        let deadline = self.deadline();
        let arranged = self.ask(|reply| Request::Forget { kind, names, reply }).await?;
        // Who is not there any more is not listened to either.
        self.confirmed(arranged.awaited, deadline).await.map(drop)
    }

    async fn pong(&self, arguments: Vec<Vec<u8>>) -> RedisResult<Value> {
        let deadline = self.deadline();
        loop {
            let arguments = arguments.clone();
            let message = arguments.first().cloned();
            let Some(pinged) = self.ask(|reply| Request::Ping { arguments, reply }).await? else {
                // Nobody is listened to, so nobody could be lost.
                let pong = Value::SimpleString("PONG".into());
                return Ok(message.map_or(pong, Value::BulkString));
            };
            if let Some(pong) = self.settled(pinged, deadline).await? {
                return Ok(pong);
            }
        }
    }

    /// Asks the driver, which answers at once.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> RedisResult<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| disconnected())?;
        Ok(answer.await.map_err(|_| disconnected())?)
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(clock::now(), self.shared.options.timeout)
    }

    /// Waits for the word of all of them. False if one is not listened to any more and another one may have
    /// to be asked.
    async fn confirmed(&self, awaited: Vec<Awaited<()>>, deadline: Deadline) -> RedisResult<bool> {
        let mut first_error: Option<RedisError> = None;
        let mut is_complete = true;
        for awaited in awaited {
            match self.settled(awaited, deadline).await {
                Ok(word) => is_complete &= word.is_some(),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(is_complete), Err)
    }

    /// Waits for the word of one node: none if it is not listened to any more.
    async fn settled<T>(&self, awaited: Awaited<T>, deadline: Deadline) -> RedisResult<Option<T>> {
        let Awaited { member, epoch, is_up, outcome } = awaited;
        match within(deadline.left(clock::now()), outcome).await {
            Some(Ok(outcome)) => return outcome.map(Some),
            Some(Err(_)) => return Ok(None),
            None => {}
        }
        let error = WireError::Deadline;
        let phase = if is_up.load(Relaxed) { Phase::Talking } else { Phase::Connecting };
        // The attempt to connect has its own time, and counts when that is over.
        if phase == Phase::Talking {
            let patience = Patience { limit: deadline.limit(), is_blocking: false };
            self.shared.observe(&member, epoch, incident(&error, phase, patience));
        }
        Err(failure_of(&member, error, phase, deadline).into())
    }
}
