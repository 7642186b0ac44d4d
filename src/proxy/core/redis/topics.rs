//! What a client may be subscribed to.

use crate::command::SubscriptionCommand;

/// A channel or a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic {
    /// Confirmations of nodes that have not come.
    pub(super) left: usize,
    /// Whether the client was told once that it has it.
    pub(super) is_confirmed: bool,
    /// How many of them are one for the client.
    pub(super) nodes: usize,
    /// The member of the only node, if it is a channel.
    pub(super) member: Option<u64>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    /// The kind of a command, and whether it begins subscriptions.
    pub(super) fn of(command: SubscriptionCommand) -> (Self, bool) {
        match command {
            SubscriptionCommand::Subscribe => (Self::Channel, true),
            SubscriptionCommand::SubscribePattern => (Self::Pattern, true),
            SubscriptionCommand::SubscribeShard => (Self::Shard, true),
            SubscriptionCommand::Unsubscribe => (Self::Channel, false),
            SubscriptionCommand::UnsubscribePattern => (Self::Pattern, false),
            SubscriptionCommand::UnsubscribeShard => (Self::Shard, false),
        }
    }

    /// Where it is counted.
    pub(super) fn place(self) -> usize {
        usize::from(self == Self::Shard)
    }

    /// How confirmations begin.
    pub(super) fn word(self, begins: bool) -> &'static str {
        match (self, begins) {
            (Self::Channel, true) => "subscribe",
            (Self::Pattern, true) => "psubscribe",
            (Self::Shard, true) => "ssubscribe",
            (Self::Channel, false) => "unsubscribe",
            (Self::Pattern, false) => "punsubscribe",
            (Self::Shard, false) => "sunsubscribe",
        }
    }

    /// What a confirmation of a node says it confirms.
    pub(super) fn of_word(word: &[u8]) -> Option<(Self, bool)> {
        let all = [Self::Channel, Self::Pattern, Self::Shard];
        let pairs = all.into_iter().flat_map(|kind| [(kind, true), (kind, false)]);
        pairs.into_iter().find(|(kind, begins)| kind.word(*begins).as_bytes() == word)
    }
}
