//! Publish and subscribe: a channel is on the node that owns its name.

use super::*;

const PUBLISH: CommandRule = CommandRule::key(1).channel();
const SUBSCRIPTION: CommandRule =
    CommandRule::refused("a subscription takes its connection over; use as_pubsub").taking_over();
const SHARD_SUBSCRIPTION: CommandRule = SUBSCRIPTION.and_keys(KeySpec::range(1, -1, 1)).channel();

pub(super) const ROWS: &[Row] = &[
    ("PSUBSCRIBE", SUBSCRIPTION),
    ("PUBLISH", PUBLISH),
    ("PUBSUB", DESIGNATED),
    ("PUBSUB CHANNELS", CommandRule::all_nodes(Gather::Union)),
    ("PUBSUB HELP", DESIGNATED),
    ("PUBSUB NUMPAT", CommandRule::all_nodes(Gather::Sum)),
    ("PUBSUB NUMSUB", CommandRule::all_nodes(Gather::SumPairs)),
    ("PUBSUB SHARDCHANNELS", CommandRule::all_nodes(Gather::Union)),
    ("PUBSUB SHARDNUMSUB", CommandRule::all_nodes(Gather::SumPairs)),
    ("PUNSUBSCRIBE", SUBSCRIPTION),
    ("SPUBLISH", PUBLISH),
    ("SSUBSCRIBE", SHARD_SUBSCRIPTION),
    ("SUBSCRIBE", SUBSCRIPTION),
    ("SUNSUBSCRIBE", SHARD_SUBSCRIPTION),
    ("UNSUBSCRIBE", SUBSCRIPTION),
];
