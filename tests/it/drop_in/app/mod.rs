//! An application of redis-rs. All it prints goes into a list.

mod collections;
mod connections;
mod errors;
mod iterators;
mod keys;
mod pipelines;
mod publishing;
mod scripts;
mod special;
mod strings;
mod transactions;
mod typed;

use std::fmt::Debug;

use super::redis;

/// What the application prints.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Vec<String>,
}

impl Log {
    fn line(&mut self, what: &str, value: impl Debug) {
        self.lines.push(format!("{what} -> {value:?}"));
    }
}

/// Prints an expression and what it is worth.
macro_rules! say {
    ($log:expr, $value:expr) => {
        $log.line(stringify!($value), &$value)
    };
}
use say;

type Chapter = fn(&redis::Client, &mut redis::Connection, &mut Log) -> redis::RedisResult<()>;

/// Runs the whole application; `client` is all it knows of its servers.
pub(crate) fn run(client: &redis::Client) -> Vec<String> {
    let mut log = Log::default();
    let chapters: &[Chapter] = &[
        strings::run,
        keys::run,
        collections::run,
        special::run,
        typed::run,
        pipelines::run,
        transactions::run,
        scripts::run,
        iterators::run,
        errors::run,
        publishing::run,
        connections::run,
    ];
    for chapter in chapters {
        let mut con = client.get_connection().unwrap();
        redis::cmd("FLUSHALL").exec(&mut con).unwrap();
        chapter(client, &mut con, &mut log).unwrap();
    }
    log.lines
}

/// What an error says of itself, as far as it comes from a server.
fn describe(error: &redis::RedisError) -> String {
    format!(
        "{error} | {:?} {:?} {:?} {} io {} dropped {} timeout {} cluster {}",
        error.kind(),
        error.code(),
        error.detail(),
        error.category(),
        error.is_io_error(),
        error.is_connection_dropped(),
        error.is_timeout(),
        error.is_cluster_error(),
    )
}
