//! Our reader of `nutcracker.yml` against the real nutcracker's.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use shardwright::NutcrackerConfig;

use crate::support::Process;
use crate::support::free_port;
use crate::support::is_installed;
use crate::support::scratch;
use crate::support::within;

mod mutation;
mod ours;
pub(crate) mod table;

use table::Verdict;

#[test]
fn every_row_of_the_table_is_judged_as_it_says() {
    for (text, verdict) in table::rows() {
        let ours = NutcrackerConfig::parse(&text).map_err(|error| error.to_string());
        let expected = match verdict {
            Verdict::Good | Verdict::BadForThem(_) => None,
            Verdict::Bad(ours)
            | Verdict::BadWithoutReason(ours)
            | Verdict::BadInOtherWords(ours, _)
            | Verdict::BadForUs(ours) => Some(ours),
        };
        assert_eq!(ours.err().as_deref(), expected, "{text}");
    }
}

#[test]
fn nutcracker_judges_every_row_of_the_table_as_it_says() {
    if !is_installed("nutcracker") {
        return;
    }
    for (text, verdict) in table::rows() {
        let theirs = nutcracker(&text);
        match verdict {
            Verdict::Good | Verdict::BadForUs(_) => assert_eq!(theirs, Ok(()), "{text}"),
            Verdict::BadWithoutReason(_) => assert_eq!(theirs, Err(String::new()), "{text}"),
            Verdict::BadInOtherWords(_, words) | Verdict::BadForThem(words) => {
                assert_eq!(theirs, Err(words.to_owned()), "{text}");
            }
            Verdict::Bad(ours) => {
                assert!(are_the_words(ours, &theirs.clone().unwrap_err()), "{theirs:?}\n{text}");
            }
        }
    }
}

/// `CONFIGURATIONS=20000` compares more of them.
#[test]
fn mutated_configurations_are_judged_alike() {
    if !is_installed("nutcracker") {
        return;
    }
    let count = env::var("CONFIGURATIONS").map_or(400, |count| count.parse().unwrap());
    let mut good = 0;
    let mut bad = 0;
    let mut deviations = 0;
    for text in mutation::texts(count) {
        let ours = NutcrackerConfig::parse(&text).map_err(|error| error.to_string());
        let theirs = nutcracker(&text);
        match (&ours, &theirs) {
            (Ok(_), Ok(())) => good += 1,
            (Err(ours), Err(theirs)) if are_the_words(ours, theirs) => bad += 1,
            _ if is_deviation(ours.as_ref().err(), theirs.as_ref().err()) => deviations += 1,
            // A character that slipped in may make credentials of what stands before it.
            _ if has_credentials(&text) => deviations += 1,
            _ => panic!("ours {ours:?}, theirs {theirs:?}:\n{text:?}\n{text}"),
        }
    }
    println!("{count} configurations: {good} good, {bad} bad, {deviations} deviations on purpose");
    assert!(good > count / 20 && bad > count / 2, "the mutations are one-sided");
}

/// What the real nutcracker says of a configuration: nothing, or the reason it logs, less `conf: `
/// and the name of the file. The reason may be empty.
fn nutcracker(text: &str) -> Result<(), String> {
    let directory = scratch();
    fs::write(directory.join("F"), text).unwrap();
    let mut test = Command::new("nutcracker");
    let test = test.args(["-t", "-c", "F"]).current_dir(&directory).output().unwrap();
    if test.status.success() {
        fs::remove_dir_all(directory).unwrap();
        return Ok(());
    }
    // `-t` gives no reason, nor does it when it logs to the terminal: the logger is not yet set up.
    let mut command = Command::new("nutcracker");
    let port = free_port().to_string();
    command.args(["-c", "F", "-o", "reasons", "-a", "127.0.0.1", "-s", &port]);
    let mut process = Process::start(&mut command, directory);
    within(Duration::from_secs(10), "nutcracker gives up", || process.has_ended());
    let log = fs::read_to_string(process.directory().join("reasons")).unwrap();
    let reason = log.rsplit_once(" conf: ").map_or("", |(_, reason)| reason);
    let reason = reason.split("\n[").next().unwrap_or_default();
    Err(reason.strip_prefix("'F' ").unwrap_or(reason).trim_end_matches('\n').to_owned())
}

/// Whether our message has nutcracker's words behind the place: to the end, or to a colon. Where
/// nutcracker has none, ours is one that stands for its silence.
fn are_the_words(ours: &str, theirs: &str) -> bool {
    let (_, words) = ours.split_once(": ").unwrap();
    let more = words.strip_prefix(theirs);
    if theirs.is_empty() {
        words.ends_with(" is empty")
    } else {
        more.is_some_and(|more| more.is_empty() || more.starts_with(": "))
    }
}

fn has_credentials(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with('-') && line.contains('@'))
}

/// Whether a difference is one of those in the documentation of [`NutcrackerConfig`]. The one that
/// went on may have found another fault further down.
fn is_deviation(ours: Option<&String>, theirs: Option<&String>) -> bool {
    let our_reasons = [
        "contains a NUL character",
        "is a block scalar without a line break at its end",
        "has an empty host in",
        "has an empty name in",
    ];
    let their_reasons = [
        // We do not resolve.
        "directive \"listen\" has an invalid value",
        "directive \"reuseport\" is unknown",
    ];
    ours.is_some_and(|ours| our_reasons.iter().any(|reason| ours.contains(reason)))
        || theirs.is_some_and(|theirs| their_reasons.contains(&theirs.as_str()))
}
