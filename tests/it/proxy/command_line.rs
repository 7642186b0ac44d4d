//! The command line of `shardwright-proxy` and that of the real nutcracker: the same arguments and files, the same exit
//! codes and texts.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::support::Process;
use crate::support::free_port;
use crate::support::is_installed;
use crate::support::listens;
use crate::support::scratch;
use crate::support::within;

const OURS: &str = env!("CARGO_BIN_EXE_shardwright-proxy");
const THEIRS: &str = "nutcracker";

/// How a program ended that was expected to.
#[derive(Debug, PartialEq, Eq)]
struct End {
    code: Option<i32>,
    /// The standard error. The other one has nothing.
    text: String,
}

impl End {
    /// The first line, without the name of the program in front.
    fn first_line(&self) -> &str {
        let line = self.text.lines().next().unwrap_or_default();
        let names = ["shardwright-proxy: ", "nutcracker: "];
        names.iter().find_map(|name| line.strip_prefix(name)).unwrap_or(line)
    }
}

/// Runs a program that ends by itself, in `directory`.
fn end(program: &str, arguments: &[&str], directory: &Path) -> End {
    let files = ["stdout", "stderr"].map(|name| directory.join(name));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        // Not the one of this machine, which may be UTC.
        .env("TZ", "IST-5:30")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&files[0]).unwrap())
        .stderr(fs::File::create(&files[1]).unwrap())
        .spawn()
        .unwrap();
    let mut status = None;
    within(Duration::from_secs(20), "the program ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let [stdout, stderr] = files.map(|file| fs::read(file).unwrap());
    assert!(stdout.is_empty(), "{program} {arguments:?} prints on its standard output");
    let text = String::from_utf8_lossy(&stderr).replace('\r', "");
    End { code: status.and_then(|status| status.code()), text }
}

/// Runs `test` in a scratch directory, if nutcracker is installed.
fn beside_nutcracker(test: impl FnOnce(&Path)) {
    if is_installed(THEIRS) {
        let directory = scratch();
        test(&directory);
        fs::remove_dir_all(directory).unwrap();
    }
}

/// A file that both accept.
fn good(listen: &str) -> String {
    format!("p:\n  listen: {listen}\n  redis: true\n  servers:\n   - 127.0.0.1:6379:1\n")
}

/// Files that both refuse, by name.
fn bad() -> Vec<(&'static str, String)> {
    let good = good("127.0.0.1:22121");
    vec![
        ("empty.yml", String::new()),
        ("two.yml", format!("{good}...\n---\n{good}")),
        ("start.yml", format!("---\n{good}")),
        ("scalar.yml", "p\n".to_owned()),
        ("flow.yml", good.replace("\n   - 127.0.0.1:6379:1", " [127.0.0.1:6379:1]")),
        ("unknown.yml", good.replace("redis:", "foo:")),
        ("boolean.yml", good.replace("true", "yes")),
        ("number.yml", good.replace("redis: true", "timeout: 1k")),
        ("twice.yml", good.replace("  redis: true\n", "  redis: true\n  redis: true\n")),
        ("port.yml", good.replace("22121", "0")),
        ("weight.yml", good.replace("6379:1", "6379:0")),
        ("auth.yml", good.replace("redis: true", "redis_auth: swordfish")),
    ]
}

#[test]
fn arguments_that_are_wrong_are_refused_in_the_same_words() {
    beside_nutcracker(|directory| {
        for arguments in [
            "-v",
            "-v x",
            "-v -1",
            "-v=3",
            "-v5x",
            "--verb",
            "-s",
            "-s x",
            "-s 0",
            "-s 65536",
            "-s 70000",
            "-s -1",
            "-s 1x",
            "-i",
            "-i x",
            "-i -5",
            "-m",
            "-m x",
            "-m 0",
            "-m 511",
            "-m 16777217",
            "-m -1",
            "-o",
            "-c",
            "-p",
            "-a",
            "-x",
            "-xV",
            "-Vx",
            "-hx",
            "-W foo",
            "-?",
            "-:",
            "-;",
            "--help=3",
            "--version=",
            "--conf-file",
            "--mbuf-size",
            "--stats-p",
            "--stats-port=x",
            "--stats-interval",
            "--output",
            "--pid-file",
            "--stats-addr",
            "--verbose",
            "-v 1 -x",
            "operand -s",
            "-tdx",
            "-td -m 1",
        ] {
            let arguments = arguments.split(' ').collect::<Vec<_>>();
            let theirs = end(THEIRS, &arguments, directory);
            let ours = end(OURS, &arguments, directory);
            assert_eq!(ours.code, theirs.code, "{arguments:?}");
            assert_eq!(ours.first_line(), theirs.first_line(), "{arguments:?}");
            for (end, program) in [(&ours, "shardwright-proxy"), (&theirs, "nutcracker")] {
                let usage = format!("{}\nUsage: {program} [-?hVdDt] ", end.first_line());
                assert!(end.text.starts_with(&format!("{program}: {usage}")), "{}", end.text);
            }
        }
    });
}

#[test]
fn a_long_option_that_nobody_knows_is_refused_and_named() {
    beside_nutcracker(|directory| {
        for name in ["foo", "ver", "stats", "d", "s", "Version"] {
            let argument = format!("--{name}");
            let theirs = end(THEIRS, &[&argument], directory);
            let ours = end(OURS, &[&argument], directory);
            assert_eq!((ours.code, theirs.code), (Some(1), Some(1)), "{argument}");
            // Theirs has a NUL here.
            assert_eq!(theirs.first_line(), "invalid option -- '\0'");
            assert_eq!(ours.first_line(), format!("invalid option -- '{name}'"));
        }
    });
}

#[test]
fn version_and_descriptions_are_told_in_the_same_words() {
    beside_nutcracker(|directory| {
        let named = format!("This is shardwright-proxy-{}\n", env!("CARGO_PKG_VERSION"));
        for arguments in ["-V", "-D", "-DV", "-tD", "--vers", "--desc", "-d -V", "x -V", "-V -- -x"]
        {
            let arguments = arguments.split(' ').collect::<Vec<_>>();
            let theirs = end(THEIRS, &arguments, directory);
            let ours = end(OURS, &arguments, directory);
            let text = theirs.text.replace("This is nutcracker-0.5.0\n", &named);
            assert_eq!((ours.code, theirs.code), (Some(0), Some(0)), "{arguments:?}");
            assert!(ours.text.starts_with(&text), "{}", ours.text);
            let describes = text.contains("pool stats:");
            assert_eq!(ours.text.len() > text.len(), describes, "only -D has more to say");
        }
    });
}

#[test]
fn the_help_has_every_option_of_nutcracker() {
    beside_nutcracker(|directory| {
        for arguments in [&["-h"][..], &["--help"], &["--h"], &["-hD"], &["-DVh"]] {
            let theirs = end(THEIRS, arguments, directory);
            let ours = end(OURS, arguments, directory);
            assert_eq!((ours.code, theirs.code), (Some(0), Some(0)), "{arguments:?}");
            let options = theirs.text.lines().filter(|line| line.starts_with("  -"));
            assert_eq!(options.clone().count(), 13);
            for line in options {
                let option = line.split_once(" : ").expect("a line explains an option").0;
                assert!(ours.text.contains(&format!("\n{option} : ")), "{option}");
                // Those without one of ours are the same.
                if !["-o", "-i", "-p", "-m"].iter().any(|name| option.contains(&format!("{name},")))
                {
                    assert!(ours.text.contains(&format!("\n{line}\n")), "{line}");
                }
            }
        }
    });
}

#[test]
fn a_file_is_tested_to_the_same_end() {
    beside_nutcracker(|directory| {
        fs::create_dir(directory.join("directory.yml")).unwrap();
        fs::write(directory.join("good.yml"), good("127.0.0.1:22121")).unwrap();
        fs::write(directory.join("socket.yml"), good("/nonexistent/p.sock 0600")).unwrap();
        fs::write(directory.join("nohost.yml"), good("nohost.invalid:22121")).unwrap();
        let mut files =
            vec!["good.yml", "socket.yml", "nohost.yml", "missing.yml", "", "directory.yml"];
        for (file, text) in bad() {
            fs::write(directory.join(file), text).unwrap();
            files.push(file);
        }
        for file in files {
            for arguments in
                [&["-t", "-c", file][..], &["--test-conf", &format!("--conf-file={file}")]]
            {
                let theirs = end(THEIRS, arguments, directory);
                let ours = end(OURS, arguments, directory);
                assert_eq!(ours.code, theirs.code, "{arguments:?}");
                assert_eq!(ours.first_line(), theirs.first_line(), "{arguments:?}");
                // Ours then says why, and of a directory that is not there yet that it has to be.
                let lines = if ours.code == Some(0) && file != "socket.yml" { 1 } else { 2 };
                assert_eq!(ours.text.lines().count(), lines, "{}", ours.text);
            }
        }
        let text = end(OURS, &["-tc", "boolean.yml"], directory).text;
        let reason =
            "boolean.yml: line 3, column 10: directive \"redis\" is not \"true\" or \"false\"\n";
        assert!(text.ends_with(&format!("shardwright-proxy: {reason}")), "{text}");
        let text = end(OURS, &["-tc", "socket.yml"], directory).text;
        let missing = "warning: socket.yml: line 2, column 3: pool 'p': directive \"listen\": \
                       there is no directory /nonexistent\n";
        assert!(text.ends_with(missing), "{text}");
        let text = end(OURS, &["-tc", "nohost.yml"], directory).text;
        assert!(text.contains("address resolution of 'nohost.invalid:22121' failed: "), "{text}");
    });
}

/// The reasons themselves are compared where the reader of the file is tested.
#[test]
fn a_proxy_whose_file_is_bad_does_not_start() {
    beside_nutcracker(|directory| {
        let version = concat!("shardwright-proxy-", env!("CARGO_PKG_VERSION"));
        let port = free_port().to_string();
        let mut files = vec!["missing.yml"];
        for (file, text) in bad() {
            fs::write(directory.join(file), text).unwrap();
            files.push(file);
        }
        for file in files {
            for output in ["", "log"] {
                let arguments = ["-c", file, "-o", output, "-s", &port, "-a", "127.0.0.1"];
                let [ours, theirs] =
                    [OURS, THEIRS].map(|program| end(program, &arguments, directory));
                assert_eq!((ours.code, theirs.code), (Some(1), Some(1)), "{file}");
                let log = match output {
                    "" => ours.text.clone(),
                    file => fs::read_to_string(directory.join(file)).unwrap(),
                };
                assert!(log.contains(&format!("{version} started on pid ")), "{log}");
                // The shell hears why, wherever the log goes.
                assert!(
                    ours.text.contains(file) && !ours.text.contains("swordfish"),
                    "{}",
                    ours.text
                );
            }
        }
    });
}

#[test]
fn a_log_that_cannot_be_opened_ends_both() {
    beside_nutcracker(|directory| {
        fs::write(directory.join("good.yml"), good("127.0.0.1:22121")).unwrap();
        let arguments = ["-c", "good.yml", "-o", "nowhere/log"];
        let theirs = end(THEIRS, &arguments, directory);
        let text = "opening log file 'nowhere/log' failed: No such file or directory";
        assert_eq!((theirs.code, theirs.first_line()), (Some(1), text));
        for arguments in [&arguments[..], &["-c", "good.yml", "-d", "-o", "nowhere/log"]] {
            let ours = end(OURS, arguments, directory);
            assert_eq!((ours.code, ours.first_line()), (Some(1), text));
        }
    });
}

#[test]
fn a_daemon_that_cannot_start_says_so_to_the_shell() {
    let directory = scratch();
    let (_, text) = bad().swap_remove(6);
    fs::write(directory.join("bad.yml"), text).unwrap();
    let arguments = ["-d", "-c", "bad.yml", "-o", "log", "-p", "pid"];
    let ours = end(OURS, &arguments, &directory);
    assert_eq!(ours.code, Some(1));
    let reason = "directive \"redis\" is not \"true\" or \"false\"";
    assert!(ours.text.contains(reason), "{}", ours.text);
    assert!(fs::read_to_string(directory.join("log")).unwrap().contains(reason));
    assert!(!directory.join("pid").exists());
    fs::remove_dir_all(directory).unwrap();
}

/// In the foreground it is written as well, but nobody is lost without it.
#[test]
fn a_pid_file_that_cannot_be_written_ends_a_daemon_alone() {
    let directory = scratch();
    let [port, stats] = [free_port(), free_port()];
    fs::write(directory.join("good.yml"), good(&format!("127.0.0.1:{port}"))).unwrap();
    let stats = stats.to_string();
    let arguments = ["-c", "good.yml", "-a", "127.0.0.1", "-s", &stats, "-o", "log", "-p"];
    let text = "pid file 'nowhere/pid' cannot be written: No such file or directory";
    let ours = end(OURS, &[&arguments[..], &["nowhere/pid", "-d"]].concat(), &directory);
    assert_eq!((ours.code, ours.first_line()), (Some(1), text));

    for (file, is_written) in [("nowhere/pid", false), ("pid", true)] {
        let mut command = Command::new(OURS);
        command.args(arguments).arg(file);
        let own = scratch();
        fs::copy(directory.join("good.yml"), own.join("good.yml")).unwrap();
        let mut process = Process::start(&mut command, own);
        let directory = process.directory().to_owned();
        within(Duration::from_secs(20), "it listens", || listens(port));
        if is_written {
            let pid = || fs::read_to_string(directory.join(file)).unwrap_or_default();
            within(Duration::from_secs(20), "its number", || pid() == process.id().to_string());
        } else {
            let log = || fs::read_to_string(directory.join("log")).unwrap();
            within(Duration::from_secs(20), "it says so", || log().contains(text));
        }
        process.signal(rustix::process::Signal::TERM);
        within(Duration::from_secs(20), "it ends", || process.has_ended());
        assert_eq!(process.exit_status().and_then(|status| status.code()), Some(0));
        assert!(!directory.join(file).exists());
    }
    fs::remove_dir_all(directory).unwrap();
}

/// nutcracker writes its own number over that of the other, which nobody can stop then.
#[test]
fn two_daemons_do_not_share_a_pid_file() {
    let directory = scratch();
    let [port, stats] = [free_port(), free_port()];
    fs::write(directory.join("good.yml"), good(&format!("127.0.0.1:{port}"))).unwrap();
    let stats = stats.to_string();
    let first = ["-c", "good.yml", "-a", "127.0.0.1", "-s", &stats, "-p", "pid"];
    let mut process = Process::start(Command::new(OURS).args(first), directory.clone());
    let pid = || fs::read_to_string(directory.join("pid")).unwrap_or_default();
    within(Duration::from_secs(20), "its number", || pid() == process.id().to_string());
    let [port, stats] = [free_port(), free_port()];
    fs::write(directory.join("other.yml"), good(&format!("127.0.0.1:{port}"))).unwrap();
    let stats = stats.to_string();
    let other =
        ["-c", "other.yml", "-a", "127.0.0.1", "-s", &stats, "-o", "other.log", "-p", "pid"];
    let ours = end(OURS, &[&other[..], &["-d"]].concat(), &directory);
    let number = process.id();
    let text =
        format!("pid file 'pid' cannot be written: it is that of process {number}, which runs");
    assert_eq!((ours.code, ours.first_line()), (Some(1), &*text));
    assert_eq!(pid(), number.to_string());
    // One that was killed leaves its file to the next.
    process.kill();
    let mut process = Process::start(Command::new(OURS).args(first), directory.clone());
    within(Duration::from_secs(20), "its number", || pid() == process.id().to_string());
    process.signal(rustix::process::Signal::TERM);
    within(Duration::from_secs(20), "it ends", || process.has_ended());
    assert!(!directory.join("pid").exists());
}

#[test]
fn lines_of_the_log_have_the_time_that_nutcrackers_have() {
    beside_nutcracker(|directory| {
        let port = free_port().to_string();
        let arguments = ["-c", "missing.yml", "-o", "", "-s", &port];
        // To the hour, unless that ends between the two.
        let stamp =
            |program: &str| end(program, &arguments, directory).first_line()[..15].to_owned();
        let is_alike = (0..3).any(|_| stamp(OURS) == stamp(THEIRS));
        assert!(is_alike && stamp(OURS).starts_with("[20"));
    });
}

#[test]
fn a_level_of_the_log_leaves_out_what_matters_less() {
    let directory = scratch();
    for (level, lines) in [("5", 3), ("4", 2), ("0", 2)] {
        let ours = end(OURS, &["-c", "missing.yml", "-o", "", "-v", level], &directory);
        assert_eq!(ours.text.lines().count(), lines, "{}", ours.text);
    }
    fs::remove_dir_all(directory).unwrap();
}
