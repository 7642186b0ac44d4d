//! Memcacheds that speak TLS.

use std::collections::HashMap;

use shardwright::MemcacheNodeConfig;
use shardwright::MemcacheProtocol;
use shardwright::MemcacheTlsOptions;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedAsyncMemcache;
use tokio::task::JoinSet;

use super::alone;
use super::connections;
use super::in_flight;
use super::run;
use crate::memcached::builder;
use crate::memcached::program::program;
use crate::memcached::tls::Secured;
use crate::support::certificates;
use crate::support::memcached::Memcached;

const PROTOCOLS: [MemcacheProtocol; 2] = [MemcacheProtocol::Auto, MemcacheProtocol::Ascii];

/// A client for each of the two protocols.
fn clients(secured: &Secured) -> [ShardedAsyncMemcache; 2] {
    PROTOCOLS.map(|protocol| secured.builder().protocol(protocol).build_async().unwrap())
}

/// Ours in the error of a request that fails.
async fn failure(cache: &ShardedAsyncMemcache) -> ShardError {
    let error = cache.get::<String>("key").await.unwrap_err();
    ShardError::of_memcache(&error).unwrap()
}

/// Of the whole life of the server.
async fn total_connections(cache: &ShardedAsyncMemcache) -> u64 {
    cache.stats().await.unwrap()[0].1["total_connections"].parse().unwrap()
}

/// Bytes that differ from those of another seed wherever one looks.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|place| (seed.wrapping_mul(31) + place * 7 + place / 251) as u8).collect()
}

#[test]
fn a_program_runs_alike_with_tls() {
    let (Some(secured), Some(plain)) = (Secured::start(1), Memcached::start_many(1)) else {
        return;
    };
    for (cache, protocol) in clients(&secured).into_iter().zip(PROTOCOLS) {
        let plain = builder(&plain).protocol(protocol).build().unwrap();
        plain.flush().unwrap();
        run(async {
            cache.flush().await.unwrap();
            assert_eq!(program!(&cache; .await), program!(&plain;));
        });
    }
}

#[test]
fn many_keys_and_large_values_over_tls() {
    let Some(secured) = Secured::start(3) else { return };
    for cache in clients(&secured) {
        run(async {
            let keys: Vec<_> = (0..300).map(|number| format!("{number}:key")).collect();
            let large = |number: usize| number.to_string().repeat(1 << (number % 12));
            let entries: Vec<_> = (0..300).map(|number| (&keys[number], large(number))).collect();
            assert!(cache.set_many(&entries, 0).await.iter().all(Result::is_ok));
            let found = cache.get_many::<String, _>(&keys).await.into_iter().map(Result::unwrap);
            assert!(found.eq(entries.iter().map(|(_, value)| Some(value.clone()))));
            let names: Vec<_> = keys.iter().map(String::as_str).collect();
            let found: HashMap<String, String> = cache.gets(&names).await.unwrap();
            assert_eq!(found.len(), 300);
            // Alone and together; more than fits into the buffers in both directions.
            let value = bytes(1, (1 << 20) - 200);
            cache.set("large", value.as_slice(), 0).await.unwrap();
            assert!(cache.get::<Vec<u8>>("large").await.unwrap().unwrap() == value);
            let entries: Vec<_> = keys[..24].iter().map(|key| (key, value.as_slice())).collect();
            assert!(cache.set_many(&entries, 0).await.iter().all(Result::is_ok));
            for found in cache.get_many::<Vec<u8>, _>(&keys[..24]).await {
                assert!(found.unwrap().unwrap() == value);
            }
            assert_eq!(connections(&cache), [1; 3]);
        });
    }
}

/// What one task asks is followed by what others ask at once, and TLS cuts it all at 16 KiB.
#[test]
fn values_of_every_size_at_the_edge_of_a_record_come_back() {
    const RECORD: usize = 16 << 10;
    let Some(secured) = Secured::start(1) else { return };
    let sizes: Vec<_> = [1, 2, 4]
        .iter()
        .flat_map(|records| records * RECORD - 120..records * RECORD + 20)
        .collect();
    for cache in clients(&secured) {
        // On one thread all tasks ask before anything is sent.
        for runtime in [alone(), super::runtime()] {
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for &size in &sizes {
                    let cache = cache.clone();
                    tasks.spawn(async move {
                        let value = bytes(size, size);
                        let (key, small) = (format!("large:{size}"), format!("small:{size}"));
                        cache.set(&key, value.as_slice(), 0).await.unwrap();
                        cache.set(&small, size as u64, 0).await.unwrap();
                        let both = [&key, &small];
                        let found = cache.get_many::<Vec<u8>, _>(&both).await;
                        assert!(found[0].as_ref().unwrap().as_ref() == Some(&value), "{size}");
                        assert_eq!(cache.get::<u64>(&small).await.unwrap(), Some(size as u64));
                        // Together in one write.
                        let entries = [(&key, &value[1..]), (&small, &value[..50])];
                        let stored = cache.set_many(&entries, 0).await;
                        assert!(stored.iter().all(Result::is_ok), "{stored:?}");
                        let found: Vec<u8> = cache.get(&key).await.unwrap().unwrap();
                        assert!(found == value[1..], "{size}");
                        assert!(cache.delete(&key).await.unwrap());
                    });
                }
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
                assert_eq!((connections(&cache), in_flight(&cache)), (vec![1], 0));
            });
        }
    }
}

#[test]
fn each_of_200_tasks_gets_its_own_values_over_tls() {
    let Some(secured) = Secured::start(2) else { return };
    for cache in clients(&secured) {
        run(async {
            let mut tasks = JoinSet::new();
            for task in 0..200_usize {
                let cache = cache.clone();
                tasks.spawn(async move {
                    for round in 0..20 {
                        let key = format!("{task}:{}", round % 5);
                        let value = bytes(task + round, 1 << ((task + round) % 17));
                        cache.set(&key, value.as_slice(), 0).await.unwrap();
                        let found: Option<Vec<u8>> = cache.get(&key).await.unwrap();
                        assert!(found.as_ref() == Some(&value));
                        let absent = format!("absent:{task}");
                        let found = cache.get_many::<Vec<u8>, _>(&[&absent, &key]).await;
                        assert!(found[0].as_ref().unwrap().is_none());
                        assert!(found[1].as_ref().unwrap().as_ref() == Some(&value));
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            assert_eq!((connections(&cache), in_flight(&cache)), (vec![1; 2], 0));
            assert_eq!(cache.metrics().iter().map(|node| node.failures).sum::<u64>(), 0);
        });
    }
}

#[test]
fn a_connection_that_rested_is_used_again() {
    // What TLS 1.3 sends on its own (tickets) is nothing to hang up for.
    for options in ["", ",ssl_min_version=3", ",ssl_session_cache"] {
        let Some(secured) = Secured::start_with(1, options) else { return };
        let [cache, _] = clients(&secured);
        run(async {
            let before = total_connections(&cache).await;
            for _ in 0..5 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                cache.set("key", "value", 0).await.unwrap();
            }
            assert_eq!(total_connections(&cache).await, before, "{options}");
        });
    }
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    let (Some(secured), Some(other)) = (Secured::start(1), Secured::start(1)) else { return };
    let port = secured.servers[0].port();
    run(async {
        let url = secured.urls("localhost", &format!("ca_path={}", other.path("ca.crt")));
        let error = failure(&ShardedAsyncMemcache::connect(url.as_str()).unwrap()).await;
        assert_eq!(error.kind(), ShardErrorKind::Node);
        assert_eq!(error.node(), Some(format!("localhost:{port}").as_str()));
        let text = error.to_string();
        assert!(text.contains("localhost") && text.contains("certificate"), "{text}");
        // The words of the synchronous client.
        let sync = shardwright::ShardedMemcache::connect(url.as_str()).unwrap();
        let other = ShardError::of_memcache(&sync.get::<String>("key").unwrap_err()).unwrap();
        assert_eq!(text, other.to_string());
        // An IP address is a name like others, and one of them is not on it.
        let options = format!("ca_path={}", secured.path("ca.crt"));
        let urls = |host| secured.urls(host, &options);
        let cache = ShardedAsyncMemcache::connect(urls("127.0.0.1").as_str()).unwrap();
        cache.set("key", "value", 0).await.unwrap();
        let cache = ShardedAsyncMemcache::connect(urls("127.0.0.2").as_str()).unwrap();
        let text = failure(&cache).await.to_string();
        assert!(text.contains("127.0.0.2"), "{text}");
    });
}

#[test]
fn a_certificate_is_for_a_name() {
    let Some(mut secured) = Secured::start(1) else { return };
    certificates::make(&secured.directory, "DNS:elsewhere");
    secured.servers[0].restart();
    let options = format!("ca_path={}", secured.path("ca.crt"));
    run(async {
        let urls = secured.urls("localhost", &options);
        let cache = ShardedAsyncMemcache::connect(urls.as_str()).unwrap();
        let text = failure(&cache).await.to_string();
        assert!(text.contains("certificate") && text.contains("elsewhere"), "{text}");
        // Nobody asks.
        let url = secured.urls("localhost", "verify_mode=none");
        let cache = ShardedAsyncMemcache::connect(url.as_str()).unwrap();
        cache.set("key", "value", 0).await.unwrap();
        let tls = MemcacheTlsOptions::new().danger_accept_any_certificate();
        let node = MemcacheNodeConfig::new(&secured.servers[0].url()).unwrap().tls(tls);
        let cache = ShardedAsyncMemcache::connect(node).unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
    });
}

#[test]
fn a_server_may_ask_for_our_certificate() {
    for more in ["ssl_min_version=2", "ssl_min_version=3", "ssl_session_cache"] {
        let options = format!(",ssl_verify_mode=2,ssl_ca_cert=@/ca.crt,{more}");
        let Some(secured) = Secured::start_with(1, &options) else { return };
        let path = |name| secured.path(name);
        let options = format!(
            "ca_path={}&cert_path={}&key_path={}&timeout=10",
            path("ca.crt"),
            path("client.crt"),
            path("client.key")
        );
        let urls = secured.urls("localhost", &options);
        let cache = ShardedAsyncMemcache::connect(urls.as_str()).unwrap();
        // Several connections, so that a session that is taken up again would show.
        for round in 0..4 {
            run(async {
                cache.set("key", round, 0).await.unwrap();
                assert_eq!(cache.get("key").await.unwrap(), Some(round));
            });
        }
        run(async {
            let [without, _] = clients(&secured);
            let error = failure(&without).await;
            assert_eq!(error.kind(), ShardErrorKind::Node, "{error}");
            assert!(error.to_string().contains(&secured.servers[0].port().to_string()), "{error}");
            // Who has none does not spoil it for others.
            cache.set("key", "value", 0).await.unwrap();
        });
    }
}

#[test]
fn nodes_that_are_secured_otherwise_get_new_connections() {
    let Some(secured) = Secured::start(1) else { return };
    let [cache, _] = clients(&secured);
    run(async {
        let before = total_connections(&cache).await;
        cache.set_topology(secured.builder()).unwrap();
        assert_eq!(total_connections(&cache).await, before);
        cache.set_nodes(secured.urls("localhost", "verify_mode=none").as_str()).unwrap();
        assert_eq!(total_connections(&cache).await, before + 1);
        // The synchronous client has connections of its own.
        cache.as_sync().set("key", "value", 0).unwrap();
        assert_eq!(total_connections(&cache).await, before + 2);
        assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
    });
}
