//! Many tasks at once, on one connection a node.

use shardwright::EjectPolicy;
use shardwright::MemcacheProtocol;
use tokio::task::JoinSet;

use super::connections;
use super::in_flight;
use super::run;
use crate::memcached::builder;
use crate::support::memcached::Memcached;

#[test]
fn each_of_200_tasks_gets_its_own_values_over_one_connection_a_node() {
    let Some(servers) = Memcached::start_many(4) else { return };
    for protocol in [MemcacheProtocol::Auto, MemcacheProtocol::Ascii] {
        let cache = builder(&servers).protocol(protocol).build_async().unwrap();
        assert_eq!(connections(&cache), [0; 4]);
        run(async {
            let mut tasks = JoinSet::new();
            for task in 0..200 {
                let cache = cache.clone();
                tasks.spawn(async move {
                    for round in 0..50 {
                        let key = format!("{task}:{}", round % 10);
                        let value = format!("value {round} of task {task}");
                        cache.set(&key, value.as_str(), 0).await.unwrap();
                        let found: Option<String> = cache.get(&key).await.unwrap();
                        assert_eq!(found.as_ref(), Some(&value));
                        let absent = format!("absent:{task}");
                        let found = cache.get_many::<String, _>(&[&absent, &key]).await;
                        assert_eq!(found[0].as_ref().unwrap(), &None);
                        assert_eq!(found[1].as_ref().unwrap(), &Some(value));
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            assert_eq!(connections(&cache), [1; 4]);
            assert_eq!(in_flight(&cache), 0);
            let metrics = cache.metrics();
            assert_eq!(metrics.iter().map(|node| node.failures).sum::<u64>(), 0);
            assert!(metrics.iter().all(|node| node.bytes_sent > 0 && node.bytes_received > 0));
            // As the servers see it: ours, and none that rests.
            for (_, stats) in cache.stats().await.unwrap() {
                assert_eq!(stats["curr_connections"], "1", "ours alone");
            }
        });
    }
}

#[test]
fn increments_and_cas_of_8_tasks_lose_nothing() {
    const TASKS: u64 = 8;
    const TIMES: u64 = 200;
    let Some(servers) = Memcached::start_many(2) else { return };
    for protocol in [MemcacheProtocol::Auto, MemcacheProtocol::Ascii] {
        let cache = builder(&servers).protocol(protocol).build_async().unwrap();
        run(async {
            cache.set("counted", 0_u64, 0).await.unwrap();
            cache.set("swapped", 0_u64, 0).await.unwrap();
            let mut tasks = JoinSet::new();
            for _ in 0..TASKS {
                let cache = cache.clone();
                tasks.spawn(async move {
                    let mut refused = 0;
                    for _ in 0..TIMES {
                        cache.increment("counted", 1).await.unwrap();
                        loop {
                            let found: Option<(u64, u32, Option<u64>)> =
                                cache.get("swapped").await.unwrap();
                            let (number, _, cas) = found.unwrap();
                            if cache.cas("swapped", number + 1, 0, cas.unwrap()).await.unwrap() {
                                break;
                            }
                            refused += 1;
                        }
                    }
                    refused
                });
            }
            let refused: u64 = tasks.join_all().await.into_iter().sum();
            assert!(refused > 0, "no two tasks met");
            assert_eq!(cache.get("counted").await.unwrap(), Some(TASKS * TIMES));
            assert_eq!(cache.get("swapped").await.unwrap(), Some(TASKS * TIMES));
        });
    }
}

#[test]
fn both_clients_have_the_same_nodes_and_the_same_health() {
    let Some(mut servers) = Memcached::start_many(2) else { return };
    let policy = EjectPolicy::rebuild().failure_limit(1);
    let sync = builder(&servers[..1]).eject(policy).build().unwrap();
    let cache = sync.aio();
    run(async {
        sync.set("key", "value", 0).unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
        assert_eq!(connections(&cache), [2]);
        cache.set_topology(builder(&servers)).unwrap();
        assert_eq!((sync.nodes().len(), cache.as_sync().nodes().len()), (2, 2));
        let keys: Vec<_> = (0..50).map(|number| number.to_string()).collect();
        assert!(cache.get_many::<String, _>(&keys).await.iter().all(Result::is_ok));
        assert_eq!(cache.nodes(), sync.nodes());
        servers[0].kill();
        let dead = servers[0].address();
        sync.set_topology(builder(&servers).eject(EjectPolicy::rebuild().failure_limit(1)))
            .unwrap();
        let key = super::key_of(&cache, &dead);
        assert!(cache.get::<String>(&key).await.is_err());
        // What the one has learnt the other knows.
        assert_ne!(sync.node_for_key(&key).unwrap().name(), dead);
        assert!(sync.get::<String>(&key).unwrap().is_none());
    });
}
