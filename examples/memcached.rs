//! A cache over several memcacheds: store, read many at once, lose a node, get it back.
//!
//! ```text
//! cargo run --features memcache --example memcached -- memcache://127.0.0.1:11211 memcache://127.0.0.1:11212 …
//! ```
//!
//! `script/demo memcached` starts four memcacheds and runs it against them; while it watches, the script
//! kills one of them and starts it again. It writes and deletes keys that begin with `page:` only.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use memcache::MemcacheError;
use shardwright::EjectPolicy;
use shardwright::FailedReads;
use shardwright::NodeState;
use shardwright::ShardedMemcache;

const PAGES: u64 = 10_000;
const BATCH: u64 = 500;
/// Seconds for which a page may be cached.
const EXPIRATION: u32 = 300;

fn main() -> Result<(), MemcacheError> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        eprintln!(
            "usage: memcached URL [URL …]   (or run script/demo memcached, which starts servers)"
        );
        std::process::exit(2);
    }

    // A cache: requests are bounded, keys of a dead node go to the next one on the ring, and what cannot be
    // read is a miss.
    let cache = ShardedMemcache::builder()
        .add_server(urls)?
        .timeout(Duration::from_millis(200))
        .eject(EjectPolicy::successor().retry_timeout(Duration::from_secs(1)))
        .failed_reads(FailedReads::Miss)
        .listener(|event| println!("  event: {event}"))
        .build()?;

    // From here on it is memcache::Client, and a few methods more.
    one_key(&cache)?;
    many_keys(&cache)?;
    show_shares(&cache);
    watch(&cache)?;
    clean_up(&cache);
    Ok(())
}

fn key(number: u64) -> String {
    format!("page:{number:05}:html")
}

fn one_key(cache: &ShardedMemcache) -> Result<(), MemcacheError> {
    cache.set("page:hits", 0, EXPIRATION)?;
    cache.increment("page:hits", 41)?;
    // With flags and the number for a compare-and-swap.
    let found: Option<(u64, u32, Option<u64>)> = cache.get("page:hits")?;
    if let Some((hits, _flags, Some(cas))) = found {
        let was_stored = cache.cas("page:hits", hits + 1, EXPIRATION, cas)?;
        println!("counted {} hits, the last one by compare-and-swap: {was_stored}", hits + 1);
    }
    Ok(())
}

fn many_keys(cache: &ShardedMemcache) -> Result<(), MemcacheError> {
    let start = Instant::now();
    for first in (0..PAGES).step_by(BATCH as usize) {
        let entries: Vec<_> = (first..first + BATCH).map(|number| (key(number), number)).collect();
        // What became of each, one by one: here any failure ends it.
        cache.set_many(&entries, EXPIRATION).into_iter().collect::<Result<(), _>>()?;
    }
    println!("stored {PAGES} pages in {:.0?}, {BATCH} at a time", start.elapsed());

    let start = Instant::now();
    let mut hits = 0;
    for first in (0..PAGES).step_by(BATCH as usize) {
        let keys: Vec<_> = (first..first + BATCH).map(key).collect();
        for (number, page) in (first..).zip(cache.get_many::<u64, _>(&keys)) {
            if let Some(page) = page? {
                assert_eq!(page, number, "a wrong value was returned");
                hits += 1;
            }
        }
    }
    println!(
        "read {hits} of them back in {:.0?}, each time from all nodes at once",
        start.elapsed()
    );
    Ok(())
}

/// Each node's share of the keys, as the ring has it: no server is asked.
fn show_shares(cache: &ShardedMemcache) {
    let router = cache.router();
    let mut counts: BTreeMap<_, usize> = router.live_nodes().map(|node| (node, 0)).collect();
    for number in 0..PAGES {
        if let Some(node) = router.node_for_key(key(number).as_bytes()) {
            *counts.entry(node).or_default() += 1;
        }
    }
    println!("\nwho has them:");
    for (node, count) in counts {
        let share = count as f64 / PAGES as f64;
        let bar = "█".repeat((share * 100.0).round() as usize);
        let name = router.node(node).to_string();
        println!("  {name:22} {bar:40} {count:5}  {:4.1} %", 100.0 * share);
    }
}

/// Reads for a while, puts back what is missing, and shows what comes back, second by second.
fn watch(cache: &ShardedMemcache) -> Result<(), MemcacheError> {
    let seconds = std::env::var("DEMO_SECONDS").ok().and_then(|text| text.parse().ok());
    let Some(seconds) = seconds else {
        return Ok(());
    };
    println!("\nreading for {seconds} seconds; now is the time to lose a node");
    cache.set("page:watching", true, EXPIRATION)?;
    for _ in 0..seconds {
        let second = Instant::now();
        let (mut hits, mut misses) = (0, 0);
        let mut number: u64 = 0;
        while second.elapsed() < Duration::from_secs(1) {
            number = (number + 7919) % PAGES;
            match cache.get::<u64>(&key(number))? {
                Some(page) => {
                    assert_eq!(page, number, "a wrong value was returned");
                    hits += 1;
                }
                None => {
                    misses += 1;
                    // A cache that cannot store is no reason to fail.
                    let _ = cache.set(&key(number), number, EXPIRATION);
                }
            }
        }
        let states = cache.node_states();
        let marks = states.iter().map(|(_, state)| match state {
            NodeState::Live => "●",
            NodeState::Probing => "◐",
            _ => "○",
        });
        let marks: Vec<_> = marks.collect();
        println!("  {}  {hits:6} hits {misses:6} misses", marks.join(" "));
    }
    Ok(())
}

fn clean_up(cache: &ShardedMemcache) {
    for first in (0..PAGES).step_by(BATCH as usize) {
        let keys: Vec<_> = (first..first + BATCH).map(key).collect();
        cache.delete_many(&keys);
    }
    cache.delete_many(&["page:hits", "page:watching"]);
}
