//! Requests on their way to the nodes, over the links that tasks share.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::entry::Answered;
use super::entry::Unanswered;
use super::link::Link;
use super::opening::open;
use crate::error::Result;
use crate::error::ShardError;
use crate::health::Incident;
use crate::memcached::Shared;
use crate::memcached::ask::Ask;
use crate::memcached::ask::Outcome;
use crate::memcached::endpoint::Endpoint;
use crate::memcached::scattered::Part;
use crate::memcached::scattered::Scattered;
use crate::memcached::scattered::Trouble;
use crate::memcached::scattered::all_nodes;
use crate::memcached::wire_error::Phase;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::net::pipe::PipeFailure;
use crate::node::Node;
use crate::plan::unroutable;
use crate::protocol::memcache::Request;
use crate::topology::Member;

/// Why not all that one node was asked has an outcome.
struct Failed {
    /// Of the first of them, where there are any.
    outcomes: Vec<Option<Outcome>>,
    error: ShardError,
}

/// Asks for one key. The caller has checked it.
pub(super) async fn ask_key(
    shared: &Arc<Shared>,
    key: &[u8],
    request: Request<'_>,
    deadline: Deadline,
) -> Result<Outcome> {
    let snapshot = shared.topology.current();
    let router = snapshot.router();
    let node = router.route(key).map_err(|why| unroutable(why, router))?;
    let ask = Ask::Key { key, request };
    match ask_node(shared, snapshot.member(node), &ask, &[], deadline).await {
        Ok(answered) => Ok(answered.last),
        Err(failed) => Err(failed.error),
    }
}

/// Asks for many keys, of all their nodes at the same time, within one deadline; the results are in the
/// order of the keys. A node that fails costs its own keys only, and so does a key that is none.
pub(super) async fn ask_keys(
    shared: &Arc<Shared>,
    requests: &[(&[u8], Request<'_>)],
) -> Vec<Result<Outcome, Trouble>> {
    let snapshot = shared.topology.current();
    let scattered = Scattered::new(requests, snapshot.router());
    let asks = scattered.asks();
    let deadline = Deadline::after(clock::now(), shared.options.limit());
    let parts =
        asks.iter().map(|(node, asks)| ask_part(shared, snapshot.member(*node), asks, deadline));
    scattered.gather(join_all(parts).await)
}

/// Asks all nodes that are not ejected the same, at the same time.
///
/// # Errors
///
/// If there is none, or if one is ejected and `needs_every_node`. Nothing is sent then.
pub(super) async fn ask_all(
    shared: &Arc<Shared>,
    ask: Ask<'_>,
    needs_every_node: bool,
) -> Result<Vec<(Node, Part)>> {
    let snapshot = shared.topology.current();
    let nodes = all_nodes(snapshot.router(), needs_every_node)?;
    let asks = [ask];
    let deadline = Deadline::after(clock::now(), shared.options.limit());
    let parts = nodes.iter().map(|&node| ask_part(shared, snapshot.member(node), &asks, deadline));
    let parts = join_all(parts).await;
    let node = |node| snapshot.router().node(node).clone();
    Ok(nodes.into_iter().map(node).zip(parts).collect())
}

/// What one node makes of what it is asked.
async fn ask_part(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    asks: &[Ask<'_>],
    deadline: Deadline,
) -> Part {
    let Some((first, others)) = asks.split_first() else {
        return Part { outcomes: Vec::new(), failure: None };
    };
    let (mut outcomes, failure) = match ask_node(shared, member, first, others, deadline).await {
        Ok(Answered { mut before, last, .. }) => {
            before.push(Some(last));
            (before, None)
        }
        Err(Failed { outcomes, error }) => (outcomes, Some(error)),
    };
    outcomes.resize_with(asks.len(), || None);
    Part { outcomes, failure }
}

/// Asks one node, and tells its health what became of that. Where this is dropped, nobody is told.
async fn ask_node(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    first: &Ask<'_>,
    others: &[Ask<'_>],
    deadline: Deadline,
) -> Result<Answered, Failed> {
    let tally = member.counters().shared();
    let _under_way = tally.begin(others.len() as u64 + 1);
    let mut link = ready_or_open(shared, member, deadline).await?;
    let mut epoch = member.epoch();
    let (mut answer, mut sent) = link.ask(first, others, deadline).await;
    if let Err(Unanswered { failure: PipeFailure::Unsent(_), .. }) = answer {
        member.endpoint().slot().remove(&link);
        link = ready_or_open(shared, member, deadline).await?;
        epoch = member.epoch();
        (answer, sent) = link.ask(first, others, deadline).await;
    }
    match answer {
        Ok(answered) => {
            tally.moved(sent, answered.received);
            shared.observe(member, epoch, Incident::Reply);
            Ok(answered)
        }
        Err(Unanswered { before: outcomes, failure }) => {
            let (PipeFailure::Unsent(error) | PipeFailure::Lost(error)) = failure;
            let phase = Phase::Talking(deadline);
            tally.failed();
            member.endpoint().slot().remove(&link);
            if link.break_once() {
                shared.observe(member, epoch, error.incident(phase));
            }
            Err(Failed { outcomes, error: error.into_error(member, phase) })
        }
    }
}

#[inline]
async fn ready_or_open(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    deadline: Deadline,
) -> Result<Arc<Link>, Failed> {
    let lifetime = shared.options.max_lifetime;
    if let Ok(runtime) = Handle::try_current()
        && let Some(link) = member.endpoint().slot().ready(runtime.id(), clock::now(), lifetime)
    {
        return Ok(link);
    }
    // In a box, so that the future of a request that need not wait is small.
    Box::pin(open(shared, member, deadline)).await.map_err(|error| {
        member.counters().shared().failed();
        Failed { outcomes: Vec::new(), error }
    })
}
