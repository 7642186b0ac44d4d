//! The connection to one node that is listened to.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use redis::Msg;
use redis::ServerError;
use redis::Value;

use super::Kind;
use super::Subscriptions;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Failure;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::session::Session;
use crate::client::wire::Connecting;
use crate::client::wire::Listening;
use crate::client::wire::Order;
use crate::client::wire::OrderWord;
use crate::client::wire::Progress;
use crate::client::wire::Said;
use crate::client::wire::WireError;
use crate::health::Incident;
use crate::net::BYTES_A_TURN;
use crate::net::Interest;
use crate::net::clock::Deadline;
use crate::topology::Member;

/// One node, what it is to be listened to for, and how far that has come.
#[derive(Debug)]
pub(super) struct Station {
    member: Arc<Member<Endpoint>>,
    wanted: Subscriptions,
    state: State,
    /// How long to wait before the next attempt to connect.
    back_off: Duration,
    /// Somebody waits for a confirmation.
    is_hurried: bool,
}

#[derive(Debug)]
enum State {
    Down { retry_at: Instant },
    Connecting { connecting: Box<Connecting>, by: Deadline },
    Up(Box<Up>),
}

#[derive(Debug)]
struct Up {
    listening: Listening,
    /// What the node was told to listen to.
    told: Subscriptions,
    /// What the node was told and has not answered, the earliest first.
    unanswered: VecDeque<Unanswered>,
    refused: Vec<Refused>,
    pong: Option<Value>,
}

/// An order that the node has not answered, or not for all of its names.
#[derive(Debug)]
struct Unanswered {
    word: OrderWord,
    names: Vec<Vec<u8>>,
    confirmed: usize,
}

/// What a node refuses to let us listen to.
#[derive(Debug)]
pub(super) struct Refused {
    /// The channel or pattern that is not listened to; none if only an order was refused.
    pub(super) name: Option<(Kind, Vec<u8>)>,
    pub(super) error: ServerError,
}

/// A connection that failed.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) failure: Failure,
    pub(super) incident: Incident,
    pub(super) epoch: u64,
    /// It was listening: messages may have been missed.
    pub(super) was_up: bool,
}

const FIRST_BACK_OFF: Duration = Duration::from_millis(50);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(2);

impl Station {
    pub(super) fn new(member: &Arc<Member<Endpoint>>, now: Instant) -> Self {
        Self {
            member: Arc::clone(member),
            wanted: Subscriptions::default(),
            state: State::Down { retry_at: now },
            back_off: FIRST_BACK_OFF,
            is_hurried: false,
        }
    }

    pub(super) fn member(&self) -> &Arc<Member<Endpoint>> {
        &self.member
    }

    /// Sets what is to be listened to.
    pub(super) fn assign(&mut self, wanted: Subscriptions) {
        self.wanted = wanted;
    }

    /// Somebody waits: the next failure is news, and the next attempt is now.
    pub(super) fn hurry(&mut self) {
        self.is_hurried = !self.is_settled();
        if let State::Down { retry_at } = &mut self.state
            && self.is_hurried
        {
            *retry_at = retry_at.checked_sub(LONGEST_BACK_OFF).unwrap_or(*retry_at);
        }
    }

    /// Nobody waits any more: it failed, or took too long, and that was said.
    pub(super) fn rest(&mut self) {
        self.is_hurried = false;
    }

    pub(super) fn is_hurried(&self) -> bool {
        self.is_hurried
    }

    /// Whether somebody still has to wait for it.
    pub(super) fn is_pending(&self) -> bool {
        self.is_hurried && !self.is_settled()
    }

    /// Whether the node listens to what it should, and has said so.
    pub(super) fn is_settled(&self) -> bool {
        match &self.state {
            State::Up(up) => up.told == self.wanted && up.is_confirmed(),
            _ => self.wanted.is_empty(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// What to say when time has run out.
    pub(super) fn is_late(&self, deadline: Deadline) -> Failure {
        let phase = if self.is_up() { Phase::Talking } else { Phase::Connecting };
        failure_of(&self.member, WireError::Deadline, phase, deadline)
    }

    pub(super) fn ping(&mut self, arguments: &[Vec<u8>]) {
        if let State::Up(up) = &mut self.state {
            up.pong = None;
            up.tell(OrderWord::Ping, arguments.to_vec());
        }
    }

    pub(super) fn take_pong(&mut self) -> Option<Value> {
        match &mut self.state {
            State::Up(up) => up.pong.take(),
            _ => None,
        }
    }

    /// What the node has refused. It is not wanted from this node any more.
    pub(super) fn take_refused(&mut self) -> Vec<Refused> {
        let State::Up(up) = &mut self.state else {
            return Vec::new();
        };
        let refused = mem::take(&mut up.refused);
        for (kind, name) in refused.iter().filter_map(|refused| refused.name.as_ref()) {
            self.wanted.of_mut(*kind).remove(name);
        }
        refused
    }

    /// Goes on as far as it goes without waiting. True if something changed that may change more.
    ///
    /// # Errors
    ///
    /// If the node failed; it is connected to again later.
    pub(super) fn advance(
        &mut self,
        session: &Session,
        connect_limit: Option<Duration>,
        now: Instant,
        messages: &mut VecDeque<Msg>,
    ) -> Result<bool, Lost> {
        let state = mem::replace(&mut self.state, State::Down { retry_at: now + self.back_off });
        let (outcome, phase, deadline) = match state {
            State::Down { retry_at } => {
                if retry_at > now || self.wanted.is_empty() {
                    self.state = State::Down { retry_at };
                    return Ok(false);
                }
                let by = Deadline::after(now, connect_limit);
                let info = self.member.endpoint().info().clone();
                let connecting = Connecting::start(info, session.clone(), by, now);
                let connecting = connecting
                    .map(|connecting| State::Connecting { connecting: Box::new(connecting), by });
                (connecting.map(|state| (state, true)), Phase::Connecting, by)
            }
            State::Connecting { connecting, by } => {
                let outcome = connecting.advance(now).and_then(|progress| match progress {
                    Progress::Waiting(connecting) => {
                        Ok((State::Connecting { connecting, by }, false))
                    }
                    Progress::Connected(link) => {
                        let up = Up {
                            listening: Listening::new(link)?,
                            told: Subscriptions::default(),
                            unanswered: VecDeque::new(),
                            refused: Vec::new(),
                            pong: None,
                        };
                        Ok((State::Up(Box::new(up)), true))
                    }
                });
                (outcome, Phase::Connecting, by)
            }
            State::Up(mut up) => {
                let outcome = up.advance(&self.wanted, messages);
                (outcome.map(|news| (State::Up(up), news)), Phase::Talking, Deadline::NEVER)
            }
        };
        match outcome {
            Ok((state, news)) => {
                if matches!(state, State::Up(_)) {
                    self.back_off = FIRST_BACK_OFF;
                }
                self.state = state;
                if self.is_settled() {
                    self.is_hurried = false;
                }
                Ok(news)
            }
            Err(error) => Err(self.lose(error, phase, deadline)),
        }
    }

    fn lose(&mut self, error: WireError, phase: Phase, deadline: Deadline) -> Lost {
        self.back_off = (self.back_off * 2).min(LONGEST_BACK_OFF);
        let incident = match &error {
            WireError::Broken(_) => Incident::BrokenReply,
            WireError::Refused(_) => Incident::Handshake,
            WireError::Io(_) | WireError::Deadline => Incident::Io,
        };
        Lost {
            failure: failure_of(&self.member, error, phase, deadline),
            incident,
            epoch: self.member.epoch(),
            was_up: phase == Phase::Talking,
        }
    }

    pub(super) fn interest(&self) -> Option<Interest<'_>> {
        match &self.state {
            State::Down { .. } => None,
            State::Connecting { connecting, .. } => Some(connecting.interest()),
            State::Up(up) => Some(up.listening.interest()),
        }
    }

    pub(super) fn wakes(&self) -> Option<Instant> {
        match &self.state {
            State::Down { retry_at } => Some(*retry_at),
            State::Connecting { connecting, by } => {
                connecting.wakes().into_iter().chain(by.at()).min()
            }
            State::Up(_) => None,
        }
    }
}

impl Up {
    /// Tells the node what changed, and takes what it says.
    fn advance(
        &mut self,
        wanted: &Subscriptions,
        messages: &mut VecDeque<Msg>,
    ) -> Result<bool, WireError> {
        let mut has_news = false;
        if self.told != *wanted {
            for kind in Kind::ALL {
                let (told, wanted) = (self.told.of(kind), wanted.of(kind));
                let (subscribe, unsubscribe) = words(kind);
                let new: Vec<Vec<u8>> = wanted.difference(told).cloned().collect();
                let old: Vec<Vec<u8>> = told.difference(wanted).cloned().collect();
                for (word, arguments) in [(subscribe, new), (unsubscribe, old)] {
                    if !arguments.is_empty() {
                        self.tell(word, arguments);
                    }
                }
            }
            self.told = wanted.clone();
        }
        self.listening.flush()?;
        let mut budget = BYTES_A_TURN;
        while let Some(said) = self.listening.next(&mut budget)? {
            has_news = true;
            match said {
                Said::Message(message) => messages.push_back(message),
                Said::Confirmation => self.confirm(),
                Said::Pong(value) => {
                    if self.unanswered.front().is_some_and(|order| order.word == OrderWord::Ping) {
                        self.unanswered.pop_front();
                    }
                    self.pong = Some(value);
                }
                Said::Refused(error) => self.refuse(error)?,
            }
        }
        Ok(has_news)
    }

    fn tell(&mut self, word: OrderWord, arguments: Vec<Vec<u8>>) {
        self.unanswered.push_back(Unanswered { word, names: arguments.clone(), confirmed: 0 });
        self.listening.tell(Order { word, arguments });
    }

    fn is_confirmed(&self) -> bool {
        self.unanswered.iter().all(|order| order.word == OrderWord::Ping)
    }

    /// One name of the earliest order is listened to, or no longer.
    fn confirm(&mut self) {
        if let Some(order) = self.unanswered.front_mut() {
            order.confirmed += 1;
            if order.confirmed >= order.names.len() {
                self.unanswered.pop_front();
            }
        }
    }

    /// The earliest order is refused: with one name for that name's sake, with several for that of any,
    /// so that each is tried alone.
    fn refuse(&mut self, error: ServerError) -> Result<(), WireError> {
        let Some(Unanswered { word, names, .. }) = self.unanswered.pop_front() else {
            return Err(WireError::Broken(error.to_string()));
        };
        let kind = match word {
            OrderWord::Subscribe => Kind::Channel,
            OrderWord::PSubscribe => Kind::Pattern,
            OrderWord::Ping => {
                self.pong = Some(Value::ServerError(error));
                return Ok(());
            }
            OrderWord::Unsubscribe | OrderWord::PUnsubscribe => {
                self.refused.push(Refused { name: None, error });
                return Ok(());
            }
        };
        if names.len() > 1 {
            names.into_iter().for_each(|name| self.tell(word, vec![name]));
        } else if let Some(name) = names.into_iter().next() {
            self.told.of_mut(kind).remove(&name);
            self.refused.push(Refused { name: Some((kind, name)), error });
        }
        Ok(())
    }
}

/// To listen, and to listen no longer.
fn words(kind: Kind) -> (OrderWord, OrderWord) {
    match kind {
        Kind::Channel => (OrderWord::Subscribe, OrderWord::Unsubscribe),
        Kind::Pattern => (OrderWord::PSubscribe, OrderWord::PUnsubscribe),
    }
}
