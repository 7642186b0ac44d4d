//! Probes: what brings an ejected node back.

use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;
use redis::ConnectionInfo;
use redis::Value;

use super::clock;
use super::clock::Deadline;
use super::endpoint::Endpoint;
use super::session::Session;
use super::shared::Shared;
use super::wire::Job;
use super::wire::exchange;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;
use crate::topology::Member;

/// Ends the waiting of threads.
#[derive(Debug, Default)]
pub(super) struct Stop {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn now(&self) {
        *self.is_over.lock() = true;
        self.changed.notify_all();
    }

    /// Waits until `until`; true if it is over before.
    fn wait_until(&self, until: Instant) -> bool {
        let mut is_over = self.is_over.lock();
        while !*is_over && !self.changed.wait_until(&mut is_over, until).timed_out() {}
        *is_over
    }
}

/// Starts the thread that probes `member` until it is back, or gone from the topology, or the client is
/// dropped.
///
/// A thread a node, and only while the node is out: no request pays for a probe, and a node that hangs
/// delays the probes of no other.
pub(super) fn spawn(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    stop: &Arc<Stop>,
) -> io::Result<()> {
    let (shared, member, stop) = (Arc::downgrade(shared), Arc::clone(member), Arc::clone(stop));
    let name = "shardwright-probe".to_owned();
    thread::Builder::new().name(name).spawn(move || run(&shared, &member, &stop)).map(drop)
}

fn run(shared: &Weak<Shared>, member: &Member<Endpoint>, stop: &Stop) {
    while let Some(due) = upgrade(shared, |shared| shared.topology.probe_due(member)) {
        if stop.wait_until(due) {
            return;
        }
        let claimed = upgrade(shared, |shared| {
            let event = shared.topology.begin_probe(member, clock::now())?;
            shared.report(&event);
            Some(shared.options.probe_timeout())
        });
        let Some(timeout) = claimed else { continue };
        // The client may be dropped meanwhile; it does not wait for us.
        let is_back = answers(member.endpoint().info(), timeout);
        upgrade(shared, |shared| {
            let event = shared.topology.end_probe(member, is_back, clock::now())?;
            shared.report(&event);
            Some(())
        });
    }
}

fn upgrade<T>(shared: &Weak<Shared>, use_it: impl FnOnce(&Shared) -> Option<T>) -> Option<T> {
    use_it(&*shared.upgrade()?)
}

/// Whether a new connection can be made, greeted and pinged.
///
/// A node that is loading its data, or that is a replica without its master, answers and is still of no
/// use; any other reply will do, even that this user may not ping.
fn answers(info: &ConnectionInfo, timeout: Duration) -> bool {
    let deadline = Deadline::after(clock::now(), Some(timeout));
    let mut ping = Vec::new();
    write_array_header(&mut ping, 1);
    write_bulk_string(&mut ping, b"PING");
    let mut jobs = [Job::connecting(info.clone(), Session::default(), deadline, ping, 1)];
    exchange(&mut jobs, deadline, &mut |_push| {});
    let [job] = jobs;
    let (done, _) = job.into_done();
    match done.replies.first() {
        Some(Value::ServerError(error)) => {
            !matches!(error.code(), "LOADING" | "MASTERDOWN" | "BUSY")
        }
        reply => reply.is_some(),
    }
}
