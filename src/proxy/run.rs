//! From the options to a running proxy.

use std::process::ExitCode;

use super::daemon::Starter;
use super::log::log;
use super::options::Options;
use super::usage;

/// Runs until told to stop.
///
/// `starter` waits to hear that the proxy runs; on any other way out the reason has been logged.
pub(super) fn run(options: Options, starter: Starter) -> ExitCode {
    let (program, version, pid) = (usage::PROGRAM, usage::VERSION, std::process::id());
    log!(Notice, "{program}-{version} started on pid {pid}");
    let _ = (options, starter);
    super::fail("not implemented yet")
}
