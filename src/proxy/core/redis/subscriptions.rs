//! Subscriptions, on connections of the session's own: a channel on the node that its name belongs to, where
//! `PUBLISH` goes too; a pattern on all nodes.
//!
//! Nodes confirm each by itself; what the client gets is one confirmation each, with its own count.

use std::collections::BTreeMap;

use super::Command;
use super::Mode;
use super::Step;
use super::frames::elements;
use super::frames::string;
use super::local::bulk;
use super::topics::Kind;
use super::topics::Topic;
use crate::command::FanOut;
use crate::command::LocalReply;
use crate::command::SessionCommand;
use crate::command::Special;
use crate::command::SubscriptionCommand;
use crate::node::NodeId;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;
use crate::proxy::core::Closed;
use crate::proxy::core::Core;
use crate::proxy::core::Link;
use crate::proxy::core::Sockets;
use crate::proxy::core::backend::Pending;
use crate::proxy::core::backend::Purpose;

/// What a session is subscribed to.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct Subscriptions {
    /// The session's own connections, by node and by the number of its member, which stays with it.
    nodes: Vec<(NodeId, u64, usize)>,
    /// What it is subscribed to.
    topics: BTreeMap<(Kind, Vec<u8>), Topic>,
    /// How many of them were confirmed: channels and patterns, and shard channels.
    confirmed: [usize; 2],
    /// Messages that wait for the end of a large reply.
    held: Vec<u8>,
}

impl Subscriptions {
    pub(in crate::proxy::core) fn backends(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().map(|(_, _, backend)| *backend)
    }

    pub(in crate::proxy::core) fn has(&self, backend: usize) -> bool {
        self.backends().any(|own| own == backend)
    }

    /// How many the client has that were confirmed, as Redis counts: channels and patterns together, shard channels
    /// apart.
    fn count(&self, kind: Kind) -> usize {
        self.confirmed[kind.place()]
    }

    /// The client is told that it has a topic.
    fn confirm(&mut self, kind: Kind, name: &[u8]) {
        if let Some(topic) = self.topics.get_mut(&(kind, name.to_vec()))
            && !std::mem::replace(&mut topic.is_confirmed, true)
        {
            self.confirmed[kind.place()] += 1;
        }
    }

    /// The client has a topic no more.
    fn remove(&mut self, kind: Kind, name: &[u8]) -> Option<Topic> {
        let topic = self.topics.remove(&(kind, name.to_vec()))?;
        self.confirmed[kind.place()] -= usize::from(topic.is_confirmed);
        Some(topic)
    }

    /// The channels, each with the member of its node, and whether there is a pattern.
    fn interests(&self) -> (impl Iterator<Item = (&[u8], u64)>, bool) {
        let has_pattern = self.topics.keys().any(|(kind, _)| *kind == Kind::Pattern);
        let topics = self.topics.iter();
        (
            topics.filter_map(|((_, name), topic)| Some((name.as_slice(), topic.member?))),
            has_pattern,
        )
    }

    /// Bytes of messages that wait.
    pub(in crate::proxy::core) fn held(&self) -> usize {
        self.held.len()
    }

    /// The members of the nodes there are connections to.
    fn members(&self) -> impl Iterator<Item = u64> {
        self.nodes.iter().map(|(_, member, _)| *member)
    }
}

impl Core {
    /// `SUBSCRIBE` and its kin.
    pub(super) fn subscription(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        which: SubscriptionCommand,
    ) -> Step {
        let (kind, begins) = Kind::of(which);
        let names = &command.args[1..];
        if begins && names.is_empty() {
            return self.wrong_arity(key, command);
        }
        match self.sessions[key].mode.as_deref() {
            Some(Mode::Subscribed(own)) => {
                let backends: Vec<usize> = own.backends().collect();
                if backends.into_iter().any(|backend| self.is_full(backend, key)) {
                    return Step::Stalled;
                }
            }
            Some(Mode::Transaction(_)) => {
                let text =
                    format!("ERR unsupported by the proxy: '{}' in a transaction", command.name());
                return self.refuse(key, command, &text);
            }
            Some(Mode::Waiting { .. }) => return Step::Stalled,
            None if !self.sessions[key].queue.is_empty() => {
                self.sessions[key].is_barred = true;
                return Step::Stalled;
            }
            None => {
                let mode = Mode::Subscribed(Subscriptions::default());
                self.sessions[key].mode = Some(Box::new(mode));
            }
        }
        if begins {
            for name in names {
                self.subscribe(sockets, key, command, kind, name);
                if !self.sessions.contains(key) {
                    return Step::Done;
                }
            }
        } else {
            self.unsubscribe(key, command, kind, names);
        }
        self.leave_if_unsubscribed(sockets, key);
        Step::Done
    }

    fn subscribe(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        kind: Kind,
        name: &[u8],
    ) {
        let pool = self.sessions[key].pool;
        let router = self.pools[pool].snapshot.router();
        let nodes: Vec<NodeId> = match kind {
            Kind::Pattern => router.live_nodes().collect(),
            Kind::Channel | Kind::Shard => router.route(name).into_iter().collect(),
        };
        let Some(first) = nodes.first() else {
            self.say(key, command, "ERR Connection refused");
            return;
        };
        let first = self.pools[pool].nodes[first.index()].member.id();
        if let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref_mut() {
            let member = (kind != Kind::Pattern).then_some(first);
            // Who subscribes twice is told so twice.
            let known = own.topics.get(&(kind, name.to_vec()));
            let before = known.map_or(0, |topic| topic.left);
            let is_confirmed = known.is_some_and(|topic| topic.is_confirmed);
            let left = before + nodes.len();
            let topic = Topic { left, is_confirmed, nodes: nodes.len(), member };
            own.topics.insert((kind, name.to_vec()), topic);
        }
        for node in nodes {
            let member = self.pools[pool].nodes[node.index()].member.id();
            let known = match self.sessions[key].mode.as_deref() {
                Some(Mode::Subscribed(own)) => {
                    own.nodes.iter().find(|(_, other, _)| *other == member).map(|own| own.2)
                }
                _ => return,
            };
            let backend = match known {
                Some(backend) => backend,
                None => self.own_backend(pool, node, key),
            };
            if let Err(text) = self.admit(sockets, backend) {
                let text = format!("ERR {}", String::from_utf8_lossy(&text));
                self.say(key, command, &text);
                if let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref_mut() {
                    own.remove(kind, name);
                }
                if known.is_none() {
                    self.backends[backend].owner = None;
                    self.drop_backend(sockets, backend);
                }
                return;
            }
            if known.is_none() {
                let serial = self.sessions[key].serial;
                if let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref_mut() {
                    own.nodes.push((node, member, backend));
                }
                let pending = Pending::of_nobody(Purpose::Subscription, self.micros);
                let pending = Pending { session: key as u32, serial, ..pending };
                self.backends[backend].queue.push_back(pending);
            }
            self.tell_subscription(backend, kind.word(true), name);
        }
    }

    fn unsubscribe(&mut self, key: usize, command: Command<'_>, kind: Kind, names: &[&[u8]]) {
        let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref() else {
            return;
        };
        let all: Vec<Vec<u8>> = if names.is_empty() {
            let of_kind = own.topics.keys().filter(|(other, _)| *other == kind);
            of_kind.map(|(_, name)| name.clone()).collect()
        } else {
            names.iter().map(|name| name.to_vec()).collect()
        };
        if all.is_empty() {
            self.confirm(key, command.index, kind, false, None);
        }
        for name in all {
            let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref_mut() else {
                return;
            };
            own.confirm(kind, &name);
            let topic = own.topics.get(&(kind, name.clone())).copied();
            for _ in 0..topic.map_or(0, |topic| topic.left.div_ceil(topic.nodes)) {
                // That it began, the client is told before it hears that it is over.
                self.confirm(key, command.index, kind, true, Some(&name));
            }
            let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref_mut() else {
                return;
            };
            // Its nodes are told, and what they say to it is of no interest: the client has it from us.
            if own.remove(kind, &name).is_some() {
                let backends: Vec<usize> = own.backends().collect();
                for backend in backends {
                    self.tell_subscription(backend, kind.word(false), &name);
                }
            }
            self.confirm(key, command.index, kind, false, Some(&name));
        }
    }

    fn tell_subscription(&mut self, backend: usize, word: &str, name: &[u8]) {
        let out = self.backends[backend].out.tail(&mut self.buffers);
        write_array_header(out, 2);
        write_bulk_string(out, word.as_bytes());
        write_bulk_string(out, name);
        self.mark_dirty(Link::Backend(backend));
    }

    /// Tells the client that a subscription began, or is over.
    fn confirm(&mut self, key: usize, index: u16, kind: Kind, begins: bool, name: Option<&[u8]>) {
        let session = &self.sessions[key];
        let Some(Mode::Subscribed(own)) = session.mode.as_deref() else {
            return;
        };
        let mut reply = if session.is_resp3 { b">3\r\n".to_vec() } else { b"*3\r\n".to_vec() };
        reply.extend(bulk(kind.word(begins).as_bytes()));
        match name {
            Some(name) => reply.extend(bulk(name)),
            None if session.is_resp3 => reply.extend(b"_\r\n"),
            None => reply.extend(b"$-1\r\n"),
        }
        reply.extend(format!(":{}\r\n", own.count(kind)).into_bytes());
        let counters = &mut self.pools[session.pool].counters.commands[usize::from(index)];
        counters.requests += 1;
        self.push(key, &reply);
    }

    /// Sends the client what it has not asked for, between two replies.
    fn push(&mut self, key: usize, message: &[u8]) {
        let session = &mut self.sessions[key];
        if session.is_streamed {
            // Who is not subscribed asked for none.
            if let Some(Mode::Subscribed(own)) = session.mode.as_deref_mut() {
                own.held.extend_from_slice(message);
            }
            return;
        }
        session.out.tail(&mut self.buffers).extend_from_slice(message);
        self.mark_dirty(Link::Session(key));
    }

    /// The large reply is over that messages waited for.
    pub(in crate::proxy::core) fn push_held(&mut self, sockets: &mut impl Sockets, key: usize) {
        if let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref_mut() {
            let held = std::mem::take(&mut own.held);
            if !held.is_empty() {
                self.push(key, &held);
            }
            self.leave_if_unsubscribed(sockets, key);
        }
    }

    /// A node has sent a message or a confirmation.
    pub(in crate::proxy::core) fn take_message(
        &mut self,
        backend: usize,
        reply: &[u8],
    ) -> Result<(), Closed> {
        let Some((key, serial)) = self.backends[backend].owner else {
            // Invalidations and the like are for nobody here.
            return Ok(());
        };
        if self.session_of(key, serial).is_none() {
            return Ok(());
        }
        if crate::proxy::core::sessions::is_error(reply) {
            // The node refuses a subscription: which, it does not say, and so the client can only begin again.
            if self.sessions[key].queue.is_empty() {
                self.push(key, reply);
            }
            self.sessions[key].is_closing = true;
            self.mark_dirty(Link::Session(key));
            return Ok(());
        }
        let mut parts = elements(reply).into_iter().flatten();
        let word = parts.next().and_then(string).and_then(Kind::of_word);
        let Some((kind, begins)) = word else {
            self.push(key, reply);
            return Ok(());
        };
        // That it is over, the client has been told.
        if !begins {
            return Ok(());
        }
        let Some(name) = parts.next().and_then(string) else {
            return Err(Closed::Broken("a confirmation has no name".into()));
        };
        let name = name.to_vec();
        let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref_mut() else {
            return Ok(());
        };
        if let Some(topic) = own.topics.get_mut(&(kind, name.clone())) {
            let was = topic.left;
            topic.left = was.saturating_sub(1);
            if was > 0 && topic.left % topic.nodes == 0 {
                own.confirm(kind, &name);
                let unknown = (self.table.index_count() - 1) as u16;
                self.confirm(key, unknown, kind, true, Some(&name));
            }
        }
        Ok(())
    }

    /// A client without subscriptions is an ordinary one again.
    fn leave_if_unsubscribed(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref() else {
            return;
        };
        if own.topics.is_empty()
            && own.held.is_empty()
            && let Some(mode) = self.sessions[key].mode.take()
        {
            self.end_mode(sockets, *mode);
        }
    }

    /// A command of a client that is subscribed.
    pub(super) fn while_subscribed(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
    ) -> Step {
        let fan_out = command.rule.fan_out();
        if self.sessions[key].is_resp3 {
            return match fan_out {
                // They want connections of their own, and this client's are taken.
                FanOut::Special(Special::Transaction(_)) => {
                    let text = format!(
                        "ERR unsupported by the proxy: '{}' of a subscriber",
                        command.name()
                    );
                    self.say(key, command, &text)
                }
                _ if command.rule.blocking_time() != crate::command::Blocking::No => {
                    let text = format!(
                        "ERR unsupported by the proxy: '{}' of a subscriber",
                        command.name()
                    );
                    self.say(key, command, &text)
                }
                _ => self.plainly(sockets, key, command),
            };
        }
        match (fan_out, command.args) {
            (FanOut::Special(Special::Local(LocalReply::Pong)), [_, rest @ ..])
                if rest.len() < 2 =>
            {
                let mut reply = b"*2\r\n$4\r\npong\r\n".to_vec();
                reply.extend(bulk(rest.first().copied().unwrap_or_default()));
                self.reply(key, command, &reply)
            }
            (FanOut::Special(Special::Local(LocalReply::Quit)), _) => {
                self.local(key, command, LocalReply::Quit)
            }
            (FanOut::Special(Special::Session(SessionCommand::Reset)), _) => {
                self.session_command(sockets, key, command, SessionCommand::Reset)
            }
            _ => {
                let text = format!(
                    "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                     RESET are allowed in this context",
                    command.name()
                );
                self.say(key, command, &text)
            }
        }
    }

    /// Ends sessions whose subscriptions are on other nodes now: they would hear nothing any more. Who subscribes
    /// again hears.
    pub(in crate::proxy::core) fn end_misplaced(
        &mut self,
        sockets: &mut impl Sockets,
        pool: usize,
    ) {
        let view = &self.pools[pool];
        let router = view.snapshot.router();
        let member_of = |node: NodeId| view.nodes[node.index()].member.id();
        let is_misplaced = |own: &Subscriptions| {
            let members: Vec<u64> = own.members().collect();
            let (mut channels, has_pattern) = own.interests();
            channels.any(|(name, member)| {
                router.route(name).is_ok_and(|node| member_of(node) != member)
            }) || has_pattern && router.live_nodes().any(|node| !members.contains(&member_of(node)))
        };
        let misplaced: Vec<usize> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.pool == pool)
            .filter(|(_, session)| {
                matches!(session.mode.as_deref(), Some(Mode::Subscribed(own)) if is_misplaced(own))
            })
            .map(|(key, _)| key)
            .collect();
        for key in misplaced {
            self.end_session(sockets, key, crate::proxy::core::sessions::Ending::Settled);
        }
    }
}
