//! The connection to one node that is listened to, and the task that keeps it.

use std::pin::pin;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::future::select;
use redis::Msg;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use redis::aio::PubSub;
use redis::aio::PubSubSink;
use redis::aio::PubSubStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::driver::Request;
use crate::client::aio::dialing::BackOff;
use crate::client::aio::dialing::dial;
use crate::client::aio::dialing::disconnected;
use crate::client::aio::dialing::lose;
use crate::client::aio::failure::wire_error;
use crate::client::aio::runtime::sleep;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::pubsub::Kind;
use crate::client::pubsub::Subscriptions;
use crate::client::shared::Shared;
use crate::client::wire::WireError;
use crate::health::Incident;
use crate::net::clock::Deadline;
use crate::topology::Member;

/// Who waits for the node's word.
pub(super) type Reply = oneshot::Sender<RedisResult<()>>;

/// What a station is told.
#[derive(Debug)]
pub(super) enum Order {
    Listen { kind: Kind, names: Vec<Vec<u8>>, reply: Option<Reply> },
    Forget { kind: Kind, names: Vec<Vec<u8>>, reply: Option<Reply> },
    Ping { arguments: Vec<Vec<u8>>, reply: oneshot::Sender<RedisResult<Value>> },
}

/// One node, and what it is to be listened to for.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) shared: Arc<Shared>,
    pub(super) member: Arc<Member<Endpoint>>,
    pub(super) orders: UnboundedReceiver<Order>,
    pub(super) messages: UnboundedSender<Msg>,
    /// Who is told of what the node refuses.
    pub(super) driver: UnboundedSender<Request>,
    /// Whether the node is listened to now.
    pub(super) is_up: Arc<AtomicBool>,
    pub(super) wanted: Subscriptions,
    /// They are answered with the next confirmation, refusal or failure.
    pub(super) waiting: Vec<Reply>,
    pub(super) back_off: BackOff,
}

/// The driver is gone, and nobody is left to listen for.
struct Over;

/// Why a connection is of no use any more.
enum Lost {
    Wire(WireError),
    /// The node answered what it may answer otherwise later (`-BUSY`).
    Reply(RedisError),
}

impl Station {
    /// Listens for ever: connects, and connects again.
    pub(super) async fn run(mut self) {
        while let Ok(()) = self.rest().await {
            let opening = dial(&self.shared, &self.member, |client| async move {
                client.get_async_pubsub().await
            });
            let error = match opening.await {
                Ok(pubsub) => {
                    self.is_up.store(true, Relaxed);
                    let lost = self.listen(pubsub).await;
                    self.is_up.store(false, Relaxed);
                    match lost {
                        Ok(Lost::Wire(error)) => lose(&self.shared, &self.member, error).into(),
                        Ok(Lost::Reply(error)) => error,
                        Err(Over) => return,
                    }
                }
                Err(failure) => failure.into(),
            };
            self.back_off.count();
            self.fail(error);
        }
    }

    /// Waits until it is time to connect: something is wanted, and the back-off is over or somebody waits.
    async fn rest(&mut self) -> Result<(), Over> {
        let mut pause = pin!(sleep(self.back_off.pause()));
        let mut has_rested = false;
        while self.waiting.is_empty() && (self.wanted.is_empty() || !has_rested) {
            let order = if has_rested {
                self.orders.recv().await
            } else {
                match select(pin!(self.orders.recv()), &mut pause).await {
                    Either::Left((order, _)) => order,
                    Either::Right(_) => {
                        has_rested = true;
                        continue;
                    }
                }
            };
            self.note(order.ok_or(Over)?);
        }
        Ok(())
    }

    /// Takes an order while the node cannot be told.
    fn note(&mut self, order: Order) {
        match order {
            Order::Listen { kind, names, reply } => {
                self.wanted.of_mut(kind).extend(names);
                self.waiting.extend(reply);
            }
            Order::Forget { kind, names, reply } => {
                self.wanted.remove(kind, names);
                if let Some(reply) = reply {
                    let _ = reply.send(Ok(()));
                }
            }
            Order::Ping { reply, .. } => {
                let error = WireError::Io(disconnected());
                let failure = failure_of(&self.member, error, Phase::Talking, Deadline::NEVER);
                let _ = reply.send(Err(failure.into()));
            }
        }
    }

    /// Tells everybody who waits that the node failed, also those who asked while it did.
    fn fail(&mut self, error: RedisError) {
        while let Ok(order) = self.orders.try_recv() {
            self.note(order);
        }
        self.answer(&Err(error));
    }

    fn answer(&mut self, outcome: &RedisResult<()>) {
        for reply in self.waiting.drain(..) {
            // Who does not wait any more does not need to know.
            let _ = reply.send(outcome.clone());
        }
    }

    /// Returns what the connection was lost with.
    async fn listen(&mut self, pubsub: PubSub) -> Result<Lost, Over> {
        let (sink, stream) = pubsub.split();
        let member = Arc::clone(&self.member);
        let hearing = hear(stream, Arc::clone(&self.shared), member, self.messages.clone());
        // Messages first: what came before a confirmation has been said before it.
        match select(pin!(hearing), pin!(self.obey(sink))).await {
            Either::Left((lost, _)) => lost,
            Either::Right((lost, _)) => lost,
        }
    }

    /// Tells the node what is wanted now, and each order as it comes.
    async fn obey(&mut self, sink: PubSubSink) -> Result<Lost, Over> {
        let mut told = Told { sink, names: Subscriptions::default() };
        let mut outcome = Ok(());
        for kind in Kind::ALL {
            let names = self.wanted.of(kind).iter().cloned().collect();
            match self.subscribe(&mut told, kind, names).await {
                Ok(heard) => outcome = outcome.and(heard),
                Err(lost) => return Ok(lost),
            }
        }
        self.back_off.forget();
        self.answer(&outcome);
        loop {
            let order = self.orders.recv().await.ok_or(Over)?;
            if let Err(lost) = self.carry_out(&mut told, order).await {
                return Ok(lost);
            }
        }
    }

    async fn carry_out(&mut self, told: &mut Told, order: Order) -> Result<(), Lost> {
        match order {
            Order::Listen { kind, mut names, reply } => {
                self.waiting.extend(reply);
                self.wanted.of_mut(kind).extend(names.iter().cloned());
                names.retain(|name| !told.names.of(kind).contains(name));
                let outcome = self.subscribe(told, kind, names).await?;
                self.answer(&outcome);
            }
            Order::Forget { kind, names, reply } => {
                self.waiting.extend(reply);
                let names = self.wanted.remove(kind, names);
                let names = told.names.remove(kind, names);
                self.unsubscribe(told, kind, names).await?;
                self.answer(&Ok(()));
            }
            Order::Ping { arguments, reply } => {
                let pong = if arguments.is_empty() {
                    told.sink.ping::<Value>().await
                } else {
                    told.sink.ping_message::<Value>(arguments).await
                };
                let pong = self.judge(pong)?;
                let _ = reply.send(pong.and_then(Value::extract_error));
            }
        }
        Ok(())
    }

    /// Listens to `names`. If the node refuses several of them, for the sake of any, each is tried alone.
    ///
    /// # Errors
    ///
    /// If the connection is of no use any more. Within that: if the node does not permit one.
    async fn subscribe(
        &mut self,
        told: &mut Told,
        kind: Kind,
        names: Vec<Vec<u8>>,
    ) -> Result<RedisResult<()>, Lost> {
        if names.is_empty() || self.try_subscribe(told, kind, &names).await?.is_ok() {
            return Ok(Ok(()));
        }
        let mut outcome = Ok(());
        for name in names {
            let heard = self.try_subscribe(told, kind, slice::from_ref(&name)).await?;
            if heard.is_err() {
                self.wanted.of_mut(kind).remove(&name);
                // No other node is to be listened to for it either.
                let _ = self.driver.send(Request::Refused { kind, name });
            }
            outcome = outcome.and(heard);
        }
        Ok(outcome)
    }

    async fn try_subscribe(
        &mut self,
        told: &mut Told,
        kind: Kind,
        names: &[Vec<u8>],
    ) -> Result<RedisResult<()>, Lost> {
        let heard = match kind {
            Kind::Channel => told.sink.subscribe(names).await,
            Kind::Pattern => told.sink.psubscribe(names).await,
        };
        match self.judge(heard)? {
            Err(error) if error.code() != Some("NOPERM") => Err(Lost::Reply(error)),
            heard => {
                if heard.is_ok() {
                    told.names.of_mut(kind).extend(names.iter().cloned());
                }
                Ok(heard)
            }
        }
    }

    async fn unsubscribe(
        &mut self,
        told: &mut Told,
        kind: Kind,
        names: Vec<Vec<u8>>,
    ) -> Result<(), Lost> {
        // None would mean all.
        if names.is_empty() {
            return Ok(());
        }
        let heard = match kind {
            Kind::Channel => told.sink.unsubscribe(names).await,
            Kind::Pattern => told.sink.punsubscribe(names).await,
        };
        // A new connection does not listen to them either.
        self.judge(heard)?.map_err(Lost::Reply)
    }

    /// Tells the node's errors from those of the connection.
    fn judge<T>(&self, outcome: RedisResult<T>) -> Result<RedisResult<T>, Lost> {
        match outcome {
            Err(error) if error.code().is_none() => {
                let broken = || WireError::Broken(error.to_string());
                Err(Lost::Wire(wire_error(&error).unwrap_or_else(broken)))
            }
            outcome => {
                let epoch = self.member.epoch();
                self.shared.observe(&self.member, epoch, Incident::Reply);
                Ok(outcome)
            }
        }
    }
}

/// A node that is listened to.
#[derive(Debug)]
struct Told {
    sink: PubSubSink,
    /// What it has confirmed.
    names: Subscriptions,
}

/// Hands on what the node says, until the connection is lost.
async fn hear(
    mut stream: PubSubStream,
    shared: Arc<Shared>,
    member: Arc<Member<Endpoint>>,
    messages: UnboundedSender<Msg>,
) -> Result<Lost, Over> {
    while let Some(message) = stream.next().await {
        shared.observe(&member, member.epoch(), Incident::Reply);
        messages.send(message).map_err(|_| Over)?;
    }
    Ok(Lost::Wire(WireError::Io(disconnected())))
}
