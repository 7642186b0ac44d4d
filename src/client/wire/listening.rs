//! A link on which a node speaks unasked.

use std::os::fd::AsFd;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TryRecvError;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Msg;
use redis::PubSub;
use redis::PushKind;
use redis::RedisResult;
use redis::ServerError;
use redis::Value;

use super::delegate::wire_error;
use super::direct::Direct;
use super::link::Link;
use super::link::Transport;
use super::link::WireError;
use crate::net::BYTES_A_TURN;
use crate::net::Interest;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// A connection in subscribed state: orders go out when they can, and what comes in is no reply to any of
/// them in particular.
#[derive(Debug)]
pub(crate) struct Listening {
    source: Source,
    unsent: Vec<u8>,
}

#[derive(Debug)]
enum Source {
    Direct(Box<Direct>),
    /// redis-rs's connection blocks, so a thread listens on it.
    Thread {
        orders: Sender<Order>,
        said: Mutex<Receiver<Result<Said, WireError>>>,
    },
}

/// What a node can be told.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) word: OrderWord,
    pub(crate) arguments: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderWord {
    Subscribe,
    Unsubscribe,
    PSubscribe,
    PUnsubscribe,
    Ping,
}

/// What a node says.
#[derive(Debug)]
pub(crate) enum Said {
    Message(Msg),
    /// One channel or pattern is listened to, or no longer.
    Confirmation,
    Pong(Value),
    /// The earliest order that was not answered is not carried out.
    Refused(ServerError),
}

impl Listening {
    pub(crate) fn new(link: Link) -> Result<Self, WireError> {
        let source = match link.into_transport() {
            Transport::Direct(direct) => Source::Direct(Box::new(direct)),
            Transport::Delegate(delegate) => {
                let (orders, todo) = mpsc::channel();
                let (say, said) = mpsc::sync_channel(QUEUE);
                let mut connection = delegate.into_connection();
                let name = "shardwright-listen".to_owned();
                thread::Builder::new()
                    .name(name)
                    .spawn(move || listen(&mut connection.as_pubsub(), &todo, &say))?;
                Source::Thread { orders, said: Mutex::new(said) }
            }
        };
        Ok(Self { source, unsent: Vec::new() })
    }

    /// Gives an order. It goes out with [`flush`](Self::flush).
    pub(crate) fn tell(&mut self, order: Order) {
        match &self.source {
            Source::Direct(_) => order.write(&mut self.unsent),
            Source::Thread { orders, .. } => {
                // If the thread is gone, its last word says why.
                let _ = orders.send(order);
            }
        }
    }

    /// Writes what goes without waiting.
    pub(crate) fn flush(&mut self) -> Result<(), WireError> {
        if let Source::Direct(direct) = &mut self.source
            && !self.unsent.is_empty()
        {
            let sent = direct.try_send(&self.unsent)?;
            self.unsent.drain(..sent);
        }
        Ok(())
    }

    /// What the node said next, if it has said something and this turn's `budget` of bytes is not used
    /// up: from one that says things faster than we read there is always more.
    pub(crate) fn next(&mut self, budget: &mut usize) -> Result<Option<Said>, WireError> {
        match &mut self.source {
            Source::Direct(direct) => loop {
                if let Some(value) = direct.next_value()? {
                    return Said::try_from(value).map(Some);
                }
                if *budget == 0 {
                    return Ok(None);
                }
                match direct.try_receive()? {
                    0 => return Ok(None),
                    count => *budget = budget.saturating_sub(count),
                }
            },
            Source::Thread { .. } if *budget == 0 => Ok(None),
            Source::Thread { said, .. } => match said.get_mut().try_recv() {
                Ok(said) => {
                    *budget = budget.saturating_sub(BYTES_A_TURN / QUEUE);
                    said.map(Some)
                }
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => {
                    Err(WireError::Broken("the listening thread has ended".into()))
                }
            },
        }
    }

    /// What to wait for.
    pub(crate) fn interest(&self) -> Interest<'_> {
        match &self.source {
            Source::Direct(direct) if self.unsent.is_empty() => Interest::Readable(direct.as_fd()),
            Source::Direct(direct) => Interest::Both(direct.as_fd()),
            Source::Thread { .. } => Interest::Thread,
        }
    }
}

impl Order {
    fn write(&self, out: &mut Vec<u8>) {
        write_array_header(out, 1 + self.arguments.len());
        write_bulk_string(
            out,
            match self.word {
                OrderWord::Subscribe => b"SUBSCRIBE",
                OrderWord::Unsubscribe => b"UNSUBSCRIBE",
                OrderWord::PSubscribe => b"PSUBSCRIBE",
                OrderWord::PUnsubscribe => b"PUNSUBSCRIBE",
                OrderWord::Ping => b"PING",
            },
        );
        for argument in &self.arguments {
            write_bulk_string(out, argument);
        }
    }

    /// Carries it out on redis-rs's connection, which waits for one confirmation.
    fn carry_out(&self, pubsub: &mut PubSub<'_>) -> RedisResult<Option<Value>> {
        let names = &self.arguments;
        match self.word {
            OrderWord::Subscribe => pubsub.subscribe(names)?,
            OrderWord::Unsubscribe => pubsub.unsubscribe(names)?,
            OrderWord::PSubscribe => pubsub.psubscribe(names)?,
            OrderWord::PUnsubscribe => pubsub.punsubscribe(names)?,
            OrderWord::Ping => return pubsub.ping_message(names).map(Some),
        }
        Ok(None)
    }
}

impl TryFrom<Value> for Said {
    type Error = WireError;

    fn try_from(value: Value) -> Result<Self, WireError> {
        if let Some(message) = Msg::from_value(&value) {
            return Ok(Self::Message(message));
        }
        match value {
            Value::ServerError(error) => Ok(Self::Refused(error)),
            Value::Push {
                kind:
                    PushKind::Subscribe
                    | PushKind::PSubscribe
                    | PushKind::Unsubscribe
                    | PushKind::PUnsubscribe,
                ..
            } => Ok(Self::Confirmation),
            Value::Array(parts) => match parts.first() {
                Some(Value::BulkString(word)) if word.ends_with(b"subscribe") => {
                    Ok(Self::Confirmation)
                }
                _ => Ok(Self::Pong(Value::Array(parts))),
            },
            other => Ok(Self::Pong(other)),
        }
    }
}

/// How much the thread may hear before it waits until somebody takes it.
const QUEUE: usize = 1024;
/// How long the thread listens before it looks for orders.
const TURN: Duration = Duration::from_millis(20);
/// How long the node may take to confirm one.
const PATIENCE: Duration = Duration::from_secs(5);

fn listen(
    pubsub: &mut PubSub<'_>,
    orders: &Receiver<Order>,
    say: &SyncSender<Result<Said, WireError>>,
) {
    let mut turn = || -> RedisResult<bool> {
        match orders.try_recv() {
            Ok(order) => {
                pubsub.set_read_timeout(Some(PATIENCE))?;
                let said = match order.carry_out(pubsub)? {
                    Some(pong) => vec![Said::Pong(pong)],
                    None => order.arguments.iter().map(|_| Said::Confirmation).collect(),
                };
                Ok(said.into_iter().all(|said| say.send(Ok(said)).is_ok()))
            }
            Err(TryRecvError::Disconnected) => Ok(false),
            Err(TryRecvError::Empty) => {
                pubsub.set_read_timeout(Some(TURN))?;
                match pubsub.get_message() {
                    Ok(message) => Ok(say.send(Ok(Said::Message(message))).is_ok()),
                    Err(error) if error.is_timeout() => Ok(true),
                    Err(error) => Err(error),
                }
            }
        }
    };
    loop {
        match turn() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let _ = say.send(Err(wire_error(error)));
                return;
            }
        }
    }
}
