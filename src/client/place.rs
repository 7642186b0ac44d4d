//! The node that a command of a transaction belongs to.

use redis::RedisResult;

use super::dispatch::refused;
use crate::command::CommandRule;
use crate::command::FanOut;
use crate::command::LocalReply;
use crate::command::Special;
use crate::node::NodeId;
use crate::plan::cross_shard;
use crate::plan::designated;
use crate::plan::one_node;
use crate::topology::Router;

/// Where a command of a transaction belongs.
pub(super) enum Place {
    /// To this node, because of this key.
    Node(NodeId, Vec<u8>),
    /// To whatever node the others belong to.
    Any,
}

/// The node that a command behind `MULTI` belongs to.
///
/// # Errors
///
/// If it belongs to none, or into no transaction.
pub(super) fn place_in_transaction(
    args: &[&[u8]],
    rule: &CommandRule,
    router: &Router,
) -> RedisResult<Place> {
    let not_here = |why| Err(refused(args[0], why).into());
    match rule.fan_out() {
        FanOut::AllNodes(_) | FanOut::UntilFound | FanOut::Special(Special::Scan)
            if router.nodes().len() == 1 =>
        {
            Ok(Place::Any)
        }
        FanOut::Special(Special::Refused(why)) => not_here(why),
        FanOut::Special(Special::Local(LocalReply::Pong | LocalReply::Echo)) => Ok(Place::Any),
        FanOut::Special(_) => not_here("it does not belong into a transaction here"),
        FanOut::AllNodes(_) | FanOut::UntilFound => {
            not_here("it concerns all nodes, and a transaction belongs to one")
        }
        FanOut::OneNode | FanOut::ByKey(_) => {
            let keys = rule.keys_of(args).map(|keys| keys.places).unwrap_or_default();
            match keys.first().and_then(|place| args.get(*place)) {
                Some(key) => Ok(Place::Node(one_node(args, rule, router)?, key.to_vec())),
                None => Ok(Place::Any),
            }
        }
    }
}

/// The node that commands of one transaction belong to, and a key that says so.
pub(super) struct Gathering {
    place: Option<(NodeId, Vec<u8>)>,
}

impl Gathering {
    /// `pinned` is the node that holds what is watched already.
    pub(super) fn new(pinned: Option<(NodeId, Vec<u8>)>) -> Self {
        Self { place: pinned }
    }

    /// Adds the command `args`.
    ///
    /// # Errors
    ///
    /// If it belongs to another node than those before it, or into no transaction.
    pub(super) fn add(
        &mut self,
        args: &[&[u8]],
        rule: &CommandRule,
        router: &Router,
    ) -> RedisResult<()> {
        let Place::Node(node, key) = place_in_transaction(args, rule, router)? else {
            return Ok(());
        };
        match &self.place {
            Some((other, first)) if *other != node => {
                let (one, other) = ((first.as_slice(), *other), (key.as_slice(), node));
                Err(cross_shard(b"MULTI", one, other, router).into())
            }
            Some(_) => Ok(()),
            None => {
                self.place = Some((node, key));
                Ok(())
            }
        }
    }

    /// The node; without a key the designated one.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) fn node(self, router: &Router) -> RedisResult<NodeId> {
        match self.place {
            Some((node, _)) => Ok(node),
            None => Ok(designated(router)?),
        }
    }
}
