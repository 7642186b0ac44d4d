//! Transactions: `WATCH`, `MULTI`, `EXEC`, on a connection of the session's own to the one node of their keys.
//!
//! The node is that of the first key. What comes before it and has no key waits here, so that the client need not
//! begin with a key.

use super::Command;
use super::Mode;
use super::Step;
use crate::command::Blocking;
use crate::command::FanOut;
use crate::command::LocalReply;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::node::NodeId;
use crate::plan::Plan;
use crate::plan::designated;
use crate::plan::one_node;
use crate::plan::scatter;
use crate::proxy::core::Core;
use crate::proxy::core::Sockets;
use crate::proxy::core::backend::Purpose;

mod beginning;

const QUEUED: &[u8] = b"+QUEUED\r\n";
const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
/// What a client may have here before its transaction has a node.
const EARLY: usize = 1 << 20;

/// Where a session stands with its transaction.
#[derive(Debug, Default)]
pub(in crate::proxy::core) struct Transaction {
    /// The node, and the connection to it, once there is a key.
    place: Option<(NodeId, usize)>,
    is_multi: bool,
    /// Whether the node was told `MULTI` and has not answered: until it has, nothing else is sent there, which it
    /// might carry out by itself.
    is_beginning: bool,
    /// Why no transaction began on the node, as the client is told.
    refusal: Option<Vec<u8>>,
    /// Commands without a key that wait for the node.
    early: Vec<Vec<u8>>,
    /// Whether a command was answered with an error of ours: nothing is carried out.
    is_spoiled: bool,
    /// Whether the connection is gone, and what was watched or queued with it.
    is_lost: bool,
}

impl Transaction {
    pub(in crate::proxy::core) fn backend(&self) -> Option<usize> {
        self.place.map(|(_, backend)| backend)
    }

    pub(in crate::proxy::core) fn spoil(&mut self) {
        self.is_spoiled |= self.is_multi;
    }

    /// Whether a node has to answer before the client goes on.
    #[cfg(any(test, feature = "_fuzz"))]
    pub(in crate::proxy::core) fn is_beginning(&self) -> bool {
        self.is_beginning
    }

    /// Its node has this number now.
    pub(in crate::proxy::core) fn move_to(&mut self, node: NodeId) {
        if let Some((place, _)) = &mut self.place {
            *place = node;
        }
    }

    /// The connection is gone, and what was watched or queued with it.
    pub(in crate::proxy::core) fn lose(&mut self, backend: usize) {
        if self.backend() == Some(backend) {
            self.place = None;
            self.is_beginning = false;
            self.is_spoiled = true;
            self.is_lost = true;
        }
    }
}

impl Core {
    /// `WATCH`, `MULTI`, `EXEC`, `DISCARD` and `UNWATCH` outside of a transaction.
    pub(super) fn transaction(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        which: TransactionCommand,
    ) -> Step {
        if which != TransactionCommand::Watch && command.args.len() != 1 {
            return self.wrong_arity(key, command);
        }
        match which {
            TransactionCommand::Watch => self.watch(sockets, key, command),
            TransactionCommand::Multi => {
                let transaction = Transaction { is_multi: true, ..Transaction::default() };
                self.sessions[key].mode = Some(Box::new(Mode::Transaction(transaction)));
                self.reply(key, command, b"+OK\r\n")
            }
            TransactionCommand::Exec => self.say(key, command, "ERR EXEC without MULTI"),
            TransactionCommand::Discard => self.say(key, command, "ERR DISCARD without MULTI"),
            TransactionCommand::Unwatch => self.reply(key, command, b"+OK\r\n"),
        }
    }

    /// A command of a session that watches keys or has said `MULTI`.
    pub(super) fn in_transaction(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
    ) -> Step {
        if let Some(Mode::Transaction(Transaction { is_beginning: true, .. })) =
            self.sessions[key].mode.as_deref()
        {
            return Step::Stalled;
        }
        if let FanOut::Special(Special::Transaction(which)) = command.rule.fan_out() {
            return self.go_on_with(sockets, key, command, which);
        }
        if let FanOut::Special(Special::Local(LocalReply::Quit)) = command.rule.fan_out() {
            return self.local(key, command, LocalReply::Quit);
        }
        if let FanOut::Special(Special::Session(session)) = command.rule.fan_out()
            && session == crate::command::SessionCommand::Reset
        {
            return self.session_command(sockets, key, command, session);
        }
        let (is_multi, place) = match self.sessions[key].mode.as_deref() {
            Some(Mode::Transaction(transaction)) => (transaction.is_multi, transaction.place),
            _ => return Step::Done,
        };
        if is_multi {
            return self.queue_command(sockets, key, command);
        }
        if command.rule.blocking_time() != Blocking::No {
            let text = format!(
                "ERR unsupported by the proxy: '{}' while keys are watched",
                command.name()
            );
            return self.say(key, command, &text);
        }
        // Only watching: what concerns the node goes the same way, so that nothing overtakes the WATCH; anything
        // else waits until that is answered.
        let pool = self.sessions[key].pool;
        let node = match scatter(command.args, command.rule, self.pools[pool].snapshot.router()) {
            Ok(Plan::One(node)) => Some(node),
            _ => None,
        };
        match place {
            Some((pinned, backend)) if node == Some(pinned) => {
                self.ask_own(sockets, key, backend, command, Purpose::Whole)
            }
            _ if !self.sessions[key].queue.is_empty() => {
                self.sessions[key].is_barred = true;
                Step::Stalled
            }
            _ => {
                self.sessions[key].is_barred = true;
                self.plainly(sockets, key, command)
            }
        }
    }

    fn watch(&mut self, sockets: &mut impl Sockets, key: usize, command: Command<'_>) -> Step {
        if command.args.len() < 2 {
            return self.wrong_arity(key, command);
        }
        let router = self.pools[self.sessions[key].pool].snapshot.router();
        let node = match one_node(command.args, command.rule, router) {
            Ok(node) => node,
            Err(error) => return self.say(key, command, &super::refusal(&error)),
        };
        let is_first = !matches!(self.sessions[key].mode.as_deref(), Some(Mode::Transaction(_)));
        if is_first {
            let transaction = Transaction::default();
            if !self.sessions[key].queue.is_empty() {
                self.sessions[key].is_barred = true;
                return Step::Stalled;
            }
            self.sessions[key].mode = Some(Box::new(Mode::Transaction(transaction)));
        }
        match self.place_transaction(key, node) {
            Err(step) => step,
            Ok(Some(backend)) => {
                let step = self.ask_own(sockets, key, backend, command, Purpose::Whole);
                if is_first && !self.backends.contains(backend) {
                    // Nothing was watched before, and nothing is now.
                    self.sessions[key].mode = None;
                }
                step
            }
            Ok(None) => {
                let step = self.refuse_other_node(key, command, node);
                if let Some(Mode::Transaction(Transaction { place: None, .. })) =
                    self.sessions[key].mode.as_deref()
                {
                    // The client knows now, and may begin again.
                    self.sessions[key].mode = None;
                }
                step
            }
        }
    }

    /// Sends a request on the session's own connection. If that takes none the request is answered, and the
    /// transaction is lost.
    fn ask_own(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        backend: usize,
        command: Command<'_>,
        purpose: Purpose,
    ) -> Step {
        if self.is_full(backend, key) {
            return Step::Stalled;
        }
        self.ask_for(sockets, key, backend, command.raw, command.index, purpose);
        Step::Done
    }

    /// The session's connection to `node`: made if it has none, `None` if it has one to another node.
    ///
    /// # Errors
    ///
    /// If the command has to wait first.
    fn place_transaction(&mut self, key: usize, node: NodeId) -> Result<Option<usize>, Step> {
        let session = &mut self.sessions[key];
        let pool = session.pool;
        let Some(Mode::Transaction(transaction)) = session.mode.as_deref() else {
            return Ok(None);
        };
        match transaction.place {
            Some((pinned, backend)) => Ok((pinned == node).then_some(backend)),
            None if transaction.is_lost => Ok(None),
            None if !session.queue.is_empty() => {
                session.is_barred = true;
                Err(Step::Stalled)
            }
            None => {
                let backend = self.own_backend(pool, node, key);
                if let Some(Mode::Transaction(transaction)) = self.sessions[key].mode.as_deref_mut()
                {
                    transaction.place = Some((node, backend));
                }
                Ok(Some(backend))
            }
        }
    }

    /// The keys of the transaction are on another node, or its connection is lost.
    fn refuse_other_node(&mut self, key: usize, command: Command<'_>, node: NodeId) -> Step {
        let router = self.pools[self.sessions[key].pool].snapshot.router();
        let (pinned, refusal) = match self.sessions[key].mode.as_deref() {
            Some(Mode::Transaction(transaction)) => {
                (transaction.place.map(|(node, _)| node), transaction.refusal.clone())
            }
            _ => (None, None),
        };
        if let Some(refusal) = refusal {
            return self.reply(key, command, &refusal);
        }
        let text = match (pinned, command.args.get(1)) {
            (Some(pinned), Some(name)) => {
                let (name, other) = (name.escape_ascii(), router.node(node).name());
                let pinned = router.node(pinned).name();
                format!(
                    "ERR keys of a transaction are on different nodes: '{}' of \"{name}\" is for '{other}', \
                     and the transaction is on '{pinned}'",
                    command.name()
                )
            }
            _ => {
                "ERR the connection of this transaction is lost; DISCARD it and begin again".into()
            }
        };
        self.refuse(key, command, &text)
    }

    /// A command between `MULTI` and `EXEC`.
    fn queue_command(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
    ) -> Step {
        let router = self.pools[self.sessions[key].pool].snapshot.router();
        let rule = command.rule;
        let is_local = matches!(rule.fan_out(), FanOut::Special(Special::Local(_)));
        let has_key = rule.keys_of(command.args).is_ok_and(|keys| !keys.places.is_empty());
        let is_plain = matches!(rule.fan_out(), FanOut::OneNode | FanOut::ByKey(_)) || is_local;
        if !is_plain {
            let text =
                format!("ERR unsupported by the proxy: '{}' in a transaction", command.name());
            return self.refuse(key, command, &text);
        }
        // One that has none though it should have is for a node to refuse, in its own words.
        if !has_key && (is_local || rule.key_specs().next().is_none()) {
            return self.queue_without_key(sockets, key, command);
        }
        let placed = match self.sessions[key].mode.as_deref() {
            Some(Mode::Transaction(transaction)) if !has_key => transaction.place,
            _ => None,
        };
        let node = match placed {
            Some((node, _)) => Ok(node),
            None => one_node(command.args, rule, router),
        };
        let node = match node {
            Ok(node) => node,
            Err(error) => return self.refuse(key, command, &super::refusal(&error)),
        };
        match self.begin_on(sockets, key, node) {
            Err(step) => step,
            Ok(Some(backend)) => self.ask_own(sockets, key, backend, command, Purpose::Whole),
            Ok(None) => self.refuse_other_node(key, command, node),
        }
    }

    fn queue_without_key(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
    ) -> Step {
        let Some(Mode::Transaction(transaction)) = self.sessions[key].mode.as_deref_mut() else {
            return Step::Done;
        };
        if let Some(refusal) = transaction.refusal.clone() {
            return self.reply(key, command, &refusal);
        }
        if let Some(backend) = transaction.backend() {
            return self.ask_own(sockets, key, backend, command, Purpose::Whole);
        }
        if transaction.early.iter().map(Vec::len).sum::<usize>() + command.raw.len() > EARLY {
            return self.refuse(
                key,
                command,
                "ERR too many commands without a key in a transaction",
            );
        }
        transaction.early.push(command.raw.to_vec());
        self.reply(key, command, QUEUED)
    }

    fn go_on_with(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        which: TransactionCommand,
    ) -> Step {
        if which != TransactionCommand::Watch && command.args.len() != 1 {
            return self.wrong_arity(key, command);
        }
        let Some(Mode::Transaction(transaction)) = self.sessions[key].mode.as_deref_mut() else {
            return Step::Done;
        };
        match (which, transaction.is_multi) {
            (TransactionCommand::Watch, false) => self.watch(sockets, key, command),
            (TransactionCommand::Watch, true) => {
                self.say(key, command, "ERR WATCH inside MULTI is not allowed")
            }
            (TransactionCommand::Multi, true) => {
                self.say(key, command, "ERR MULTI calls can not be nested")
            }
            (TransactionCommand::Multi, false) => {
                let Some(backend) = transaction.backend() else {
                    transaction.is_multi = true;
                    return self.reply(key, command, b"+OK\r\n");
                };
                let step = self.ask_own(sockets, key, backend, command, Purpose::Multi);
                if step == Step::Done {
                    let session = &mut self.sessions[key];
                    session.is_barred = true;
                    if let Some(Mode::Transaction(transaction)) = session.mode.as_deref_mut() {
                        transaction.is_multi = true;
                    }
                }
                step
            }
            (TransactionCommand::Exec, false) => self.say(key, command, "ERR EXEC without MULTI"),
            (TransactionCommand::Discard, false) => {
                self.say(key, command, "ERR DISCARD without MULTI")
            }
            (TransactionCommand::Unwatch, true) => self.queue_without_key(sockets, key, command),
            (TransactionCommand::Exec, true) => self.execute(sockets, key, command),
            (TransactionCommand::Discard | TransactionCommand::Unwatch, _) => {
                match transaction.backend() {
                    Some(backend) => self.end_on(sockets, key, command, backend),
                    None => {
                        self.sessions[key].mode = None;
                        self.reply(key, command, b"+OK\r\n")
                    }
                }
            }
        }
    }

    fn execute(&mut self, sockets: &mut impl Sockets, key: usize, command: Command<'_>) -> Step {
        let Some(Mode::Transaction(transaction)) = self.sessions[key].mode.as_deref() else {
            return Step::Done;
        };
        if transaction.is_spoiled {
            if let Some(mode) = self.sessions[key].mode.take() {
                // Its connection, where commands are queued, is closed, but not before what was asked there is
                // answered.
                if !self.sessions[key].queue.is_empty() {
                    self.sessions[key].mode = Some(mode);
                    self.sessions[key].is_barred = true;
                    return Step::Stalled;
                }
                self.end_mode(sockets, *mode);
            }
            return self.say(key, command, ABORTED);
        }
        if let Some(backend) = transaction.backend() {
            return self.end_on(sockets, key, command, backend);
        }
        if transaction.early.is_empty() {
            self.sessions[key].mode = None;
            return self.reply(key, command, b"*0\r\n");
        }
        // No command had a key.
        let node = match designated(self.pools[self.sessions[key].pool].snapshot.router()) {
            Ok(node) => node,
            Err(error) => {
                self.sessions[key].mode = None;
                return self.say(key, command, &super::refusal(&error));
            }
        };
        match self.begin_on(sockets, key, node) {
            Err(step) => step,
            Ok(Some(backend)) => self.end_on(sockets, key, command, backend),
            Ok(None) => {
                self.sessions[key].mode = None;
                self.say(key, command, ABORTED)
            }
        }
    }

    /// Sends what ends the transaction; its reply sets the connection free.
    fn end_on(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        backend: usize,
    ) -> Step {
        let session = &mut self.sessions[key];
        session.is_barred = true;
        session.mode = Some(Box::new(Mode::Waiting { backend, is_blocking: false }));
        self.ask_for(sockets, key, backend, command.raw, command.index, Purpose::Release);
        Step::Done
    }
}
