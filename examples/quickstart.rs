//! Keys over several nodes: write, read back, lose a node, get it back.
//!
//! ```text
//! cargo run --example quickstart -- redis://127.0.0.1:6379 redis://127.0.0.1:6380 …
//! ```
//!
//! `script/demo` starts four redis-servers and runs it against them; while it watches, the script kills
//! one of them and starts it again. It writes and deletes keys that begin with `quickstart:` only.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use redis::Commands;
use redis::RedisResult;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

const KEYS: usize = 10_000;
const BATCH: usize = 500;

fn main() -> RedisResult<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        eprintln!(
            "usage: quickstart URL [URL …]   (or run script/demo, which starts servers for it)"
        );
        std::process::exit(2);
    }

    // A cache: requests are bounded, and keys of a dead node go to the next one on the ring.
    let client = ShardedClient::builder()
        .nodes(urls)?
        .timeout(Duration::from_millis(200))
        .eject(EjectPolicy::successor().retry_timeout(Duration::from_secs(1)))
        .listener(|event| println!("  event: {event}"))
        .build()?;
    // From here on it is redis-rs.
    let mut connection = client.get_connection()?;

    load(&mut connection)?;
    read_back(&mut connection)?;
    show_shares(&client);
    watch(&client, &mut connection)?;
    clean_up(&mut connection)
}

fn key(number: usize) -> String {
    format!("quickstart:{number:05}:user")
}

fn load(connection: &mut ShardedConnection) -> RedisResult<()> {
    let start = Instant::now();
    for first in (0..KEYS).step_by(BATCH) {
        let pairs: Vec<_> = (first..first + BATCH).map(|number| (key(number), number)).collect();
        let _: () = connection.mset(&pairs)?;
        progress("writing", first + BATCH, KEYS);
    }
    println!("wrote {KEYS} keys in {:.0?}, {BATCH} at a time with MSET", start.elapsed());
    Ok(())
}

fn read_back(connection: &mut ShardedConnection) -> RedisResult<()> {
    let start = Instant::now();
    for first in (0..KEYS).step_by(BATCH) {
        let keys: Vec<_> = (first..first + BATCH).map(key).collect();
        let values: Vec<usize> = connection.mget(&keys)?;
        assert_eq!(values, (first..first + BATCH).collect::<Vec<_>>());
        progress("reading", first + BATCH, KEYS);
    }
    println!("read them back in {:.0?}, each MGET from all nodes at once", start.elapsed());
    Ok(())
}

/// Each node's share of the keys, as the ring has it: no server is asked.
fn show_shares(client: &ShardedClient) {
    let router = client.router();
    let mut counts: BTreeMap<_, usize> = router.live_nodes().map(|node| (node, 0)).collect();
    for number in 0..KEYS {
        if let Some(node) = router.node_for_key(key(number).as_bytes()) {
            *counts.entry(node).or_default() += 1;
        }
    }
    println!("\nwho has them:");
    for (node, count) in counts {
        let share = count as f64 / KEYS as f64;
        let bar = "█".repeat((share * 100.0).round() as usize);
        let name = router.node(node).to_string();
        println!("  {name:22} {bar:40} {count:5}  {:4.1} %", 100.0 * share);
    }
}

/// Reads for a while and shows what comes back, second by second.
fn watch(client: &ShardedClient, connection: &mut ShardedConnection) -> RedisResult<()> {
    let seconds = std::env::var("DEMO_SECONDS").ok().and_then(|text| text.parse().ok());
    let Some(seconds) = seconds else {
        return Ok(());
    };
    println!("\nreading for {seconds} seconds; now is the time to lose a node");
    let _: () = connection.set("quickstart:phase", "watching")?;
    for _ in 0..seconds {
        let second = Instant::now();
        let (mut hits, mut misses, mut errors) = (0, 0, 0);
        let mut number = 0;
        let mut reason = None;
        while second.elapsed() < Duration::from_secs(1) {
            number = (number + 7919) % KEYS;
            match connection.get::<_, Option<usize>>(key(number)) {
                Ok(Some(value)) => {
                    assert_eq!(value, number, "a wrong value was returned");
                    hits += 1;
                }
                Ok(None) => misses += 1,
                Err(error) => {
                    errors += 1;
                    reason = ShardError::of(&error);
                }
            }
        }
        let states = client.node_states();
        let marks = states.iter().map(|(_, state)| match state {
            NodeState::Live => "●",
            NodeState::Probing => "◐",
            _ => "○",
        });
        let marks: Vec<_> = marks.collect();
        println!("  {}  {hits:6} hits {misses:6} misses {errors:3} errors", marks.join(" "));
        if let Some(reason) = reason {
            println!("           {reason}");
        }
    }
    Ok(())
}

fn clean_up(connection: &mut ShardedConnection) -> RedisResult<()> {
    for first in (0..KEYS).step_by(BATCH) {
        let keys: Vec<_> = (first..first + BATCH).map(key).collect();
        let _: usize = connection.del(&keys)?;
    }
    connection.del("quickstart:phase")
}

/// A bar on a terminal, which is wiped out when all is done.
fn progress(what: &str, done: usize, all: usize) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    if done < all {
        print!("\r{what} [{:40}] {done}/{all}", "█".repeat(done * 40 / all));
    } else {
        print!("\r\x1b[K");
    }
    let _ = std::io::stdout().flush();
}
