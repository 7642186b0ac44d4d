//! Topology: nodes, hash, distribution and health held together for many threads.
//!
//! ```text
//!   Topology ──────────► SharedTopology ── current() ──► Arc<Snapshot>
//!   what the user         the lock around                nodes, members, Router:
//!   described             what changes                   what one request sees
//!                              ▲
//!            observe(member, incident, now), set_topology(...), probes
//! ```
//!
//! A snapshot never changes. What happens to a node, or to the list of nodes, makes another one and
//! raises the generation number; whoever holds the old one finishes with it. Connections compare one
//! atomic number a request and take the lock only when it has changed.

mod counters;
mod description;
mod event;
mod movement;
mod preset;
mod router;
mod shared;

pub use counters::NodeMetrics;
#[cfg(feature = "memcache")]
pub(crate) use counters::SharedTally;
pub(crate) use counters::Tally;
pub use description::Topology;
pub use event::Event;
pub use movement::Move;
pub use movement::Movement;
pub use preset::Preset;
pub use router::Router;
pub(crate) use router::Unroutable;
pub(crate) use shared::Member;
pub(crate) use shared::SharedTopology;
pub(crate) use shared::Snapshot;
