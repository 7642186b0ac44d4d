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
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

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
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes it, without a line break, as nutcracker (0.5.0 `nc.c` `nc_create_pidfile`).
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        let mut file: File =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for PidFile {
    /// Another process may have taken the file over since.
    fn drop(&mut self) {
        let own = std::process::id().to_string();
        if fs::read_to_string(&self.path).is_ok_and(|pid| pid.trim_end() == own) {
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

    #[test]
    fn a_pid_file_is_there_as_long_as_the_process() {
        let path = scratch("pid");
        fs::write(&path, "a longer text of an earlier process").unwrap();
        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_pid_file_of_another_process_stays() {
        let path = scratch("other-pid");
        let file = PidFile::write(&path).unwrap();
        fs::write(&path, "1").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        fs::remove_file(&path).unwrap();
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
        assert!(PidFile::write("/nonexistent/pid".as_ref()).is_err());
    }
}
