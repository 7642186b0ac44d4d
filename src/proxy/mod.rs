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

use std::fmt;
use std::io::Write;
use std::panic::Location;
use std::path::Path;
use std::process::ExitCode;

mod changes;
mod configuration;
mod control;
mod core;
mod daemon;
mod driver;
mod entrances;
mod host;
mod log;
mod options;
mod pacing;
mod patience;
mod pools;
mod reply;
mod run;
mod settings;
mod socket_file;
mod stats;
#[cfg(feature = "proxy-tls")]
mod tls;
mod usage;
#[cfg(not(feature = "proxy-tls"))]
mod without_tls;
mod workers;

#[cfg(not(feature = "proxy-tls"))]
use self::without_tls as tls;
#[cfg(feature = "_fuzz")]
pub(crate) use core::rehearsal;

use daemon::Side;
use daemon::Starter;
use options::Action;
use options::Options;

/// The program `shardwright-proxy`, with the arguments of the process.
pub fn main() -> ExitCode {
    match options::parse(std::env::args_os().skip(1)) {
        Ok(Action::Run(options)) => start(options),
        Ok(Action::TestConfiguration(options)) => test(&options.configuration),
        Ok(Action::Tell { help, stats }) => {
            say(usage::version());
            if help {
                say(usage::USAGE);
            }
            if stats {
                say(usage::descriptions());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(error);
            say(usage::USAGE);
            ExitCode::FAILURE
        }
    }
}

/// In the background, if that is asked for.
fn start(options: Options) -> ExitCode {
    host::settle_allocator();
    let starter = if options.daemonize {
        match daemon::detach() {
            Ok(Side::Daemon(starter)) => starter,
            Ok(Side::Parent(code)) => return code,
            Err(error) => {
                complain(format_args!("daemonize failed: {}", log::reason(&error)));
                return ExitCode::FAILURE;
            }
        }
    } else {
        Starter::nobody()
    };
    if let Err(error) = log::open(options.output.as_deref(), options.verbosity) {
        let path = options.output.unwrap_or_default();
        let (path, reason) = (path.display(), log::reason(&error));
        complain(format_args!("opening log file '{path}' failed: {reason}"));
        return ExitCode::FAILURE;
    }
    log::take_panics();
    run::run(options, starter)
}

fn test(path: &Path) -> ExitCode {
    let file = path.display();
    match configuration::test(path) {
        Ok(missing) => {
            complain(format_args!("configuration file '{file}' syntax is ok"));
            for what in missing {
                complain(format_args!("warning: {what}"));
            }
            ExitCode::SUCCESS
        }
        Err(reason) => {
            complain(format_args!("configuration file '{file}' syntax is invalid"));
            complain(reason);
            ExitCode::FAILURE
        }
    }
}

/// Ends the program for a reason, which goes to the log, and to whoever has started it.
#[track_caller]
fn fail(reason: impl fmt::Display) -> ExitCode {
    if !log::is_on_stderr() {
        complain(&reason);
    }
    let place = Location::caller();
    log::write(place.file(), place.line(), format_args!("{reason}"));
    ExitCode::FAILURE
}

fn complain(text: impl fmt::Display) {
    say(format!("{}: {text}\n", usage::PROGRAM));
}

/// Like nutcracker, on the standard error, whatever it is. Nobody can be told when that fails.
fn say(text: impl AsRef<str>) {
    let _ = std::io::stderr().write_all(text.as_ref().as_bytes());
}
