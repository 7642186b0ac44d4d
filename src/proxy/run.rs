//! From the options to a running proxy.

use std::process::ExitCode;

use super::configuration;
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
    let config = match configuration::load(&options.configuration) {
        Ok(config) => config,
        Err(reason) => {
            let path = options.configuration.display();
            super::complain(format_args!("configuration file '{path}' syntax is invalid"));
            return super::fail(reason);
        }
    };
    let _ = (config, starter);
    super::fail("not implemented yet")
}
