//! `SCAN` over all nodes, and the scans of one key.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use redis::Commands;
use redis::ConnectionLike;
use redis::RedisResult;
use redis::ScanOptions;
use shardwright::EjectPolicy;
use shardwright::ShardedConnection;

use super::pool::Pool;
use super::pool::ask;
use super::pool::rest;
use super::pool::say;
use super::pool::shard_error;

const KEYS: usize = 200;

/// `KEYS` keys on each node, of which every tenth is a list.
fn fill(pool: &Pool) -> BTreeSet<String> {
    let mut con = pool.connection();
    let mut pipe = redis::pipe();
    let mut left = vec![KEYS; pool.servers.len()];
    let mut all = BTreeSet::new();
    for number in 0.. {
        let key = format!("{number}:key");
        let left = &mut left[pool.owner(&key)];
        if *left > 0 {
            *left -= 1;
            if left.is_multiple_of(10) {
                pipe.rpush(&key, number)
            } else {
                pipe.set(&key, number)
            };
            all.insert(key);
        }
        if all.len() == KEYS * pool.servers.len() {
            break;
        }
    }
    pipe.exec(&mut con).unwrap();
    all
}

/// One step of a scan by hand: the next cursor, and the keys.
fn step(con: &mut impl ConnectionLike, cursor: u64) -> RedisResult<(u64, Vec<String>)> {
    redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(7).query(con)
}

fn collect(con: &mut ShardedConnection, options: ScanOptions) -> Vec<String> {
    con.scan_options(options).unwrap().collect::<RedisResult<_>>().unwrap()
}

#[test]
fn every_key_comes_once() {
    let Some(pool) = Pool::start(3) else { return };
    let all = fill(&pool);
    let mut con = pool.connection();
    let count = |count| ScanOptions::default().with_count(count);
    // The iterator goes on with packed bytes, and so has no more than those to find the cursor in.
    for options in [ScanOptions::default(), count(1), count(64), count(100_000)] {
        let keys = collect(&mut con, options);
        assert_eq!(keys.len(), all.len());
        assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), all);
    }
    assert_eq!(con.scan::<String>().unwrap().count(), all.len());
}

#[test]
fn patterns_and_types_hold_on_all_nodes() {
    let Some(pool) = Pool::start(3) else { return };
    let all = fill(&pool);
    let mut con = pool.connection();
    let matching: BTreeSet<_> = all.iter().filter(|key| key.starts_with('1')).cloned().collect();
    let keys = con.scan_match::<_, String>("1*").unwrap().collect::<RedisResult<Vec<_>>>().unwrap();
    assert_eq!(keys.len(), matching.len());
    assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), matching);
    let lists = collect(&mut con, ScanOptions::default().with_type("list").with_count(3));
    assert_eq!(lists.len(), 3 * KEYS / 10);
    let options = ScanOptions::default().with_pattern("1*").with_type("list").with_count(9);
    let both = collect(&mut con, options);
    assert!(!both.is_empty() && both.iter().all(|key| key.starts_with('1') && lists.contains(key)));
    assert!(collect(&mut con, ScanOptions::default().with_pattern("none:*")).is_empty());
}

#[test]
fn the_cursor_carries_the_node_and_any_connection_goes_on_with_it() {
    let Some(pool) = Pool::start(3) else { return };
    let all = fill(&pool);
    let (mut cursor, mut seen, mut nodes) = (0, Vec::new(), Vec::new());
    loop {
        let node = (cursor >> 52) as usize;
        // Another connection each time, and now and then the client itself.
        let (next, keys) = match seen.len() % 2 {
            0 => step(&mut pool.connection(), cursor).unwrap(),
            _ => step(&mut pool.client.clone(), cursor).unwrap(),
        };
        assert!(keys.iter().all(|key| pool.owner(key) == node));
        seen.extend(keys);
        nodes.push(node);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert!(nodes.is_sorted());
    nodes.dedup();
    assert_eq!(nodes, [0, 1, 2]);
    assert_eq!(seen.len(), all.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
}

#[test]
fn a_cursor_that_is_none_is_refused_in_the_words_of_the_server() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    for cursor in ["abc", "-", "+-1", "1.5", "18446744073709551616", "0x10"] {
        let line = format!("SCAN {cursor}");
        assert_eq!(say(&mut con, &line), say(&mut pool.direct(0), &line), "{cursor}");
        assert_eq!(say(&mut con, &line), "ERR invalid cursor", "{cursor}");
    }
    // A number, but of a node that there is not.
    for cursor in [&(2_u64 << 52).to_string(), &u64::MAX.to_string(), "-1"] {
        assert_eq!(say(&mut con, &format!("SCAN {cursor}")), "ERR invalid cursor", "{cursor}");
    }
    for line in ["SCAN", "SCAN 0 COUNT", "SCAN 0 COUNT 0", "SCAN 0 NOSUCH 1"] {
        assert_eq!(say(&mut con, line), say(&mut pool.direct(0), line), "{line}");
    }
    // What the server takes for zero begins a scan of all nodes too.
    for zero in ["SCAN 0", "SCAN 00", "SCAN +0"] {
        assert_eq!(say(&mut con, zero), format!("[{} []]", 1_u64 << 52), "{zero}");
    }
    // Redis 7.0 takes these for zero as well, others do not, and no client sends them.
    for odd in ["SCAN -0", "SCAN "] {
        assert_eq!(say(&mut con, odd), "ERR invalid cursor", "{odd}");
    }
}

#[test]
fn a_scan_waits_for_a_dead_node_and_skips_an_ejected_one() {
    let policy = EjectPolicy::fail_fast().failure_limit(2).retry_timeout(Duration::from_secs(600));
    let Some(mut pool) = Pool::start_with(3, |builder| builder.eject(policy)) else { return };
    let all = fill(&pool);
    let mut con = pool.connection();
    pool.servers[1].kill();
    rest();
    let (mut cursor, mut seen, mut failures) = (0, Vec::new(), Vec::new());
    loop {
        match step(&mut con, cursor) {
            Ok((next, keys)) => {
                seen.extend(keys);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            // The same cursor again: it is tried until the node is ejected.
            Err(error) => failures.push(shard_error(&error).node().map(str::to_owned)),
        }
    }
    assert_eq!(failures, [Some("n1".to_owned()), Some("n1".to_owned())]);
    assert_eq!(seen.len(), 2 * KEYS);
    let missing = all.iter().filter(|key| pool.client.node_for_key(key).is_none());
    let seen: BTreeSet<_> = seen.into_iter().chain(missing.cloned()).collect();
    assert_eq!(seen, all);
    // Not one is left to be asked.
    for server in [0, 2] {
        pool.servers[server].kill();
    }
    rest();
    let mut errors = (0..9).filter_map(|_| ask(&mut con, "SCAN 0").err()).skip(8);
    let last = shard_error(&errors.next().unwrap());
    assert_eq!(last.kind(), shardwright::ShardErrorKind::NoLiveNode);
}

#[test]
fn the_scans_of_one_key_are_those_of_its_node() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    for key in pool.keys() {
        let (hash, set, sorted) =
            (format!("{{{key}}}h"), format!("{{{key}}}s"), format!("{{{key}}}z"));
        let fields: BTreeMap<String, usize> =
            (0..900).map(|number| (format!("f{number}"), number)).collect();
        let pairs: Vec<_> = fields.iter().collect();
        let scored: Vec<_> = fields.iter().map(|(name, score)| (score, name)).collect();
        let members: Vec<usize> = (0..900).collect();
        let () = con.hset_multiple(&hash, &pairs).unwrap();
        let () = con.sadd(&set, &members).unwrap();
        let () = con.zadd_multiple(&sorted, &scored).unwrap();
        let read: BTreeMap<String, usize> =
            con.hscan(&hash).unwrap().collect::<RedisResult<_>>().unwrap();
        assert_eq!(read, fields);
        let read: BTreeSet<usize> = con.sscan(&set).unwrap().collect::<RedisResult<_>>().unwrap();
        assert_eq!(read.len(), 900);
        let read: BTreeMap<String, usize> =
            con.zscan(&sorted).unwrap().collect::<RedisResult<_>>().unwrap();
        assert_eq!(read, fields);
        let read: Vec<(String, usize)> =
            con.hscan_match(&hash, "f89?").unwrap().collect::<RedisResult<_>>().unwrap();
        assert_eq!(read.len(), 10);
        // Several batches, whose cursors are the node's own.
        let server = pool.owner(&key);
        assert!(pool.calls(server, "hscan") > 20, "{}", pool.calls(server, "hscan"));
    }
}
