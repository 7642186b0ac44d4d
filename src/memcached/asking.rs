//! Requests on their way to the nodes.

use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::ask::Ask;
use super::ask::Outcome;
use super::endpoint::Endpoint;
use super::exchange::Done;
use super::exchange::Job;
use super::exchange::exchange;
use super::pool::Lease;
use super::scattered::Part;
use super::scattered::Scattered;
use super::scattered::Trouble;
use super::scattered::all_nodes;
use super::wire_error::Phase;
use super::wire_error::WireError;
use crate::error::Result;
use crate::health::Incident;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::Node;
use crate::plan::unroutable;
use crate::protocol::memcache::Request;
use crate::topology::Member;

/// Asks for one key, from `now` on. The caller has checked it.
#[inline]
pub(super) fn ask_key(
    shared: &Arc<Shared>,
    key: &[u8],
    request: Request<'_>,
    now: Instant,
    deadline: Deadline,
) -> Result<Outcome> {
    let snapshot = shared.topology.current();
    let router = snapshot.router();
    let node = router.route(key).map_err(|why| unroutable(why, router))?;
    ask_node(shared, snapshot.member(node), &Ask::Key { key, request }, now, deadline)
}

#[inline]
fn ask_node(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    ask: &Ask<'_>,
    now: Instant,
    deadline: Deadline,
) -> Result<Outcome> {
    let tally = member.counters().shared();
    let epoch = member.epoch();
    let _under_way = tally.begin(1);
    let lease = member.endpoint().pool().lease(tally, &shared.options, now, deadline);
    let outcome = match lease {
        Ok(mut lease) => match lease.link.take() {
            Some(mut link) => match link.ask(ask, since(&lease, now, deadline)) {
                Ok((outcome, sent, received)) => {
                    tally.moved(sent, received);
                    lease.link = Some(link);
                    Ok(outcome)
                }
                Err(error) => Err((error, Phase::Talking(deadline))),
            },
            None => {
                let asks = std::slice::from_ref(ask);
                let job = Job::new(member, &shared.options, asks, deadline);
                ask_slowly(member, job.with_lease(lease), deadline)
            }
        },
        Err(error) => Err((error, Phase::Talking(deadline))),
    };
    conclude(shared, member, epoch, outcome)
}

/// The deadline for a link that bounds its reads by the limit: waiting for the lease has taken its part.
#[inline]
fn since(lease: &Lease<'_>, now: Instant, deadline: Deadline) -> Deadline {
    if lease.since == now { deadline } else { deadline.from(lease.since) }
}

/// Asks over a connection that must be made first.
#[cold]
fn ask_slowly(
    member: &Member<Endpoint>,
    job: Job<'_>,
    deadline: Deadline,
) -> Result<Outcome, (WireError, Phase)> {
    let mut jobs = [job];
    exchange(&mut jobs, deadline);
    let [job] = jobs;
    let Done { mut outcomes, failure, sent, received } = job.into_done();
    member.counters().shared().moved(sent, received);
    match failure {
        Some(failure) => Err(failure),
        None => Ok(outcomes.pop().flatten().expect("a job that is finished has all its outcomes")),
    }
}

/// Notes what became of requests to `member`, and says it in our words.
#[inline]
fn conclude<T>(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    epoch: u64,
    outcome: Result<T, (WireError, Phase)>,
) -> Result<T> {
    let incident = match &outcome {
        Ok(_) => Incident::Reply,
        Err((error, phase)) => {
            member.counters().shared().failed();
            error.incident(*phase)
        }
    };
    shared.observe(member, epoch, incident);
    outcome.map_err(|(error, phase)| error.into_error(member, phase))
}

/// Asks for many keys, of all their nodes at the same time, within one deadline; the results are in the
/// order of the keys. A node that fails costs its own keys only, and so does a key that is none.
pub(super) fn ask_keys(
    shared: &Arc<Shared>,
    requests: &[(&[u8], Request<'_>)],
    deadline: Deadline,
) -> Vec<Result<Outcome, Trouble>> {
    let snapshot = shared.topology.current();
    let scattered = Scattered::new(requests, snapshot.router());
    let asks = scattered.asks();
    let parts = asks.iter().map(|(node, asks)| (snapshot.member(*node), asks.as_slice()));
    scattered.gather(ask_nodes(shared, parts, deadline))
}

/// Asks several nodes at the same time, within one deadline. The parts are in the order of the nodes.
fn ask_nodes<'a>(
    shared: &'a Arc<Shared>,
    parts: impl Iterator<Item = (&'a Arc<Member<Endpoint>>, &'a [Ask<'a>])>,
    deadline: Deadline,
) -> Vec<Part> {
    let mut asked = Vec::new();
    let mut jobs = Vec::new();
    for (member, asks) in parts {
        let under_way = member.counters().shared().begin(asks.len() as u64);
        asked.push((member, member.epoch(), under_way));
        jobs.push(Job::new(member, &shared.options, asks, deadline));
    }
    if deadline.has_passed(clock::now()) {
        jobs.iter_mut().for_each(Job::leave_unsent);
    } else {
        exchange(&mut jobs, deadline);
    }
    let mut parts = Vec::with_capacity(asked.len());
    for ((member, epoch, _under_way), job) in asked.into_iter().zip(jobs) {
        let Done { outcomes, failure, sent, received } = job.into_done();
        member.counters().shared().moved(sent, received);
        let outcome = failure.map_or(Ok(()), Err);
        parts.push(Part { outcomes, failure: conclude(shared, member, epoch, outcome).err() });
    }
    parts
}

/// Asks all nodes that are not ejected the same, at the same time.
///
/// # Errors
///
/// If there is none, or if one is ejected and `needs_every_node`. Nothing is sent then.
pub(super) fn ask_all(
    shared: &Arc<Shared>,
    ask: Ask<'_>,
    needs_every_node: bool,
) -> Result<Vec<(Node, Part)>> {
    let snapshot = shared.topology.current();
    let nodes = all_nodes(snapshot.router(), needs_every_node)?;
    let asks = [ask];
    let parts = nodes.iter().map(|&node| (snapshot.member(node), asks.as_slice()));
    let deadline = Deadline::after(clock::now(), shared.options.limit());
    let parts = ask_nodes(shared, parts, deadline);
    let node = |node| snapshot.router().node(node).clone();
    Ok(nodes.into_iter().map(node).zip(parts).collect())
}
