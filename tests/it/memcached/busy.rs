//! All connections to a node in use.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Instant;

use shardwright::EjectPolicy;
use shardwright::MemcacheProtocol;
use shardwright::NodeState;
use shardwright::ShardErrorKind;

use super::DEADLINE;
use super::PATIENT;
use super::failure;
use super::key_of;
use super::named;
use super::ports;
use super::state;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::memcached::Memcached;
use crate::support::stopwatch::in_time;

const THREADS: usize = 12;

fn miss(request: &Request) -> Vec<u8> {
    match request.args[0].as_slice() {
        b"mg" => format!("EN O{}\r\n", request.opaque()).into_bytes(),
        _ => b"END\r\n".to_vec(),
    }
}

#[test]
fn who_waits_for_a_connection_waits_until_the_deadline_and_says_so() {
    let Some(servers) = Memcached::start_many(2) else { return };
    for most in [1, 2] {
        let cache = named(ports(&servers)).max_connections(most).build().unwrap();
        let (hung, healthy) = (key_of(&cache, "n0"), key_of(&cache, "n1"));
        cache.set(&healthy, "well", 0).unwrap();
        cache.set(&hung, "well", 0).unwrap();
        servers[0].process().stop();
        let busy = AtomicUsize::new(0);
        let address = &servers[0].address();
        thread::scope(|scope| {
            // These have time, and keep the connections meanwhile.
            cache.set_read_timeout(Some(20 * DEADLINE)).unwrap();
            for _ in 0..most {
                scope.spawn(|| failure(cache.get::<String>(&hung)));
            }
            eventually("all are in use", || cache.metrics()[0].in_flight == u64::from(most));
            cache.set_read_timeout(Some(DEADLINE)).unwrap();
            for number in 0..THREADS {
                let (cache, hung, healthy, busy) = (&cache, &hung, &healthy, &busy);
                scope.spawn(move || {
                    let error = match number % 2 {
                        0 => in_time(DEADLINE, || failure(cache.get::<String>(hung))),
                        _ => {
                            let both = [hung, healthy];
                            let both = in_time(DEADLINE, || cache.get_many::<String, _>(&both));
                            let [first, theirs] = <[_; 2]>::try_from(both).unwrap();
                            assert_eq!(theirs.unwrap().as_deref(), Some("well"));
                            failure(first)
                        }
                    };
                    assert_eq!(
                        (error.kind(), error.node()),
                        (ShardErrorKind::Deadline, Some("n0"))
                    );
                    let expected = format!(
                        "node 'n0': all {most} connections to {address} were in use for {DEADLINE:?}"
                    );
                    assert_eq!(error.to_string(), expected);
                    busy.fetch_add(1, SeqCst);
                    let well: Option<String> = in_time(DEADLINE, || cache.get(healthy).unwrap());
                    assert_eq!(well.as_deref(), Some("well"));
                });
            }
        });
        assert_eq!(busy.into_inner(), THREADS);
        assert_eq!((cache.metrics()[0].in_flight, cache.metrics()[1].failures), (0, 0));
        assert!(cache.metrics()[0].connections <= u64::from(most));
        servers[0].process().resume();
        eventually("it answers again", || cache.get::<String>(&hung).is_ok());
    }
}

/// The time that went by in the queue is missing for the reply.
#[test]
fn waiting_for_a_connection_and_for_its_reply_have_one_deadline() {
    for protocol in [MemcacheProtocol::Meta, MemcacheProtocol::Ascii] {
        let node = FakeNode::start_memcached(|request| {
            vec![Step::Wait(DEADLINE * 3 / 4), Step::Send(miss(request))]
        });
        let cache = named([node.port()]).protocol(protocol).max_connections(1).build().unwrap();
        let answered = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..4 {
                        if in_time(DEADLINE, || cache.get::<String>("key")).is_ok() {
                            answered.fetch_add(1, SeqCst);
                        }
                    }
                });
            }
        });
        assert!(answered.into_inner() > 0, "nothing was tested");
    }
}

/// The time to connect begins when there is something to connect for.
#[test]
fn a_new_connection_has_its_time_although_somebody_waited_for_it() {
    let wait = 2 * DEADLINE;
    let node = FakeNode::start_memcached(move |request| match request.key().as_str() {
        "slow" => vec![Step::Wait(wait), Step::Close],
        _ => vec![Step::Send(miss(request))],
    });
    let cache = named([node.port()])
        .timeout(PATIENT)
        .connect_timeout(DEADLINE)
        .max_connections(1)
        .build()
        .unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(failure(cache.get::<String>("slow")).kind(), ShardErrorKind::Node)
        });
        eventually("it is asked", || !node.lines().is_empty());
        assert_eq!(cache.get::<String>("quick").unwrap(), None);
    });
    assert_eq!(node.connections(), 2);
}

#[test]
fn a_node_whose_connections_are_busy_is_not_ejected_for_it() {
    let node = FakeNode::start_memcached(|request| match request.key().as_str() {
        "slow" => vec![Step::Wait(3 * DEADLINE), Step::Send(miss(request))],
        _ => vec![Step::Send(miss(request))],
    });
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let cache =
        named([node.port()]).timeout(PATIENT).max_connections(1).eject(policy).build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(cache.get::<String>("slow").unwrap(), None));
        eventually("it is asked", || !node.lines().is_empty());
        cache.set_read_timeout(Some(DEADLINE / 3)).unwrap();
        let error = in_time(DEADLINE / 3, || failure(cache.get::<String>("quick")));
        assert!(error.to_string().contains("all 1 connections"), "{error}");
    });
    assert_eq!(state(&cache, "n0"), NodeState::Live);
    assert_eq!(cache.get::<String>("quick").unwrap(), None);
    assert_eq!(node.connections(), 1);
}

#[test]
fn threads_that_wait_get_their_turns() {
    let Some(servers) = Memcached::start_many(2) else { return };
    for protocol in [MemcacheProtocol::Auto, MemcacheProtocol::Ascii] {
        let cache = named(ports(&servers))
            .timeout(PATIENT)
            .protocol(protocol)
            .max_connections(2)
            .build()
            .unwrap();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..50 {
                        let keys = [0, 1, 2, 3].map(|number| format!("{thread}:{number}"));
                        let entries = keys.each_ref().map(|key| (key, format!("{key}={round}")));
                        assert!(cache.set_many(&entries, 0).iter().all(Result::is_ok));
                        for (key, value) in &entries {
                            assert_eq!(cache.get::<String>(key).unwrap().as_ref(), Some(value));
                        }
                    }
                });
            }
        });
        for metrics in cache.metrics() {
            assert_eq!((metrics.failures, metrics.in_flight), (0, 0));
            assert!((1..=2).contains(&metrics.connections), "{metrics:?}");
        }
    }
}

/// Whoever runs takes what is free, and would always, were it not for those who have waited long.
#[test]
fn nobody_is_passed_over_until_the_deadline() {
    const THREADS: usize = 200;
    let Some(servers) = Memcached::start_many(1) else { return };
    let cache = named(ports(&servers)).timeout(DEADLINE).build().unwrap();
    let (good, bad) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (cache, good, bad) = (&cache, &good, &bad);
            scope.spawn(move || {
                let key = format!("key:{thread}");
                while start.elapsed() < 20 * DEADLINE {
                    let is_good = match thread % 10 {
                        // These look now and then whether one is free.
                        0 => cache.get_many::<String, _>(&[&key]).iter().all(Result::is_ok),
                        _ => cache.get::<String>(&key).is_ok(),
                    };
                    (if is_good { good } else { bad }).fetch_add(1, SeqCst);
                }
            });
        }
    });
    let (good, bad) = (good.into_inner(), bad.into_inner());
    println!("{bad} of {} failed", good + bad);
    // The machine itself may be late.
    assert!(bad * 1000 <= good, "{bad} of {} failed", good + bad);
}
