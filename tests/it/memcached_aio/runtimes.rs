//! Runtimes that stall, end, take turns, and cannot do what is needed.

use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedAsyncMemcache;
use tokio::runtime::Builder;
use tokio::task::yield_now;

use super::alone;
use super::connections;
use super::eventually;
use super::in_flight;
use super::run;
use super::runtime;
use super::stop;
use crate::memcached::builder;
use crate::support::memcached::Memcached;

/// What a request may take.
const LIMIT: Duration = Duration::from_millis(500);

/// A client whose nodes are ejected for one failure.
fn strict(servers: &[Memcached]) -> ShardedAsyncMemcache {
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    builder(servers).timeout(LIMIT).eject(policy).build_async().unwrap()
}

fn is_live(cache: &ShardedAsyncMemcache) -> bool {
    cache.node_states().iter().all(|(_, state)| *state == NodeState::Live)
}

#[test]
fn replies_that_came_while_the_thread_was_blocked_are_in_time() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let cache = strict(&servers);
    alone().block_on(async {
        // More replies than are handed out in one turn, and all fit into what the system keeps meanwhile.
        cache.set("key", "value", 0).await.unwrap();
        let asking = join_all((0..300).map(|_| cache.get::<String>("key")));
        let blocking = async {
            for _ in 0..10 {
                // The driver writes what was asked.
                yield_now().await;
            }
            thread::sleep(2 * LIMIT);
        };
        let (found, ()) = tokio::join!(asking, blocking);
        let in_time = found.iter().filter(|found| found.is_ok()).count();
        assert_eq!(in_time, found.len());
        assert!(is_live(&cache));
    });
}

#[test]
fn two_runtimes_that_take_turns_have_a_connection_each() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let cache = strict(&servers);
    let runtimes = [alone(), alone()];
    for round in 0..20_i32 {
        for (writing, reading) in [(0, 1), (1, 0)] {
            runtimes[writing].block_on(cache.set("key", round, 0)).unwrap();
            assert_eq!(runtimes[reading].block_on(cache.get("key")).unwrap(), Some(round));
        }
        assert_eq!(connections(&cache), [2]);
    }
    let [first, second] = runtimes;
    drop(first);
    assert_eq!(connections(&cache), [1]);
    assert_eq!(second.block_on(cache.get("key")).unwrap(), Some(19));
    // One that comes later has its own, too.
    assert_eq!(alone().block_on(cache.get("key")).unwrap(), Some(19));
    assert_eq!(second.block_on(cache.get("key")).unwrap(), Some(19));
    assert_eq!((connections(&cache), in_flight(&cache)), (vec![1], 0));
    assert!(is_live(&cache));
    assert_eq!(cache.metrics()[0].failures, 0);
}

#[test]
fn a_request_of_another_runtime_does_not_wait_for_one_that_rests() {
    let Some(servers) = Memcached::start_many(1) else { return };
    // Without a deadline it would wait for ever.
    let cache = builder(&servers).timeout(Duration::ZERO).build_async().unwrap();
    let (first, second) = (alone(), alone());
    first.block_on(cache.set("key", 1, 0)).unwrap();
    assert_eq!(second.block_on(cache.get("key")).unwrap(), Some(1));
}

#[test]
fn the_end_of_a_runtime_is_no_failure_of_the_node() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let cache = builder(&servers).eject(policy).build_async().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        cache.set("key", 1, 0).await.unwrap();
        stop(&servers[0], &cache, "key").await;
    });
    let waiting = {
        let (cache, handle) = (cache.clone(), runtime.handle().clone());
        thread::spawn(move || handle.block_on(cache.get::<i32>("key")))
    };
    run(eventually("it was asked", || in_flight(&cache) == 1));
    drop(runtime);
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(ShardError::of_memcache(&error).unwrap().kind(), ShardErrorKind::Node);
    assert!(is_live(&cache));
    servers[0].process().resume();
    assert_eq!(run(cache.get("key")).unwrap(), Some(1));
}

#[test]
fn a_runtime_that_cannot_wait_for_sockets_is_told_at_once_and_the_node_is_not_blamed() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let cache = builder(&servers).timeout(Duration::ZERO).eject(policy).build_async().unwrap();
    let blind = Builder::new_current_thread().enable_time().build().unwrap();
    let error = blind.block_on(cache.get::<i32>("key")).unwrap_err();
    assert!(error.to_string().contains("enable_io"), "{error}");
    assert!(is_live(&cache));
    assert_eq!(run(cache.get::<i32>("key")).unwrap(), None);
}
