//! The grammar of the command line: `getopt_long(3)`, as nutcracker calls it.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;

/// The options there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Help,
    Version,
    TestConf,
    Daemonize,
    DescribeStats,
    Verbose,
    Output,
    ConfFile,
    StatsPort,
    StatsAddr,
    StatsInterval,
    PidFile,
    MbufSize,
    Http,
    Workers,
    Watch,
    IoUring,
}

/// `(flag, letter, name, whether a value follows)`; ours come behind nutcracker's and have no letter.
const FLAGS: [(Flag, u8, &str, bool); 17] = [
    (Flag::Help, b'h', "help", false),
    (Flag::Version, b'V', "version", false),
    (Flag::TestConf, b't', "test-conf", false),
    (Flag::Daemonize, b'd', "daemonize", false),
    (Flag::DescribeStats, b'D', "describe-stats", false),
    (Flag::Verbose, b'v', "verbose", true),
    (Flag::Output, b'o', "output", true),
    (Flag::ConfFile, b'c', "conf-file", true),
    (Flag::StatsPort, b's', "stats-port", true),
    (Flag::StatsAddr, b'a', "stats-addr", true),
    (Flag::StatsInterval, b'i', "stats-interval", true),
    (Flag::PidFile, b'p', "pid-file", true),
    (Flag::MbufSize, b'm', "mbuf-size", true),
    (Flag::Http, 0, "http", true),
    (Flag::Workers, 0, "workers", true),
    (Flag::Watch, 0, "watch", false),
    (Flag::IoUring, 0, "io-uring", true),
];

impl Flag {
    fn row(self) -> &'static (Self, u8, &'static str, bool) {
        FLAGS.iter().find(|row| row.0 == self).expect("every flag has a row")
    }

    fn takes_value(self) -> bool {
        self.row().3
    }

    fn of_letter(letter: u8) -> Option<Self> {
        FLAGS.iter().find(|row| row.1 == letter && letter != 0).map(|row| row.0)
    }

    /// The flag of a name or of the beginning of one, if nothing else begins so.
    ///
    /// Names of ours make none of nutcracker's ambiguous: `--h` is still `--help`.
    fn of_name(name: &[u8]) -> Option<Self> {
        if let Some(row) = FLAGS.iter().find(|row| row.2.as_bytes() == name) {
            return Some(row.0);
        }
        let begins = |row: &&(Self, u8, &str, bool)| row.2.as_bytes().starts_with(name);
        let theirs = FLAGS.iter().filter(|row| row.1 != 0).filter(begins).collect::<Vec<_>>();
        let ours = FLAGS.iter().filter(|row| row.1 == 0).filter(begins).collect::<Vec<_>>();
        let found = if theirs.is_empty() { ours } else { theirs };
        match *found {
            [row] => Some(row.0),
            _ => None,
        }
    }
}

impl fmt::Display for Flag {
    /// As errors name it: by its letter, or else by its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.row() {
            (_, 0, name, _) => write!(f, "--{name}"),
            (_, letter, ..) => write!(f, "-{}", char::from(letter)),
        }
    }
}

/// What stands next on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A flag and its value, which is empty for one that takes none.
    Flag(Flag, OsString),
    /// The command line ends where the value of this one would stand.
    NoValue(Flag),
    /// No flag has this letter or name, or several may be meant, or it takes no value and has one.
    Unknown(String),
    End,
}

/// Goes through the arguments.
pub(super) struct Reader {
    arguments: VecDeque<OsString>,
    /// Letters of an argument (`-td`) that are still to be read.
    letters: Vec<u8>,
}

impl Reader {
    pub(super) fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { arguments: arguments.into_iter().collect(), letters: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Next {
        if !self.letters.is_empty() {
            return self.letter();
        }
        while let Some(argument) = self.arguments.pop_front() {
            match argument.as_bytes() {
                b"--" => break,
                [b'-', b'-', long @ ..] => return self.long(long),
                [b'-', letters @ ..] if !letters.is_empty() => {
                    self.letters = letters.to_vec();
                    return self.letter();
                }
                // nutcracker looks at none of these.
                _operand => {}
            }
        }
        self.arguments.clear();
        Next::End
    }

    fn letter(&mut self) -> Next {
        let letter = self.letters.remove(0);
        match Flag::of_letter(letter) {
            None => Next::Unknown(OsStr::from_bytes(&[letter]).to_string_lossy().into_owned()),
            Some(flag) if !flag.takes_value() => Next::Flag(flag, OsString::new()),
            Some(flag) if self.letters.is_empty() => self.value(flag),
            Some(flag) => Next::Flag(flag, OsString::from_vec(std::mem::take(&mut self.letters))),
        }
    }

    fn long(&mut self, argument: &[u8]) -> Next {
        let mut parts = argument.splitn(2, |&byte| byte == b'=');
        let name = parts.next().unwrap_or_default();
        let Some(flag) = Flag::of_name(name) else {
            return Next::Unknown(String::from_utf8_lossy(name).into_owned());
        };
        match (flag.takes_value(), parts.next()) {
            (true, Some(value)) => Next::Flag(flag, OsStr::from_bytes(value).to_owned()),
            (true, None) => self.value(flag),
            (false, None) => Next::Flag(flag, OsString::new()),
            (false, Some(_)) => Next::Unknown(flag.to_string().trim_start_matches('-').to_owned()),
        }
    }

    /// The value is the argument behind, whatever it looks like.
    fn value(&mut self, flag: Flag) -> Next {
        match self.arguments.pop_front() {
            Some(value) => Next::Flag(flag, value),
            None => Next::NoValue(flag),
        }
    }
}
