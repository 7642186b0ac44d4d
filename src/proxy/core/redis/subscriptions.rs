//! Subscriptions, on connections of the session's own: a channel on the node that its name belongs to, where
//! `PUBLISH` goes too; a pattern on all nodes.
//!
//! Nodes confirm each by itself; what the client gets is one confirmation each, with its own count and in its own
//! order. What is neither told nor told any more, it hears nothing of; and whatever else it asks waits until it is told.

use super::Command;
use super::Mode;
use super::Step;
use super::frames::elements;
use super::frames::string;
use super::local::bulk;
use super::subscribed::Due;
use super::subscribed::Subscriptions;
use super::subscribed::What;
use super::topics::Kind;
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
use crate::proxy::core::sessions::is_error;
use crate::proxy::reply;
use crate::proxy::settings::Protocol;

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
        match self.sessions[key].mode.as_deref() {
            Some(Mode::Subscribed(own)) => {
                if own.is_crowded() || begins && names.is_empty() && own.is_awaiting() {
                    return Step::Stalled;
                }
                let backends: Vec<usize> = own.backends().collect();
                if backends.into_iter().any(|backend| self.is_full(backend, key)) {
                    return Step::Stalled;
                }
            }
            Some(Mode::Waiting { .. }) => return Step::Stalled,
            Some(Mode::Transaction(_)) | None => {}
        }
        if begins && names.is_empty() {
            return self.wrong_arity(key, command);
        }
        if let Some(Mode::Transaction(_)) = self.sessions[key].mode.as_deref() {
            let text =
                format!("ERR unsupported by the proxy: '{}' in a transaction", command.name());
            return self.refuse(key, command, &text);
        }
        let session = &mut self.sessions[key];
        if !session.queue.is_empty() {
            session.is_barred = true;
            return Step::Stalled;
        }
        if session.mode.is_none() {
            session.mode = Some(Box::new(Mode::Subscribed(Subscriptions::default())));
        }
        if begins {
            for name in names {
                self.subscribe(sockets, key, command.index, kind, name);
            }
        } else {
            self.unsubscribe(key, command.index, kind, names);
        }
        self.tell_due(sockets, key);
        Step::Done
    }

    fn subscribe(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        index: u16,
        kind: Kind,
        name: &[u8],
    ) {
        let pool = self.sessions[key].pool;
        let router = self.pools[pool].snapshot.router();
        let nodes: Vec<NodeId> = match kind {
            Kind::Pattern => router.live_nodes().collect(),
            Kind::Channel | Kind::Shard => router.route(name).into_iter().collect(),
        };
        let members: Vec<(NodeId, u64)> = nodes
            .into_iter()
            .map(|node| (node, self.pools[pool].nodes[node.index()].member.id()))
            .collect();
        let Some(own) = self.subscriptions_of(key) else {
            return;
        };
        let number = own.owe(Due::new(kind, Some(name), What::Begin, index));
        let Some(&(_, first)) = members.first() else {
            return own.fail(number, super::error_line("ERR Connection refused"));
        };
        own.begin(kind, name, (kind != Kind::Pattern).then_some(first));
        for (node, member) in members {
            let Some(own) = self.subscriptions_of(key) else {
                return;
            };
            let known = own.backend_of(member);
            let backend = known.unwrap_or_else(|| self.own_backend(pool, node, key));
            if let Err(text) = self.admit(sockets, backend) {
                let error = reply::error(Protocol::Redis, &text);
                if let Some(own) = self.subscriptions_of(key) {
                    own.fail(number, error);
                }
                if known.is_none() {
                    self.backends[backend].owner = None;
                    self.drop_backend(sockets, backend);
                }
                return;
            }
            let serial = self.sessions[key].serial;
            if let Some(own) = self.subscriptions_of(key) {
                if known.is_none() {
                    own.listen(member, backend);
                }
                own.await_node(backend, number);
            }
            if known.is_none() {
                let pending = Pending::of_nobody(Purpose::Subscription, self.micros);
                let pending = Pending { session: key as u32, serial, ..pending };
                self.backends[backend].queue.push_back(pending);
            }
            self.tell_subscription(backend, kind.word(true), name);
        }
    }

    fn unsubscribe(&mut self, key: usize, index: u16, kind: Kind, names: &[&[u8]]) {
        let Some(own) = self.subscriptions_of(key) else {
            return;
        };
        let all: Vec<Vec<u8>> = if names.is_empty() {
            own.names(kind)
        } else {
            names.iter().map(|name| name.to_vec()).collect()
        };
        if all.is_empty() {
            own.owe(Due::new(kind, None, What::End, index));
        }
        for name in all {
            self.end_subscription(key, Due::new(kind, Some(&name), What::End, index));
        }
    }

    /// Tells the nodes that something is over, and later the client.
    fn end_subscription(&mut self, key: usize, due: Due) {
        let (kind, name) = (due.kind, due.name.clone().unwrap_or_default());
        let Some(own) = self.subscriptions_of(key) else {
            return;
        };
        let number = own.owe(due);
        let backends = own.end(kind, &name);
        backends.iter().for_each(|&backend| own.await_node(backend, number));
        for backend in backends {
            self.tell_subscription(backend, kind.word(false), &name);
        }
    }

    fn subscriptions_of(&mut self, key: usize) -> Option<&mut Subscriptions> {
        match self.sessions.get_mut(key)?.mode.as_deref_mut() {
            Some(Mode::Subscribed(own)) => Some(own),
            _ => None,
        }
    }

    fn tell_subscription(&mut self, backend: usize, word: &str, name: &[u8]) {
        let out = self.backends[backend].out.tail(&mut self.buffers);
        let before = out.len();
        write_array_header(out, 2);
        write_bulk_string(out, word.as_bytes());
        write_bulk_string(out, name);
        let bytes = out.len() - before;
        let now = self.micros;
        let listened = &mut self.backends[backend];
        let counters = &mut self.counters[listened.counters];
        counters.requests += 1;
        counters.request_bytes += bytes as u64;
        if listened.unconfirmed_since.is_none() {
            listened.unconfirmed_since = Some(now);
            let pool = listened.pool;
            self.limit(pool, now);
        }
        self.mark_dirty(Link::Backend(backend));
    }

    /// Tells the client what nodes have said of what it asked for.
    fn tell_due(&mut self, sockets: &mut impl Sockets, key: usize) {
        while let Some(own) = self.subscriptions_of(key)
            && let Some(due) = own.next_due()
        {
            self.tell(key, &due);
            if due.what == What::Begin && due.error.is_some() {
                self.withdraw(key, &due);
            }
        }
        if self.subscriptions_of(key).is_some_and(|own| !own.is_awaiting()) {
            self.wake(key);
        }
        self.leave_if_unsubscribed(sockets, key);
    }

    fn tell(&mut self, key: usize, due: &Due) {
        let session = &self.sessions[key];
        let Some(Mode::Subscribed(own)) = session.mode.as_deref() else {
            return;
        };
        let counters = &mut self.pools[session.pool].counters.commands[usize::from(due.index)];
        let begins = match due.what {
            What::Withdrawal => return,
            What::Begin => true,
            What::End => false,
        };
        counters.requests += 1;
        if let (true, Some(error)) = (begins, &due.error) {
            counters.errors += 1;
            return self.push(key, error);
        }
        let mut reply = if session.is_resp3 { b">3\r\n".to_vec() } else { b"*3\r\n".to_vec() };
        reply.extend(bulk(due.kind.word(begins).as_bytes()));
        match &due.name {
            Some(name) => reply.extend(bulk(name)),
            None if session.is_resp3 => reply.extend(b"_\r\n"),
            None => reply.extend(b"$-1\r\n"),
        }
        reply.extend(format!(":{}\r\n", own.count(due.kind)).into_bytes());
        self.push(key, &reply);
    }

    /// What a node has refused is to be in force on no other.
    fn withdraw(&mut self, key: usize, refused: &Due) {
        let (kind, name) = (refused.kind, refused.name.as_deref().unwrap_or_default());
        let Some(own) = self.subscriptions_of(key) else {
            return;
        };
        // What was there before stays, as in Redis; and of what is asked for once more, that decides.
        if !own.is_wanted(kind, name) || own.is_told(kind, name) || own.is_beginning(kind, name) {
            return;
        }
        self.end_subscription(key, Due::new(kind, Some(name), What::Withdrawal, refused.index));
    }

    /// Sends the client what it has not asked for, between two replies.
    fn push(&mut self, key: usize, message: &[u8]) {
        let session = &mut self.sessions[key];
        if session.is_streamed {
            // Who is not subscribed asked for none.
            if let Some(Mode::Subscribed(own)) = session.mode.as_deref_mut() {
                own.hold(message);
            }
            return;
        }
        session.out.tail(&mut self.buffers).extend_from_slice(message);
        self.mark_dirty(Link::Session(key));
    }

    /// The large reply is over that messages waited for.
    pub(in crate::proxy::core) fn push_held(&mut self, sockets: &mut impl Sockets, key: usize) {
        if let Some(own) = self.subscriptions_of(key) {
            let held = own.take_held();
            if !held.is_empty() {
                self.push(key, &held);
            }
            self.leave_if_unsubscribed(sockets, key);
        }
    }

    /// A node has sent a message or a confirmation.
    ///
    /// # Errors
    ///
    /// If it is a confirmation that nobody waits for.
    pub(in crate::proxy::core) fn take_message(
        &mut self,
        sockets: &mut impl Sockets,
        backend: usize,
        reply: &[u8],
    ) -> Result<(), Closed> {
        let Some((key, serial)) = self.backends[backend].owner else {
            // Invalidations and the like are for nobody here.
            return Ok(());
        };
        let Some(session) = self.session_of(key, serial).filter(|session| !session.is_closing)
        else {
            return Ok(());
        };
        // A subscriber may have gone back to RESP2, in which there is nothing else that comes unasked.
        let is_foreign = reply.first() == Some(&b'>') && !session.is_resp3;
        let Some(own) = self.subscriptions_of(key) else {
            self.push(key, reply);
            return Ok(());
        };
        let broken = |what: &str| Closed::Broken(what.into());
        if is_error(reply) {
            own.refused(backend, reply).map_err(broken)?;
            self.note_confirmation(key, backend);
            self.tell_due(sockets, key);
            return Ok(());
        }
        let mut parts = elements(reply).into_iter().flatten();
        let word = parts.next().and_then(string).unwrap_or_default();
        let name = parts.next().and_then(string).unwrap_or_default();
        if let Some((kind, begins)) = Kind::of_word(word) {
            own.confirmed(backend, kind, begins, name).map_err(broken)?;
            self.note_confirmation(key, backend);
            self.tell_due(sockets, key);
            return Ok(());
        }
        match Kind::of_message(word) {
            Some(kind) if !own.is_told(kind, name) => {}
            // But for that byte they are the same.
            Some(_) if is_foreign => self.push(key, &[b"*", &reply[1..]].concat()),
            None if is_foreign => {}
            _ => self.push(key, reply),
        }
        Ok(())
    }

    /// The node has answered something; perhaps it owes nothing more.
    fn note_confirmation(&mut self, key: usize, backend: usize) {
        if self.subscriptions_of(key).is_some_and(|own| !own.awaits(backend)) {
            self.backends[backend].unconfirmed_since = None;
        }
    }

    /// A client without subscriptions is an ordinary one again.
    fn leave_if_unsubscribed(&mut self, sockets: &mut impl Sockets, key: usize) {
        let Some(Mode::Subscribed(own)) = self.sessions[key].mode.as_deref() else {
            return;
        };
        if own.is_over()
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
            (FanOut::Special(Special::Local(LocalReply::Pong)), [_, rest @ ..]) => {
                if rest.len() > 1 {
                    return self.wrong_arity(key, command);
                }
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
            // A node may know it, but is not to carry it out.
            _ if usize::from(command.index) + 1 == self.table.index_count() => {
                self.reply(key, command, &super::unknown(command.args))
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
