//! The configuration's file: reading it again, and noticing that it has changed.
//!
//! ```text
//!   SIGUSR1 ─────────────────────────────────────────────────────┐
//!   each second: stat ──► another file? ──► still, a second on? ──► read ──► other bytes? ──► parse ──► workers
//! ```
//!
//! The same with the files that it names, whose bytes are the workers' to read: those of certificates.
//!
//! The second look is for editors and copies that are not done yet. The path is followed each time, so a
//! symbolic link may be turned to another file or directory, which is how Kubernetes changes a ConfigMap.

mod named_files;
mod stamp;

use std::fs;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use self::named_files::NamedFiles;
use self::stamp::Stamp;
use super::Log;
use super::Workers;
use super::level;
use crate::proxy::configuration::parse;

/// The longest file that is read.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How long a watched file is left alone between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The file with the configuration.
pub(super) struct ConfigFile {
    path: PathBuf,
    /// What was read last, whether or not it could be used.
    text: Vec<u8>,
    /// What is there, if it was looked at: the one with `text`, or one that has still to prove itself.
    seen: Option<Stamp>,
    is_settled: bool,
    /// Whether it was said that the file cannot be read.
    is_missed: bool,
    /// What the last text names that could be read.
    named: NamedFiles,
    next_look: Instant,
}

impl ConfigFile {
    /// `text` is what the configuration in place was read from.
    pub(super) fn new(path: PathBuf, text: Vec<u8>, now: Instant) -> Self {
        let named = parse(&text).map(|config| NamedFiles::of(&config)).unwrap_or_default();
        let next_look = now + PAUSE;
        Self { path, text, seen: None, is_settled: false, is_missed: false, named, next_look }
    }

    /// Reads the file and gives it to the workers. Says in the log what has become of it.
    pub(super) fn reload(&mut self, workers: &dyn Workers, log: &Log) {
        match read(&self.path) {
            Ok((text, stamp)) => {
                (self.seen, self.is_settled, self.is_missed) = (Some(stamp), true, false);
                self.text = text;
                self.apply(workers, log);
            }
            Err(error) => self.refuse(log, &error.to_string()),
        }
    }

    /// Looks whether the file has changed, or one that it names, and reloads it if so. Does nothing when it is not
    /// time yet.
    pub(super) fn look(&mut self, workers: &dyn Workers, log: &Log, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + PAUSE;
        if let Err(error) = self.look_now(workers, log) {
            // Files may be away for a moment while they are replaced.
            self.is_settled = false;
            if self.seen.take().is_none() && !self.is_missed {
                self.is_missed = true;
                self.refuse(log, &error.to_string());
            }
        }
    }

    /// When to look next.
    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    fn look_now(&mut self, workers: &dyn Workers, log: &Log) -> io::Result<()> {
        let stamp = Some(Stamp::of(&fs::metadata(&self.path)?));
        if self.seen != stamp {
            (self.seen, self.is_settled) = (stamp, false);
            return Ok(());
        }
        if self.is_settled {
            if let Some(path) = self.named.look() {
                log(level::NOTICE, &format!("conf: '{}' has changed", path.display()));
                self.apply(workers, log);
            }
            return Ok(());
        }
        let (text, read) = read(&self.path)?;
        if stamp != Some(read) {
            self.seen = Some(read);
            return Ok(());
        }
        (self.is_settled, self.is_missed) = (true, false);
        if self.text != text {
            self.text = text;
            log(level::NOTICE, &format!("conf: '{}' has changed", self.path.display()));
            self.apply(workers, log);
        }
        Ok(())
    }

    fn apply(&mut self, workers: &dyn Workers, log: &Log) {
        let config = parse(&self.text).inspect(|config| {
            // Before they are read: what changes meanwhile is seen.
            self.named = NamedFiles::of(config);
        });
        match config.and_then(|config| workers.reload(config)) {
            Ok(changes) => {
                let path = self.path.display();
                if changes.is_empty() {
                    log(
                        level::NOTICE,
                        &format!("conf: '{path}' is reloaded, nothing is different"),
                    );
                    return;
                }
                log(level::NOTICE, &format!("conf: '{path}' is reloaded"));
                // One line each: the log cuts what is long.
                for change in changes {
                    log(level::NOTICE, &format!("conf: {change}"));
                }
            }
            Err(reason) => self.refuse(log, &reason),
        }
    }

    fn refuse(&self, log: &Log, reason: &str) {
        let path = self.path.display();
        log(level::ERROR, &format!("conf: '{path}' is refused, nothing is different: {reason}"));
    }
}

/// What is in the file, and which file that was when it had been read.
fn read(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    // Before it is opened: opening a pipe waits for who writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    let mut file = fs::File::open(path)?;
    let mut text = Vec::new();
    if (&mut file).take(MAX_FILE + 1).read_to_end(&mut text)? as u64 > MAX_FILE {
        let reason = format!("is longer than {MAX_FILE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok((text, Stamp::of(&file.metadata()?)))
}

#[cfg(test)]
mod tests;
