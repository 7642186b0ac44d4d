//! What is read in batches.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Log;
use super::redis;
use super::say;
use redis::Commands;
use redis::RedisResult;
use redis::ScanOptions;

pub(super) fn run(
    _: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    for number in 0..300 {
        let () = con.set(format!("{number}:scan"), number)?;
    }
    let () = con.rpush("a list:scan", 1)?;
    let all: BTreeSet<String> = con.scan()?.collect::<RedisResult<_>>()?;
    say!(log, all.len());
    let matched: BTreeSet<String> = con.scan_match("1*:scan")?.collect::<RedisResult<_>>()?;
    say!(log, matched);
    let options = ScanOptions::default().with_pattern("*:scan").with_count(7).with_type("list");
    say!(log, con.scan_options::<String>(options)?.collect::<RedisResult<Vec<_>>>());
    let mut command = redis::cmd("SCAN");
    command.cursor_arg(0).arg("COUNT").arg(1000);
    say!(log, command.iter::<String>(con)?.count());
    say!(log, con.scan_match::<_, String>("no such *")?.count());

    let fields: Vec<(String, usize)> =
        (0..600).map(|number| (format!("f{number}"), number)).collect();
    let () = con.hset_multiple("hash", &fields)?;
    let read: BTreeMap<String, usize> = con.hscan("hash")?.collect::<RedisResult<_>>()?;
    say!(log, (read.len(), read.values().sum::<usize>()));
    let read: BTreeMap<String, usize> =
        con.hscan_match("hash", "f59*")?.collect::<RedisResult<_>>()?;
    say!(log, read);
    let members: Vec<usize> = (0..700).collect();
    let _: usize = con.sadd("set", &members)?;
    say!(log, con.sscan::<_, usize>("set")?.collect::<RedisResult<BTreeSet<_>>>()?.len());
    say!(log, con.sscan_match::<_, _, usize>("set", "69?")?.collect::<RedisResult<BTreeSet<_>>>());
    let scored: Vec<(usize, String)> =
        (0..200).map(|number| (number, format!("m{number}"))).collect();
    let _: usize = con.zadd_multiple("sorted", &scored)?;
    let read: BTreeMap<String, f64> = con.zscan("sorted")?.collect::<RedisResult<_>>()?;
    say!(log, (read.len(), read.get("m199")));
    say!(log, redis::cmd("SMEMBERS").arg("set").clone().iter::<usize>(con)?.count());
    let by_hand = cursors(con)?;
    say!(log, by_hand);
    Ok(())
}

/// How many keys are found by somebody who writes the loop.
fn cursors(con: &mut redis::Connection) -> RedisResult<usize> {
    let mut seen = BTreeSet::new();
    let mut cursor = 0;
    loop {
        let (next, keys): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).arg("MATCH").arg("*").query(con)?;
        seen.extend(keys);
        if next == 0 {
            return Ok(seen.len());
        }
        cursor = next;
    }
}
