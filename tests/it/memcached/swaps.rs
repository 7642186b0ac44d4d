//! Another topology under a live client.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use memcache::MemcacheError;
use shardwright::EjectPolicy;
use shardwright::Event;
use shardwright::HashKind;
use shardwright::MemcacheProtocol;
use shardwright::NodeState;
use shardwright::ShardedMemcache;
use shardwright::ShardedMemcacheBuilder;

use super::DEADLINE;
use super::PATIENT;
use super::failure;
use super::key_of;
use super::metrics;
use super::named;
use super::node;
use super::ports;
use super::state;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::reply;
use crate::support::memcached::Memcached;
use crate::support::stopwatch::in_time;

/// A builder with the nodes of these numbers only.
fn with(ports: &[u16], numbers: &[usize]) -> ShardedMemcacheBuilder {
    let nodes = numbers.iter().map(|&number| node(number, ports[number]));
    nodes.fold(ShardedMemcache::builder(), ShardedMemcacheBuilder::node)
}

fn swap(cache: &ShardedMemcache, ports: &[u16], numbers: &[usize]) {
    let nodes = numbers.iter().map(|&number| node(number, ports[number]));
    let builder = cache.to_builder().clear_nodes();
    cache.set_topology(nodes.fold(builder, ShardedMemcacheBuilder::node)).unwrap();
}

#[test]
fn nodes_that_stay_keep_their_connections_and_counters() {
    let nodes: Vec<_> =
        (0..4).map(|_| FakeNode::start_memcached(|request| reply(request.echo()))).collect();
    let ports: Vec<_> = nodes.iter().map(FakeNode::port).collect();
    let cache = named(ports[..3].to_vec()).timeout(PATIENT).build().unwrap();
    let keys: Vec<_> = (0..90).map(|number| format!("{number}:key")).collect();
    let read = || {
        let values = cache.get_many::<String, _>(&keys).into_iter().map(Result::unwrap);
        assert!(values.zip(&keys).all(|(value, key)| value.as_ref() == Some(key)));
    };
    read();
    let requests = metrics(&cache, "n1").requests;
    // One goes, one comes, and the order is another.
    swap(&cache, &ports, &[3, 2, 1]);
    read();
    assert_eq!(nodes.each_connections(), [1, 1, 1, 1]);
    eventually("that to the node that went is closed", || nodes[0].open() == 0);
    assert!(metrics(&cache, "n1").requests > requests);
    assert_eq!(cache.nodes().len(), 3);
    assert!(cache.metrics().iter().all(|metrics| metrics.connections == 1));
}

trait Connections {
    fn each_connections(&self) -> Vec<usize>;
}

impl Connections for Vec<FakeNode> {
    fn each_connections(&self) -> Vec<usize> {
        self.iter().map(FakeNode::connections).collect()
    }
}

/// Of a builder only what concerns the topology is taken, as it says.
#[test]
fn settings_of_connections_stay_as_they_are() {
    let node = FakeNode::start_memcached(|request| match request.key().as_str() {
        "counted" => reply("NOT_FOUND\r\n"),
        "hung" => Vec::new(),
        _ => reply(request.echo()),
    });
    let heard = Arc::new(Mutex::new(0));
    let told = Arc::clone(&heard);
    let cache = named([node.port()])
        .protocol(MemcacheProtocol::Ascii)
        .listener(move |_: &Event| *told.lock().unwrap() += 1)
        .build()
        .unwrap();
    assert_eq!(cache.get::<String>("a").unwrap().as_deref(), Some("a"));
    let other = with(&[node.port()], &[0]).hash(HashKind::Md5).timeout(PATIENT);
    cache.set_topology(other).unwrap();
    assert_eq!(cache.get::<String>("a").unwrap().as_deref(), Some("a"));
    assert_eq!((node.connections(), node.lines()), (1, vec!["get a".to_owned(); 2]));
    assert!(cache.increment("counted", 1).is_err());
    in_time(DEADLINE, || failure(cache.get::<String>("hung")));
    // And so do those of what it is built from now.
    let again = cache.to_builder().build().unwrap();
    in_time(DEADLINE, || failure(again.get::<String>("hung")));
    again.set_topology(again.to_builder().hash(HashKind::Crc16)).unwrap();
    assert_eq!(*heard.lock().unwrap(), 2);
}

#[test]
fn what_is_invalid_changes_nothing() {
    let Some(servers) = Memcached::start_many(2) else { return };
    let ports = ports(&servers);
    let cache = named(ports.clone()).timeout(PATIENT).build().unwrap();
    cache.set("key", "x", 0).unwrap();
    let twice = with(&ports, &[0, 0]);
    for wrong in [ShardedMemcache::builder(), twice] {
        assert!(matches!(cache.set_topology(wrong), Err(MemcacheError::BadURL(_))));
        assert_eq!(cache.get::<String>("key").unwrap().as_deref(), Some("x"));
        assert_eq!(cache.to_builder().configured_nodes().len(), 2);
    }
    assert!(cache.metrics().iter().all(|metrics| metrics.connections <= 1));
}

#[test]
fn a_node_with_another_address_is_another_node_under_its_name() {
    let Some(servers) = Memcached::start_many(3) else { return };
    let ports = ports(&servers);
    let cache = named(ports[..2].to_vec()).timeout(PATIENT).build().unwrap();
    let keys = ["n0", "n1"].map(|name| key_of(&cache, name));
    for key in &keys {
        cache.set(key, "x", 0).unwrap();
    }
    let builder = cache.to_builder().clear_nodes().node(node(0, ports[0])).node(node(1, ports[2]));
    let movement = cache.set_topology(builder).unwrap();
    assert_eq!(movement.share(), 0.0);
    let found = keys.each_ref().map(|key| cache.get::<String>(key).unwrap().is_some());
    assert_eq!(found, [true, false]);
}

#[test]
fn an_ejected_node_that_stays_stays_ejected() {
    let Some(mut servers) = Memcached::start_many(3) else { return };
    let ports = ports(&servers);
    let hour = std::time::Duration::from_secs(3600);
    let policy = EjectPolicy::rebuild().failure_limit(1).retry_timeout(hour);
    let cache = named(ports[..2].to_vec()).eject(policy).build().unwrap();
    servers[1].kill();
    failure(cache.get::<String>(&key_of(&cache, "n1")));
    assert_ne!(state(&cache, "n1"), NodeState::Live);
    swap(&cache, &ports, &[0, 1, 2]);
    assert_ne!(state(&cache, "n1"), NodeState::Live);
    swap(&cache, &ports, &[0, 2]);
    servers[1].restart();
    swap(&cache, &ports, &[0, 1, 2]);
    assert_eq!(state(&cache, "n1"), NodeState::Live);
}

#[test]
fn changes_under_load_lose_no_request_and_mix_up_no_value() {
    let Some(servers) = Memcached::start_many(4) else { return };
    let ports = ports(&servers);
    let cache = named(ports.clone()).timeout(PATIENT).max_connections(3).build().unwrap();
    let is_over = AtomicBool::new(false);
    let keys: Vec<_> = (0..100).map(|number| format!("key:{number}")).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..5)
            .map(|thread| {
                let (cache, keys, is_over) = (&cache, &keys, &is_over);
                scope.spawn(move || {
                    let mut rounds = 0;
                    while !is_over.load(SeqCst) {
                        let key = &keys[(rounds * 7 + thread) % keys.len()];
                        cache.set(key, format!("{key}#{thread}"), 0).unwrap();
                        let one = cache.get::<String>(key).unwrap();
                        assert!(one.is_none_or(|value| value.starts_with(&format!("{key}#"))));
                        let some = &keys[rounds % 50..][..20];
                        for (key, value) in some.iter().zip(cache.get_many::<String, _>(some)) {
                            let value = value.unwrap();
                            assert!(
                                value.is_none_or(|value| value.starts_with(&format!("{key}#")))
                            );
                        }
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for round in 0..120 {
            let numbers: Vec<_> = (0..4).filter(|number| number % 4 != round % 5).collect();
            swap(&cache, &ports, &numbers);
            assert_eq!(cache.nodes().len(), numbers.len());
            thread::yield_now();
        }
        is_over.store(true, SeqCst);
        let rounds: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(rounds > 20, "nothing was tested: {rounds}");
    });
    for metrics in cache.metrics() {
        assert_eq!((metrics.failures, metrics.in_flight), (0, 0), "{metrics:?}");
        assert!(metrics.connections <= 3, "{metrics:?}");
    }
}
