//! Channels over RESP3: messages come as pushes over the connections that tasks share.
//!
//! What is wanted is remembered, and a task looks now and then whether it is listened to: after a node came
//! back, and after the topology changed, nobody has to subscribe again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use futures_util::future::join_all;
use redis::ErrorKind;
use redis::ProtocolVersion;
use redis::RedisError;
use redis::RedisResult;
use redis::ToRedisArgs;
use redis::aio::MultiplexedConnection;

use super::ShardedMultiplexedConnection;
use super::failure::request_failure;
use super::link::LinkError;
use super::links::Roster;
use super::links::SharedLinks;
use super::runtime::Task;
use super::runtime::sleep;
use super::runtime::spawn;
use super::runtime::within;
use super::slot::Slot;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::patience::Patience;
use crate::client::pubsub::Kind;
use crate::client::pubsub::Subscriptions;
use crate::client::pubsub::find_nodes;
use crate::client::pubsub::look_at_names;
use crate::client::wire::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;

/// The lane whose link listens: every message is to come once.
pub(super) const LISTENING_LANE: usize = 0;

/// How often it is looked whether everything is listened to.
const GLANCE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl ShardedMultiplexedConnection {
    /// Listens to further channels, each on the node its name hashes to. Messages go to the
    /// [push sender](super::AsyncConnectionConfig::set_push_sender). When a node is lost it is listened to
    /// again as soon as it is back; what was published meanwhile is missed.
    ///
    /// # Errors
    ///
    /// If the connection does not speak RESP3 (`?protocol=resp3`), no channel is named, or a node does not
    /// confirm it in time.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.listen_to(Kind::Channel, channels.to_redis_args()).await
    }

    /// Listens to further patterns, on all nodes that are not ejected.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn psubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.listen_to(Kind::Pattern, patterns.to_redis_args()).await
    }

    /// Listens to these channels no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.listen_no_longer(Kind::Channel, channels.to_redis_args()).await
    }

    /// Listens to these patterns no longer; to none if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn punsubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.listen_no_longer(Kind::Pattern, patterns.to_redis_args()).await
    }

    async fn listen_to(&mut self, kind: Kind, names: Vec<Vec<u8>>) -> RedisResult<()> {
        self.prepare();
        let channels = if kind == Kind::Channel { names.as_slice() } else { &[] };
        find_nodes(channels, self.router())?;
        self.look_at_protocol()?;
        look_at_names(kind, &names)?;
        let is_new = |name: &Vec<u8>| !self.links.wanted.lock().of(kind).contains(name);
        let new: Vec<_> = names.iter().filter(|name| is_new(name)).cloned().collect();
        self.links.wanted.lock().of_mut(kind).extend(names.iter().cloned());
        let listened = self.listen_everywhere(&names).await;
        if listened.as_ref().is_err_and(|error| !error.is_io_error()) {
            // The node refuses it, and will again.
            let mut wanted = self.links.wanted.lock();
            wanted.of_mut(kind).retain(|name| !new.contains(name));
        }
        listened
    }

    async fn listen_no_longer(&mut self, kind: Kind, names: Vec<Vec<u8>>) -> RedisResult<()> {
        self.prepare();
        self.look_at_protocol()?;
        {
            let mut wanted = self.links.wanted.lock();
            match names.as_slice() {
                [] => wanted.of_mut(kind).clear(),
                names => wanted.of_mut(kind).retain(|name| !names.contains(name)),
            }
        }
        self.listen_everywhere(&names).await
    }

    fn look_at_protocol(&self) -> RedisResult<()> {
        let is_resp2 = |slot: &Arc<Slot>| {
            let settings = slot.member.endpoint().info().redis_settings();
            settings.protocol() == ProtocolVersion::RESP2
        };
        if self.roster.slots().any(|(_, slot)| is_resp2(slot)) {
            // redis-rs 1.8's own words (`lib.rs` `check_resp3`).
            let what = "RESP3 is required for this command";
            return Err(RedisError::from((ErrorKind::InvalidClientConfig, what)));
        }
        Ok(())
    }

    /// Has a task look after what is listened to. One on a runtime that has ended is gone.
    fn have_kept(&self) {
        let mut keeper = self.links.keeper.lock();
        if keeper.as_ref().is_none_or(Task::is_finished) {
            *keeper = Some(spawn(keep(Arc::downgrade(&self.links))));
        }
    }

    /// Has all nodes listen to what is wanted, `first` first.
    async fn listen_everywhere(&self, first: &[Vec<u8>]) -> RedisResult<()> {
        self.have_kept();
        align(&self.links, first, self.patience()).await
    }
}

/// Has each node listen to what is wanted of it, `first` first.
async fn align(links: &Arc<SharedLinks>, first: &[Vec<u8>], patience: Patience) -> RedisResult<()> {
    let roster = links.follow();
    let one = |(node, slot)| align_one(links, &roster, node, slot, first, patience);
    let out = roster.router().ejected();
    let live = roster.slots().filter(|(node, _)| !out.contains(*node));
    let aligned = join_all(live.map(one)).await;
    aligned.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}

async fn align_one(
    links: &Arc<SharedLinks>,
    roster: &Roster,
    node: NodeId,
    slot: &Arc<Slot>,
    first: &[Vec<u8>],
    patience: Patience,
) -> RedisResult<()> {
    let deadline = Deadline::after(clock::now(), patience.limit);
    let wanted = || links.wanted.lock().heard_on(node, roster.router());
    let link = match slot.ready(LISTENING_LANE, links.session_version()) {
        Some(link) => link,
        None if wanted().is_empty() => return Ok(()),
        None => links.open(slot, LISTENING_LANE, patience).await?,
    };
    let Some(connection) = link.delegate() else { return Ok(()) };
    // One at a time, or two who want the same would both say it; and each says what is wanted by then.
    let turn = within(deadline.left(clock::now()), link.state.told.lock()).await;
    let Some(mut told) = turn else {
        let late = failure_of(&slot.member, WireError::Deadline, Phase::Talking, deadline);
        return Err(late.into());
    };
    let wanted = wanted();
    let mut connection = connection.clone();
    if let Some(left) = deadline.left(clock::now()) {
        connection.set_response_timeout(left);
    }
    let said = say(&mut connection, &mut told, &wanted, first).await;
    said.map_err(|error| match request_failure(&slot.member, LinkError::Redis(error), patience) {
        Ok((failure, _)) => {
            link.state.close();
            slot.remove(&link);
            failure.into()
        }
        Err(refusal) => refusal,
    })
}

/// Says what makes `told` what is `wanted`. Nodes confirm it in the order in which it is said: those in `first`
/// come first, in their order.
async fn say(
    connection: &mut MultiplexedConnection,
    told: &mut Subscriptions,
    wanted: &Subscriptions,
    first: &[Vec<u8>],
) -> RedisResult<()> {
    for kind in [Kind::Channel, Kind::Pattern] {
        let more = in_order(first, wanted.of(kind) - told.of(kind));
        let less = in_order(first, told.of(kind) - wanted.of(kind));
        if !more.is_empty() {
            match kind {
                Kind::Channel => connection.subscribe(&more).await?,
                Kind::Pattern => connection.psubscribe(&more).await?,
            }
            told.of_mut(kind).extend(more);
        }
        if !less.is_empty() {
            match kind {
                Kind::Channel => connection.unsubscribe(&less).await?,
                Kind::Pattern => connection.punsubscribe(&less).await?,
            }
            told.of_mut(kind).retain(|name| !less.contains(name));
        }
    }
    Ok(())
}

fn in_order(first: &[Vec<u8>], mut names: BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut ordered: Vec<_> = first.iter().filter_map(|name| names.take(name)).collect();
    ordered.extend(names);
    ordered
}

/// Looks now and then whether everything is listened to, until the connection is dropped.
async fn keep(links: Weak<SharedLinks>) {
    let mut pause = GLANCE;
    loop {
        sleep(pause).await;
        let Some(links) = links.upgrade() else { return };
        let patience = Patience { limit: links.connection_timeout, is_blocking: false };
        // A node that stays away is not asked ten times a second. Who listens hears of it by the push that
        // says so.
        pause = match align(&links, &[], patience).await {
            Ok(()) => GLANCE,
            Err(_) => (pause * 2).min(LONGEST_PAUSE),
        };
    }
}
