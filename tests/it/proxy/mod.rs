//! The proxy as its clients see it, in front of real servers: what nutcracker does is run on the real
//! one as well and compared, and what we do otherwise on purpose is asserted of each.
//!
//! Numbers of rows are those of the table of behaviours in `guide/moving_from_nutcracker.md`.

mod clients;
mod command_line;
mod configuration;
mod databases;
mod ejection;
mod hostile;
#[cfg(target_os = "linux")]
mod io_uring;
mod limits;
mod memcached;
mod memcached_more;
mod owed;
mod pacing;
mod packaging;
mod placement;
mod random;
mod redis_all_nodes;
mod redis_errors;
mod redis_failures;
mod redis_fragments;
mod redis_large;
mod redis_local;
mod redis_routing;
mod redis_sessions;
mod redis_transactions;
mod redis_volume;
mod redis_waiting;
mod reloads;
mod resets;
mod restarts;
mod signals;
mod stats;
mod support;
#[cfg(feature = "proxy-tls")]
mod tls;
mod traffic;
