//! `src/guide/commands.md` is made from the table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::*;
use super::rows;
use crate::command::Blocking;
use crate::command::FanOut;

#[test]
fn the_guide_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide/commands.md");
    let page = fs::read_to_string(&path).unwrap();
    let made = filled(&page);
    if page == made {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_GUIDE").is_some(),
        "src/guide/commands.md differs from the table; run this test with UPDATE_GUIDE=1"
    );
    fs::write(path, made).unwrap();
}

/// The page with its lists made again.
fn filled(page: &str) -> String {
    const BEGIN: &str = "<!-- made from the table: ";
    const END: &str = "<!-- end -->";
    let mut lists = lists();
    let mut made = String::new();
    let mut parts = page.split(BEGIN);
    made.push_str(parts.next().unwrap());
    for part in parts {
        let (name, rest) = part.split_once(" -->").unwrap();
        let (_, rest) = rest.split_once(END).unwrap();
        let list = lists.remove(name).unwrap_or_else(|| panic!("there is no list {name}"));
        made.push_str(&format!("{BEGIN}{name} -->\n\n{}\n\n{END}{rest}", list.trim_end()));
    }
    assert!(lists.is_empty(), "not on the page: {:?}", lists.keys());
    made
}

/// A command on the page.
struct Item {
    group: &'static str,
    name: String,
    rule: CommandRule,
}

/// The lists of the page by their names.
fn lists() -> BTreeMap<&'static str, String> {
    let mut lists: BTreeMap<&str, Vec<Item>> = BTreeMap::new();
    let mut add = |list, group, name: &str, rule| {
        lists.entry(list).or_default().push(Item { group, name: name.to_string(), rule });
    };
    for (group, rows) in GROUPS {
        for (name, rule) in *rows {
            if is_refused_whole(name, rule) {
                continue;
            }
            let is_container = rows.iter().any(|(other, _)| other.starts_with(&format!("{name} ")));
            let shown = if is_container { format!("{name} …") } else { name.to_string() };
            add(list_of(rule), group, &shown, *rule);
            if rule.is_administrative() {
                add("administrative", group, &shown, *rule);
            }
            if rule.blocking_time() != Blocking::No {
                add("blocking", group, &shown, *rule);
            }
            if let Some(Exception { word, at, rule: other }) = rule.exception
                && list_of(other) != "session"
            {
                let gap = if at.is_some() { "" } else { "… " };
                add(list_of(other), group, &format!("{name} {gap}{word}"), *other);
            }
        }
    }
    lists.into_iter().map(|(list, items)| (list, written(list, &items))).collect()
}

/// Whether this is a subcommand that is refused with its container: the dots stand for it.
fn is_refused_whole(name: &str, rule: &CommandRule) -> bool {
    let container = name.split_once(' ').map(|(container, _)| container);
    list_of(rule) == "refused"
        && rows().any(|(other, whole)| Some(*other) == container && whole == rule)
}

/// The list that commands with this rule belong to.
fn list_of(rule: &CommandRule) -> &'static str {
    match rule.fan_out() {
        FanOut::OneNode if rule.routes_by_channel() => "channel",
        FanOut::OneNode if rule.only_key().is_some() => "one-key",
        FanOut::OneNode if rule.key_specs().next().is_some() => "several-keys",
        FanOut::OneNode => "designated",
        FanOut::ByKey(_) => "split",
        FanOut::AllNodes(_) if rule.needs_every_node() => "every-node",
        FanOut::AllNodes(_) => "all-nodes",
        FanOut::UntilFound | FanOut::Special(Special::Scan) => "in-turn",
        FanOut::Special(Special::Local(_)) => "local",
        FanOut::Special(Special::Session(_)) => "session",
        FanOut::Special(Special::Transaction(_)) => "transaction",
        FanOut::Special(Special::Refused(_)) => "refused",
    }
}

fn written(list: &str, items: &[Item]) -> String {
    match list {
        "one-key" | "several-keys" | "designated" => {
            let paragraphs = gathered(items, |item| format!("**{}**: ", item.group));
            paragraphs.iter().map(|(group, names)| wrapped(group, names)).collect()
        }
        "split" | "all-nodes" => table("reply", items, |rule| merged(rule.fan_out())),
        "blocking" => table("the server waits", items, |rule| waiting(rule.blocking_time())),
        "refused" => table("reason", items, |rule| match rule.fan_out() {
            FanOut::Special(Special::Refused(reason)) => reason.to_string(),
            _ => unreachable!("only those are in this list"),
        }),
        _ => gathered(items, |_| String::new())
            .iter()
            .map(|(text, names)| wrapped(text, names))
            .collect(),
    }
}

/// The names of the items of which `text` says the same, in the order of the table.
fn gathered(items: &[Item], text: impl Fn(&Item) -> String) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for item in items {
        let (text, name) = (text(item), format!("`{}`", item.name));
        match lines.iter_mut().find(|(other, _)| *other == text) {
            Some((_, names)) => names.push_str(&format!(", {name}")),
            None => lines.push((text, name)),
        }
    }
    lines
}

fn table(head: &str, items: &[Item], text: impl Fn(&CommandRule) -> String) -> String {
    let lines = gathered(items, |item| text(&item.rule));
    let lines = lines.iter().map(|(text, names)| format!("| {text} | {names} |\n"));
    format!("| {head} | commands |\n|---|---|\n{}", lines.collect::<String>())
}

/// A paragraph with lines of at most 100 characters, which are not cut inside a name.
fn wrapped(head: &str, names: &str) -> String {
    let mut text = head.to_string();
    let mut length = text.len();
    for name in names.split_inclusive(", ") {
        if length + name.trim_end().len() > 100 {
            text.truncate(text.trim_end().len());
            text.push('\n');
            length = 0;
        }
        text.push_str(name);
        length += name.len();
    }
    text + "\n\n"
}

fn merged(fan_out: FanOut) -> String {
    let (FanOut::ByKey(gather) | FanOut::AllNodes(gather)) = fan_out else {
        unreachable!("only those are merged");
    };
    let text = match gather {
        Gather::First => "the first; all say the same",
        Gather::Sum => "the sum",
        Gather::Min => "the smallest",
        Gather::MinEach => "the smallest at each place",
        Gather::AndEach => "1 at each place where all say 1",
        Gather::Concat => "all elements, node by node",
        Gather::Union => "all elements, each once",
        Gather::SumPairs => "the sum for each name",
        Gather::InKeyOrder => "each key's own, in the order of the keys",
        Gather::ByNode => "a map by node",
        Gather::AnySuccess => "the first that is no error",
    };
    text.to_string()
}

fn waiting(time: Blocking) -> String {
    match time {
        Blocking::No => unreachable!("only those that wait are in this list"),
        Blocking::LastSeconds => "the seconds of the last argument".to_string(),
        Blocking::Seconds(place) => format!("the seconds of argument {place}"),
        Blocking::Milliseconds(place) => format!("the milliseconds of argument {place}"),
        Blocking::TransferMilliseconds(place) => format!("the milliseconds of argument {place}"),
        Blocking::StreamBlock => "the milliseconds behind `BLOCK`".into(),
    }
}
