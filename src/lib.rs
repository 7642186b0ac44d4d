//! Client-side sharding for Redis and Memcached, in the application's own process.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "redis"), allow(dead_code, reason = "the pure floors serve front ends"))]
#![warn(missing_docs, unreachable_pub, clippy::exhaustive_enums, clippy::exhaustive_structs)]

// Floor 0: words.
mod error;
mod key;
mod node;
// Floor 1: arithmetic and grammar.
mod command;
mod hash;
mod protocol;
// Floor 2: one policy each.
mod distribution;
mod health;
// Floor 3: what readers share.
mod config;
mod topology;
// Floor 4: one request.
mod plan;

// The public interface is:
pub use command::{Blocking, CommandRule, CommandTable, Gather, KeySpec};
#[cfg(feature = "config")]
pub use config::{Listen, NutcrackerConfig, PoolConfig};
pub use distribution::{Distribution, DistributionKind, NodeOrder, NodeSet, Point, Ring, RingNode};
pub use error::{Result, ShardError, ShardErrorKind};
pub use hash::{CharSign, HashFn, HashKind, NutcrackerHash};
pub use health::{EjectMode, EjectPolicy, NodeState};
pub use key::HashTag;
pub use node::{Address, Node, NodeId, Weight};
pub use topology::{Event, Move, Movement, NodeMetrics, Router, Topology};
