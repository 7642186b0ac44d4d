use std::time::Duration;

use super::*;
use crate::health::EjectPolicy;

const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
fn origin() -> Instant {
    Instant::now()
}

fn topology(count: usize, policy: EjectPolicy) -> Topology {
    let nodes = (0..count).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
    Topology::new(nodes).unwrap().with_eject_policy(policy.retry_timeout(SECOND))
}

fn shared(count: usize, policy: EjectPolicy) -> SharedTopology<u16> {
    SharedTopology::new(topology(count, policy), vec![6379; count], 0)
}

fn fail(shared: &SharedTopology<u16>, member: &Member<u16>, now: Instant) -> Option<Event> {
    shared.observe(member, member.epoch(), Incident::Io, || now)
}

fn live_nodes(shared: &SharedTopology<u16>) -> usize {
    shared.states().iter().filter(|(_, state)| *state == NodeState::Live).count()
}

#[test]
fn a_node_goes_is_probed_and_comes_back() {
    let shared = shared(3, EjectPolicy::successor());
    let now = origin();
    let before = shared.current();
    let member = Arc::clone(&before.members()[1]);

    assert!(fail(&shared, &member, now).is_none());
    assert_eq!(shared.generation(), 0);
    assert!(matches!(fail(&shared, &member, now), Some(Event::Ejected { .. })));
    assert_eq!(shared.generation(), 1);
    let out = shared.current();
    let owner = NodeId::new(1).unwrap();
    for number in 0..500 {
        let key = format!("{number}:key");
        let (was, is) = (before.router().route(key.as_bytes()), out.router().route(key.as_bytes()));
        assert!(is != Ok(owner) && (was == is || was == Ok(owner)));
    }

    let due = shared.probe_due(&member).unwrap();
    assert!(due >= now + SECOND && due < now + SECOND * 5 / 4);
    assert!(shared.begin_probe(&member, now).is_none(), "not due yet");
    assert!(shared.begin_probe(&member, due).is_some());
    assert!(shared.begin_probe(&member, due).is_none(), "one probe at a time");
    assert!(matches!(
        shared.end_probe(&member, false, due),
        Some(Event::ProbeFailed { retry_in, .. }) if retry_in >= 2 * SECOND
    ));
    let due = shared.probe_due(&member).unwrap();
    assert!(shared.begin_probe(&member, due).is_some());
    assert!(matches!(shared.end_probe(&member, true, due), Some(Event::Reinstated { .. })));
    assert_eq!(live_nodes(&shared), 3);
    let metrics = shared.metrics();
    assert_eq!(metrics[1].ejections, 1);
}

#[test]
fn a_reply_forgets_failures_and_a_blocking_timeout_says_nothing() {
    let shared = shared(3, EjectPolicy::rebuild());
    let now = origin();
    let member = Arc::clone(&shared.current().members()[0]);
    for _ in 0..5 {
        assert!(fail(&shared, &member, now).is_none());
        assert!(shared.observe(&member, 0, Incident::BlockingTimeout, || now).is_none());
        assert!(shared.observe(&member, 0, Incident::Reply, || now).is_none());
    }
    assert_eq!(live_nodes(&shared), 3);
}

#[test]
fn a_failure_from_before_the_return_does_not_count_after_it() {
    let shared = shared(3, EjectPolicy::rebuild().failure_limit(1));
    let now = origin();
    let member = Arc::clone(&shared.current().members()[0]);
    let sent_in = member.epoch();
    fail(&shared, &member, now);
    let due = shared.probe_due(&member).unwrap();
    shared.begin_probe(&member, due);
    shared.end_probe(&member, true, due);
    assert!(shared.observe(&member, sent_in, Incident::Io, || due).is_none());
    assert_eq!(live_nodes(&shared), 3);
}

#[test]
fn the_last_node_stays_where_keys_move_and_goes_where_they_do_not() {
    for (policy, left) in [
        (EjectPolicy::rebuild(), 1),
        (EjectPolicy::successor(), 1),
        (EjectPolicy::fail_fast(), 0),
        (EjectPolicy::default(), 4),
    ] {
        let shared = shared(4, policy);
        let now = origin();
        let mut events = Vec::new();
        for _ in 0..5 {
            for member in shared.current().members() {
                events.extend(fail(&shared, member, now));
            }
        }
        assert_eq!(live_nodes(&shared), left);
        let is_kept = |event: &&Event| matches!(event, Event::FailedOpen { .. });
        let kept = events.iter().filter(is_kept).count();
        assert_eq!(kept, usize::from(left == 1), "it is said once: {events:?}");
    }
}

#[test]
fn replacing_keeps_what_stays_and_forgets_what_goes() {
    let shared = shared(3, EjectPolicy::successor().failure_limit(1));
    let now = origin();
    let old = shared.current();
    fail(&shared, &old.members()[2], now);

    // Node 2 stays and is out; node 0 goes; node 1 gets another endpoint; node 3 comes.
    let nodes = (1..4).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
    let next = topology(1, EjectPolicy::successor()).with_nodes(nodes).unwrap();
    let (movement, events) = shared.replace(next, vec![6380, 6379, 6379], now);
    assert!(movement.share() > 0.3);
    let [Event::TopologyChanged { added, removed, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&*added[0], &*removed[0]), ("10.0.0.3:6379", "10.0.0.0:6379"));

    let new = shared.current();
    assert!(new.generation() > old.generation());
    assert!(Arc::ptr_eq(&old.members()[2], &new.members()[1]), "it keeps its connections");
    assert_ne!(old.members()[1].id(), new.members()[0].id(), "another endpoint is another node");
    let states: Vec<_> = shared.states().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [NodeState::Live, NodeState::Ejected, NodeState::Live]);
    assert!(fail(&shared, &old.members()[0], now).is_none(), "it is gone");
    assert!(shared.probe_due(&old.members()[0]).is_none());
}

#[test]
fn replacing_never_leaves_only_ejected_nodes() {
    let shared = shared(2, EjectPolicy::successor().failure_limit(1));
    let old = shared.current();
    fail(&shared, &old.members()[0], origin());
    let (_, events) = shared.replace(topology(1, EjectPolicy::successor()), vec![6379], origin());
    assert_eq!(live_nodes(&shared), 1);
    assert!(shared.current().router().route(b"key").is_ok());
    assert!(matches!(&events[1], Event::Reinstated { node, .. } if **node == *"10.0.0.0:6379"));
    assert!(fail(&shared, &old.members()[0], origin()).is_none(), "it is the last");
}

#[test]
fn many_threads_eject_once() {
    let shared = shared(8, EjectPolicy::successor().failure_limit(3));
    let now = origin();
    let ejections: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let member = Arc::clone(&shared.current().members()[5]);
                    (0..1000).filter_map(|_| fail(&shared, &member, now)).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(ejections, 1);
    assert_eq!(live_nodes(&shared), 7);
}
