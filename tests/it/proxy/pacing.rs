//! BBR's timers: peers in the machine are sent to without, others with them.

use std::collections::HashSet;
use std::process::Command;

use crate::support::is_installed;
use crate::support::proxy::Program;
use crate::support::scratch;

/// Whether there may be other networks than the one there is.
fn has_networks() -> bool {
    let is_there = ["unshare", "nsenter", "ip", "ss", "python3"].into_iter().all(is_installed);
    let attempt =
        || Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    let may = is_there && attempt().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: no network namespaces here");
    }
    may
}

#[test]
fn who_is_in_another_machine_has_the_systems_congestion_control() {
    if !Program::Ours.is_chosen() || !is_installed("redis-server") || !has_networks() {
        return;
    }
    let directory = scratch();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/proxy/pacing.py");
    let mut command = Command::new("unshare");
    command.args(["--net", "python3", script, env!("CARGO_BIN_EXE_shardwright-proxy")]);
    let output = command.arg(&directory).current_dir(&directory).output().unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));

    let (system, connections) = text.split_once('\n').unwrap();
    let system = system.strip_prefix("system ").unwrap();
    let unpaced = if system == "bbr" { "reno" } else { system };
    let expected = ["client", "node"].into_iter().flat_map(|place| {
        [format!("{place} 127.0.0.1 {unpaced}"), format!("{place} 10.0.0.2 {system}")]
    });
    let found: HashSet<_> = connections.lines().map(str::to_owned).collect();
    assert_eq!(found, expected.collect(), "the system has {system}");
}
