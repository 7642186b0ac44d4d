//! Servers that are stopped, killed and started again.

use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use memcache::MemcacheError;
use shardwright::Address;
use shardwright::EjectPolicy;
use shardwright::Node;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedAsyncMemcache;
use shardwright::ShardedMemcache;
use tokio::task::JoinSet;

use super::connections;
use super::eventually;
use super::in_flight;
use super::key_of;
use super::run;
use super::runtime;
use super::stop;
use crate::memcached::PATIENT;
use crate::memcached::builder;
use crate::support::memcached::Memcached;

/// What a request of a node that hangs may take.
const LIMIT: Duration = Duration::from_millis(300);

fn kind<T>(result: Result<T, MemcacheError>) -> ShardErrorKind {
    let error = result.err().expect("it failed");
    ShardError::of_memcache(&error).unwrap_or_else(|| panic!("{error:?}")).kind()
}

fn are_live(cache: &ShardedAsyncMemcache) -> bool {
    cache.node_states().iter().all(|(_, state)| *state == NodeState::Live)
}

/// The longest of some gets of a node that is well, while `others` hang.
async fn look(cache: &ShardedAsyncMemcache, key: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        assert_eq!(cache.get(key).await.unwrap(), Some("well".to_owned()));
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    times.sort();
    times[90]
}

#[test]
fn a_stopped_server_delays_nobody_else_is_ejected_and_comes_back() {
    let Some(servers) = Memcached::start_many(2) else { return };
    let policy = EjectPolicy::rebuild().failure_limit(2).retry_timeout(LIMIT);
    let cache = builder(&servers).timeout(LIMIT).eject(policy).build_async().unwrap();
    run(async {
        let [hung, well] = [0, 1].map(|server: usize| key_of(&cache, &servers[server].address()));
        cache.set(&hung, "hung", 0).await.unwrap();
        cache.set(&well, "well", 0).await.unwrap();
        stop(&servers[0], &cache, &hung).await;

        // A hundred wait for the one, and the other answers as if nothing were.
        let mut waiting = JoinSet::new();
        for _ in 0..100 {
            let (cache, hung) = (cache.clone(), hung.clone());
            waiting.spawn(async move { cache.get::<String>(&hung).await });
        }
        let time = look(&cache, &well).await;
        println!("nine of ten gets of the other node took less than {time:?}");
        assert!(time < LIMIT / 3, "{time:?}");
        for result in waiting.join_all().await {
            assert_eq!(kind(result), ShardErrorKind::Deadline);
        }
        // A connection that hangs is one failure, however many wait; the next one is the second.
        assert!(are_live(&cache), "{:?}", cache.node_states());
        let both = [hung.as_str(), well.as_str()];
        let start = Instant::now();
        let found = cache.get_many::<String, _>(&both).await;
        assert!(start.elapsed() < 4 * LIMIT);
        assert_eq!(found[1].as_ref().unwrap().as_deref(), Some("well"));
        assert_eq!(kind(found.into_iter().next().unwrap()), ShardErrorKind::Deadline);
        assert!(!are_live(&cache), "{:?}", cache.metrics());
        // Its keys are the other's now.
        assert_eq!(cache.get::<String>(&hung).await.unwrap(), None);

        servers[0].process().resume();
        eventually("it is back", || are_live(&cache)).await;
        assert_eq!(cache.get(&hung).await.unwrap(), Some("hung".to_owned()));
        assert_eq!(in_flight(&cache), 0);
        eventually("late connections are closed", || connections(&cache) == [1, 1]).await;
    });
}

#[test]
fn a_server_that_was_killed_and_started_again_serves_at_once() {
    let Some(mut servers) = Memcached::start_many(2) else { return };
    let cache = builder(&servers).build_async().unwrap();
    run(async {
        let key = key_of(&cache, &servers[0].address());
        for _ in 0..3 {
            cache.set(&key, "value", 0).await.unwrap();
            servers[0].kill();
            let failed = join_all((0..20).map(|_| cache.get::<String>(&key))).await;
            for result in failed {
                assert_eq!(kind(result), ShardErrorKind::Node);
            }
            servers[0].restart();
            // While nobody looked it has lost everything.
            assert_eq!(cache.get::<String>(&key).await.unwrap(), None);
        }
        // Where nobody asks meanwhile, nobody notices.
        cache.set(&key, "value", 0).await.unwrap();
        servers[0].restart();
        eventually("it is noticed", || connections(&cache)[0] == 0).await;
        assert_eq!(cache.get::<String>(&key).await.unwrap(), None);
    });
}

#[test]
fn all_who_need_a_connection_wait_for_the_same_one() {
    let Some(servers) = Memcached::start_many(1) else { return };
    // The system answers for it, and nobody says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let silent_node = Node::new(Address::tcp("127.0.0.1", port));
    let policy = EjectPolicy::fail_fast().failure_limit(2).retry_timeout(PATIENT);
    let cache = builder(&servers).node(silent_node).timeout(LIMIT).eject(policy);
    let cache = cache.build_async().unwrap();
    run(async {
        let well = key_of(&cache, &servers[0].address());
        let hung = key_of(&cache, &format!("127.0.0.1:{port}"));
        cache.set(&well, "well", 0).await.unwrap();
        let waiting = join_all((0..100).map(|_| cache.get::<String>(&hung)));
        let (results, time) = tokio::join!(waiting, look(&cache, &well));
        assert!(time < LIMIT / 3, "{time:?}");
        for result in results {
            assert_eq!(kind(result), ShardErrorKind::Deadline);
        }
        assert!(are_live(&cache), "one connection is one failure");
        silent.set_nonblocking(true).unwrap();
        assert!(silent.accept().is_ok());
        assert!(silent.accept().is_err(), "there was one attempt");
        // One that nobody waits for to the end counts, too: it is an attempt to connect, and no request.
        let dropped = cache.get::<String>(&hung);
        assert!(tokio::time::timeout(LIMIT / 10, dropped).await.is_err());
        eventually("it is ejected", || !are_live(&cache)).await;
        assert_eq!(kind(cache.get::<String>(&hung).await), ShardErrorKind::Ejected);
        assert_eq!(in_flight(&cache), 0);
    });
}

#[test]
fn the_client_outlives_the_runtime_it_was_used_on() {
    let Some(servers) = Memcached::start_many(2) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(PATIENT);
    let cache = builder(&servers).eject(policy).build_async().unwrap();
    let keys = [0, 1].map(|server: usize| key_of(&cache, &servers[server].address()));
    for round in 0..5 {
        let runtime = runtime();
        runtime.block_on(async {
            for key in &keys {
                cache.set(key, round, 0).await.unwrap();
            }
            let found = cache.get_many::<i32, _>(&keys).await;
            assert!(found.into_iter().all(|value| value.unwrap() == Some(round)));
            assert_eq!(connections(&cache), [1, 1]);
        });
        if round % 2 == 0 {
            // Even in the middle of something.
            let (cache, key) = (cache.clone(), keys[0].clone());
            drop(runtime.spawn(async move {
                loop {
                    let _ = cache.get::<i32>(&key).await;
                }
            }));
        }
        drop(runtime);
        assert_eq!((connections(&cache), in_flight(&cache)), (vec![0, 0], 0));
    }
    // A task that still runs while its runtime ends has requests that fail, and no node is to blame.
    assert!(are_live(&cache), "{:?}", cache.metrics());
    assert_eq!(cache.metrics().iter().map(|node| node.ejections).sum::<u64>(), 0);
}

#[test]
fn a_connection_that_is_too_old_is_replaced() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let age = Duration::from_millis(30);
    let cache = builder(&servers).max_lifetime(age).build_async().unwrap();
    let total = |cache: &ShardedMemcache| {
        let total = &cache.stats().unwrap()[0].1["total_connections"];
        total.parse::<u32>().unwrap()
    };
    let watcher = builder(&servers).build().unwrap();
    run(async {
        cache.set("key", "value", 0).await.unwrap();
        let before = total(&watcher);
        tokio::time::sleep(2 * age).await;
        assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
        assert_eq!(total(&watcher), before + 1);
        eventually("the old one is closed", || connections(&cache) == [1]).await;
    });
}
