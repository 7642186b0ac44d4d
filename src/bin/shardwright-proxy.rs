//! `shardwright-proxy`: takes nutcracker's (twemproxy's) place for applications that are not in Rust.

use std::process::ExitCode;

fn main() -> ExitCode {
    shardwright::proxy::main()
}
