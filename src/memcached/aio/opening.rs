//! How a link comes to be.

use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::link::Link;
use super::slot::Joined;
use super::slot::Opened;
use super::slot::Opening;
use crate::error::Result;
use crate::error::ShardError;
use crate::memcached::Shared;
use crate::memcached::endpoint::Endpoint;
use crate::memcached::endpoint::Target;
use crate::memcached::link::Connecting;
use crate::memcached::link::Progress;
use crate::memcached::wire_error::Phase;
use crate::memcached::wire_error::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::net::pipe::Task;
use crate::net::pipe::wait;
use crate::topology::Member;

/// The timers of an opening and of who waits for it may end at the same time; the one that knows more is to
/// end first.
const SLACK: Duration = Duration::from_millis(2);

/// What is said where no link can be opened; it is no fault of the node.
const NO_IO: &str = "the runtime cannot wait for sockets (enable_io), or has ended";

/// The link of this runtime to a node, opened if need be until `deadline`. Whoever needs it at the same time
/// waits for the same opening; it goes on when nobody waits any more, and in its own time ends.
///
/// # Errors
///
/// If there is none in time. The node's health has been told, once for all who waited.
pub(super) async fn open(
    shared: &Arc<Shared>,
    member: &Arc<Member<Endpoint>>,
    deadline: Deadline,
) -> Result<Arc<Link>> {
    let failed = |error: WireError| error.into_error(member, Phase::Connecting(deadline));
    let impossible = |why| failed(WireError::Io(io::Error::other(why)));
    let runtime = match Handle::try_current() {
        Ok(handle) => handle.id(),
        Err(_) => return Err(impossible("this is no task of a tokio runtime")),
    };
    let mut has_ended = false;
    loop {
        let now = clock::now();
        if deadline.has_passed(now) {
            return Err(failed(WireError::Deadline));
        }
        let begin = || begin(shared, member, deadline);
        let slot = member.endpoint().slot();
        let mut opened = match slot.join(runtime, now, shared.options.max_lifetime, begin) {
            Joined::Open(link) => return Ok(link),
            Joined::Opening(opened) => opened,
        };
        match attend(&mut opened, deadline).await {
            Some(Some(Ok(link))) => return Ok(link),
            Some(Some(Err(error))) => return Err(error),
            // Another may have begun anew because it was late. Twice in a row that is not the reason: tokio
            // panics where a socket cannot be waited for.
            Some(None) if has_ended => return Err(impossible(NO_IO)),
            Some(None) => has_ended = true,
            None => return Err(failed(WireError::Deadline)),
        }
    }
}

/// What became of an opening, if it was told before its task ended; none if it takes too long.
async fn attend(opened: &mut Opened, deadline: Deadline) -> Option<Option<Result<Arc<Link>>>> {
    let told = async {
        let told = opened.wait_for(Option::is_some).await;
        told.ok().and_then(|told| told.clone())
    };
    match deadline.left(clock::now()) {
        Some(left) => timeout(left.saturating_add(SLACK), told).await.ok(),
        None => Some(told.await),
    }
}

/// Begins to open a link on this runtime.
fn begin(shared: &Arc<Shared>, member: &Arc<Member<Endpoint>>, deadline: Deadline) -> Opening {
    let limit = shared.options.connect_timeout;
    let deadline = Deadline::after(clock::now(), limit).or_earlier(deadline);
    let (teller, opened) = watch::channel(None);
    // Weak: the member has the task.
    let (shared, member) = (Arc::downgrade(shared), Arc::downgrade(member));
    let task = Task::spawn(async move {
        if let Some(outcome) = try_open(&shared, &member, deadline).await {
            teller.send_replace(Some(outcome));
        }
    });
    Opening { deadline, opened, _task: task }
}

/// Opens a link, and tells the node's health if that fails; nothing if the client is gone.
async fn try_open(
    shared: &Weak<Shared>,
    member: &Weak<Member<Endpoint>>,
    deadline: Deadline,
) -> Option<Result<Arc<Link>, ShardError>> {
    let (target, epoch) = {
        let member = member.upgrade()?;
        (member.endpoint().target().clone(), member.epoch())
    };
    let error = match connect(&target, member, deadline).await {
        Ok(link) => return Some(Ok(Arc::new(link))),
        Err(error) => error,
    };
    let (shared, member) = (shared.upgrade()?, member.upgrade()?);
    let phase = Phase::Connecting(deadline);
    shared.observe(&member, epoch, error.incident(phase));
    Some(Err(error.into_error(&member, phase)))
}

async fn connect(
    target: &Target,
    member: &Weak<Member<Endpoint>>,
    deadline: Deadline,
) -> Result<Link, WireError> {
    let mut connecting = Connecting::start(target, deadline, clock::now())?;
    loop {
        let now = clock::now();
        connecting = match connecting.advance(now)? {
            Progress::Connected(link) => return Link::new(link.into_parts(), member, now),
            Progress::Waiting(connecting) => connecting,
        };
        wait(connecting.interest(), connecting.wakes(), now).await?;
    }
}
