//! `shardwright-proxy`: takes nutcracker's (twemproxy's) place for applications that are not in Rust.

use std::process::ExitCode;

/// It gives memory back to the system when a burst is over, and puts large blocks where the system copies to them
/// fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shardwright::proxy::main()
}
