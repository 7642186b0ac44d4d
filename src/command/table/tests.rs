use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::command::Blocking;
use crate::command::CommandTable;
use crate::command::FanOut;

mod guide;

fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|(_, rows)| rows.iter())
}

#[test]
fn a_name_has_one_row_in_upper_case() {
    let mut seen = BTreeSet::new();
    for (name, _) in rows() {
        assert!(seen.insert(name), "{name} has two rows");
        assert_eq!(*name, name.to_ascii_uppercase());
    }
}

#[test]
fn a_container_says_what_holds_for_its_other_subcommands() {
    let names: BTreeSet<_> = rows().map(|(name, _)| *name).collect();
    for name in &names {
        if let Some((container, _)) = name.split_once(' ') {
            assert!(names.contains(container), "{container} has no row");
        }
    }
}

/// Each recorded command of each server (`tests/golden/README.md`), and its rule.
fn recorded() -> Vec<(Value, CommandRule)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/commands");
    let servers = ["redis-7.0.15", "redis-8.0.2", "valkey-8.1.1"];
    let texts = servers
        .map(|server| fs::read_to_string(directory.join(format!("{server}.jsonl"))).unwrap());
    let records = texts.iter().flat_map(|text| text.lines());
    let table = CommandTable::new();
    records
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| {
            let rule = *table.rule(record["name"].as_str().unwrap()).unwrap();
            (record, rule)
        })
        .collect()
}

fn has(record: &Value, list: &str, word: &str) -> bool {
    record[list].as_array().unwrap().iter().any(|other| other == word)
}

/// Commands that go elsewhere than the servers' tips to clients of a cluster say.
const OTHER_WAYS: &[&str] = &[
    // Answered here: one dead node is not to fail it.
    "PING",
    // Remembered, for the connections that are opened later.
    "CLIENT SETINFO",
    "CLIENT SETNAME",
    // One node after the other, until one has a key.
    "RANDOMKEY",
    "SCAN",
    // All keys or none cannot be split; Redis 7.0 says it can.
    "MSETNX",
    "CLUSTER SLOT-STATS",
];

#[test]
fn commands_go_where_the_servers_tip() {
    let mut compared = 0;
    for (record, rule) in recorded() {
        let name = record["name"].as_str().unwrap();
        let tip = |tip| has(&record, "tips", tip);
        let expected = match rule.fan_out() {
            FanOut::AllNodes(_) => {
                tip("request_policy:all_nodes") || tip("request_policy:all_shards")
            }
            FanOut::ByKey(_) => tip("request_policy:multi_shard"),
            _ => false,
        };
        let is_tipped = record["tips"].to_string().contains("request_policy");
        compared += usize::from(is_tipped);
        if is_tipped && !OTHER_WAYS.contains(&name) {
            assert!(expected, "{name}: {:?}, not {}", rule.fan_out(), record["tips"]);
        }
    }
    assert!(compared > 120, "{compared}");
}

#[test]
fn replies_are_gathered_as_the_servers_tip() {
    for (record, rule) in recorded() {
        let name = record["name"].as_str().unwrap();
        let (FanOut::AllNodes(gather) | FanOut::ByKey(gather)) = rule.fan_out() else { continue };
        let tips: &[&str] = match gather {
            Gather::First => &["response_policy:all_succeeded"],
            Gather::Sum => &["response_policy:agg_sum"],
            Gather::Min | Gather::MinEach => &["response_policy:agg_min"],
            Gather::AndEach => &["response_policy:agg_logical_and"],
            Gather::AnySuccess => &["response_policy:one_succeeded"],
            Gather::ByNode => &["response_policy:special"],
            _ => &[],
        };
        let policy = record["tips"].to_string().contains("response_policy");
        // LATENCY RESET counts; Redis 7.0 says otherwise than Redis 8.
        if policy && name != "LATENCY RESET" {
            assert!(tips.iter().any(|tip| has(&record, "tips", tip)), "{name}: {gather:?}");
        }
    }
}

#[test]
fn what_blocks_on_the_server_is_known_to() {
    // The server's flag is about clients that it puts aside. Redis 7.0 forgets it for WAIT.
    let unflagged = ["MIGRATE", "WAIT"];
    for (record, rule) in recorded() {
        let name = record["name"].as_str().unwrap();
        let is_flagged = has(&record, "flags", "blocking") || unflagged.contains(&name);
        assert_eq!(rule.blocking_time() != Blocking::No, is_flagged, "{name}");
    }
}

/// Flagged `admin` by a server, and yet for everybody here.
const NOT_ADMINISTRATIVE: &[&str] = &[
    // About the client's own connection.
    "CLIENT NO-EVICT",
];

#[test]
fn what_servers_keep_for_administrators_is_administrative() {
    let mut count = 0;
    for (record, rule) in recorded() {
        let name = record["name"].as_str().unwrap();
        // No subcommand of CLUSTER is for anybody here.
        let is_exempt = NOT_ADMINISTRATIVE.contains(&name) || name.starts_with("CLUSTER ");
        if has(&record, "flags", "admin") && !is_exempt {
            assert!(rule.is_administrative(), "{name}");
            count += 1;
        }
    }
    assert!(count > 120, "{count}");
}

#[test]
fn help_and_exceptions_are_for_whom_their_command_is() {
    for (name, rule) in rows() {
        assert!(!(name.ends_with(" HELP") && rule.is_administrative()), "{name}");
        if let Some(exception) = rule.exception {
            assert_eq!(exception.rule.is_administrative(), rule.is_administrative(), "{name}");
        }
    }
}

#[test]
fn a_proxy_knows_what_it_answers_itself() {
    let table = CommandTable::new();
    let command = |name| table.rule(name).unwrap().proxy_command();
    assert_eq!(command("CLIENT ID"), Some(ProxyCommand::ClientId));
    assert_eq!(command("CLIENT GETNAME"), Some(ProxyCommand::ClientName));
    assert_eq!(command("CLIENT INFO"), Some(ProxyCommand::ClientInfo));
    assert_eq!(command("INFO"), Some(ProxyCommand::Info));
    let subscription = |command| Some(ProxyCommand::Subscription(command));
    assert_eq!(command("PSUBSCRIBE"), subscription(SubscriptionCommand::SubscribePattern));
    assert_eq!(command("GET"), None);
}

#[test]
fn what_writes_without_a_key_misses_no_node() {
    let mut count = 0;
    for (record, rule) in recorded() {
        let is_keyless = record["key_specs"].as_array().unwrap().is_empty();
        if is_keyless && has(&record, "flags", "write") {
            assert!(rule.needs_every_node(), "{}", record["name"]);
            count += 1;
        }
    }
    assert_eq!(count, 3 * 7);
}
