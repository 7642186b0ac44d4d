//! The synchronous client on real redis-servers.

mod atomic;
mod channels;
mod cross_shard;
mod errors;
mod fan_out;
mod hatches;
mod one_node;
pub mod pool;
mod refused_transactions;
mod requests;
mod resp3;
mod scans;
mod scripts;
mod secured;
mod sessions;
mod settings;
mod split;
mod swaps;
#[cfg(any(feature = "tls-native-tls", feature = "tls-rustls"))]
mod tls;
mod types;
mod watch;
