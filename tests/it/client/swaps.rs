//! Another topology under a live client.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use redis::Commands;
use redis::RedisResult;
use shardwright::EjectPolicy;
use shardwright::HashKind;
use shardwright::NodeConfig;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedClientBuilder;

use super::pool::Pool;
use super::pool::ask;
use super::pool::command;
use super::pool::kind;
use super::pool::rest;
use super::pool::say;
use crate::support::eventually;

/// The nodes with these numbers.
fn nodes(pool: &Pool, numbers: &[usize]) -> Vec<NodeConfig> {
    let node = |&number| super::pool::node(number, &pool.servers[number], "");
    numbers.iter().map(node).collect()
}

/// A pool of which only the nodes with these numbers are in use.
fn pool_of(servers: usize, numbers: &[usize]) -> Option<Pool> {
    let pool = Pool::start(servers)?;
    pool.client.set_nodes(nodes(&pool, numbers)).unwrap();
    Some(pool)
}

/// The numbers of the connections that a server has, without the one that asks.
fn ids(pool: &Pool, server: usize) -> BTreeSet<i64> {
    let mut direct = pool.direct(server);
    let me: i64 = command("CLIENT ID").query(&mut direct).unwrap();
    let text: String = command("CLIENT LIST").query(&mut direct).unwrap();
    let id = |line: &str| line.split_once(' ').unwrap().0[3..].parse().unwrap();
    text.lines().map(id).filter(|id| *id != me).collect()
}

fn names(pool: &Pool) -> Vec<String> {
    pool.client.nodes().iter().map(|node| node.name().to_owned()).collect()
}

/// Some keys, and who owns each.
fn owners(pool: &Pool) -> BTreeMap<String, String> {
    let key = |number: usize| format!("{number}:key");
    let owner = |key: &String| pool.client.node_for_key(key).unwrap().name().to_owned();
    (0..20_000).map(key).map(|key| (key.clone(), owner(&key))).collect()
}

#[test]
fn nodes_that_stay_keep_their_connections_and_counters() {
    let Some(pool) = pool_of(4, &[0, 1, 2]) else { return };
    let (mut con, mut other) = (pool.connection(), pool.connection());
    let keys: Vec<_> = (0..90).map(|number| format!("{number}:key")).collect();
    for con in [&mut con, &mut other] {
        let _: Vec<Option<i64>> = con.mget(&keys).unwrap();
    }
    let before: Vec<_> = (0..3).map(|server| ids(&pool, server)).collect();
    assert!(before.iter().all(|ids| ids.len() == 2), "{before:?}");
    let requests = pool.client.metrics()[1].requests;
    // One goes, one comes, and the order is another.
    pool.client.set_nodes(nodes(&pool, &[3, 2, 1])).unwrap();
    for con in [&mut con, &mut other] {
        let _: Vec<Option<i64>> = con.mget(&keys).unwrap();
    }
    assert_eq!((ids(&pool, 1), ids(&pool, 2)), (before[1].clone(), before[2].clone()));
    eventually("those to the node that went are closed", || ids(&pool, 0).is_empty());
    assert_eq!(ids(&pool, 3).len(), 2);
    let metrics = pool.client.metrics();
    let of = |name| metrics.iter().find(|node| node.node.name() == name).unwrap();
    assert_eq!(of("n1").requests, requests + 2);
    assert_eq!(of("n3").requests, 2);
}

#[test]
fn a_node_with_another_address_is_another_node_under_its_name() {
    let Some(pool) = pool_of(3, &[0, 1]) else { return };
    let mut con = pool.connection();
    let keys = ["n0", "n1"].map(|name| {
        let mut keys = (0..).map(|number| format!("{number}:key"));
        keys.find(|key| pool.client.node_for_key(key).unwrap().name() == name).unwrap()
    });
    let () = con.mset(&keys.each_ref().map(|key| (key, 1))).unwrap();
    let moved = NodeConfig::new(pool.servers[2].url()).unwrap().name("n1");
    let movement = pool.client.set_nodes(vec![nodes(&pool, &[0]).remove(0), moved]).unwrap();
    // Keys stay where they were on the ring, and are looked for at the new address.
    assert_eq!(movement.share(), 0.0);
    assert_eq!(con.mget::<_, Vec<Option<i64>>>(&keys).unwrap(), [Some(1), None]);
    assert_eq!(pool.calls(2, "mget"), 1);
}

#[test]
fn the_movement_is_what_is_counted() {
    let Some(pool) = pool_of(5, &[0, 1, 2]) else { return };
    for numbers in [&[0, 1, 2, 3][..], &[0, 1, 3], &[4], &[0, 1, 2, 3, 4]] {
        let before = owners(&pool);
        let movement = pool.client.set_nodes(nodes(&pool, numbers)).unwrap();
        let after = owners(&pool);
        let mut moved: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (key, from) in before.iter().filter(|(key, from)| after[*key] != **from) {
            *moved.entry((from, &after[key])).or_default() += 1.0 / before.len() as f64;
        }
        let said: BTreeMap<(&str, &str), f64> =
            movement.moves().iter().map(|step| ((&*step.from, &*step.to), step.share)).collect();
        assert_eq!(said.keys().collect::<Vec<_>>(), moved.keys().collect::<Vec<_>>());
        for (step, share) in &said {
            // Hashes of 20000 keys are not spread evenly; the shares are of hashes.
            assert!((share - moved[step]).abs() < 0.03, "{step:?}: {share} and {}", moved[step]);
        }
        let all: f64 = moved.values().sum();
        assert!((movement.share() - all).abs() < 0.05, "{} and {all}", movement.share());
    }
}

#[test]
fn what_is_invalid_changes_nothing() {
    let events = std::sync::Arc::new(AtomicBool::new(false));
    let told = std::sync::Arc::clone(&events);
    let listen =
        |builder: ShardedClientBuilder| builder.listener(move |_| told.store(true, Relaxed));
    let Some(pool) = Pool::start_with(3, listen) else { return };
    let mut con = pool.connection();
    let (before, named) = (owners(&pool), names(&pool));
    let _: Vec<Option<i64>> = con.mget(pool.keys()).unwrap();
    let open: Vec<_> = (0..3).map(|server| ids(&pool, server)).collect();
    let builder = pool.client.to_builder();
    let twice = nodes(&pool, &[0, 1]).into_iter().fold(builder.clone(), ShardedClientBuilder::node);
    for wrong in [builder.clone().clear_nodes(), twice] {
        assert_eq!(kind(pool.client.set_topology(wrong)), ShardErrorKind::Configuration);
    }
    assert!(pool.client.set_nodes("no url").is_err());
    assert!(pool.client.set_nodes("").is_err());
    assert_eq!((owners(&pool), names(&pool)), (before, named));
    assert_eq!(pool.client.to_builder().configured_nodes().len(), 3);
    let _: Vec<Option<i64>> = con.mget(pool.keys()).unwrap();
    assert_eq!((0..3).map(|server| ids(&pool, server)).collect::<Vec<_>>(), open);
    assert!(!events.load(Relaxed));
}

#[test]
fn rules_change_too_and_settings_stay() {
    let Some(pool) = Pool::start_with(3, |builder| builder.timeout(Duration::from_secs(30))) else {
        return;
    };
    let mut con = pool.connection();
    let builder = pool.client.to_builder().hash(HashKind::Murmur).hash_tag("<>".parse().unwrap());
    let expected = builder.clone().build().unwrap();
    let movement = pool.client.set_topology(builder).unwrap();
    assert!(movement.share() > 0.3, "{movement}");
    for number in 0..200 {
        for key in [format!("{number}:key"), format!("a<{number}>")] {
            assert_eq!(pool.client.node_for_key(&key), expected.node_for_key(&key));
        }
    }
    let (one, other) = ("x<7>", "y<7>");
    assert_eq!(say(&mut con, &format!("MSETNX {one} 1 {other} 2")), "1");
}

#[test]
fn a_request_under_way_ends_where_it_began() {
    let Some(pool) = pool_of(3, &[0, 1]) else { return };
    let lists: Vec<String> = ["n0", "n1"]
        .map(|name| {
            let mut keys = (0..).map(|number| format!("{number}:list"));
            keys.find(|key| pool.client.node_for_key(key).unwrap().name() == name).unwrap()
        })
        .to_vec();
    thread::scope(|scope| {
        let waiting: Vec<_> = lists
            .iter()
            .map(|list| {
                let mut con = pool.connection();
                scope.spawn(move || {
                    let popped: RedisResult<(String, String)> = con.blpop(list, 60.0);
                    // The next request is already one of the new topology.
                    let next = con.set::<_, _, ()>("after", 1);
                    (popped, next)
                })
            })
            .collect();
        let blocked = |server| say(&mut pool.direct(server), "INFO clients");
        for server in [0, 1] {
            eventually("they wait", || blocked(server).contains("blocked_clients:1"));
        }
        pool.client.set_nodes(nodes(&pool, &[2])).unwrap();
        for (server, list) in lists.iter().enumerate() {
            let () = pool.direct(server).rpush(list, "value").unwrap();
        }
        for (list, waiting) in lists.iter().zip(waiting) {
            let (popped, next) = waiting.join().unwrap();
            assert_eq!(popped, Ok((list.clone(), "value".into())));
            assert_eq!(next, Ok(()));
        }
    });
    assert_eq!(pool.direct(2).get::<_, i64>("after").unwrap(), 1);
    eventually("the nodes that went have no connection", || {
        ids(&pool, 0).is_empty() && ids(&pool, 1).is_empty()
    });
}

#[test]
fn no_request_fails_while_nodes_come_and_go() {
    let Some(pool) = Pool::start(3) else { return };
    let done = AtomicBool::new(false);
    let finished: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                let (pool, done) = (&pool, &done);
                scope.spawn(move || {
                    let mut con = pool.connection();
                    let keys: Vec<_> = (0..12).map(|key| format!("{worker}:{key}")).collect();
                    let mut requests = 0;
                    while !done.load(Relaxed) {
                        let pairs: Vec<_> = keys.iter().map(|key| (key, requests)).collect();
                        let mut pipe = redis::pipe();
                        pipe.mset(&pairs).ignore().mget(&keys);
                        let (values,): (Vec<usize>,) = pipe.query(&mut con).unwrap();
                        // Planned at once, so that both halves see the same topology.
                        assert_eq!(values, vec![requests; 12]);
                        let () = con.set(&keys[0], worker).unwrap();
                        requests += 1;
                    }
                    requests
                })
            })
            .collect();
        for numbers in [&[0, 1][..], &[2], &[1, 2], &[0, 1, 2]].iter().cycle().take(60) {
            pool.client.set_nodes(nodes(&pool, numbers)).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        done.store(true, Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(finished > 60, "{finished}");
    assert_eq!(names(&pool), ["n0", "n1", "n2"]);
}

#[test]
fn replies_that_were_sent_for_come_from_where_they_were_sent() {
    let Some(pool) = pool_of(3, &[0, 1, 2]) else { return };
    let mut con = pool.connection();
    let keys = pool.keys();
    for key in &keys {
        let () = con.set(key, key).unwrap();
        con.send_packed_command(&command(&format!("GET {key}")).get_packed_command()).unwrap();
    }
    // The second goes, and the others change their numbers.
    pool.client.set_nodes(nodes(&pool, &[2, 0])).unwrap();
    let value = |key: &String| redis::Value::BulkString(key.clone().into_bytes());
    for key in &keys {
        assert_eq!(con.recv_response(), Ok(value(key)));
    }
    assert!(con.recv_response().is_err());
}

#[test]
fn an_open_multi_ends_with_its_node_and_goes_on_without_it() {
    let Some(pool) = pool_of(3, &[0, 1, 2]) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(1, 0);
    let set = format!("SET {key} 1");
    // A node that stays keeps its transaction, whatever number it has.
    for line in [&format!("WATCH {key}"), "MULTI", &set] {
        say(&mut con, line);
    }
    pool.client.set_nodes(nodes(&pool, &[2, 1, 0])).unwrap();
    assert_eq!(say(&mut con, "EXEC"), "[OK]");
    for line in ["MULTI", &set] {
        say(&mut con, line);
    }
    pool.client.set_nodes(nodes(&pool, &[0, 2])).unwrap();
    assert_eq!(kind(ask(&mut con, "EXEC")), ShardErrorKind::TransactionLost);
    assert_eq!(say(&mut con, &set), "OK", "on its new node");
    assert_eq!(pool.direct(1).get::<_, i64>(&key).unwrap(), 1, "executed once");
}

#[test]
fn what_is_set_on_a_connection_is_set_on_nodes_that_come() {
    let Some(pool) = pool_of(2, &[0]) else { return };
    let mut con = pool.connection();
    say(&mut con, "SELECT 6");
    say(&mut con, "CLIENT SETNAME me");
    pool.client.set_nodes(nodes(&pool, &[0, 1])).unwrap();
    let () = con.set(pool.key_on(1, 0), 1).unwrap();
    let list: String = command("CLIENT LIST").query(&mut pool.direct(1)).unwrap();
    assert!(
        list.lines().any(|line| line.contains(" name=me ") && line.contains(" db=6 ")),
        "{list}"
    );
}

#[test]
fn a_node_that_stays_stays_ejected_and_one_that_comes_is_live() {
    let policy = EjectPolicy::successor().failure_limit(1).retry_timeout(Duration::from_secs(600));
    let Some(mut pool) = Pool::start_with(4, |builder| builder.eject(policy)) else { return };
    pool.client.set_nodes(nodes(&pool, &[0, 1, 2])).unwrap();
    let mut con = pool.connection();
    let _: Vec<Option<i64>> = con.mget(&["a", "b", "c"]).unwrap();
    pool.servers[1].kill();
    rest();
    for number in 0..40 {
        let _ = con.get::<_, Option<i64>>(format!("{number}:key"));
    }
    let is_out = |pool: &Pool, name: &str| {
        let states = pool.client.node_states();
        let (_, state) = states.iter().find(|(node, _)| node.name() == name).unwrap();
        matches!(state, NodeState::Ejected)
    };
    assert!(is_out(&pool, "n1"));
    pool.client.set_nodes(nodes(&pool, &[0, 1, 2, 3])).unwrap();
    assert!(is_out(&pool, "n1") && !is_out(&pool, "n3"));
    // Named anew, it begins anew.
    pool.client.set_nodes(nodes(&pool, &[0, 2, 3])).unwrap();
    pool.client.set_nodes(nodes(&pool, &[0, 1, 2, 3])).unwrap();
    assert!(!is_out(&pool, "n1"));
}

#[test]
fn clones_share_the_topology_and_clients_do_not() {
    let Some(pool) = pool_of(2, &[0, 1]) else { return };
    let (clone, other) = (pool.client.clone(), pool.client.to_builder().build().unwrap());
    clone.set_nodes(nodes(&pool, &[1])).unwrap();
    assert_eq!(names(&pool), ["n1"]);
    assert_eq!(other.nodes().len(), 2);
}

#[test]
fn a_change_of_topology_changes_nothing_else_not_even_on_paper() {
    let builder = ShardedClientBuilder::new().nodes("redis://a,redis://b").unwrap();
    let client = builder.timeout(Duration::from_secs(1)).build().unwrap();
    let other = client.to_builder().timeout(Duration::from_secs(5)).hash(HashKind::Murmur);
    client.set_topology(other).unwrap();
    let now = format!("{:?}", client.to_builder());
    assert!(now.contains("timeout: Some(1s)") && !now.contains("5s"), "{now}");
    assert!(now.contains("Murmur"), "{now}");
}
