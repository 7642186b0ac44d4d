//! What a client may be subscribed to.

use crate::command::SubscriptionCommand;

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

    /// Where it is kept.
    pub(super) fn place(self) -> usize {
        match self {
            Self::Channel => 0,
            Self::Pattern => 1,
            Self::Shard => 2,
        }
    }

    /// What a message says that brought it.
    pub(super) fn of_message(word: &[u8]) -> Option<Self> {
        match word {
            b"message" => Some(Self::Channel),
            b"pmessage" => Some(Self::Pattern),
            b"smessage" => Some(Self::Shard),
            _ => None,
        }
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
