//! The import rules of the crate, held: a module uses only the modules in its row, and only front ends
//! name the outside world.

use std::fs;
use std::path::Path;

/// `(module, modules it may use)`, from the ground floor up.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("node", &["error"]),
    ("key", &["error"]),
    ("hash", &["error"]),
    ("protocol", &["error"]),
    ("command", &["error"]),
    ("distribution", &["error", "node", "hash"]),
    ("health", &["error", "node"]),
    ("topology", &["error", "node", "key", "hash", "distribution", "health"]),
    ("config", &["error", "node", "key", "hash", "distribution", "health", "topology"]),
    ("plan", &["error", "node", "protocol", "command", "topology"]),
    ("net", &["error", "node", "health", "topology"]),
    (
        "client",
        &[
            "error",
            "node",
            "key",
            "hash",
            "protocol",
            "command",
            "distribution",
            "health",
            "topology",
            "config",
            "plan",
            "net",
        ],
    ),
    (
        "memcached",
        &[
            "error",
            "node",
            "key",
            "hash",
            "protocol",
            "distribution",
            "health",
            "topology",
            "config",
            "plan",
            "net",
        ],
    ),
    (
        "proxy",
        &[
            "error",
            "node",
            "key",
            "hash",
            "protocol",
            "command",
            "distribution",
            "health",
            "topology",
            "config",
            "plan",
        ],
    ),
    // redis-rs's names for what the client has.
    ("aio", &["client"]),
    (
        "fuzz",
        &["node", "protocol", "command", "distribution", "topology", "plan", "client", "proxy"],
    ),
];

/// The modules that do input and output, what they share, and one that compares with redis-rs. Every other one is pure.
const FRONT_ENDS: &[&str] = &["net", "client", "memcached", "proxy", "aio", "fuzz"];
const IMPURE: &[&str] = &[
    "std::net",
    "std::thread",
    "std::env",
    "std::fs",
    "std::process",
    "std::io::stdin",
    "redis::",
    "use memcache::",
    "rustix::",
    "rustls::",
    "socket2::",
];

#[test]
fn modules_import_only_from_below() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, allowed) in LAYERS {
        for (file, text) in sources(&src, module) {
            let is_test = file.contains("tests");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code =
                text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            for (number, line) in code {
                let mut complain =
                    |why: String| wrong.push(format!("{file}:{}: {why}", number + 1));
                if line.contains("crate::{") {
                    complain("write one `use crate::module::…` line for each module".into());
                }
                for used in line.split("crate::").skip(1).map(first_identifier) {
                    let is_module = used.starts_with(char::is_lowercase);
                    if is_module && used != *module && !allowed.contains(&used) {
                        complain(format!("`{module}` may not use `crate::{used}`"));
                    }
                }
                for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                    if !FRONT_ENDS.contains(module) && !is_test {
                        complain(format!("`{module}` is pure, but names `{word}`"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_row() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_known = LAYERS.iter().any(|(module, _)| *module == name);
        assert!(is_known || ["lib", "bin", "guide"].contains(&name), "src/{name} has no row");
    }
}

/// What reads the time of day in the proxy, or has it from who does, and the files that may: all of them tell it to
/// people. Timers go by a clock that only goes forward (row 86 of `guide/moving_from_nutcracker.md`).
const TIME_OF_DAY: &[(&str, &[&str])] = &[
    (
        "SystemTime",
        &["proxy/log.rs", "proxy/log/clock.rs", "proxy/control/clock.rs", "proxy/driver/mod.rs"],
    ),
    (
        "UNIX_EPOCH",
        &["proxy/log.rs", "proxy/log/clock.rs", "proxy/control/clock.rs", "proxy/driver/mod.rs"],
    ),
    ("Realtime", &[]),
    ("since_1970", &["proxy/control/clock.rs", "proxy/control/reports.rs"]),
    // In the core it is where `server_ejected_at` begins to count.
    ("wall()", &["proxy/driver/mod.rs"]),
    ("wall_origin", &["proxy/core/mod.rs", "proxy/core/topology.rs"]),
];

#[test]
fn no_timer_of_the_proxy_goes_by_the_time_of_day() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for module in ["health", "topology", "plan", "proxy"] {
        for (file, text) in sources(&src, module) {
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code =
                text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            for (number, line) in code {
                for (word, allowed) in TIME_OF_DAY {
                    if line.contains(word) && !allowed.iter().any(|allowed| file.ends_with(allowed))
                    {
                        wrong.push(format!("{file}:{}: `{word}`", number + 1));
                    }
                }
                let is_told = line.contains("server_ejected_at") || line.contains("wall_origin:");
                if line.contains("wall_origin") && !is_told {
                    wrong.push(format!("{file}:{}: `wall_origin` is for people", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn first_identifier(path: &str) -> &str {
    path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Path and text of every file of `module`, which is a file or a directory of them.
fn sources(src: &Path, module: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut todo = vec![src.join(format!("{module}.rs")), src.join(module)];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path.display().to_string(), text));
        }
    }
    found
}
