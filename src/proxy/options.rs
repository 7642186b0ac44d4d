//! The command line, read as nutcracker reads its own.
//!
//! ```text
//!   arguments ── getopt ──► (flag, value) ──► Action
//!                what getopt_long(3) does    what nutcracker 0.5.0 makes of it (`nc.c` `nc_get_options`)
//! ```
//!
//! All options of nutcracker are here with its defaults, as Debian has them, and its errors word for word. Different on
//! purpose: numbers do not wrap around, an error names the long option that nobody knows, and the log goes to the
//! standard error unless `-o` or `-d` is given.

use std::ffi::OsString;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use flag::Flag;
use flag::Next;
use flag::Reader;

mod flag;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Run(Options),
    TestConfiguration(Options),
    /// Prints the version, and perhaps more, and nothing else.
    Tell {
        help: bool,
        stats: bool,
    },
}

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// `-d`
    pub(super) daemonize: bool,
    /// `-v`, from 0 to [`MAX_VERBOSITY`](Self::MAX_VERBOSITY).
    pub(super) verbosity: u8,
    /// `-o`: the log; `None` is the standard error.
    pub(super) output: Option<PathBuf>,
    /// `-c`
    pub(super) configuration: PathBuf,
    /// `-s`; never 0.
    pub(super) stats_port: u16,
    /// `-a`: an address or a name, not looked at yet.
    pub(super) stats_address: String,
    /// `-i`: without effect, for figures are always current.
    pub(super) stats_interval: Duration,
    /// `-p`
    pub(super) pid_file: Option<PathBuf>,
    /// `--http`
    pub(super) http: Option<SocketAddr>,
    /// `--workers`
    pub(super) workers: Workers,
    /// `--watch`: loads the configuration again when its file changes.
    pub(super) watch: bool,
    /// `--io-uring`: sends through it where the system has it.
    pub(super) io_uring: bool,
}

impl Options {
    pub(super) const MAX_VERBOSITY: u8 = 11;
    /// Where Debian's nutcracker has its files.
    pub(super) const OUTPUT: &str = "/var/log/nutcracker/nutcracker.log";
    pub(super) const CONFIGURATION: &str = "/etc/nutcracker/nutcracker.yml";
    pub(super) const PID_FILE: &str = "/run/nutcracker/nutcracker.pid";
}

impl Default for Options {
    fn default() -> Self {
        Self {
            daemonize: false,
            verbosity: 5,
            output: None,
            configuration: Self::CONFIGURATION.into(),
            stats_port: 22222,
            stats_address: "0.0.0.0".to_owned(),
            stats_interval: Duration::from_millis(30_000),
            pid_file: None,
            http: None,
            workers: Workers::Fixed(NonZeroUsize::MIN),
            watch: false,
            io_uring: true,
        }
    }
}

/// How many threads serve clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workers {
    Fixed(NonZeroUsize),
    /// One for each core that this process may use.
    Auto,
}

impl Workers {
    const MAX: usize = 1024;

    pub(super) fn count(self) -> NonZeroUsize {
        match self {
            Self::Fixed(count) => count,
            Self::Auto => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// Why a command line is refused; the usage is to follow it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(super) struct UsageError(String);

/// Sizes of nutcracker's buffers that it accepts.
const MBUF_SIZES: std::ops::RangeInclusive<u64> = 512..=16_777_216;

/// Reads the arguments behind the program's name.
///
/// # Errors
///
/// The first thing that is wrong.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, UsageError> {
    let mut options = Options::default();
    let (mut tells, mut help, mut stats, mut tests) = (false, false, false, false);
    let (mut output, mut pid_file) = (None, None);
    let mut reader = Reader::new(arguments);
    loop {
        let (flag, value) = match reader.next() {
            Next::Flag(flag, value) => (flag, value),
            Next::NoValue(flag) => return Err(UsageError(no_value(flag))),
            Next::Unknown(name) => {
                return Err(UsageError(format!("invalid option -- '{name}'")));
            }
            Next::End => break,
        };
        let text = value.to_string_lossy().into_owned();
        match flag {
            Flag::Help => (tells, help) = (true, true),
            Flag::Version => tells = true,
            Flag::TestConf => tests = true,
            Flag::Daemonize => options.daemonize = true,
            Flag::DescribeStats => (tells, stats) = (true, true),
            Flag::Verbose => {
                let level = number(&text).ok_or_else(|| UsageError(no_value(flag)))?;
                let level = level.min(Options::MAX_VERBOSITY.into());
                options.verbosity = u8::try_from(level).unwrap_or(Options::MAX_VERBOSITY);
            }
            // An empty name is the standard error.
            Flag::Output => {
                output = Some((!value.is_empty()).then(|| PathBuf::from(value)));
            }
            Flag::ConfFile => options.configuration = value.into(),
            Flag::StatsPort => {
                let number = number(&text).ok_or_else(|| UsageError(no_value(flag)))?;
                let port = u16::try_from(number).ok().filter(|&port| port > 0);
                options.stats_port = port.ok_or_else(|| {
                    UsageError(format!("option -s value {text} is not a valid port"))
                })?;
            }
            Flag::StatsAddr => options.stats_address = text,
            Flag::StatsInterval => {
                let interval = number(&text).ok_or_else(|| UsageError(no_value(flag)))?;
                options.stats_interval = Duration::from_millis(interval);
            }
            Flag::PidFile => pid_file = Some(value.into()),
            Flag::MbufSize => check_mbuf_size(&text)?,
            Flag::Http => options.http = Some(http(&text)?),
            Flag::Workers => options.workers = workers(&text)?,
            Flag::Watch => options.watch = true,
            Flag::IoUring => {
                options.io_uring = match text.as_str() {
                    "auto" => true,
                    "off" => false,
                    _ => return Err(UsageError(no_value(flag))),
                };
            }
        }
    }
    if tells {
        return Ok(Action::Tell { help, stats });
    }
    // A daemon of Debian's init script is told neither.
    let of_daemon = |path: &str| options.daemonize.then(|| PathBuf::from(path));
    options.output = output.unwrap_or_else(|| of_daemon(Options::OUTPUT));
    options.pid_file = pid_file.or_else(|| of_daemon(Options::PID_FILE));
    Ok(if tests { Action::TestConfiguration(options) } else { Action::Run(options) })
}

/// What nutcracker says of an option whose value is missing, and of some where it is wrong.
fn no_value(flag: Flag) -> String {
    let what = match flag {
        Flag::Output | Flag::ConfFile | Flag::PidFile => "a file name",
        Flag::StatsAddr => "a string",
        Flag::Http => "a port or an address and a port",
        Flag::Workers => "a number or auto",
        Flag::IoUring => "auto or off",
        _ => "a number",
    };
    format!("option {flag} requires {what}")
}

/// Decimal digits and nothing else; more than there is room for is the largest number.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Buffers grow by themselves here, so the size matters no more; what nutcracker refuses, we refuse.
fn check_mbuf_size(text: &str) -> Result<(), UsageError> {
    let size = number(text)
        .filter(|&size| size > 0)
        .ok_or_else(|| UsageError("option -m requires a non-zero number".to_owned()))?;
    if MBUF_SIZES.contains(&size) {
        return Ok(());
    }
    let (min, max) = (MBUF_SIZES.start(), MBUF_SIZES.end());
    Err(UsageError(format!("mbuf chunk size must be between {min} and {max} bytes")))
}

/// A port alone is one of the loopback address.
fn http(text: &str) -> Result<SocketAddr, UsageError> {
    let port = text.parse().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    port.or_else(|_| text.parse()).map_err(|_| {
        UsageError(format!("option --http value {text} is not a port or an address and a port"))
    })
}

fn workers(text: &str) -> Result<Workers, UsageError> {
    if text == "auto" {
        return Ok(Workers::Auto);
    }
    let count = number(text)
        .and_then(|count| usize::try_from(count).ok())
        .filter(|&count| count <= Workers::MAX)
        .and_then(NonZeroUsize::new);
    count.map(Workers::Fixed).ok_or_else(|| {
        let max = Workers::MAX;
        UsageError(format!("option --workers requires a number from 1 to {max} or auto"))
    })
}

#[cfg(test)]
mod tests;
