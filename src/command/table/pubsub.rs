//! Publish and subscribe: a channel is on the node that owns its name.

use super::*;

const PUBLISH: CommandRule = CommandRule::key(1).channel();
const SUBSCRIPTION: CommandRule =
    CommandRule::refused("a subscription takes its connection over; use as_pubsub").taking_over();

const fn subscription(command: SubscriptionCommand) -> CommandRule {
    SUBSCRIPTION.answered_by_proxy(ProxyCommand::Subscription(command))
}

const fn shard_subscription(command: SubscriptionCommand) -> CommandRule {
    subscription(command).and_keys(KeySpec::range(1, -1, 1)).channel()
}

pub(super) const ROWS: &[Row] = &[
    ("PSUBSCRIBE", subscription(SubscriptionCommand::SubscribePattern)),
    ("PUBLISH", PUBLISH),
    ("PUBSUB", DESIGNATED),
    ("PUBSUB CHANNELS", CommandRule::all_nodes(Gather::Union)),
    ("PUBSUB HELP", DESIGNATED),
    ("PUBSUB NUMPAT", CommandRule::all_nodes(Gather::Sum)),
    ("PUBSUB NUMSUB", CommandRule::all_nodes(Gather::SumPairs)),
    ("PUBSUB SHARDCHANNELS", CommandRule::all_nodes(Gather::Union)),
    ("PUBSUB SHARDNUMSUB", CommandRule::all_nodes(Gather::SumPairs)),
    ("PUNSUBSCRIBE", subscription(SubscriptionCommand::UnsubscribePattern)),
    ("SPUBLISH", PUBLISH),
    ("SSUBSCRIBE", shard_subscription(SubscriptionCommand::SubscribeShard)),
    ("SUBSCRIBE", subscription(SubscriptionCommand::Subscribe)),
    ("SUNSUBSCRIBE", shard_subscription(SubscriptionCommand::UnsubscribeShard)),
    ("UNSUBSCRIBE", subscription(SubscriptionCommand::Unsubscribe)),
];
