//! The tests of the published crate `redis`, out of the registry's copy, run against this crate in its place: on one
//! node and on three, over RESP2 and RESP3.
//!
//! `left_out.txt` has those that fail, with the reason. A test that fails and is not there is a failure, and so is one
//! that is there and passes.

mod left_out;
mod package;

use crate::support::is_installed;
use left_out::LeftOut;
use package::Setting;

fn compare(setting: Setting) {
    if !is_installed("redis-server") {
        return;
    }
    let Some(programs) = package::build() else { return };
    let left_out = LeftOut::read(setting);
    let mut wrong = Vec::new();
    let mut passed = 0;
    for (file, program) in programs {
        let results = package::run(&program, setting, &left_out.not_run(&file));
        for (test, mut has_passed) in results {
            if !has_passed && left_out.reason(&file, &test).is_none() {
                // Many of those tests time themselves in milliseconds: again, and alone.
                has_passed = package::passes(&program, &test, setting);
                println!("{file} {test} failed at first; again and alone it passed: {has_passed}");
            }
            passed += usize::from(has_passed);
            match (has_passed, left_out.reason(&file, &test)) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(reason)) => {
                    wrong.push(format!("{file} {test} passes, but is left out: {reason}"));
                }
                (false, None) => wrong.push(format!("{file} {test} fails")),
            }
        }
    }
    println!("{passed} of redis-rs's own tests pass on {}", setting.name);
    assert!(wrong.is_empty(), "{passed} passed; {}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn they_pass_on_one_node() {
    compare(Setting { name: "one", nodes: 1, protocol: "RESP2" });
}

#[test]
fn they_pass_on_one_node_over_resp3() {
    compare(Setting { name: "one-resp3", nodes: 1, protocol: "RESP3" });
}

#[test]
fn they_pass_on_three_nodes() {
    compare(Setting { name: "three", nodes: 3, protocol: "RESP2" });
}

#[test]
fn they_pass_on_three_nodes_over_resp3() {
    compare(Setting { name: "three-resp3", nodes: 3, protocol: "RESP3" });
}

#[test]
fn the_guide_has_each_reason_for_leaving_tests_out() {
    let guide = include_str!("../../src/guide/redis_tests.md");
    for reason in LeftOut::all_reasons() {
        assert!(guide.contains(&format!("**{reason}**")), "the guide says nothing of: {reason}");
    }
}
