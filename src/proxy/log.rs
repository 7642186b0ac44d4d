//! The log: lines like nutcracker's, to a file or to the standard error.
//!
//! ```text
//! [2026-11-28 16:32:13.560] run.rs:27 shardwright-proxy-0.1.0 started on pid 5665
//! ```
//!
//! Levels go from 0 to 11, as nutcracker's (0.5.0 `nc_log.h`). A line that is not wanted costs one load. A line never
//! holds anybody up: what cannot be written now is dropped and counted. Values, keys and passwords are in no line.

use std::fmt;
use std::fmt::Write as _;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

use super::options::Options;

mod clock;
mod throttle;

pub(super) use throttle::Throttle;

/// How much a line matters: 0 and up, the lower the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Level {
    /// The program ends. Always logged.
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    /// The last that is logged if nobody asks for more.
    Notice,
    Information,
    Debug,
}

/// `log!(Notice, "{} pools", count)`: one line, if its level is logged.
macro_rules! log {
    ($level:ident, $($text:tt)+) => {
        if $crate::proxy::log::is_on($crate::proxy::log::Level::$level) {
            $crate::proxy::log::write(file!(), line!(), format_args!($($text)+));
        }
    };
}

pub(in crate::proxy) use log;

static VERBOSITY: AtomicU8 = AtomicU8::new(5);
static SINK: Mutex<Sink> = Mutex::new(Sink { file: None, path: None, dropped: 0 });

struct Sink {
    /// `None` is the standard error.
    file: Option<File>,
    path: Option<PathBuf>,
    /// Lines that there was no room for since the last that was written.
    dropped: u64,
}

/// Longest text of a line in bytes.
const MAX_TEXT: usize = 1024;

/// Logs to the end of this file, or to the standard error.
///
/// # Errors
///
/// When the file cannot be opened.
pub(super) fn open(path: Option<&Path>, verbosity: u8) -> io::Result<()> {
    let file = path.map(opened).transpose()?;
    let path = path.map(Path::to_owned);
    *SINK.lock() = Sink { file, path, dropped: 0 };
    VERBOSITY.store(verbosity.min(Options::MAX_VERBOSITY), Ordering::Relaxed);
    Ok(())
}

/// Opens the file again, for somebody has moved the old one away (SIGHUP).
///
/// # Errors
///
/// When it cannot be opened. The old one is then written to as before.
pub(super) fn reopen() -> io::Result<()> {
    let path = SINK.lock().path.clone();
    if let Some(path) = path {
        let file = opened(&path)?;
        SINK.lock().file = Some(file);
    }
    Ok(())
}

/// Whether lines go to the standard error.
pub(super) fn is_on_stderr() -> bool {
    SINK.lock().file.is_none()
}

/// Logs more from now on (SIGTTIN).
pub(super) fn raise() {
    let level = VERBOSITY.load(Ordering::Relaxed);
    if level < Options::MAX_VERBOSITY {
        VERBOSITY.store(level + 1, Ordering::Relaxed);
        log!(Emergency, "up log level to {}", level + 1);
    }
}

/// Logs less from now on (SIGTTOU).
pub(super) fn lower() {
    let level = VERBOSITY.load(Ordering::Relaxed);
    if level > 0 {
        VERBOSITY.store(level - 1, Ordering::Relaxed);
        log!(Emergency, "down log level to {}", level - 1);
    }
}

/// Whether lines of this level are logged.
#[inline]
pub(super) fn is_on(level: Level) -> bool {
    level as u8 <= VERBOSITY.load(Ordering::Relaxed)
}

/// Writes a line, whatever its level; [`log!`] calls it.
#[cold]
#[allow(clippy::disallowed_methods, reason = "a line says when it was written")]
pub(super) fn write(file: &str, line: u32, text: fmt::Arguments<'_>) {
    let line = formatted(SystemTime::now(), file, line, text);
    SINK.lock().write(&line);
}

/// A panic is logged with its place, and without its text, which may quote what was being worked on.
pub(super) fn take_panics() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => write(place.file(), place.line(), format_args!("panicked")),
        None => write(file!(), line!(), format_args!("panicked somewhere")),
    }));
}

/// The text of an error of the system, as C has it: without the number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => text.trim_end_matches(&format!(" (os error {number})")).to_owned(),
        // A resolver's has one more thing in front that is said anyway.
        None => text.trim_start_matches("failed to lookup address information: ").to_owned(),
    }
}

fn opened(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o644).open(path)
}

/// One line and its end. Control characters are escaped, so that a name cannot forge a line.
fn formatted(now: SystemTime, file: &str, line: u32, text: fmt::Arguments<'_>) -> String {
    let file = file.rsplit('/').next().unwrap_or(file);
    let mut whole = format!("[{}] {file}:{line} ", clock::stamp(now));
    let end = whole.len() + MAX_TEXT;
    for character in text.to_string().chars() {
        if whole.len() >= end {
            whole.push_str("...");
            break;
        }
        if character.is_control() {
            let _ = write!(whole, "{}", character.escape_default());
        } else {
            whole.push(character);
        }
    }
    whole.push('\n');
    whole
}

impl Sink {
    /// Nobody can be told when this fails.
    fn write(&mut self, line: &str) {
        let stderr = io::stderr();
        let is_full = match &self.file {
            Some(file) => is_full(file),
            None => is_full(&stderr),
        };
        if is_full {
            self.dropped += 1;
            return;
        }
        let dropped = std::mem::take(&mut self.dropped);
        let note = (dropped > 0).then(|| format!("({dropped} lines are missing here)\n"));
        let text = [note.as_deref().unwrap_or_default(), line].concat();
        let _ = match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => stderr.lock().write_all(text.as_bytes()),
        };
    }
}

/// Whether a write would have to wait: the other end of a pipe or of a terminal does not read.
fn is_full(file: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(file, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_says_when_and_where_and_cannot_be_forged() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(951_827_696_007);
        let line = formatted(now, "src/proxy/run.rs", 12, format_args!("a{}b\u{1b}", '\n'));
        let (stamp, rest) = line.split_at("[2000-02-29 12:34:56.007]".len());
        assert!(stamp.starts_with("[2000-") && stamp.ends_with(".007]"), "{stamp}");
        assert_eq!(rest, " run.rs:12 a\\nb\\u{1b}\n");
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = "é".repeat(MAX_TEXT);
        let line = formatted(SystemTime::UNIX_EPOCH, "log.rs", 1, format_args!("{text}"));
        assert!(line.ends_with("é...\n"));
        assert!(line.len() < MAX_TEXT + 64);
    }

    #[test]
    fn a_log_that_was_moved_away_is_begun_again() {
        let path = |name: &str| {
            std::env::temp_dir().join(format!("shardwright-{}-{name}", std::process::id()))
        };
        let (here, away) = (path("log"), path("log.1"));
        let texts = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap();
            std::fs::remove_file(path).unwrap();
            let texts = text.lines().filter_map(|line| line.split(' ').nth(3));
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        open(Some(&here), 5).unwrap();
        assert!(!is_on_stderr());
        log!(Notice, "one");
        log!(Information, "not-wanted");
        std::fs::rename(&here, &away).unwrap();
        log!(Error, "two");
        reopen().unwrap();
        raise();
        log!(Information, "three");
        lower();
        log!(Information, "not-wanted");
        assert_eq!(texts(&away), ["one", "two"]);
        assert_eq!(texts(&here), ["up", "three", "down"]);
        assert!(open(Some("/nonexistent/log".as_ref()), 5).is_err());
        open(None, 5).unwrap();
        assert!(is_on_stderr());
    }

    #[test]
    fn a_full_pipe_holds_nobody_up_and_is_told_later_what_it_missed() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = Sink {
            file: Some(File::from(std::os::fd::OwnedFd::from(writer))),
            path: None,
            dropped: 0,
        };
        let line = format!("{}\n", "x".repeat(1023));
        while sink.dropped == 0 {
            sink.write(&line);
        }
        sink.write(&line);
        let mut read = vec![0; 1 << 20];
        assert!(io::Read::read(&mut reader, &mut read).unwrap() > 0);
        sink.write("again\n");
        let length = io::Read::read(&mut reader, &mut read).unwrap();
        let text = String::from_utf8_lossy(&read[..length]);
        assert!(text.ends_with("(2 lines are missing here)\nagain\n"), "{text}");
    }

    #[test]
    fn a_reason_has_no_number() {
        let error = File::open("/nonexistent").unwrap_err();
        assert_eq!(reason(&error), "No such file or directory");
        assert_eq!(reason(&io::Error::other("ours")), "ours");
    }
}
