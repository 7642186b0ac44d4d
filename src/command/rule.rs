//! What the crate knows of one command.

use super::key_spec::KeySpec;
use super::proxied::ProxyCommand;

/// How many key specifications a rule can have; no command of Redis has more.
pub(super) const SPECS: usize = 3;

/// How the replies of several nodes become one reply.
///
/// If a node answers an error, that error is the reply, except where [`AnySuccess`](Self::AnySuccess)
/// says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gather {
    /// The reply of the first node; for commands that answer the same everywhere (`+OK`, a script's
    /// hash).
    First,
    /// The sum of numbers (`DEL`, `DBSIZE`).
    Sum,
    /// The smallest of numbers (`WAIT`).
    Min,
    /// The smallest number at each place (`WAITAOF`).
    MinEach,
    /// 1 at each place where all nodes answer 1 (`SCRIPT EXISTS`).
    AndEach,
    /// The elements of all replies, one node's behind the other's (`KEYS`); of maps, their pairs.
    Concat,
    /// The elements of all replies, each once (`PUBSUB CHANNELS`).
    Union,
    /// The numbers that stand behind each name, summed (`PUBSUB NUMSUB`).
    SumPairs,
    /// Each key's own element, in the order of the request (`MGET`).
    InKeyOrder,
    /// A map from each node's name to its reply (`INFO`).
    ByNode,
    /// The first reply that is not an error, or else the first error (`SCRIPT KILL`).
    AnySuccess,
}

/// Where a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FanOut {
    /// To the one node that owns all its keys. Without a key: to the designated node.
    OneNode,
    /// Split by key, each node getting its own keys.
    ByKey(Gather),
    /// To all nodes.
    AllNodes(Gather),
    /// To one node after the other, from a random one on, until one does not answer nil.
    UntilFound,
    /// What the front end does itself.
    Special(Special),
}

/// Commands that concern the connection rather than a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// Answered without asking a node.
    Local(LocalReply),
    /// Changes every open connection and is replayed on new ones.
    Session(SessionCommand),
    /// Part of a transaction, which one node holds.
    Transaction(TransactionCommand),
    /// `SCAN`: all nodes, one after the other, the node being part of the cursor.
    Scan,
    /// Must not be sent this way; the reason says what to do instead.
    Refused(&'static str),
}

/// Replies that need no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocalReply {
    /// `PING [message]`.
    Pong,
    /// `ECHO message`.
    Echo,
    /// `QUIT`.
    Quit,
}

/// What is remembered of a connection; a later command of the same kind takes the place of an
/// earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionCommand {
    /// `AUTH`.
    Auth,
    /// `HELLO`.
    Hello,
    /// `SELECT`.
    Select,
    /// `CLIENT SETNAME`.
    ClientName,
    /// `CLIENT SETINFO LIB-NAME`.
    ClientLibraryName,
    /// `CLIENT SETINFO LIB-VER`.
    ClientLibraryVersion,
    /// `CLIENT NO-EVICT`.
    ClientNoEvict,
    /// `CLIENT NO-TOUCH`.
    ClientNoTouch,
    /// `CLIENT IMPORT-SOURCE`.
    ClientImportSource,
    /// `READONLY` and `READWRITE`.
    ReadOnly,
    /// `RESET`: forgets all of the above.
    Reset,
}

/// What a command makes of the connection it is sent on, besides its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Later commands on it mean something else.
    Lasting,
    /// Replies cannot be counted on it any more.
    TakesOver,
}

/// The commands of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionCommand {
    Watch,
    Unwatch,
    Multi,
    Exec,
    Discard,
}

/// How long the server itself may wait before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blocking {
    /// It answers at once.
    No,
    /// Seconds, maybe with a fraction, in the last argument (`BLPOP`).
    LastSeconds,
    /// Seconds, maybe with a fraction, in this argument (`BLMPOP`: 1).
    Seconds(u8),
    /// Milliseconds in this argument, 0 for ever (`WAIT`: 2).
    Milliseconds(u8),
    /// Milliseconds in this argument, 0 and less being a second (`MIGRATE`: 5; Redis 7.0 `cluster.c`
    /// `migrateCommand`).
    TransferMilliseconds(u8),
    /// Milliseconds behind the option `BLOCK`, which stands before `STREAMS`, and not at all without it
    /// (`XREAD`, `XREADGROUP`).
    StreamBlock,
}

/// What the crate knows of one command: where its keys are, where it goes, and how the replies
/// become one.
///
/// # Examples
///
/// Rules for commands of a module:
///
/// ```
/// use shardwright::{CommandRule, CommandTable, Gather, KeySpec};
///
/// let table = CommandTable::new()
///     // MYMOD.GET key
///     .with("MYMOD.GET", CommandRule::key(1).read_only())
///     // MYMOD.DEL key [key ...]
///     .with("MYMOD.DEL", CommandRule::keys(KeySpec::range(1, -1, 1)).split(Gather::Sum))
///     // MYMOD.MERGE destination numkeys key [key ...]
///     .with("MYMOD.MERGE", CommandRule::key(1).and_keys(KeySpec::counted(2)))
///     // MYMOD.COUNT
///     .with("MYMOD.COUNT", CommandRule::all_nodes(Gather::Sum).read_only());
/// # let _ = table;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandRule {
    pub(super) keys: [Option<KeySpec>; SPECS],
    pub(super) fan_out: FanOut,
    pub(super) blocking: Blocking,
    pub(super) is_read_only: bool,
    /// What is routed by is not a key: `PUBLISH channel`.
    pub(super) routes_by_channel: bool,
    pub(super) finder: Finder,
    /// Of a command to all nodes: an ejected one must not miss it.
    pub(super) needs_every_node: bool,
    is_administrative: bool,
    proxy_command: Option<ProxyCommand>,
    effect: Effect,
    pub(super) exception: Option<&'static Exception>,
}

/// Another rule, for invocations with a certain word (`ACL LOG RESET`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// In either case.
    pub(super) word: &'static str,
    /// Where the word stands: at this argument, or at any.
    pub(super) at: Option<u8>,
    pub(super) rule: CommandRule,
}

/// How the keys of an invocation are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finder {
    /// As the key specifications say.
    Specs,
    /// `SORT`: an option's argument may look like an option, and patterns name keys too.
    Sort,
    /// `GEORADIUS`: so may the key behind an option. The options begin at this argument.
    GeoRadius { options: u8 },
    /// `XREAD`: a group may be called like an option.
    Streams,
    /// `MIGRATE`: so may a password, and a key.
    Migrate,
}

impl CommandRule {
    const fn new(fan_out: FanOut) -> Self {
        Self {
            keys: [None; SPECS],
            fan_out,
            blocking: Blocking::No,
            is_read_only: false,
            routes_by_channel: false,
            finder: Finder::Specs,
            needs_every_node: false,
            is_administrative: false,
            proxy_command: None,
            effect: Effect::None,
            exception: None,
        }
    }

    /// A command with one key, at argument `index` (1 is the first behind the name).
    ///
    /// # Panics
    ///
    /// If `index` is 0.
    pub const fn key(index: u8) -> Self {
        Self::keys(KeySpec::at(index))
    }

    /// A command with these keys, which must all be on one node.
    pub const fn keys(spec: KeySpec) -> Self {
        Self::new(FanOut::OneNode).and_keys(spec)
    }

    /// A command without a key that goes to the designated node: the one that owns the key
    /// `placeholder`, as in nutcracker.
    pub const fn no_key() -> Self {
        Self::new(FanOut::OneNode)
    }

    /// A command that goes to all nodes that are not ejected.
    pub const fn all_nodes(gather: Gather) -> Self {
        Self::new(FanOut::AllNodes(gather))
    }

    /// A command that goes to all nodes, and to none while one of them is ejected (`FLUSHALL`: the
    /// ejected node would bring its data back).
    pub const fn every_node(gather: Gather) -> Self {
        Self { needs_every_node: true, ..Self::all_nodes(gather) }
    }

    /// A command that goes to one node after the other, from a random one on, until one answers
    /// something else than nil (`RANDOMKEY`).
    pub const fn until_found() -> Self {
        Self::new(FanOut::UntilFound)
    }

    /// A command that is refused; `reason` says what to do instead.
    pub const fn refused(reason: &'static str) -> Self {
        Self::new(FanOut::Special(Special::Refused(reason)))
    }

    pub(crate) const fn special(special: Special) -> Self {
        Self::new(FanOut::Special(special))
    }

    /// The same command with further keys.
    ///
    /// # Panics
    ///
    /// With more than three key specifications, and behind [`split`](Self::split).
    pub const fn and_keys(mut self, spec: KeySpec) -> Self {
        assert!(!matches!(self.fan_out, FanOut::ByKey(_)), "only one range of keys can be split");
        let mut place = 0;
        while self.keys[place].is_some() {
            place += 1;
            assert!(place < SPECS, "a rule has at most three key specifications");
        }
        self.keys[place] = Some(spec);
        self
    }

    /// The same command, but split by node where its keys are on several. What stands between two
    /// keys goes with the first of them, and what stands before the first key or behind the last goes
    /// to every node.
    ///
    /// # Panics
    ///
    /// If its keys are not one [`range`](KeySpec::range) that ends where the arguments end, or so many
    /// before.
    pub const fn split(self, gather: Gather) -> Self {
        let has_one_range = match self.keys {
            [Some(spec), None, None] => spec.is_open_range(),
            _ => false,
        };
        assert!(has_one_range, "only a range of keys up to the end can be split");
        Self { fan_out: FanOut::ByKey(gather), ..self }
    }

    /// The same command, which changes nothing.
    pub const fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    /// The same command, which may wait on the server; its deadline is that time and the client's own
    /// on top, and running out of it says nothing about the node.
    pub const fn blocking(self, blocking: Blocking) -> Self {
        Self { blocking, ..self }
    }

    /// The same command, which changes or shows a server as a whole (`CONFIG SET`, `SHUTDOWN`). For the
    /// clients that is a word and no more; the proxy lets it pass only where a pool allows it.
    pub const fn administrative(self) -> Self {
        Self { is_administrative: true, ..self }
    }

    pub(super) const fn answered_by_proxy(self, command: ProxyCommand) -> Self {
        Self { proxy_command: Some(command), ..self }
    }

    pub(crate) const fn channel(self) -> Self {
        Self { routes_by_channel: true, ..self }
    }

    pub(super) const fn lasting(self) -> Self {
        Self { effect: Effect::Lasting, ..self }
    }

    pub(super) const fn taking_over(self) -> Self {
        Self { effect: Effect::TakesOver, ..self }
    }

    pub(super) const fn found_by(self, finder: Finder) -> Self {
        Self { finder, ..self }
    }

    pub(super) const fn except(self, exception: &'static Exception) -> Self {
        Self { exception: Some(exception), ..self }
    }

    /// Whether the command changes nothing.
    pub const fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Whether the command changes or shows a server as a whole.
    pub const fn is_administrative(&self) -> bool {
        self.is_administrative
    }

    /// Where its keys are. The keys of a few commands (`SORT`) are not found by specifications alone.
    pub fn key_specs(&self) -> impl Iterator<Item = KeySpec> {
        self.keys.into_iter().flatten()
    }

    /// The rule that holds for the invocation `args`: this one, or its exception.
    #[inline]
    pub(crate) fn for_arguments(&self, args: &[&[u8]]) -> &Self {
        match self.exception {
            Some(exception) if exception.applies_to(args) => &exception.rule,
            _ => self,
        }
    }

    pub(crate) fn needs_every_node(&self) -> bool {
        self.needs_every_node
    }

    /// What it makes of the connection it is sent on.
    pub(crate) fn effect(&self) -> Effect {
        match self.fan_out {
            FanOut::Special(
                Special::Session(_) | Special::Transaction(_) | Special::Local(LocalReply::Quit),
            ) => Effect::Lasting,
            _ => self.effect,
        }
    }

    /// What a proxy does with it instead of what the rest of the rule says.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "the proxy reads it"))]
    pub(crate) fn proxy_command(&self) -> Option<ProxyCommand> {
        self.proxy_command
    }

    pub(crate) fn blocking_time(&self) -> Blocking {
        self.blocking
    }

    pub(crate) fn fan_out(&self) -> FanOut {
        self.fan_out
    }

    pub(crate) fn routes_by_channel(&self) -> bool {
        self.routes_by_channel
    }

    /// The argument that is the only key, for the commands where it always is: the short way of
    /// nearly every request.
    #[inline]
    pub(crate) fn only_key(&self) -> Option<usize> {
        match (self.fan_out, self.keys) {
            (FanOut::OneNode, [Some(spec), None, None])
                if self.finder == Finder::Specs && self.exception.is_none() =>
            {
                spec.only_place()
            }
            _ => None,
        }
    }
}

impl Exception {
    fn applies_to(&self, args: &[&[u8]]) -> bool {
        let is_word = |argument: &&[u8]| argument.eq_ignore_ascii_case(self.word.as_bytes());
        match self.at {
            Some(place) => args.get(usize::from(place)).is_some_and(is_word),
            None => args.iter().skip(1).any(is_word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic = "only a range of keys up to the end can be split"]
    fn counted_keys_cannot_be_split() {
        let _ = CommandRule::keys(KeySpec::counted(1)).split(Gather::Sum);
    }

    #[test]
    #[should_panic = "only one range of keys can be split"]
    fn a_second_range_cannot_be_split() {
        let _ =
            CommandRule::keys(KeySpec::range(2, -1, 1)).split(Gather::Sum).and_keys(KeySpec::at(1));
    }
}
