//! What the program says about itself, in nutcracker's layout.
//!
//! nutcracker ends some of these lines with `\r\n`; none of ours do.

use std::fmt::Write;

/// The name in front of messages.
pub(super) const PROGRAM: &str = "shardwright-proxy";

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How mio waits for sockets on this system.
const BACKEND: &str = if cfg!(any(target_os = "linux", target_os = "android")) {
    "epoll"
} else if cfg!(any(target_os = "solaris", target_os = "illumos")) {
    "event port"
} else {
    "kqueue"
};

/// `-V`, and what comes before anything else that is told.
pub(super) fn version() -> String {
    format!("This is {PROGRAM}-{VERSION}\nasync event backend: {BACKEND}\n\n")
}

/// `-h`, and what follows an error.
pub(super) const USAGE: &str = "\
Usage: shardwright-proxy [-?hVdDt] [-v verbosity level] [-o output file]
                         [-c conf file] [-s stats port] [-a stats addr]
                         [-i stats interval] [-p pid file] [-m mbuf size]
                         [--http addr:port] [--workers number] [--watch]
                         [--io-uring auto|off]

Options:
  -h, --help             : this help
  -V, --version          : show version and exit
  -t, --test-conf        : test configuration for syntax errors and exit
  -d, --daemonize        : run as a daemon
  -D, --describe-stats   : print stats description and exit
  -v, --verbose=N        : set logging level (default: 5, min: 0, max: 11)
  -o, --output=S         : set logging file (default: stderr, or with -d
                           /var/log/nutcracker/nutcracker.log)
  -c, --conf-file=S      : set configuration file (default: /etc/nutcracker/nutcracker.yml)
  -s, --stats-port=N     : set stats monitoring port (default: 22222)
  -a, --stats-addr=S     : set stats monitoring ip (default: 0.0.0.0)
  -i, --stats-interval=N : without effect, stats are always current
                           (default: 30000 msec)
  -p, --pid-file=S       : set pid file (default: none, or with -d
                           /run/nutcracker/nutcracker.pid)
  -m, --mbuf-size=N      : checked and without effect, memory is used as needed
                           (default: 16384 bytes)
      --http=[S:]N       : serve /metrics, /healthz and /stats there
                           (default: off; S: 127.0.0.1)
      --workers=N        : set number of threads that serve clients, or auto
                           for one a core (default: 1)
      --watch            : load the configuration again whenever its file
                           changes, or one of TLS that it names (kill -USR1
                           does so once)
      --io-uring=S       : auto or off: send through io_uring, for less
                           processor time, where Linux has and allows it
                           (default: auto)

";

/// `(name, what it counts)`.
type Descriptions = &'static [(&'static str, &'static str)];

const POOL_STATS: Descriptions = &[
    ("client_eof", "# eof on client connections"),
    ("client_err", "# errors on client connections"),
    ("client_connections", "# active client connections"),
    ("server_ejects", "# times backend server was ejected"),
    ("forward_error", "# times we encountered a forwarding error"),
    ("fragments", "# fragments created from a multi-vector request"),
];

const SERVER_STATS: Descriptions = &[
    ("server_eof", "# eof on server connections"),
    ("server_err", "# errors on server connections"),
    ("server_timedout", "# timeouts on server connections"),
    ("server_connections", "# active server connections"),
    ("server_ejected_at", "timestamp when server was ejected in usec since epoch"),
    ("requests", "# requests"),
    ("request_bytes", "total request bytes"),
    ("responses", "# responses"),
    ("response_bytes", "total response bytes"),
    ("in_queue", "# requests in incoming queue"),
    ("in_queue_bytes", "current request bytes in incoming queue"),
    ("out_queue", "# requests in outgoing queue"),
    ("out_queue_bytes", "current request bytes in outgoing queue"),
];

/// What nutcracker has not.
const OUR_POOL_STATS: Descriptions = &[
    ("clients_accepted", "# clients ever accepted"),
    ("clients_refused", "# clients refused because there were too many"),
    ("client_bytes_in", "total bytes from clients"),
    ("client_bytes_out", "total bytes to clients"),
];

/// What nutcracker has not.
const OUR_SERVER_STATS: Descriptions = &[
    ("live", "1 if server is used, 0 while it is ejected or probed"),
    ("ejections", "# times server was ejected"),
    ("latency_microseconds", "total time in usec that responses took"),
];

/// `-D`: what nutcracker prints, then ours.
pub(super) fn descriptions() -> String {
    let mut text = String::new();
    for (title, stats) in [
        ("pool stats:", POOL_STATS),
        ("\nserver stats:", SERVER_STATS),
        ("\npool stats that nutcracker does not have:", OUR_POOL_STATS),
        ("\nserver stats that nutcracker does not have:", OUR_SERVER_STATS),
    ] {
        text.push_str(title);
        text.push('\n');
        for (name, description) in stats {
            // One of ours fills the column.
            let gap = if name.len() < 20 { "" } else { " " };
            let _ = writeln!(text, "  {name:20}{gap}\"{description}\"");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_in_the_help_with_its_default() {
        use crate::proxy::options::Options;
        for path in [Options::OUTPUT, Options::CONFIGURATION, Options::PID_FILE] {
            assert!(USAGE.contains(path), "{path}");
        }
        for long in ["help", "test-conf", "mbuf-size=N", "http=", "workers=", "watch", "io-uring="]
        {
            assert!(USAGE.contains(&format!("--{long}")), "{long}");
        }
        // But one, which is nutcracker's to the letter, they fit into a terminal.
        let is_long = |line: &&str| line.len() > 80;
        assert_eq!(USAGE.lines().filter(is_long).count(), 1);
    }

    #[test]
    fn descriptions_stand_in_one_column() {
        let text = descriptions();
        for line in text.lines().filter(|line| line.contains('"')) {
            let (name, _) = line.split_once('"').unwrap();
            assert!(name.len() == 22 || name.len() == name.trim_end().len() + 1, "{line}");
            assert!(name.ends_with(' '), "{line}");
        }
    }
}
