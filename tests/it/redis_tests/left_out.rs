//! The list of tests that are left out, with reasons.

use std::collections::BTreeMap;

use super::package::Setting;

/// Lines without an indent are `SETTING, …: reason`, with `not run: ` before the reason if the test would hang, or fail
/// now and then. Below it are the tests: file and name.
const LIST: &str = include_str!("left_out.txt");

pub(super) struct LeftOut {
    /// By file and name.
    reasons: BTreeMap<(&'static str, &'static str), &'static str>,
}

impl LeftOut {
    pub(super) fn read(setting: Setting) -> Self {
        let mut reasons = BTreeMap::new();
        let mut reason = None;
        for line in LIST.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            if let Some(test) = line.strip_prefix("    ") {
                let test = test.split_once(' ').expect("a file and a test");
                if let Some(reason) = reason {
                    assert!(reasons.insert(test, reason).is_none(), "{test:?} is there twice");
                }
            } else {
                let (settings, text) = line.split_once(": ").expect("settings and a reason");
                let is_here = settings.split(", ").any(|name| name == setting.name);
                reason = is_here.then_some(text);
            }
        }
        Self { reasons }
    }

    /// All reasons there are.
    pub(super) fn all_reasons() -> Vec<&'static str> {
        let headings = LIST.lines().filter(|line| !line.starts_with([' ', '#']));
        headings.filter_map(|line| line.rsplit_once(": ")).map(|(_, reason)| reason).collect()
    }

    pub(super) fn reason(&self, file: &str, test: &str) -> Option<&'static str> {
        let found = self.reasons.iter().find(|(left_out, _)| **left_out == (file, test));
        found.map(|(_, reason)| *reason)
    }

    /// The tests of `file` that are not even tried.
    pub(super) fn not_run(&self, file: &str) -> Vec<&'static str> {
        let of_file = self.reasons.iter().filter(|((other, _), _)| *other == file);
        of_file
            .filter(|(_, reason)| reason.starts_with("not run: "))
            .map(|((_, test), _)| *test)
            .collect()
    }
}
