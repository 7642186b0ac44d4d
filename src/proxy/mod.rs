//! The proxy: nutcracker's place, for applications that are not in Rust.
//!
//! ```text
//!   options ──► control ──► workers: driver ──► core ──► plan, command, topology
//!     flags     reload,              sockets,    sessions, backends, tickets:
//!               stats,               one mio     bytes in, bytes out, no socket
//!               signals              loop each   and no clock
//! ```
//!
//! Not here: where a key lives and what a command means; the core of the crate says so. Nothing is shared with the
//! clients but that.

mod control;
mod stats;

use std::process::ExitCode;

/// The program `shardwright-proxy`, with the arguments of the process.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
