//! Futures that are dropped before they are ready: nothing of them is left behind, and a reply that nobody
//! waits for any more answers no other request.

use std::time::Duration;

use shardwright::EjectPolicy;
use shardwright::MemcacheProtocol;
use shardwright::NodeState;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connections;
use super::eventually;
use super::in_flight;
use super::key_of;
use super::run;
use super::stop;
use crate::memcached::builder;
use crate::support::memcached::Memcached;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_future_that_is_never_polled_asks_nothing() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let cache = builder(&servers).build_async().unwrap();
    run(async {
        drop(cache.set("key", "value", 0));
        drop(cache.get_many::<String, _>(&["key"]));
        drop(cache.set_many(&[("key", "value")], 0));
        tokio::time::sleep(SHORT).await;
        assert_eq!((connections(&cache), in_flight(&cache)), (vec![0], 0));
        assert_eq!(cache.get::<String>("key").await.unwrap(), None);
    });
}

#[test]
fn requests_dropped_at_any_moment_leave_nothing_behind() {
    let Some(servers) = Memcached::start_many(3) else { return };
    for protocol in [MemcacheProtocol::Auto, MemcacheProtocol::Ascii] {
        let cache = builder(&servers).protocol(protocol).build_async().unwrap();
        run(async {
            cache.flush().await.unwrap();
            let before = Handle::current().metrics().num_alive_tasks();
            let mut tasks = JoinSet::new();
            for task in 0..50_u64 {
                let cache = cache.clone();
                tasks.spawn(async move {
                    let mut dropped = 0;
                    for round in 0..200_u64 {
                        let key = format!("{task}:{}", round % 7);
                        let other = format!("{task}:other");
                        // Only this task writes them, and only this.
                        let value = format!("{key} has this value");
                        // A future that is polled once has asked, as a rule, and not been answered.
                        let patience = Duration::from_micros((task * 7 + round * 13) % 300);
                        let writing = cache.set(&key, value.as_str(), 0);
                        dropped += u32::from(timeout(patience, writing).await.is_err());
                        let reading = cache.get::<String>(&key);
                        match timeout(patience / 2, reading).await {
                            Ok(found) => {
                                assert!(found.unwrap().is_none_or(|found| found == value));
                            }
                            Err(_) => dropped += 1,
                        }
                        let keys = [&other, &key];
                        let many = cache.get_many::<String, _>(&keys);
                        match timeout(patience, many).await {
                            Ok(found) => {
                                let [other, found] = &found[..] else { panic!("two were asked") };
                                assert_eq!(other.as_ref().unwrap(), &None);
                                let found = found.as_ref().unwrap();
                                assert!(found.as_ref().is_none_or(|found| *found == value));
                            }
                            Err(_) => dropped += 1,
                        }
                        // What was dropped has been carried out or not; this comes after it.
                        cache.set(&key, value.as_str(), 0).await.unwrap();
                        assert_eq!(cache.get(&key).await.unwrap(), Some(value));
                    }
                    dropped
                });
            }
            let dropped: u32 = tasks.join_all().await.into_iter().sum();
            println!("{dropped} of 30000 were dropped");
            assert!(dropped > 100, "{dropped}");
            assert_eq!(in_flight(&cache), 0);
            assert_eq!(connections(&cache), [1; 3]);
            assert_eq!(cache.metrics().iter().map(|node| node.failures).sum::<u64>(), 0);
            eventually("only the drivers are left", || {
                Handle::current().metrics().num_alive_tasks() == before
            })
            .await;
            drop(cache);
            eventually("no driver is left", || Handle::current().metrics().num_alive_tasks() == 0)
                .await;
        });
    }
}

#[test]
fn dropped_requests_of_a_node_that_hangs_do_not_count_and_are_not_waited_for() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let cache = builder(&servers).eject(policy).build_async().unwrap();
    run(async {
        let key = key_of(&cache, &servers[0].address());
        cache.set(&key, 1, 0).await.unwrap();
        stop(&servers[0], &cache, &key).await;
        for _ in 0..20 {
            assert!(timeout(SHORT / 4, cache.get::<i32>(&key)).await.is_err());
            assert!(timeout(SHORT / 4, cache.set(&key, 2, 0)).await.is_err());
        }
        assert_eq!(in_flight(&cache), 0);
        assert!(cache.node_states().iter().all(|(_, state)| *state == NodeState::Live));
        assert_eq!(cache.metrics()[0].failures, 0);
        servers[0].process().resume();
        // The replies that nobody waits for come first, on the same connection.
        assert_eq!(cache.get(&key).await.unwrap(), Some(2));
        assert_eq!(connections(&cache), [1]);
    });
}
