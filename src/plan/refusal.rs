//! What is said when nothing is sent.

use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::node::NodeId;
use crate::topology::Router;
use crate::topology::Unroutable;

pub(crate) fn unroutable(why: Unroutable, router: &Router) -> ShardError {
    match why {
        Unroutable::Ejected(node) => ejected(node, router),
        Unroutable::NoLiveNode => no_live_node(),
    }
}

pub(crate) fn ejected(node: NodeId, router: &Router) -> ShardError {
    ShardError::new(ShardErrorKind::Ejected, "ejected after repeated failures, nothing was sent")
        .with_node(router.node(node).shared_name().clone())
}

pub(crate) fn no_live_node() -> ShardError {
    ShardError::new(ShardErrorKind::NoLiveNode, "every node is ejected, nothing was sent")
}

/// Two keys of one command that are on different nodes.
pub(crate) fn cross_shard(
    command: &[u8],
    one: (&[u8], NodeId),
    other: (&[u8], NodeId),
    router: &Router,
) -> ShardError {
    let place = |(key, node): (&[u8], NodeId)| {
        format!("\"{}\" is on '{}'", key.escape_ascii(), router.node(node).name().escape_debug())
    };
    ShardError::new(
        ShardErrorKind::CrossShard,
        format!(
            "keys of '{}' are on different nodes: {}, {}; {}",
            command.escape_ascii(),
            place(one),
            place(other),
            tag_advice(router)
        ),
    )
    .with_keys(vec![one.0.to_vec(), other.0.to_vec()])
}

fn tag_advice(router: &Router) -> &'static str {
    match router.topology().hash_tag() {
        Some(_) => "give them one hash tag",
        None => "hash tags would keep them together, but this pool is set up without (hash_tag)",
    }
}

/// A pattern of `SORT` that may name keys of other nodes.
pub(super) fn foreign_pattern(
    command: &[u8],
    pattern: &[u8],
    key: &[u8],
    node: NodeId,
    router: &Router,
) -> ShardError {
    ShardError::new(
        ShardErrorKind::CrossShard,
        format!(
            "keys of '{}' are on different nodes: \"{}\" is on '{}', the pattern \"{}\" may name keys \
             of others; {}",
            command.escape_ascii(),
            key.escape_ascii(),
            router.node(node).name().escape_debug(),
            pattern.escape_ascii(),
            tag_advice(router)
        ),
    )
    .with_keys(vec![key.to_vec(), pattern.to_vec()])
}
