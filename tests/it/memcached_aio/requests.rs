//! Requests to healthy servers: as through `memcache::Client`, and as through the synchronous client.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::Write;
use std::rc::Rc;

use memcache::MemcacheError;
use memcache::ToMemcacheValue;
use shardwright::MemcacheProtocol;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedAsyncMemcache;

use super::run;
use crate::memcached::builder;
use crate::memcached::program::program;
use crate::support::memcached::Memcached;

#[test]
fn a_program_of_memcache_client_runs_alike() {
    let Some(servers) = Memcached::start_many(2) else { return };
    let theirs = memcache::Client::connect(servers[0].url()).unwrap();
    let theirs = program!(&theirs;);
    let ours = builder(&servers[1..]).build_async().unwrap();
    assert_eq!(run(async { program!(&ours; .await) }), theirs);
}

#[test]
fn both_protocols_do_what_the_synchronous_client_does() {
    let Some(servers) = Memcached::start_many(2) else { return };
    for protocol in [MemcacheProtocol::Meta, MemcacheProtocol::Ascii] {
        let sync = builder(&servers[..1]).protocol(protocol).build().unwrap();
        let cache = builder(&servers[1..]).protocol(protocol).build_async().unwrap();
        assert_eq!(run(async { program!(&cache; .await) }), program!(&sync;));
    }
}

#[test]
fn many_keys_are_on_all_nodes_and_come_back_in_order() {
    let Some(servers) = Memcached::start_many(4) else { return };
    for protocol in [MemcacheProtocol::Auto, MemcacheProtocol::Ascii] {
        let cache = builder(&servers).protocol(protocol).build_async().unwrap();
        run(async {
            cache.flush().await.unwrap();
            let keys: Vec<_> = (0..500).map(|number| format!("{number}:key")).collect();
            let entries: Vec<_> = keys.iter().map(|key| (key, format!("value of {key}"))).collect();
            assert!(cache.set_many(&entries, 0).await.iter().all(Result::is_ok));
            let found = cache.get_many::<String, _>(&keys).await;
            for ((_, value), found) in entries.iter().zip(found) {
                assert_eq!(found.unwrap().as_ref(), Some(value));
            }
            let names: Vec<_> = keys.iter().map(String::as_str).collect();
            let found: HashMap<String, String> = cache.gets(&names).await.unwrap();
            assert_eq!(found.len(), 500);
            assert!(found.iter().all(|(key, value)| *value == format!("value of {key}")));
            for (_, stats) in cache.stats().await.unwrap() {
                let items: usize = stats["curr_items"].parse().unwrap();
                assert!(items > 50, "{items}");
            }
            let deleted = cache.delete_many(&keys[100..]).await;
            assert!(deleted.into_iter().all(|deleted| deleted.unwrap()));
            let found = cache.get_many::<String, _>(&["5:key", "a b", "5:key", "499:key"]).await;
            assert_eq!(found[0].as_ref().unwrap().as_deref(), Some("value of 5:key"));
            assert!(matches!(found[1], Err(MemcacheError::ClientError(_))));
            assert_eq!(found[2].as_ref().unwrap().as_deref(), Some("value of 5:key"));
            assert_eq!(found[3].as_ref().unwrap().as_deref(), None);
            assert!(cache.get_many::<String, &str>(&[]).await.is_empty());
        });
    }
}

#[test]
fn large_values_come_back_whole_among_small_ones() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let cache = builder(&servers).build_async().unwrap();
    run(async {
        let large: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        cache.set("large", large.as_slice(), 0).await.unwrap();
        cache.set("small", "small", 0).await.unwrap();
        for _ in 0..20 {
            let (one, other) = tokio::join!(cache.get("large"), cache.get("small"));
            assert_eq!(one.unwrap().as_ref(), Some(&large));
            assert_eq!(other.unwrap(), Some("small".to_owned()));
        }
        // The server's own words, and the connection goes on.
        let error = cache.set("large", vec![0_u8; 2 << 20].as_slice(), 0).await.unwrap_err();
        assert_eq!(error.to_string(), "SERVER_ERROR object too large for cache");
        assert_eq!(cache.get("small").await.unwrap(), Some("small".to_owned()));
        assert_eq!(super::connections(&cache), [1]);
    });
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let cache = ShardedAsyncMemcache::connect("memcache://127.0.0.1:1").unwrap();
    let error = futures_util::FutureExt::now_or_never(cache.get::<String>("key"));
    let error = ShardError::of_memcache(&error.unwrap().unwrap_err()).unwrap();
    assert_eq!(error.kind(), ShardErrorKind::Node);
    assert!(error.to_string().contains("tokio"), "{error}");
}

/// A value that no other thread may have.
struct Local(Rc<str>);

impl<W: Write> ToMemcacheValue<W> for Local {
    fn get_flags(&self) -> u32 {
        0
    }

    fn get_length(&self) -> usize {
        self.0.len()
    }

    fn write_to(&self, stream: &mut W) -> std::io::Result<()> {
        stream.write_all(self.0.as_bytes())
    }
}

#[test]
fn the_client_and_its_futures_can_be_moved_between_threads() {
    fn shared<T: Clone + Send + Sync + Debug + 'static>() {}
    fn sent<T: Send>(_: T) {}
    shared::<ShardedAsyncMemcache>();
    let cache = ShardedAsyncMemcache::connect("memcache://127.0.0.1:1").unwrap();
    let local = || Local("text".into());
    let entries = [("key", local())];
    sent(cache.get::<Vec<u8>>("key"));
    sent(cache.set("key", local(), 0));
    sent(cache.add("key", local(), 0));
    sent(cache.replace("key", local(), 0));
    sent(cache.append("key", local()));
    sent(cache.prepend("key", local()));
    sent(cache.cas("key", local(), 0, 1));
    sent(cache.delete("key"));
    sent(cache.touch("key", 0));
    sent((cache.increment("key", 1), cache.decrement("key", 1)));
    sent(cache.gets::<Vec<u8>>(&["key"]));
    sent(cache.get_many::<Vec<u8>, _>(&["key"]));
    sent(cache.set_many(&entries, 0));
    sent(cache.delete_many(&["key"]));
    sent((cache.version(), cache.stats(), cache.flush(), cache.flush_with_delay(1)));
}
