//! The table against recorded replies to `COMMAND` (tests/golden/README.md).

use std::collections::BTreeSet;

use serde_json::Value;
use shardwright::CommandTable;
use shardwright::KeySpec;

use crate::support::golden;

const SERVERS: &[&str] = &["redis-7.0.15", "redis-8.0.2", "valkey-8.1.1"];

/// Commands whose key specifications are not the server's, with the reason.
const OTHER_SPECS: &[(&str, &str)] = &[
    ("MIGRATE", "the server's are incomplete: a password may be `KEYS`"),
    ("PUBLISH", "the channel decides the node, though it is no key"),
    ("SORT", "the server's are incomplete: `STORE`, `BY` and `GET` are unknown"),
    ("SORT_RO", "the server's are incomplete: `BY` and `GET` are unknown"),
];

fn records(server: &str) -> Vec<Value> {
    let text = golden(&format!("commands/{server}.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn has_flag(record: &Value, flag: &str) -> bool {
    record["flags"].as_array().unwrap().iter().any(|other| other == flag)
}

/// The specification in our words. There is none for it unless each of its fields is expressed.
fn key_spec(spec: &Value) -> Option<KeySpec> {
    let number = |part: &str, field: &str| spec[part][field].as_i64();
    let small = |part, field| u8::try_from(number(part, field)?).ok();
    let find = |field| number("find_keys", field);
    let kind = |part: &str| spec[part]["type"].as_str();
    match (kind("begin_search")?, kind("find_keys")?) {
        ("index", "range") if find("limit") == Some(0) => Some(KeySpec::range(
            small("begin_search", "index")?,
            i8::try_from(find("lastkey")?).ok()?,
            small("find_keys", "keystep")?,
        )),
        ("index", "keynum") if find("keynumidx") == Some(0) && find("firstkey") == Some(1) => {
            let index = small("begin_search", "index")?;
            Some(KeySpec::counted(index).every(small("find_keys", "keystep")?))
        }
        ("keyword", "range") if find("keystep") == Some(1) => {
            // Leaked: a handful of words.
            let word: &'static str = spec["begin_search"]["keyword"].as_str()?.to_string().leak();
            let from = small("begin_search", "startfrom")?;
            match (find("lastkey")?, find("limit")?) {
                (0, 0) => Some(KeySpec::after(word, from)),
                (-1, 2) => Some(KeySpec::first_half_after(word, from)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[test]
fn every_recorded_command_has_a_row() {
    // Strict, so that nothing is found by taking the first argument for a key.
    let table = CommandTable::new().strict();
    let mut missing = BTreeSet::new();
    let mut count = 0;
    for server in SERVERS {
        for record in records(server) {
            let name = record["name"].as_str().unwrap();
            count += 1;
            if table.rule(name).is_none() {
                missing.insert(name.to_string());
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(count, 1139, "a file is not whole");
}

#[test]
fn every_command_that_redis_rs_builds_has_a_row() {
    let table = CommandTable::new().strict();
    let text = golden("commands/redis-rs-1.8.1.txt").unwrap();
    let missing: Vec<_> = text.lines().filter(|name| table.rule(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(text.lines().count(), 252, "the file is not whole");
}

#[test]
fn keys_are_where_the_servers_say() {
    let table = CommandTable::new();
    let mut wrong = BTreeSet::new();
    let mut excepted = BTreeSet::new();
    let mut compared = 0;
    for server in SERVERS {
        for record in records(server) {
            let name = record["name"].as_str().unwrap();
            // The row of a container is for the subcommands that have none.
            if record["subcommands"] != 0 {
                continue;
            }
            let theirs = record["key_specs"].as_array().unwrap();
            let theirs: Option<Vec<_>> = theirs.iter().map(key_spec).collect();
            let ours: Vec<_> = table.rule(name).unwrap().key_specs().collect();
            if OTHER_SPECS.iter().any(|(other, _)| *other == name) {
                assert_ne!(theirs.as_ref(), Some(&ours), "{name} is no exception any more");
                excepted.insert(name.to_string());
                continue;
            }
            compared += 1;
            if theirs.as_ref() != Some(&ours) {
                wrong.insert(format!("{server}: {name}: {ours:?}, not {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(excepted.len(), OTHER_SPECS.len(), "not in any file: {excepted:?}");
    assert!(compared > 1000, "{compared}");
}

#[test]
fn commands_are_read_only_as_the_servers_say() {
    let table = CommandTable::new();
    let mut wrong = BTreeSet::new();
    for server in SERVERS {
        for record in records(server) {
            let name = record["name"].as_str().unwrap();
            if table.rule(name).unwrap().is_read_only() != has_flag(&record, "readonly") {
                wrong.insert(format!("{server}: {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
