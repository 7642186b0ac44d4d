//! What a proxy does itself with a command that the clients of this crate send on or refuse: a connection
//! to the proxy is none to a node.

/// A command that a proxy answers in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyCommand {
    /// `CLIENT ID`.
    ClientId,
    /// `CLIENT GETNAME`.
    ClientName,
    /// `CLIENT INFO`.
    ClientInfo,
    /// `INFO`.
    Info,
    /// Begins or ends subscriptions.
    Subscription(SubscriptionCommand),
}

/// The commands of subscriptions, whose arguments are all channels or patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscriptionCommand {
    /// `SUBSCRIBE`.
    Subscribe,
    /// `PSUBSCRIBE`.
    SubscribePattern,
    /// `SSUBSCRIBE`.
    SubscribeShard,
    /// `UNSUBSCRIBE`.
    Unsubscribe,
    /// `PUNSUBSCRIBE`.
    UnsubscribePattern,
    /// `SUNSUBSCRIBE`.
    UnsubscribeShard,
}
