//! What must hold of the engine between two turns.

use std::collections::BTreeMap;

use super::Stage;
use crate::proxy::core::Core;
use crate::proxy::core::Link;
use crate::proxy::core::backend::Purpose;
use crate::proxy::core::backend::Stage as Step;
use crate::proxy::core::session::BUFFERED;
use crate::proxy::core::session::Session;
use crate::proxy::core::ticket::State;

/// Panics where it does not hold.
pub(super) fn check(stage: &Stage) {
    let core = &stage.core;
    tickets(core);
    sessions(core);
    backends(stage);
    sent(stage);
    for (key, wire) in &stage.wires.all {
        match key {
            (false, key) => assert!(core.sessions.contains(*key), "session {key} is not closed"),
            (true, key) => {
                let backend = core.backends.get(*key).expect("a backend is closed when forgotten");
                assert_ne!(backend.stage, Step::Closed, "backend {key}");
                assert_eq!(wire.is_connecting, backend.stage == Step::Opening, "backend {key}");
            }
        }
    }
}

/// Each ticket that waits is waited for, once; nothing else is awaited of a session that is there.
fn tickets(core: &Core) {
    let mut awaited: BTreeMap<(u32, u32, Option<u16>), usize> = BTreeMap::new();
    for (at, backend) in &core.backends {
        for pending in &backend.queue {
            let part = match pending.purpose {
                Purpose::Whole
                | Purpose::Cursor
                | Purpose::Outdated
                | Purpose::Multi
                | Purpose::Release => None,
                Purpose::Part(part) => Some(part),
                _ => continue,
            };
            let session = core.sessions.get(pending.session as usize);
            let Some(session) = session.filter(|session| session.serial == pending.serial) else {
                continue;
            };
            let place = session.place_of(pending.ticket);
            let ticket = session.queue.get(place).unwrap_or_else(|| {
                panic!("backend {at}: nobody has the ticket of {pending:?}");
            });
            match (&ticket.state, part) {
                (State::Waiting, None) => {}
                (State::Gathering(gathering), Some(part)) => {
                    assert!(gathering.parts[usize::from(part)].reply.is_none(), "a part is there");
                }
                (state, _) => panic!("backend {at}: {pending:?} is for {state:?}"),
            }
            *awaited.entry((pending.session, pending.ticket, part)).or_default() += 1;
        }
    }
    for (key, session) in &core.sessions {
        for (place, ticket) in session.queue.iter().enumerate() {
            let number = session.first.wrapping_add(place as u32);
            let count =
                |part| awaited.get(&(key as u32, number, part)).copied().unwrap_or_default();
            match &ticket.state {
                State::Waiting => {
                    assert_eq!(count(None), 1, "session {key}: ticket {number} waits for nothing");
                }
                State::Gathering(gathering) => {
                    let missing = gathering.parts.iter().filter(|part| part.reply.is_none());
                    assert_eq!(missing.count(), gathering.left);
                    assert!(gathering.left > 0, "session {key}: all parts are there");
                    for (part, fragment) in gathering.parts.iter().enumerate() {
                        let expected = usize::from(fragment.reply.is_none());
                        assert_eq!(
                            count(Some(part as u16)),
                            expected,
                            "session {key}: part {part}"
                        );
                    }
                }
                State::Stashed { .. } | State::Held(_) => assert!(place > 0, "it could be sent"),
            }
        }
    }
}

fn sessions(core: &Core) {
    for (key, pool) in &core.pools {
        let clients = core.sessions.iter().filter(|(_, session)| session.pool == key);
        assert_eq!(clients.count(), pool.clients, "clients of pool {key}");
        assert!(!pool.is_removed || pool.clients > 0, "pool {key} is not forgotten");
    }
    for (key, session) in &core.sessions {
        let incomplete =
            [!session.rest.is_empty(), session.large.is_some(), session.piped.is_some()];
        assert!(incomplete.iter().filter(|is_there| **is_there).count() <= 1, "session {key}");
        assert!(session.is_large || !incomplete[1] && !incomplete[2], "session {key} is not read");
        sums(session);
        let own = session.mode.as_deref().map(|mode| mode.backends()).unwrap_or_default();
        for backend in own {
            let owner = core.backends.get(backend).and_then(|backend| backend.owner);
            assert_eq!(owner, Some((key, session.serial)), "session {key} and backend {backend}");
        }
        let is_over = session.is_closing || session.reads_no_more() && !session.is_stalled;
        assert!(!is_over || !session.is_settled(), "session {key} is to be closed");
        if session.is_stalled && !session.is_woken {
            let waits = core.backends.iter().any(|(_, backend)| {
                !backend.out.is_empty() && backend.waiting.contains(&(key, session.serial))
            });
            let is_held_back = session.mode.as_deref().is_some_and(|mode| mode.holds_back());
            let is_hopeful = !session.queue.is_empty()
                || session.buffered() >= BUFFERED
                || waits
                || is_held_back;
            assert!(is_hopeful, "session {key} sleeps for ever: {session:?}");
        }
    }
}

/// What is added up agrees with what it is the sum of.
fn sums(session: &Session) {
    let (mut stashed, mut held) = (0, 0);
    for ticket in &session.queue {
        match &ticket.state {
            State::Stashed { .. } => stashed += 1,
            State::Held(reply) => held += reply.len(),
            State::Gathering(gathering) => held += gathering.bytes(),
            State::Waiting => {}
        }
    }
    assert_eq!((session.stashed, session.held), (stashed, held), "sums of a session");
    assert!(stashed > 0 || session.stash.is_empty(), "the stash is kept");
}

fn backends(stage: &Stage) {
    let core = &stage.core;
    let mut open: BTreeMap<usize, u64> = BTreeMap::new();
    for (key, backend) in &core.backends {
        let node = core.pools[backend.pool].nodes.iter().find(|node| {
            node.shared.contains(&Some(key)) || node.idle.contains(&key) || node.probe == Some(key)
        });
        assert!(
            node.is_some() || backend.owner.is_some() || backend.is_retired,
            "backend {key} is lost"
        );
        if let Some(node) = node {
            assert_eq!(node.member.id(), backend.member.id(), "backend {key} is of another node");
            assert!(backend.owner.is_none(), "backend {key} is somebody's own");
            let is_idle = node.idle.contains(&key);
            assert!(!is_idle || backend.queue.is_empty(), "backend {key} is not idle");
        }
        if let Some((session, serial)) = backend.owner {
            let session = core.sessions.get(session).filter(|session| session.serial == serial);
            let mode = session.and_then(|session| session.mode.as_deref());
            assert!(mode.is_some_and(|mode| mode.backends().contains(&key)), "owner of {key}");
        }
        if backend.stage != Step::Closed {
            let wire = stage.wires.all.get(&(true, key));
            let node = wire.map(|wire| &*wire.node);
            assert_eq!(node, Some(&**backend.member.name()), "the node of backend {key}");
            *open.entry(backend.counters).or_default() += 1;
        } else {
            assert!(backend.queue.is_empty() && backend.out.is_empty(), "backend {key} is closed");
            assert!(!backend.is_retired, "backend {key} is not forgotten");
        }
        if backend.is_retired {
            assert!(!backend.queue.is_empty(), "backend {key} is not needed");
        }
        if backend.is_paused {
            let mut sessions = core.sessions.iter();
            assert!(
                sessions.any(|(_, session)| session
                    .paused
                    .as_ref()
                    .is_some_and(|paused| paused.contains(&key))),
                "{key} is paused"
            );
        }
        if let Some(timeout) = core.pools[backend.pool].settings.timeout
            && let Some(deadline) = backend.deadline(timeout)
        {
            assert!(core.next_deadline <= deadline, "backend {key} has no deadline");
        }
    }
    for (key, counters) in &core.counters {
        let count = open.get(&key).copied().unwrap_or_default();
        assert_eq!(counters.server_connections, count, "connections to a node");
    }
}

/// What could be sent is.
fn sent(stage: &Stage) {
    let core = &stage.core;
    assert!(core.woken.is_empty(), "a session that was woken sleeps");
    let is_full = |link| match link {
        Link::Session(key) => stage.wires.all[&(false, key)].is_full,
        Link::Backend(key) => stage.wires.all[&(true, key)].is_full,
    };
    for (key, session) in &core.sessions {
        assert!(
            session.out.is_empty() || is_full(Link::Session(key)),
            "session {key} is owed bytes"
        );
    }
    for (key, backend) in &core.backends {
        let may_send = backend.stage == Step::Ready && !backend.out.is_empty();
        let is_broken = stage.wires.all.get(&(true, key)).is_some_and(|wire| wire.is_broken);
        assert!(
            !may_send || is_broken || is_full(Link::Backend(key)),
            "backend {key} is asked nothing"
        );
    }
}
