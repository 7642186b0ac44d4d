//! Many keys at once, on several nodes.

use std::collections::HashMap;

use memcache::ClientError;
use memcache::MemcacheError;
use shardwright::FailedReads;
use shardwright::ShardError;
use shardwright::ShardErrorKind;

use super::builder;
use super::clients;
use crate::support::memcached::Memcached;

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}:key")).collect()
}

#[test]
fn many_keys_are_on_all_nodes_and_come_back_in_order() {
    let Some(servers) = Memcached::start_many(4) else { return };
    for cache in clients(&servers) {
        cache.flush().unwrap();
        let keys = keys(500);
        let entries: Vec<_> = keys.iter().map(|key| (key, format!("value of {key}"))).collect();
        assert!(cache.set_many(&entries, 0).iter().all(Result::is_ok));

        let found: Vec<Option<String>> =
            cache.get_many(&keys).into_iter().map(Result::unwrap).collect();
        let expected: Vec<_> = entries.iter().map(|(_, value)| Some(value.clone())).collect();
        assert_eq!(found, expected);
        let names: Vec<_> = keys.iter().map(String::as_str).collect();
        let found: HashMap<String, String> = cache.gets(&names).unwrap();
        assert_eq!(found.len(), 500);
        assert!(found.iter().all(|(key, value)| *value == format!("value of {key}")));
        for (_, stats) in cache.stats().unwrap() {
            let items: usize = stats["curr_items"].parse().unwrap();
            assert!(items > 50, "{items}");
        }

        let deleted: Vec<_> =
            cache.delete_many(&keys[100..]).into_iter().map(Result::unwrap).collect();
        assert_eq!(deleted, [true; 400]);
        let left = cache.get_many::<String, _>(&keys).into_iter().map(Result::unwrap);
        let left: Vec<_> = left.map(|value| value.is_some()).collect();
        assert_eq!(left, [[true; 100].as_slice(), &[false; 400]].concat());
        assert!(!cache.delete_many(&keys[499..])[0].as_ref().unwrap());
    }
}

#[test]
fn a_key_may_come_twice_and_a_bad_one_costs_itself_only() {
    let Some(servers) = Memcached::start_many(2) else { return };
    for cache in clients(&servers) {
        cache.set_many(&[("a", "1"), ("b", "2"), ("a", "3")], 0);
        let long = "k".repeat(251);
        let keys = ["a", "b c", "b", "a", "", "absent", &long];
        let found = cache.get_many::<u32, _>(&keys);
        let found: Vec<_> =
            found.into_iter().map(|value| value.map_err(|it| it.to_string())).collect();
        let [first, bad, b, again, empty, absent, long] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (first, b, again, absent),
            (&Ok(Some(3)), &Ok(Some(2)), &Ok(Some(3)), &Ok(None))
        );
        assert_eq!(
            bad.as_ref().unwrap_err(),
            "byte 1 of the key is a space or a control character"
        );
        assert_eq!(empty.as_ref().unwrap_err(), "the key is empty");
        assert_eq!(long.as_ref().unwrap_err(), "The provided key was too long.");

        let error = cache.gets::<String>(&keys).unwrap_err();
        assert!(matches!(error, MemcacheError::ClientError(ClientError::Error(_))), "{error:?}");
        assert!(cache.get_many::<String, &str>(&[]).is_empty());
        assert!(cache.gets::<String>(&[]).unwrap().is_empty());
    }
}

#[test]
fn a_dead_node_costs_its_own_keys_only() {
    let Some(mut servers) = Memcached::start_many(3) else { return };
    let keys = keys(90);
    let entries: Vec<_> = keys.iter().map(|key| (key, key.clone())).collect();
    let errors = builder(&servers).build().unwrap();
    let misses = builder(&servers).failed_reads(FailedReads::Miss).build().unwrap();
    errors.set_many(&entries, 0);
    servers[1].kill();
    let dead = servers[1].address();
    let is_lost = |key: &String| errors.node_for_key(key).unwrap().name() == dead;
    assert!(keys.iter().any(is_lost) && !keys.iter().all(is_lost));

    let failed = |error: MemcacheError| {
        let error = ShardError::of_memcache(&error).expect("a node failed");
        assert_eq!(error.kind(), ShardErrorKind::Node);
        assert_eq!(error.node(), Some(dead.as_str()));
        assert!(!error.keys().is_empty());
    };
    for (key, value) in keys.iter().zip(errors.get_many::<String, _>(&keys)) {
        match value {
            Ok(value) => assert_eq!((value.as_ref(), is_lost(key)), (Some(key), false)),
            Err(error) => {
                assert!(is_lost(key));
                failed(error);
            }
        }
    }
    for (key, stored) in keys.iter().zip(errors.set_many(&entries, 0)) {
        assert_eq!(stored.is_err(), is_lost(key));
    }
    let names: Vec<_> = keys.iter().map(String::as_str).collect();
    failed(errors.gets::<String>(&names).unwrap_err());
    assert!(errors.version().is_err());

    for (key, value) in keys.iter().zip(misses.get_many::<String, _>(&keys)) {
        assert_eq!(value.unwrap(), (!is_lost(key)).then(|| key.clone()));
        assert_eq!(misses.get::<String>(key).unwrap(), (!is_lost(key)).then(|| key.clone()));
    }
    let healthy = keys.iter().filter(|key| !is_lost(key)).count();
    assert_eq!(misses.gets::<String>(&names).unwrap().len(), healthy);
    assert_eq!(misses.version().unwrap().len(), 2);
    assert!(misses.set(keys.iter().find(|key| is_lost(key)).unwrap(), "x", 0).is_err());

    let error = ShardError::of_memcache(&misses.flush().unwrap_err()).unwrap();
    let mut done: Vec<_> = error.completed_nodes().collect();
    done.sort_unstable();
    let mut healthy = [servers[0].address(), servers[2].address()];
    healthy.sort_unstable();
    assert_eq!(done, healthy);
}
