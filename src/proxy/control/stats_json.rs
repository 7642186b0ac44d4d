//! The report of the stats port: nutcracker's JSON, with its names, order and spacing.
//!
//! ```text
//! {"service":"nutcracker", "source":"host", ..., "curr_connections":5,
//!  "pool": {"client_eof":1, ..., "fragments":0,
//!           "node": {"server_eof":0, ..., "out_queue_bytes":0, OURS},"node": {...}, OURS},"pool": {...}}
//! ```
//!
//! All in one line. Its readers take every object in the outermost one for a pool and every object in a
//! pool for a node, so ours are numbers only, and come after everything of nutcracker's that is in the same
//! object. The outermost object has none of ours. Everything else is in the metrics of the HTTP port.
//!
//! Names are escaped, unlike nutcracker's: a name with a quotation mark makes its report unreadable.

use std::fmt::Write;
use std::time::Duration;

use crate::proxy::stats::NodeStats;
use crate::proxy::stats::PoolStats;
use crate::proxy::stats::Stats;

/// One number of a pool or a node.
type Field<T> = (&'static str, fn(&T) -> u64);

/// nutcracker 0.5.0 `nc_stats.h` `STATS_POOL_CODEC`.
const POOL: [Field<PoolStats>; 6] = [
    ("client_eof", |pool| pool.client_eof),
    ("client_err", |pool| pool.client_err),
    ("client_connections", |pool| pool.client_connections),
    ("server_ejects", |pool| pool.server_ejects),
    ("forward_error", |pool| pool.forward_error),
    ("fragments", |pool| pool.fragments),
];

/// What nutcracker does not count.
const OUR_POOL: [Field<PoolStats>; 4] = [
    ("clients_accepted", |pool| pool.clients_accepted),
    ("clients_refused", |pool| pool.clients_refused),
    ("client_bytes_in", |pool| pool.client_bytes_in),
    ("client_bytes_out", |pool| pool.client_bytes_out),
];

/// nutcracker 0.5.0 `nc_stats.h` `STATS_SERVER_CODEC`.
const NODE: [Field<NodeStats>; 13] = [
    ("server_eof", |node| node.server_eof),
    ("server_err", |node| node.server_err),
    ("server_timedout", |node| node.server_timedout),
    ("server_connections", |node| node.server_connections),
    ("server_ejected_at", |node| node.server_ejected_at),
    ("requests", |node| node.requests),
    ("request_bytes", |node| node.request_bytes),
    ("responses", |node| node.responses),
    ("response_bytes", |node| node.response_bytes),
    ("in_queue", |node| node.in_queue),
    ("in_queue_bytes", |node| node.in_queue_bytes),
    ("out_queue", |node| node.out_queue),
    ("out_queue_bytes", |node| node.out_queue_bytes),
];

/// What nutcracker does not count.
const OUR_NODE: [Field<NodeStats>; 3] = [
    ("live", |node| u64::from(node.is_live())),
    ("ejections", |node| node.ejections),
    ("latency_microseconds", |node| node.latency.microseconds()),
];

/// What the report says about the process.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The name of the machine.
    pub(super) source: String,
    pub(super) uptime: Duration,
    /// Since 1970.
    pub(super) timestamp: Duration,
}

/// The whole report, with the line break at its end.
pub(super) fn stats_json(about: &About, stats: &Stats) -> String {
    // `service` is what readers know us by: they look for the one whose place we take.
    let mut json = String::from("{\"service\":\"nutcracker\", \"source\":");
    push_text(&mut json, &about.source);
    json.push_str(", \"version\":");
    push_text(&mut json, env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("uptime", about.uptime.as_secs()),
        ("timestamp", about.timestamp.as_secs()),
        ("total_connections", stats.total_connections),
        ("curr_connections", stats.current_connections),
    ] {
        push_number(&mut json, ", ", name, value);
    }
    for (place, pool) in stats.pools.iter().enumerate() {
        json.push_str(if place == 0 { ", " } else { "," });
        push_pool(&mut json, pool);
    }
    json.push_str("}\n");
    json
}

fn push_pool(json: &mut String, pool: &PoolStats) {
    push_text(json, &pool.name);
    json.push_str(": {");
    push_fields(json, "", &POOL, pool);
    for (place, node) in pool.nodes.iter().enumerate() {
        json.push_str(if place == 0 { ", " } else { "," });
        push_text(json, &node.name);
        json.push_str(": {");
        push_fields(json, "", &NODE, node);
        push_fields(json, ", ", &OUR_NODE, node);
        json.push('}');
    }
    push_fields(json, ", ", &OUR_POOL, pool);
    json.push('}');
}

/// `before` is what separates the first field from what stands before it.
fn push_fields<T>(json: &mut String, mut before: &str, fields: &[Field<T>], counted: &T) {
    for (name, value) in fields {
        push_number(json, before, name, value(counted));
        before = ", ";
    }
}

fn push_number(json: &mut String, before: &str, name: &str, value: u64) {
    write!(json, "{before}\"{name}\":{value}").expect("a string takes everything");
}

fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\x1f' => {
                write!(json, "\\u{:04x}", u32::from(character)).expect("a string takes everything")
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::control::fake::stats;

    fn about() -> About {
        let (uptime, timestamp) =
            (Duration::from_millis(2_999), Duration::from_secs(1_795_883_126));
        About { source: "vm".into(), uptime, timestamp }
    }

    /// What nutcracker 0.5.0 sent for two pools of two nodes, after some requests.
    const NUTCRACKER: &str = concat!(
        r#"{"service":"nutcracker", "source":"vm", "version":"0.5.0", "uptime":2, "timestamp":1795883126, "#,
        r#""total_connections":8, "curr_connections":5, "a": {"client_eof":1, "client_err":0, "#,
        r#""client_connections":0, "server_ejects":0, "forward_error":0, "fragments":0, "m": {"server_eof":0, "#,
        r#""server_err":0, "server_timedout":0, "server_connections":1, "server_ejected_at":0, "requests":2, "#,
        r#""request_bytes":23, "responses":2, "response_bytes":13, "in_queue":0, "in_queue_bytes":0, "#,
        r#""out_queue":0, "out_queue_bytes":0},"127.0.0.1:41545": {"server_eof":0, "server_err":0, "#,
        r#""server_timedout":0, "server_connections":0, "server_ejected_at":0, "requests":0, "request_bytes":0, "#,
        r#""responses":0, "response_bytes":0, "in_queue":0, "in_queue_bytes":0, "out_queue":0, "#,
        r#""out_queue_bytes":0}},"beta": {"client_eof":2, "client_err":0, "client_connections":0, "#,
        r#""server_ejects":0, "forward_error":0, "fragments":0, "r1": {"server_eof":0, "server_err":0, "#,
        r#""server_timedout":0, "server_connections":1, "server_ejected_at":0, "requests":2, "request_bytes":54, "#,
        r#""responses":2, "response_bytes":18, "in_queue":0, "in_queue_bytes":0, "out_queue":0, "#,
        r#""out_queue_bytes":0},"another": {"server_eof":0, "server_err":0, "server_timedout":0, "#,
        r#""server_connections":1, "server_ejected_at":0, "requests":1, "request_bytes":35, "responses":1, "#,
        r#""response_bytes":19, "in_queue":0, "in_queue_bytes":0, "out_queue":0, "out_queue_bytes":0}}}"#,
        "\n",
    );

    #[test]
    fn without_what_is_ours_it_is_nutcrackers_to_the_byte() {
        let mut stats = stats(&[("a", &["m", "127.0.0.1:41545"]), ("beta", &["r1", "another"])]);
        (stats.total_connections, stats.current_connections) = (8, 5);
        (stats.pools[0].client_eof, stats.pools[1].client_eof) = (1, 2);
        for (place, requests, request_bytes, responses, response_bytes) in
            [((0, 0), 2, 23, 2, 13), ((1, 0), 2, 54, 2, 18), ((1, 1), 1, 35, 1, 19)]
        {
            let node = &mut stats.pools[place.0].nodes[place.1];
            node.server_connections = 1;
            (node.requests, node.request_bytes) = (requests, request_bytes);
            (node.responses, node.response_bytes) = (responses, response_bytes);
        }
        let ours_pool = ", \"clients_accepted\":0, \"clients_refused\":0, \"client_bytes_in\":0, \"client_bytes_out\":0";
        let ours_node = ", \"live\":1, \"ejections\":0, \"latency_microseconds\":0";
        let json = stats_json(&about(), &stats);
        assert_eq!((json.matches(ours_pool).count(), json.matches(ours_node).count()), (2, 4));
        let theirs = json.replace(ours_pool, "").replace(ours_node, "");
        assert_eq!(theirs.replace(env!("CARGO_PKG_VERSION"), "0.5.0"), NUTCRACKER);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let names = ["m\"q", "back\\slash", "tab\tand\u{1}", "é日本"];
        let mut stats = stats(&[("p\"ool", &names)]);
        stats.pools[0].nodes[0].requests = u64::MAX;
        let read: serde_json::Value = serde_json::from_str(&stats_json(&about(), &stats)).unwrap();
        for name in names {
            assert!(read["p\"ool"][name].is_object(), "{name:?}");
        }
        assert_eq!(read["p\"ool"]["m\"q"]["requests"], u64::MAX);
    }

    #[test]
    fn every_object_is_a_pool_or_a_node() {
        let stats = stats(&[("a", &["one", "two"]), ("b", &["three"])]);
        let read: serde_json::Value = serde_json::from_str(&stats_json(&about(), &stats)).unwrap();
        let objects = |value: &serde_json::Value| {
            let fields = value.as_object().unwrap().iter();
            let objects = fields.filter(|(_, value)| value.is_object());
            objects.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(objects(&read), ["a", "b"]);
        assert_eq!(objects(&read["a"]), ["one", "two"]);
        assert!(objects(&read["a"]["one"]).is_empty());
    }

    #[test]
    fn no_pool_is_no_fault() {
        let json = stats_json(&about(), &Stats::default());
        assert!(json.ends_with("\"total_connections\":0, \"curr_connections\":0}\n"), "{json}");
    }
}
