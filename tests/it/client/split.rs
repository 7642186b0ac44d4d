//! Commands whose keys are treated one by one: split by node, and put together again.

use redis::Commands;
use redis::Value;

use super::pool::Pool;
use super::pool::ask;
use super::pool::say;

#[test]
fn values_come_back_in_the_order_of_the_keys() {
    let Some(pool) = Pool::start(4) else { return };
    let mut con = pool.connection();
    let pairs: Vec<(String, usize)> =
        (0..200).map(|number| (format!("{number}:key"), number)).collect();
    assert_eq!(con.mset::<_, _, Value>(&pairs).unwrap(), Value::Okay);
    for server in 0..4 {
        assert!(pool.calls(server, "mset") == 1, "each node gets one part");
    }
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    let mut values: Vec<Option<usize>> = (0..200).map(Some).collect();
    keys.reverse();
    values.reverse();
    // The same key again, and keys that are not there.
    for place in [0, 7, 7, 100, 200] {
        keys.insert(place, "3:key");
        values.insert(place, Some(3));
        keys.insert(place, "absent");
        values.insert(place, None);
    }
    assert_eq!(con.mget::<_, Vec<Option<usize>>>(&keys).unwrap(), values);
    assert_eq!(con.mget::<_, Vec<Option<usize>>>("absent").unwrap(), [None]);
}

#[test]
fn a_key_of_another_type_is_nil_among_values() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let () = con.rpush(&keys[1], 1).unwrap();
    let () = con.set(&keys[2], 2).unwrap();
    assert_eq!(con.mget::<_, Vec<Option<i64>>>(&keys).unwrap(), [None, None, Some(2)]);
}

#[test]
fn the_last_value_of_a_key_that_is_set_twice_stays() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let pairs: Vec<_> = (0..30).map(|number| (format!("{}:key", number % 10), number)).collect();
    let () = con.mset(&pairs).unwrap();
    let keys: Vec<_> = (0..10).map(|number| format!("{number}:key")).collect();
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), (20..30).collect::<Vec<_>>());
}

#[test]
fn counts_of_all_nodes_are_added() {
    let Some(pool) = Pool::start(4) else { return };
    let mut con = pool.connection();
    let keys: Vec<_> = (0..40).map(|number| format!("{number}:key")).collect();
    for key in &keys {
        let () = con.set(key, 1).unwrap();
    }
    let all = keys.join(" ");
    for (line, count) in [
        (format!("EXISTS {all}"), 40),
        (format!("EXISTS {all} {all} absent"), 80),
        (format!("TOUCH {all} absent"), 40),
        ("UNLINK 0:key 1:key 0:key absent".into(), 2),
        ("DEL 2:key 3:key 3:key absent".into(), 2),
        (format!("DEL {all}"), 36),
        (format!("EXISTS {all}"), 0),
    ] {
        assert_eq!(ask(&mut con, &line).unwrap(), Value::Int(count), "{line}");
    }
    assert_eq!(say(&mut con, "DBSIZE"), "0");
}

#[test]
fn wrong_numbers_of_arguments_are_refused_in_the_words_of_the_server() {
    let Some(pool) = Pool::start(3) else { return };
    let (mut con, mut direct) = (pool.connection(), pool.direct(0));
    for line in [
        "MGET",
        "MSET",
        "MSET a",
        "MSET a 1 b",
        "MSET a 1 b 2 c",
        "DEL",
        "UNLINK",
        "EXISTS",
        "TOUCH",
    ] {
        assert_eq!(say(&mut con, line), say(&mut direct, line), "{line}");
        assert!(say(&mut con, line).contains("wrong number of arguments"), "{line}");
    }
    assert_eq!(say(&mut con, "DBSIZE"), "0");
}

#[test]
fn an_error_of_one_node_is_the_reply_and_the_others_stay_in_step() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let pairs: Vec<_> = keys.iter().map(|key| (key, 1)).collect();
    let limit = ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory-policy noeviction"];
    let mut direct = pool.direct(1);
    for line in limit {
        say(&mut direct, line);
    }
    let error = con.mset::<_, _, Value>(&pairs).unwrap_err();
    assert_eq!(error.code(), Some("OOM"));
    assert_eq!(con.mget::<_, Vec<Option<i64>>>(&keys).unwrap(), [Some(1), None, Some(1)]);
    say(&mut direct, "CONFIG SET maxmemory 0");
    assert_eq!(con.mset::<_, _, Value>(&pairs).unwrap(), Value::Okay);
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), [1, 1, 1]);
}

#[test]
fn a_request_for_one_node_is_forwarded_untouched() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let () = con.mset(&[("{tag}a", 1), ("{tag}b", 2)]).unwrap();
    assert_eq!(con.mget::<_, Vec<i64>>(&["{tag}b", "{tag}a"]).unwrap(), [2, 1]);
    let calls: Vec<_> = (0..3).map(|server| pool.calls(server, "mget")).collect();
    assert_eq!(calls.iter().sum::<u64>(), 1);
    assert_eq!(calls[pool.owner("{tag}")], 1);
}

#[test]
fn a_hash_tag_decides_and_an_empty_one_does_not() {
    let Some(pool) = Pool::start(4) else { return };
    for number in 0..50 {
        let tag = format!("{number}:tag");
        let owner = pool.owner(&tag);
        for key in [format!("{{{tag}}}"), format!("a{{{tag}}}b"), format!("{{{tag}}}{{other}}")] {
            assert_eq!(pool.owner(&key), owner, "{key}");
        }
    }
    let owners: std::collections::BTreeSet<_> =
        (0..50).map(|number| pool.owner(format!("{{}}{number}:key"))).collect();
    assert_eq!(owners.len(), 4);
}

#[test]
fn ten_thousand_keys_at_once() {
    let Some(pool) = Pool::start(4) else { return };
    let mut con = pool.connection();
    let pairs: Vec<(String, usize)> =
        (0..10_000).map(|number| (format!("{number}:key"), number)).collect();
    let () = con.mset(&pairs).unwrap();
    let keys: Vec<&String> = pairs.iter().map(|(key, _)| key).collect();
    let values: Vec<usize> = con.mget(&keys).unwrap();
    assert_eq!(values, (0..10_000).collect::<Vec<_>>());
    assert_eq!(con.exists::<_, usize>(&keys).unwrap(), 10_000);
    assert_eq!(con.del::<_, usize>(&keys).unwrap(), 10_000);
    assert_eq!(con.mget::<_, Vec<Option<usize>>>(&keys).unwrap(), [None; 10_000]);
}

#[test]
fn values_of_ten_megabytes() {
    let Some(pool) = Pool::start(3) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    let values: Vec<Vec<u8>> = (0..3u8)
        .map(|number| (0..10usize << 20).map(|place| place as u8 ^ number).collect())
        .collect();
    let pairs: Vec<_> = keys.iter().zip(&values).collect();
    let () = con.mset(&pairs).unwrap();
    let back: Vec<Vec<u8>> = con.mget(&keys).unwrap();
    assert!(back == values, "they are too long to print");
    for (key, value) in &pairs {
        assert!(con.get::<_, Vec<u8>>(key).unwrap() == **value);
        assert_eq!(con.strlen::<_, usize>(key).unwrap(), value.len());
    }
}

#[test]
fn keys_and_values_are_bytes() {
    let Some(pool) = Pool::start(4) else { return };
    let mut con = pool.connection();
    let mut keys: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    keys.extend([
        b"".to_vec(),
        b"\r\n$3\r\nGET".to_vec(),
        b"{\xff}\x00".to_vec(),
        vec![b'x'; 70_000],
    ]);
    let pairs: Vec<_> = keys.iter().map(|key| (key, key)).collect();
    let () = con.mset(&pairs).unwrap();
    assert!(con.mget::<_, Vec<Vec<u8>>>(&keys).unwrap() == keys);
    for key in &keys {
        assert!(con.get::<_, Vec<u8>>(key).unwrap() == *key);
        // Each is where the client says it is.
        assert!(pool.direct(pool.owner(key)).exists::<_, bool>(key).unwrap());
    }
    assert_eq!(con.unlink::<_, usize>(&keys).unwrap(), keys.len());
}
