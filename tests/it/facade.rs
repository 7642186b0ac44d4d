//! Programs written for redis-rs, compiled with it and with this crate in its place: what they print is the same.
//!
//! The sources are those of `facade/programs`, not a line of which knows of shards. Two packages are made in the target
//! directory, which differ in one line of their Cargo.toml; Cargo builds both, and the servers are real ones. The
//! application of `drop_in` goes through more of the commands; here it is the crates, their features and their types.

mod packages;

use std::process::Command;
use std::process::Stdio;

use crate::support::redis_server::RedisServer;
use packages::Crate;

/// What a program printed, line by line, and how it ended.
fn output(which: Crate, program: &str, url: &str) -> Vec<String> {
    let path = which.program(program);
    let output = Command::new(path).env("REDIS_URL", url).stdin(Stdio::null()).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let mut lines: Vec<_> =
        String::from_utf8(printed).unwrap().lines().map(str::to_owned).collect();
    lines.push(output.status.to_string());
    lines
}

fn addresses(servers: &[RedisServer]) -> String {
    servers.iter().map(RedisServer::address).collect::<Vec<_>>().join(",")
}

/// Runs `program` with redis-rs on one server, and with this crate on one and, by nothing but its URL, on four.
fn compare(program: &str) {
    compare_on(
        program,
        &[
            |nodes| format!("redis://{}", nodes[0].address()),
            |nodes| format!("redis+shard://{}/?hash_tag={{}}", addresses(nodes)),
            |nodes| format!("redis+shard://{}/?hash_tag={{}}&protocol=resp3", addresses(nodes)),
        ],
    );
}

fn compare_on(program: &str, urls: &[fn(&[RedisServer]) -> String]) {
    let Some(one) = RedisServer::start() else { return };
    let theirs = output(Crate::Redis, program, &one.url());
    assert_eq!(theirs.last().map(String::as_str), Some("exit status: 0"), "{theirs:#?}");
    assert!(theirs.len() > 10, "{program} prints next to nothing: {theirs:#?}");
    for url in urls {
        let Some(nodes) = RedisServer::start_many(4) else { return };
        let url = url(&nodes);
        let ours = output(Crate::Shardwright, program, &url);
        assert_eq!(ours, theirs, "{program} with redis-rs (right), and on {url} (left)");
    }
}

#[test]
fn a_shop_sells_the_same() {
    compare("shop");
}

#[test]
fn a_pool_of_r2d2_counts_the_same() {
    compare("pooled");
}

#[test]
fn a_newsroom_hears_the_same() {
    compare("newsroom");
}

#[test]
fn streams_of_jobs_deliver_the_same() {
    compare("jobs");
}

#[test]
fn a_bank_moves_the_same_money() {
    compare("bank");
}

#[test]
fn a_help_desk_of_many_tasks_answers_the_same() {
    compare("desk");
}

#[test]
fn a_radio_with_a_manager_a_pool_and_channels_plays_the_same() {
    compare("radio");
}

#[test]
fn a_comma_list_is_enough_where_no_keys_belong_together() {
    for program in ["shop", "pooled", "newsroom"] {
        compare_on(
            program,
            &[|nodes| nodes.iter().map(RedisServer::url).collect::<Vec<_>>().join(",")],
        );
    }
}
