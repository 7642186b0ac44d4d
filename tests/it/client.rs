//! The synchronous client on real redis-servers.

mod atomic;
mod pool;
mod requests;
mod watch;
