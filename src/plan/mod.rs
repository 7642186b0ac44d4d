//! Plans: which nodes get which part of a request, and how their replies become one reply.
//!
//! ```text
//!   MGET a b c        scatter                                gather
//!                ┌──► node 1: MGET a c ──► [1, 3] ──┐
//!                │                                  ├──► [1, 2, 3]
//!                └──► node 2: MGET b   ──► [2]    ──┘
//! ```
//!
//! [`scatter`] decides everything before a byte is sent, so that a request that cannot be carried out
//! is refused whole. [`gather`] is one for all front ends: replies enter through the [`Reply`] trait.
//!
//! Not here: sockets, deadlines, and what a failing node costs its caller.

mod gather;
#[cfg(feature = "memcache")]
mod keys;
mod refusal;
pub(crate) mod scan;
mod scatter;
mod split;

pub(crate) use gather::BrokenReply;
pub(crate) use gather::Part;
pub(crate) use gather::Reply;
pub(crate) use gather::gather;
pub(crate) use gather::gather_by_key;
#[cfg(feature = "memcache")]
pub(crate) use keys::KeyFragment;
#[cfg(feature = "memcache")]
pub(crate) use keys::scatter_keys;
pub(crate) use refusal::cross_shard;
pub(crate) use refusal::ejected;
pub(crate) use refusal::no_live_node;
pub(crate) use refusal::unroutable;
pub(crate) use scatter::Plan;
pub(crate) use scatter::designated;
pub(crate) use scatter::one_node;
pub(crate) use scatter::scatter;
#[cfg(feature = "proxy")]
pub(crate) use scatter::scatter_in;
#[cfg(feature = "proxy")]
pub(crate) use split::Room;
pub(crate) use split::Split;

#[cfg(test)]
mod tests;
