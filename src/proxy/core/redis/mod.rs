//! Requests of Redis clients.
//!
//! What a command means, where its keys are and how it fans out stands in its row of the command table; here is what
//! only a proxy does with it.

use super::Core;
use super::Sockets;
use super::sessions::Taken;
use crate::command::Blocking;
use crate::command::CommandRule;
use crate::command::Found;
use crate::command::LocalReply;
use crate::command::ProxyCommand;
use crate::command::SessionCommand;
use crate::command::Special;
use crate::command::Waiting;
use crate::plan::Plan;
use crate::plan::scatter_in;
use crate::protocol::resp::Frame;
use crate::protocol::resp::Scanner;
use crate::protocol::resp::frame;
use crate::protocol::resp::inline;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

mod forward;
mod frames;
mod gather;
mod hello;
mod local;
mod mode;
mod scan;
mod subscribed;
mod subscriptions;
mod topics;
mod transaction;

pub(super) use gather::broken_fragment;
pub(super) use gather::broken_reply;
pub(super) use gather::broken_start;
pub(super) use gather::gather;
pub(super) use mode::Mode;

/// A request that is not complete and longer than this is not read from its beginning again.
const SCANNED: usize = 64 << 10;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    /// It has to wait until earlier ones are answered.
    Stalled,
}

/// A command, as it was found.
#[derive(Clone, Copy)]
struct Command<'a> {
    args: &'a [&'a [u8]],
    /// Its bytes.
    raw: &'a [u8],
    rule: &'a CommandRule,
    /// Place of its counters.
    index: u16,
    /// Whether its second word is part of its name.
    is_container: bool,
}

impl Command<'_> {
    /// Its name for messages: in lower case, with the subcommand if that is part of it.
    fn name(&self) -> String {
        let words = if self.is_container { 2 } else { 1 };
        let words = self.args.iter().take(words).map(|word| word.to_ascii_lowercase());
        words.map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join("|")
    }
}

impl Core {
    /// Takes the request at the start of `bytes`.
    #[inline]
    pub(super) fn take_redis_request<'b>(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        bytes: &'b [u8],
        args: &mut Vec<&'b [u8]>,
    ) -> Taken {
        if self.sessions[key].scanner.is_some() && !self.is_scanned(key, bytes) {
            return Taken::Needs(bytes.len() + 1);
        }
        args.clear();
        match frame(bytes, args) {
            Ok(Frame::Command(length)) if args.is_empty() => Taken::Bytes(length),
            Ok(Frame::Command(length)) => {
                match self.redis_command(sockets, key, args, &bytes[..length]) {
                    Step::Done => Taken::Bytes(length),
                    Step::Stalled => Taken::Stalled,
                }
            }
            Ok(Frame::Inline) => self.take_inline(sockets, key, bytes),
            Ok(Frame::Needs(needed)) => {
                if bytes.len() > SCANNED && needed == bytes.len() + 1 {
                    self.sessions[key].scanner = Some(Box::new(Scanner::default()));
                }
                Taken::Needs(needed)
            }
            Err(error) => self.close_broken(key, &error.to_string()),
        }
    }

    /// Whether the end of a long request has come.
    fn is_scanned(&mut self, key: usize, bytes: &[u8]) -> bool {
        let session = &mut self.sessions[key];
        let Some(scanner) = &mut session.scanner else {
            return true;
        };
        // What is broken in it, the frame will say.
        if matches!(scanner.scan(bytes), Ok(None)) {
            return false;
        }
        session.scanner = None;
        true
    }

    /// A line that somebody typed.
    #[cold]
    fn take_inline(&mut self, sockets: &mut impl Sockets, key: usize, bytes: &[u8]) -> Taken {
        let (words, length) = match inline(bytes) {
            Ok(Some(line)) => line,
            Ok(None) => return Taken::Needs(bytes.len() + 1),
            Err(error) => return self.close_broken(key, &format!("Protocol error: {error}")),
        };
        if words.is_empty() {
            return Taken::Bytes(length);
        }
        let mut raw = Vec::new();
        write_array_header(&mut raw, words.len());
        words.iter().for_each(|word| write_bulk_string(&mut raw, word));
        // The arguments of a command are slices of its bytes.
        let mut args = Vec::with_capacity(words.len());
        if !matches!(frame(&raw, &mut args), Ok(Frame::Command(_))) {
            return self.close_broken(key, "Protocol error: too big inline request");
        }
        match self.redis_command(sockets, key, &args, &raw) {
            Step::Done => Taken::Bytes(length),
            Step::Stalled => Taken::Stalled,
        }
    }

    /// What the client sends is no request any more: it is told so, behind what it is owed.
    fn close_broken(&mut self, key: usize, text: &str) -> Taken {
        if self.is_due(key) {
            return Taken::Stalled;
        }
        let unknown = (self.table.index_count() - 1) as u16;
        let error = [b"-ERR ", text.as_bytes(), b"\r\n"].concat();
        self.close_with(key, unknown, &error, true);
        Taken::Closed
    }

    /// Whether the client is to be told of subscriptions before anything else.
    fn is_due(&self, key: usize) -> bool {
        matches!(self.sessions[key].mode.as_deref(), Some(Mode::Subscribed(own)) if own.is_awaiting())
    }

    /// Carries out one command.
    #[inline]
    fn redis_command(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        args: &[&[u8]],
        raw: &[u8],
    ) -> Step {
        let (found, index) = self.table.find_indexed(args[0], || args.get(1).copied());
        let Found::Rule(rule) = found else {
            return Step::Done;
        };
        // A copy: the table is ours, and we are about to change.
        let rule = *rule;
        let session = &self.sessions[key];
        if session.mode.is_none()
            && session.is_authenticated
            && !rule.is_administrative()
            && rule.blocking_time() == Blocking::No
            && let Some(place) = rule.only_key()
            && let Some(name) = args.get(place)
        {
            // The short way of nearly every request.
            let router = self.pools[session.pool].snapshot.router();
            if let Ok(node) = router.route(name) {
                return self.forward(sockets, key, node, raw, index as u16);
            }
        }
        let rule = *rule.for_arguments(args);
        let is_container = self.table.has_subcommands(index);
        let command = Command { args, raw, rule: &rule, index: index as u16, is_container };
        self.redis_command_slowly(sockets, key, command)
    }

    fn redis_command_slowly(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
    ) -> Step {
        let rule = command.rule;
        let is_subscription = matches!(rule.proxy_command(), Some(ProxyCommand::Subscription(_)));
        if !is_subscription && self.is_due(key) {
            return Step::Stalled;
        }
        if !self.sessions[key].is_authenticated && !may_come_first(rule) {
            return self.say(key, command, "NOAUTH Authentication required");
        }
        if let crate::command::FanOut::Special(Special::Refused(reason)) = rule.fan_out()
            && rule.proxy_command().is_none()
        {
            // What follows is advice for users of the library.
            let reason = reason.split(';').next().unwrap_or_default();
            let text = format!("ERR unsupported by the proxy: '{}': {reason}", command.name());
            return self.refuse(key, command, &text);
        }
        if rule.is_administrative() && !self.pools[self.sessions[key].pool].settings.admin_commands
        {
            let text = format!(
                "ERR '{}' is an administrative command, which this pool does not allow (admin_commands)",
                command.name()
            );
            return self.refuse(key, command, &text);
        }
        if let Some(ProxyCommand::Subscription(subscription)) = rule.proxy_command() {
            return self.subscription(sockets, key, command, subscription);
        }
        match self.sessions[key].mode.as_deref() {
            Some(Mode::Transaction(_)) => self.in_transaction(sockets, key, command),
            Some(Mode::Subscribed(_)) => self.while_subscribed(sockets, key, command),
            // Nothing is taken while it waits.
            Some(Mode::Waiting { .. }) => Step::Stalled,
            None => self.plainly(sockets, key, command),
        }
    }

    /// A command outside of transactions and subscriptions.
    fn plainly(&mut self, sockets: &mut impl Sockets, key: usize, command: Command<'_>) -> Step {
        if let Some(local) = command.rule.proxy_command() {
            return self.proxy_command(key, command, local);
        }
        let pool = self.sessions[key].pool;
        let router = self.pools[pool].snapshot.router();
        match scatter_in(command.args, command.rule, router, &mut self.room) {
            Err(error) => self.say(key, command, &refusal(&error)),
            Ok(Plan::One(node)) if command.rule.blocking_time() != Blocking::No => {
                match command.rule.waiting(command.args) {
                    // Of the others, what is no time here may be one there.
                    Waiting::None if command.rule.blocking_time() == Blocking::StreamBlock => {
                        self.forward(sockets, key, node, command.raw, command.index)
                    }
                    waiting => self.block(sockets, key, node, command, waiting),
                }
            }
            Ok(Plan::One(node)) => self.forward(sockets, key, node, command.raw, command.index),
            Ok(Plan::Split(split)) => self.split(sockets, key, command, split),
            Ok(Plan::All(_)) if command.rule.blocking_time() != Blocking::No => {
                let text = format!(
                    "ERR unsupported by the proxy: '{}': clients share connections, and it would hold them up",
                    command.name()
                );
                self.say(key, command, &text)
            }
            Ok(Plan::All(how)) => self.ask_all(sockets, key, command, Some(how)),
            Ok(Plan::UntilFound) => self.ask_all(sockets, key, command, None),
            Ok(Plan::Special(special)) => self.special(sockets, key, command, special),
        }
    }

    fn special(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
        special: Special,
    ) -> Step {
        match special {
            Special::Local(local) => self.local(key, command, local),
            Special::Session(session) => self.session_command(sockets, key, command, session),
            Special::Transaction(transaction) => {
                self.transaction(sockets, key, command, transaction)
            }
            Special::Scan => self.scan(sockets, key, command),
            // They were refused before anything else was looked at.
            Special::Refused(_) => Step::Done,
        }
    }

    /// Answers with an error.
    fn say(&mut self, key: usize, command: Command<'_>, text: &str) -> Step {
        let reply = error_line(text);
        self.answer_now(key, command.index, &reply);
        Step::Done
    }

    /// Answers with an error, after which a transaction is not carried out.
    fn refuse(&mut self, key: usize, command: Command<'_>, text: &str) -> Step {
        if let Some(Mode::Transaction(transaction)) = self.sessions[key].mode.as_deref_mut() {
            transaction.spoil();
        }
        self.say(key, command, text)
    }

    fn reply(&mut self, key: usize, command: Command<'_>, reply: &[u8]) -> Step {
        self.answer_now(key, command.index, reply);
        Step::Done
    }

    /// Redis's text for too few arguments or too many.
    fn wrong_arity(&mut self, key: usize, command: Command<'_>) -> Step {
        let text = format!("ERR wrong number of arguments for '{}' command", command.name());
        self.say(key, command, &text)
    }
}

/// Whether a command may come before the password.
fn may_come_first(rule: &CommandRule) -> bool {
    matches!(
        rule.fan_out(),
        crate::command::FanOut::Special(
            Special::Session(SessionCommand::Auth | SessionCommand::Hello | SessionCommand::Reset)
                | Special::Local(LocalReply::Quit)
        )
    )
}

/// The reply to a `SCAN` that was under way when the nodes changed.
pub(super) fn outdated_cursor() -> Vec<u8> {
    error_line(scan::OUTDATED)
}

/// The reply to a command that is none (Redis 7.0 `server.c` `commandCheckExistence`).
fn unknown(args: &[&[u8]]) -> Vec<u8> {
    // So many bytes of the name, and about as many of the arguments, which end at a NUL each.
    const SHOWN: usize = 128;
    let shown = |word: &[u8], most: usize| {
        word.iter().copied().take(most).take_while(|&byte| byte != 0).collect::<Vec<u8>>()
    };
    let mut text = b"ERR unknown command '".to_vec();
    text.extend(shown(args[0], SHOWN));
    text.extend(b"', with args beginning with: ");
    let start = text.len();
    for word in &args[1..] {
        let left = SHOWN.saturating_sub(text.len() - start);
        if left == 0 {
            break;
        }
        text.push(b'\'');
        text.extend(shown(word, left));
        text.extend(b"' ");
    }
    error_line(text)
}

/// An error line; what would end it is taken out.
fn error_line(text: impl AsRef<[u8]>) -> Vec<u8> {
    let clean =
        text.as_ref().iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
    std::iter::once(b'-').chain(clean).chain(*b"\r\n").collect()
}

/// Why nothing was sent, in words for a client.
fn refusal(error: &crate::error::ShardError) -> String {
    use crate::error::ShardErrorKind::Ejected;
    use crate::error::ShardErrorKind::NoLiveNode;
    match (error.kind(), error.node()) {
        (NoLiveNode, _) => "ERR Connection refused".into(),
        (Ejected, Some(node)) => format!("ERR Connection refused: node '{node}' is ejected"),
        _ => format!("ERR {}", error.message()),
    }
}
