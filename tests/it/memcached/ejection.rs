//! Nodes that are ejected, and that come back.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use shardwright::EjectMode;
use shardwright::EjectPolicy;
use shardwright::Event;
use shardwright::FailedReads;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;

use super::DEADLINE;
use super::failure;
use super::keys_of;
use super::metrics;
use super::named;
use super::ports;
use super::state;
use crate::support::eventually;
use crate::support::memcached::Memcached;
use crate::support::stopwatch::in_time;
use crate::support::stopwatch::pause;

const RETRY: Duration = Duration::from_millis(100);

fn policy(mode: EjectMode) -> EjectPolicy {
    let policy = match mode {
        EjectMode::Rebuild => EjectPolicy::rebuild(),
        EjectMode::Successor => EjectPolicy::successor(),
        EjectMode::FailFast => EjectPolicy::fail_fast(),
        _ => EjectPolicy::default(),
    };
    policy.failure_limit(2).retry_timeout(RETRY)
}

type Events = Arc<Mutex<Vec<String>>>;

fn listening(servers: &[Memcached], mode: EjectMode) -> (ShardedMemcache, Events) {
    let events = Events::default();
    let heard = Arc::clone(&events);
    let listener = move |event: &Event| {
        let what = match event {
            Event::Ejected { node, .. } => format!("{node} ejected"),
            Event::Reinstated { node, .. } => format!("{node} reinstated"),
            Event::Probing { .. } | Event::ProbeFailed { .. } => return,
            other => format!("{other}"),
        };
        heard.lock().unwrap().push(what);
    };
    let cache = named(ports(servers)).eject(policy(mode)).listener(listener).build().unwrap();
    (cache, events)
}

/// Asks for a key of `n1` until it is ejected.
fn fail(cache: &ShardedMemcache, key: &str) {
    for _ in 0..2 {
        let error = in_time(DEADLINE, || failure(cache.get::<String>(key)));
        assert_eq!(error.node(), Some("n1"));
        assert!([ShardErrorKind::Node, ShardErrorKind::Deadline].contains(&error.kind()));
    }
}

fn is_live(cache: &ShardedMemcache) -> bool {
    state(cache, "n1") == NodeState::Live
}

#[test]
fn keys_of_an_ejected_node_go_where_the_mode_says_and_come_back() {
    for mode in [EjectMode::Rebuild, EjectMode::Successor, EjectMode::FailFast] {
        let Some(mut servers) = Memcached::start_many(3) else { return };
        let (cache, events) = listening(&servers, mode);
        let theirs: Vec<_> = keys_of(&cache, "n1").take(20).collect();
        let others: Vec<_> =
            ["n0", "n2"].map(|node| keys_of(&cache, node).take(20)).into_iter().flatten().collect();
        for (round, freezes) in [false, true].into_iter().enumerate() {
            for key in theirs.iter().chain(&others) {
                cache.set(key, &**key, 0).unwrap();
            }
            match freezes {
                true => servers[1].process().stop(),
                false => servers[1].kill(),
            }
            fail(&cache, &theirs[0]);
            assert!(!is_live(&cache));
            for key in &theirs {
                let owner = cache.node_for_key(key).map(|node| node.name().to_owned());
                assert_ne!(owner.as_deref(), Some("n1"));
                if mode == EjectMode::FailFast {
                    assert_eq!(owner, None);
                    let error = in_time(Duration::ZERO, || failure(cache.get::<String>(key)));
                    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Ejected, Some("n1")));
                } else {
                    cache.set(key, format!("{key} elsewhere"), 0).unwrap();
                    let found: Option<String> = cache.get(key).unwrap();
                    assert_eq!(found, Some(format!("{key} elsewhere")));
                    let owner = owner.expect("another node has it");
                    let direct = memcache::Client::connect(
                        servers[owner[1..].parse::<usize>().unwrap()].url(),
                    );
                    let found: Option<String> = direct.unwrap().get(key).unwrap();
                    assert_eq!(found, Some(format!("{key} elsewhere")));
                }
            }
            for key in &others {
                // Nobody else's keys move, whatever the mode: ketama takes care of it.
                assert_eq!(cache.get::<String>(key).unwrap().as_ref(), Some(key), "{mode}");
            }
            match freezes {
                true => servers[1].process().resume(),
                false => servers[1].restart(),
            }
            eventually("it is back", || is_live(&cache));
            for key in &theirs {
                assert_eq!(cache.node_for_key(key).unwrap().name(), "n1");
                let expected = freezes.then(|| key.clone());
                assert_eq!(cache.get::<String>(key).unwrap(), expected);
            }
            assert_eq!(metrics(&cache, "n1").ejections, round as u64 + 1);
            let course = ["n1 ejected", "n1 reinstated"].repeat(round + 1);
            assert_eq!(*events.lock().unwrap(), course);
        }
        assert_eq!(metrics(&cache, "n1").failures, 4);
        for node in ["n0", "n2"] {
            assert_eq!((metrics(&cache, node).failures, metrics(&cache, node).ejections), (0, 0));
        }
    }
}

#[test]
fn the_last_node_stays_in_where_keys_move() {
    let Some(mut servers) = Memcached::start_many(2) else { return };
    let hour = Duration::from_secs(3600);
    let policy = EjectPolicy::rebuild().failure_limit(1).retry_timeout(hour);
    let cache = named(ports(&servers)).eject(policy).build().unwrap();
    let keys = ["n0", "n1"].map(|node| keys_of(&cache, node).next().unwrap());
    servers.iter_mut().for_each(Memcached::kill);
    let first = failure(cache.get::<String>(&keys[0]));
    assert_eq!((first.kind(), first.node()), (ShardErrorKind::Node, Some("n0")));
    for key in &keys {
        let error = failure(cache.get::<String>(key));
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n1")));
    }
    servers[1].restart();
    assert_eq!(cache.get::<String>(&keys[0]).unwrap(), None);
}

#[test]
fn without_any_live_node_an_error_says_so() {
    let Some(mut servers) = Memcached::start_many(2) else { return };
    let hour = Duration::from_secs(3600);
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(hour);
    let cache = named(ports(&servers)).eject(policy).failed_reads(FailedReads::Miss);
    let cache = cache.build().unwrap();
    let keys = ["n0", "n1"].map(|node| keys_of(&cache, node).next().unwrap());
    servers.iter_mut().for_each(Memcached::kill);
    for key in &keys {
        assert_eq!(cache.get::<String>(key).unwrap(), None);
        assert_eq!(failure(cache.set(key, "x", 0)).kind(), ShardErrorKind::Ejected);
    }
    assert_eq!(cache.get_many::<String, _>(&keys).into_iter().flatten().flatten().count(), 0);
    assert_eq!(failure(cache.version()).kind(), ShardErrorKind::NoLiveNode);
    assert_eq!(failure(cache.flush()).kind(), ShardErrorKind::Ejected);
}

#[test]
fn flush_does_not_pass_over_an_ejected_node() {
    let Some(mut servers) = Memcached::start_many(2) else { return };
    let hour = Duration::from_secs(3600);
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(hour);
    let cache = named(ports(&servers)).eject(policy).build().unwrap();
    let [dead, key] = ["n1", "n0"].map(|node| keys_of(&cache, node).next().unwrap());
    cache.set(&key, "kept", 0).unwrap();
    servers[1].kill();
    failure(cache.get::<String>(&dead));
    let error = failure(cache.flush());
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Ejected, Some("n1")));
    assert_eq!(cache.get::<String>(&key).unwrap().as_deref(), Some("kept"));
    assert_eq!(cache.version().unwrap().len(), 1);
}

/// A server that restarted has hung up on connections that rested: they are looked at first.
#[test]
fn a_restart_while_all_rest_costs_no_request() {
    let Some(mut servers) = Memcached::start_many(2) else { return };
    let cache = named(ports(&servers)).timeout(super::PATIENT).build().unwrap();
    let keys: Vec<_> =
        ["n0", "n1"].map(|node| keys_of(&cache, node).take(5)).into_iter().flatten().collect();
    for round in 0..5 {
        // Several connections to each.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in &keys {
                        cache.set(key, &**key, 0).unwrap();
                    }
                });
            }
        });
        servers[round % 2].restart();
        pause(Duration::from_millis(5));
        let values = cache.get_many::<String, _>(&keys).into_iter().map(Result::unwrap);
        assert_eq!(values.flatten().count(), 5, "those of the other node");
        for key in &keys {
            cache.get::<String>(key).unwrap();
        }
    }
    for metrics in cache.metrics() {
        assert_eq!((metrics.failures, metrics.in_flight), (0, 0), "{metrics:?}");
    }
}
