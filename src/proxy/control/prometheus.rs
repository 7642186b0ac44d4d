//! The metrics for Prometheus: its text format 0.0.4.
//!
//! ```text
//! # HELP shardwright_node_requests_total Requests for the node.
//! # TYPE shardwright_node_requests_total counter
//! shardwright_node_requests_total{pool="sessions",node="sessions-1"} 12
//! ```
//!
//! Names follow Prometheus's rules: counters end in `_total`, times are in seconds, sizes in bytes.

use std::fmt;
use std::fmt::Display;
use std::fmt::Write;
use std::time::Duration;

use super::process::Resources;
use crate::health::NodeState;
use crate::proxy::stats::CommandStats;
use crate::proxy::stats::Histogram;
use crate::proxy::stats::NodeStats;
use crate::proxy::stats::PoolStats;
use crate::proxy::stats::Stats;

/// What the reply's `Content-Type` says.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// One number that every `T` has.
struct Family<T> {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&T) -> u64,
}

const fn counter<T>(name: &'static str, help: &'static str, value: fn(&T) -> u64) -> Family<T> {
    Family { name, kind: COUNTER, help, value }
}

const fn gauge<T>(name: &'static str, help: &'static str, value: fn(&T) -> u64) -> Family<T> {
    Family { name, kind: GAUGE, help, value }
}

const POOL: [Family<PoolStats>; 10] = [
    gauge("shardwright_client_connections", "Clients connected now.", |pool| {
        pool.client_connections
    }),
    counter("shardwright_clients_accepted_total", "Clients ever accepted.", |pool| {
        pool.clients_accepted
    }),
    counter("shardwright_clients_refused_total", "Clients refused for being too many.", |pool| {
        pool.clients_refused
    }),
    counter("shardwright_client_eof_total", "Clients that left.", |pool| pool.client_eof),
    counter(
        "shardwright_client_errors_total",
        "Clients whose connection broke or was closed by the proxy.",
        |pool| pool.client_err,
    ),
    counter("shardwright_client_received_bytes_total", "Bytes from clients.", |pool| {
        pool.client_bytes_in
    }),
    counter("shardwright_client_sent_bytes_total", "Bytes to clients.", |pool| {
        pool.client_bytes_out
    }),
    counter("shardwright_pool_ejections_total", "Ejections of nodes of the pool.", |pool| {
        pool.server_ejects
    }),
    counter(
        "shardwright_forward_errors_total",
        "Requests answered with an error of the proxy because a node failed.",
        |pool| pool.forward_error,
    ),
    counter(
        "shardwright_fragments_total",
        "Parts of requests that went to several nodes.",
        |pool| pool.fragments,
    ),
];

const NODE: [Family<NodeStats>; 13] = [
    gauge("shardwright_node_connections", "Connections to the node open now.", |node| {
        node.server_connections
    }),
    counter("shardwright_node_eof_total", "Connections that the node closed.", |node| {
        node.server_eof
    }),
    counter(
        "shardwright_node_errors_total",
        "Connections to the node that broke or could not be made.",
        |node| node.server_err,
    ),
    counter(
        "shardwright_node_timeouts_total",
        "Requests that the node did not answer in time.",
        |node| node.server_timedout,
    ),
    counter("shardwright_node_ejections_total", "Ejections of the node.", |node| node.ejections),
    counter("shardwright_node_requests_total", "Requests for the node.", |node| node.requests),
    counter("shardwright_node_request_bytes_total", "Bytes of requests for the node.", |node| {
        node.request_bytes
    }),
    counter("shardwright_node_replies_total", "Replies of the node.", |node| node.responses),
    counter("shardwright_node_reply_bytes_total", "Bytes of replies of the node.", |node| {
        node.response_bytes
    }),
    gauge(
        "shardwright_node_in_queue_requests",
        "Requests that wait to be sent to the node.",
        |node| node.in_queue,
    ),
    gauge(
        "shardwright_node_in_queue_bytes",
        "Bytes of requests that wait to be sent to the node.",
        |node| node.in_queue_bytes,
    ),
    gauge(
        "shardwright_node_out_queue_requests",
        "Requests sent to the node and not answered.",
        |node| node.out_queue,
    ),
    gauge(
        "shardwright_node_out_queue_bytes",
        "Bytes of requests sent to the node and not answered.",
        |node| node.out_queue_bytes,
    ),
];

const COMMAND: [Family<CommandStats>; 2] = [
    counter("shardwright_command_requests_total", "Requests of clients.", |command| {
        command.requests
    }),
    counter(
        "shardwright_command_errors_total",
        "Replies that were errors, of nodes or of the proxy.",
        |command| command.errors,
    ),
];

const STATES: [(NodeState, &str); 3] =
    [(NodeState::Live, "live"), (NodeState::Ejected, "ejected"), (NodeState::Probing, "probing")];

/// All metrics. `started` is when the process began, since 1970.
pub(super) fn metrics(stats: &Stats, resources: &Resources, started: Duration) -> String {
    let mut page = Page::default();
    page.process(resources, started);
    page.single(
        COUNTER,
        "shardwright_connections_opened_total",
        "Listeners and clients ever, and attempts to reach nodes.",
        stats.total_connections,
    );
    page.single(
        GAUGE,
        "shardwright_connections",
        "Listeners, clients and connections to nodes open now.",
        stats.current_connections,
    );
    let mut pools = Vec::new();
    let mut nodes = Vec::new();
    let mut commands = Vec::new();
    for pool in &stats.pools {
        let labels = format!("pool=\"{}\"", Label(&pool.name));
        for node in &pool.nodes {
            nodes.push((format!("{labels},node=\"{}\"", Label(&node.name)), node));
        }
        for command in &pool.commands {
            commands.push((format!("{labels},command=\"{}\"", Label(&command.name)), command));
        }
        pools.push((labels, pool));
    }
    page.families(&POOL, &pools);
    page.nodes(&nodes);
    page.families(&COMMAND, &commands);
    page.histograms(
        "shardwright_command_latency_seconds",
        "From the arrival of a request to the end of its reply.",
        &commands,
        |command| &command.latency,
    );
    page.text
}

/// Labels as they stand between the braces, and what they belong to.
type Rows<'a, T> = [(String, &'a T)];

/// The text as it grows.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn process(&mut self, resources: &Resources, started: Duration) {
        let name = "shardwright_build_info";
        self.family(GAUGE, name, "Always 1. The version is in the label.");
        self.sample(name, concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
        self.single(
            GAUGE,
            "process_start_time_seconds",
            "When the process began, since 1970.",
            Seconds::of(started),
        );
        self.single(
            COUNTER,
            "process_cpu_seconds_total",
            "Processor time of all threads, user and system.",
            Seconds::of(resources.cpu),
        );
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory.", resources.resident_bytes),
            ("process_open_fds", "Open file descriptors.", resources.open_files),
            ("process_max_fds", "Most file descriptors that may be open.", resources.max_files),
        ] {
            if let Some(value) = value {
                self.single(GAUGE, name, help, value);
            }
        }
    }

    fn nodes(&mut self, nodes: &Rows<'_, NodeStats>) {
        let name = "shardwright_node_info";
        self.family(GAUGE, name, "Always 1. The address is in the label.");
        for (labels, node) in nodes {
            let labels = format!("{labels},address=\"{}\"", Label(&node.address));
            self.sample(name, &labels, 1);
        }
        let name = "shardwright_node_state";
        self.family(GAUGE, name, "1 for the state that the node is in, 0 for the others.");
        for (labels, node) in nodes {
            for (state, state_name) in STATES {
                let labels = format!("{labels},state=\"{state_name}\"");
                self.sample(name, &labels, u8::from(node.state == state));
            }
        }
        let name = "shardwright_node_ejected_timestamp_seconds";
        self.family(GAUGE, name, "When the node was last ejected, since 1970; 0 if never.");
        for (labels, node) in nodes {
            self.sample(name, labels, Seconds(node.server_ejected_at));
        }
        self.families(&NODE, nodes);
        self.histograms(
            "shardwright_node_latency_seconds",
            "From the arrival of a request to the arrival of the node's reply.",
            nodes,
            |node| &node.latency,
        );
    }

    fn families<T>(&mut self, families: &[Family<T>], rows: &Rows<'_, T>) {
        for family in families {
            self.family(family.kind, family.name, family.help);
            for (labels, counted) in rows {
                self.sample(family.name, labels, (family.value)(counted));
            }
        }
    }

    fn histograms<T>(
        &mut self,
        name: &str,
        help: &str,
        rows: &Rows<'_, T>,
        histogram: fn(&T) -> &Histogram,
    ) {
        self.family("histogram", name, help);
        for (labels, counted) in rows {
            let histogram = histogram(counted);
            let mut so_far = 0;
            let bounds = Histogram::BOUNDS.iter().map(|&bound| Some(Seconds(bound.into())));
            for (bound, count) in bounds.chain([None]).zip(histogram.counts()) {
                so_far += count;
                match bound {
                    Some(bound) => self
                        .write(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {so_far}")),
                    None => {
                        self.write(format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {so_far}"))
                    }
                }
            }
            let sum = Seconds(histogram.microseconds());
            self.write(format_args!("{name}_sum{{{labels}}} {sum}"));
            self.write(format_args!("{name}_count{{{labels}}} {so_far}"));
        }
    }

    /// A family of one sample without labels.
    fn single(&mut self, kind: &str, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.write(format_args!("{name} {value}"));
    }

    fn family(&mut self, kind: &str, name: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        self.write(format_args!("{name}{{{labels}}} {value}"));
    }

    fn write(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string takes everything");
    }
}

/// Microseconds, written as seconds without losing any of them.
struct Seconds(u64);

impl Seconds {
    fn of(time: Duration) -> Self {
        Self(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, format!("{:06}", self.0 % 1_000_000));
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            part => write!(f, "{whole}.{part}"),
        }
    }
}

/// The value of a label, escaped.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::control::fake::stats;

    /// Two pools, a name that needs escapes, a node in each state, and one of two commands with a latency.
    fn sample() -> Stats {
        let mut stats = stats(&[("a", &["one", "t\"w\\o\n"]), ("beta", &["three"])]);
        let mut get =
            CommandStats { name: "get".into(), requests: 4, errors: 1, ..Default::default() };
        for microseconds in [10, 51, 60, 9_000_000] {
            get.latency.record(Duration::from_micros(microseconds));
        }
        let set = CommandStats { name: "set".into(), requests: 2, ..Default::default() };
        stats.pools[0].commands = vec![get, set];
        stats.pools[0].client_bytes_in = 77;
        stats.pools[0].nodes[1].state = NodeState::Ejected;
        stats.pools[0].nodes[1].server_ejected_at = 1_795_883_126_000_500;
        stats.pools[1].nodes[0].state = NodeState::Probing;
        stats
    }

    fn page() -> String {
        let resources = Resources { resident_bytes: Some(6_400), ..Resources::default() };
        metrics(&sample(), &resources, Duration::from_millis(1_500))
    }

    #[track_caller]
    fn assert_has(lines: &str) {
        let page = page();
        assert!(page.contains(&format!("{lines}\n")), "no\n{lines}\nin\n{page}");
    }

    #[test]
    fn a_family_says_what_it_is_before_its_samples() {
        assert_has(concat!(
            "# HELP shardwright_client_received_bytes_total Bytes from clients.\n",
            "# TYPE shardwright_client_received_bytes_total counter\n",
            "shardwright_client_received_bytes_total{pool=\"a\"} 77\n",
            "shardwright_client_received_bytes_total{pool=\"beta\"} 0",
        ));
    }

    #[test]
    fn buckets_are_cumulative_and_in_seconds() {
        for line in [
            r#"_bucket{pool="a",command="get",le="0.00005"} 1"#,
            r#"_bucket{pool="a",command="get",le="0.0001"} 3"#,
            r#"_bucket{pool="a",command="get",le="0.001"} 3"#,
            r#"_bucket{pool="a",command="get",le="5"} 3"#,
            r#"_bucket{pool="a",command="get",le="+Inf"} 4"#,
            r#"_sum{pool="a",command="get"} 9.000121"#,
            r#"_count{pool="a",command="get"} 4"#,
            r#"_count{pool="a",command="set"} 0"#,
        ] {
            assert_has(&format!("shardwright_command_latency_seconds{line}"));
        }
    }

    #[test]
    fn a_node_is_in_one_state() {
        let escaped = r#"node="t\"w\\o\n""#;
        for (node, states) in [
            ("pool=\"a\",node=\"one\"", [1, 0, 0]),
            (&format!("pool=\"a\",{escaped}"), [0, 1, 0]),
            ("pool=\"beta\",node=\"three\"", [0, 0, 1]),
        ] {
            for ((_, state), value) in STATES.iter().zip(states) {
                assert_has(&format!("shardwright_node_state{{{node},state=\"{state}\"}} {value}"));
            }
        }
        let ejected = "shardwright_node_ejected_timestamp_seconds";
        assert_has(&format!("{ejected}{{pool=\"a\",{escaped}}} 1795883126.0005"));
        assert_has(&format!("{ejected}{{pool=\"a\",node=\"one\"}} 0"));
    }

    #[test]
    fn what_the_system_does_not_tell_is_left_out() {
        assert_has("process_resident_memory_bytes 6400");
        assert_has("process_start_time_seconds 1.5");
        assert!(!page().contains("process_open_fds"));
    }

    #[test]
    fn every_family_is_declared_once_and_every_sample_belongs_to_one() {
        let page = page();
        let mut declared = Vec::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(kind == COUNTER, name.ends_with("_total"), "{line}");
                // The part before `_total` is the name in OpenMetrics, where it is nobody else's either.
                declared.push(name.trim_end_matches("_total"));
            } else if !line.starts_with("# HELP ") {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(name.starts_with(declared.last().unwrap()), "{line}");
            }
        }
        let count = declared.len();
        declared.sort_unstable();
        declared.dedup();
        assert_eq!(declared.len(), count);
    }
}
