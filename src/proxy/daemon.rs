//! Running in the background, and the pid file.
//!
//! A fork needs unsafe code, so the program starts itself again:
//!
//! ```text
//!   shell ──► parent ──► child: the same arguments and directory, a session of its own
//!     ▲         │          │ starts up; what goes wrong it says on the parent's standard error
//!     └─ exit ──┴◄─ ready ─┘ then leaves standard output and error for /dev/null
//! ```
//!
//! So whoever starts the daemon hears whether it runs; nutcracker's parent has left by then. As with nutcracker
//! (0.5.0 `nc.c` `nc_daemonize`), the working directory stays, so relative paths keep their meaning; so does the umask,
//! which nutcracker clears.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use rustix::fs::flock;
use rustix::io::Errno;

/// Set for the child, to the pid of the parent: one that came down from an older ancestor means nothing.
const VARIABLE: &str = "SHARDWRIGHT_PROXY_DAEMON_OF";

/// The line that the child writes when it runs.
const READY: &str = "shardwright-proxy is ready";

/// Which of the two processes this is.
#[derive(Debug)]
pub(super) enum Side {
    /// The one that goes on.
    Daemon(Starter),
    /// The one that is done, and what it says to the shell.
    Parent(ExitCode),
}

/// Whoever waits to hear that the program runs.
#[derive(Debug)]
#[must_use = "somebody may be waiting"]
pub(super) struct Starter {
    waits: bool,
}

impl Starter {
    /// Of a program in the foreground.
    pub(super) fn nobody() -> Self {
        Self { waits: false }
    }

    /// Says that the program runs. A daemon's standard output and error are then /dev/null.
    ///
    /// # Errors
    ///
    /// When there is no /dev/null.
    pub(super) fn ready(self) -> io::Result<()> {
        if self.waits {
            let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
            // The parent may have been interrupted; that is no reason not to run.
            let _ = writeln!(io::stdout(), "{READY}");
            rustix::stdio::dup2_stdout(&null)?;
            rustix::stdio::dup2_stderr(&null)?;
        }
        Ok(())
    }
}

/// Starts this program again in the background and waits until it runs, or is what was started so.
///
/// # Errors
///
/// When the program cannot be started, or leads a session already.
pub(super) fn detach() -> io::Result<Side> {
    let parent = std::os::unix::process::parent_id().to_string();
    if std::env::var(VARIABLE).is_ok_and(|pid| pid == parent) {
        rustix::process::setsid()?;
        return Ok(Side::Daemon(Starter { waits: true }));
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command
        .args(arguments)
        .env(VARIABLE, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            if line? == READY {
                return Ok(Side::Parent(ExitCode::SUCCESS));
            }
        }
    }
    // It has said why itself.
    child.wait()?;
    Ok(Side::Parent(ExitCode::FAILURE))
}

/// A file with the number of this process, until dropped.
///
/// ```text
///   take ──► write ──► give_up ──► drop
///   └─── locked ─────────┘           └─ goes, unless another process has it
/// ```
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    /// A file that is left behind is not locked, whoever has its number by then.
    file: File,
    is_given_up: Mutex<bool>,
}

impl PidFile {
    /// Takes the file, but not that of a process like this one that runs: nobody could stop that one any more. One that
    /// was told to end has given it up.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or belongs to such a process (`ResourceBusy`).
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o644);
            let file = options.open(path)?;
            let opened = file.metadata()?;
            if opened.is_file() {
                if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
                {
                    let pid = io::read_to_string(file)?;
                    let reason = format!("it is that of process {pid}, which runs");
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, reason));
                }
                // Whoever had it may have ended just now, and taken it away.
                if fs::metadata(path).map(|there| inode(&there)).ok() != Some(inode(&opened)) {
                    continue;
                }
            }
            return Ok(Self { path: path.to_owned(), file, is_given_up: Mutex::new(false) });
        }
    }

    /// Writes the number, without a line break, as nutcracker (0.5.0 `nc.c` `nc_create_pidfile`); not when it was given
    /// up.
    ///
    /// # Errors
    ///
    /// When that is not possible.
    pub(super) fn write(&self) -> io::Result<()> {
        let is_given_up = self.is_given_up.lock();
        if *is_given_up {
            return Ok(());
        }
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        (&self.file).write_all(std::process::id().to_string().as_bytes())
    }

    /// Lets a process that follows this one take the file. Until then it keeps the number: whoever waits for this
    /// process to end looks there.
    pub(super) fn give_up(&self) {
        let mut is_given_up = self.is_given_up.lock();
        *is_given_up = true;
        // Nothing can fail here, and if it did the next one would wait for this process to end.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Which file it is, whatever it is called.
fn inode(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl Drop for PidFile {
    /// Another process may have taken the file over since, and not have written to it yet.
    fn drop(&mut self) {
        let own = std::process::id().to_string();
        let is_own = |pid: String| pid.is_empty() || pid.trim_end() == own;
        let own_file = self.file.metadata().ok().filter(Metadata::is_file);
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        let there = fs::metadata(&self.path).ok();
        let is_there =
            own_file.is_some() && there.map(|it| inode(&it)) == own_file.map(|it| inode(&it));
        if is_there && fs::read_to_string(&self.path).is_ok_and(is_own) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("shardwright-{}-{name}", std::process::id()))
    }

    fn written(path: impl AsRef<Path>) -> PidFile {
        let file = PidFile::take(path.as_ref()).unwrap();
        file.write().unwrap();
        file
    }

    #[test]
    fn a_pid_file_is_there_as_long_as_the_process() {
        let path = scratch("pid");
        fs::write(&path, "a longer text of an earlier process").unwrap();
        let file = written(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_pid_file_of_another_process_stays() {
        let path = scratch("other-pid");
        let file = written(&path);
        fs::write(&path, "1").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_pid_file_is_taken_from_the_dead_alone() {
        let path = scratch("live-pid");
        let file = written(&path);
        let error = PidFile::take(&path).unwrap_err();
        let pid = std::process::id();
        assert_eq!(error.to_string(), format!("it is that of process {pid}, which runs"));
        assert_eq!(fs::read_to_string(&path).unwrap(), pid.to_string());
        // What is left behind may have the number of anybody who runs.
        drop(file);
        fs::write(&path, "1").unwrap();
        drop(written(&path));
        assert!(!path.exists());
        // One that has no number yet goes as well.
        drop(PidFile::take(&path).unwrap());
        assert!(!path.exists());
        // What is no file is everybody's.
        drop((written("/dev/null"), written("/dev/null")));
    }

    #[test]
    fn a_pid_file_that_was_given_up_is_the_next_ones() {
        let path = scratch("given-up-pid");
        let own = std::process::id().to_string();
        let first = written(&path);
        first.give_up();
        assert_eq!(fs::read_to_string(&path).unwrap(), own);
        let second = PidFile::take(&path).unwrap();
        // It is the second's, though that has not written to it, nor will the first any more.
        fs::write(&path, "1").unwrap();
        first.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        fs::write(&path, &own).unwrap();
        drop(first);
        assert!(path.exists());
        assert_eq!(PidFile::take(&path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(second);
        assert!(!path.exists());
        // Where nobody follows it goes with its process.
        let only = written(&path);
        only.give_up();
        drop(only);
        assert!(!path.exists());
    }

    /// The test starts itself as the parent, which starts itself as the daemon.
    #[test]
    fn a_daemon_leaves_the_session_and_is_heard_of() {
        const NAME: &str = "proxy::daemon::tests::a_daemon_leaves_the_session_and_is_heard_of";
        const REPORT: &str = "SHARDWRIGHT_TEST_DAEMON";
        let Some(path) = std::env::var_os(REPORT) else {
            let path = scratch("daemon");
            let mut parent = Command::new(std::env::current_exe().unwrap());
            parent.args([NAME, "--exact", "--nocapture"]).env(REPORT, &path);
            let output = parent.stdin(Stdio::piped()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let report = fs::read_to_string(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let here = std::env::current_dir().unwrap();
            assert_eq!(report, format!("leads its session in {}", here.display()));
            return;
        };
        match detach().unwrap() {
            Side::Parent(code) => assert_eq!(code, ExitCode::SUCCESS),
            Side::Daemon(starter) => {
                let session = rustix::process::getsid(None).unwrap();
                assert_eq!(session, rustix::process::getpid());
                let here = std::env::current_dir().unwrap();
                fs::write(path, format!("leads its session in {}", here.display())).unwrap();
                starter.ready().unwrap();
                let null = fs::read_link("/proc/self/fd/2").unwrap_or("/dev/null".into());
                assert_eq!(null, Path::new("/dev/null"));
            }
        }
    }

    #[test]
    fn a_pid_file_needs_its_directory() {
        assert!(PidFile::take("/nonexistent/pid".as_ref()).is_err());
    }
}
