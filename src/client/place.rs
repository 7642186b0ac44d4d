//! The node that a command of a transaction belongs to.

use redis::RedisResult;

use super::connection::ShardedConnection;
use super::dispatch::refused;
use crate::command::CommandRule;
use crate::command::FanOut;
use crate::command::LocalReply;
use crate::command::Special;
use crate::node::NodeId;
use crate::plan::one_node;

/// Where a command of a transaction belongs.
pub(super) enum Place {
    /// To this node, because of this key.
    Node(NodeId, Vec<u8>),
    /// To whatever node the others belong to.
    Any,
}

impl ShardedConnection {
    /// The node that a command behind `MULTI` belongs to.
    pub(super) fn place_in_transaction(
        &self,
        args: &[&[u8]],
        rule: &CommandRule,
    ) -> RedisResult<Place> {
        let not_here = |why| Err(refused(args[0], why).into());
        match rule.fan_out() {
            FanOut::AllNodes(_) | FanOut::UntilFound | FanOut::Special(Special::Scan)
                if self.router().nodes().len() == 1 =>
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
                    Some(key) => {
                        let node = one_node(args, rule, self.router())?;
                        Ok(Place::Node(node, key.to_vec()))
                    }
                    None => Ok(Place::Any),
                }
            }
        }
    }
}
