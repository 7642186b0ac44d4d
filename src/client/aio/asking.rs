//! Requests to one node, over a link that tasks share or over one of their own.

use std::sync::Arc;

use redis::Cmd;
use redis::Pipeline;
use redis::Value;

use super::ShardedMultiplexedConnection;
use super::failure::Unmet;
use super::failure::request_failure;
use super::link::Link;
use super::link::LinkError;
use super::slot::Slot;
use crate::client::failure::Failure;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::patience::Patience;
use crate::client::wire::WireError;
use crate::health::Incident;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::plan::Part;

/// A request under way.
struct Asked<'a> {
    slot: &'a Slot,
    /// The member's epoch when it was sent.
    epoch: u64,
    patience: Patience,
}

impl ShardedMultiplexedConnection {
    /// Asks one node and waits for its reply.
    #[inline]
    pub(super) async fn ask(
        &self,
        node: NodeId,
        command: &Cmd,
        patience: Patience,
    ) -> Result<Value, Unmet> {
        let slot = self.roster.slot(node);
        let (mut link, patience) = match slot.ready(self.lane, self.links.session_version()) {
            Some(link) => (link, patience),
            None => self.open_and_wait(slot, patience).await?,
        };
        let asked = self.begin(slot, patience)?;
        let under_way = slot.member.counters().shared().begin(1);
        let mut reply = link.ask(command, patience.limit).await;
        if let Err(LinkError::Unsent { left, .. }) = reply {
            let patience = Patience { limit: left, ..patience };
            let (other, patience) = self.open_instead(slot, &link, patience).await?;
            link = other;
            reply = link.ask(command, patience.limit).await;
        }
        drop(under_way);
        self.conclude(asked, &link, reply)
    }

    /// Asks one node, over a link that nobody else uses meanwhile.
    pub(super) async fn ask_aside(
        &self,
        node: NodeId,
        command: &Cmd,
        patience: Patience,
    ) -> Result<Value, Unmet> {
        let slot = self.roster.slot(node);
        let start = clock::now();
        let opened = self.links.open_aside(slot, self.patience()).await;
        let link = opened.inspect_err(|_| slot.member.counters().shared().failed())?;
        let limit = Deadline::after(start, patience.limit).left(clock::now());
        let reply = self.ask_on(&link, slot, command, Patience { limit, ..patience }).await?;
        slot.put_spare(link);
        Ok(reply)
    }

    /// Asks one node how far what was written over the shared link has come (`WAIT`), over that link; others
    /// open a new one meanwhile.
    pub(super) async fn ask_behind(
        &self,
        node: NodeId,
        command: &Cmd,
        patience: Patience,
    ) -> Result<Value, Unmet> {
        let slot = self.roster.slot(node);
        let Some(link) = slot.ready(self.lane, self.links.session_version()) else {
            return self.ask_aside(node, command, patience).await;
        };
        slot.remove(&link);
        let reply = self.ask_on(&link, slot, command, patience).await?;
        slot.put_back(self.lane, link);
        Ok(reply)
    }

    /// Asks over `link`.
    pub(super) async fn ask_on(
        &self,
        link: &Link,
        slot: &Slot,
        command: &Cmd,
        patience: Patience,
    ) -> Result<Value, Unmet> {
        let asked = self.begin(slot, patience)?;
        let under_way = slot.member.counters().shared().begin(1);
        let reply = link.ask(command, patience.limit).await;
        drop(under_way);
        self.conclude(asked, link, reply)
    }

    /// Sends the commands of `pipeline` to one node and waits for the `count` replies behind the first
    /// `offset`. Without a link, over the one that tasks share.
    pub(super) async fn ask_many(
        &self,
        slot: &Arc<Slot>,
        link: Option<&Link>,
        pipeline: &Pipeline,
        (offset, count): (usize, usize),
        patience: Patience,
    ) -> Result<Vec<Value>, Unmet> {
        let is_shared = link.is_none();
        let (mut link, patience) = match link {
            Some(link) => (link.clone(), patience),
            None => match slot.ready(self.lane, self.links.session_version()) {
                Some(link) => (link, patience),
                None => self.open_and_wait(slot, patience).await?,
            },
        };
        let asked = self.begin(slot, patience)?;
        let under_way = slot.member.counters().shared().begin(pipeline.len() as u64);
        let mut replies = link.ask_many(pipeline, offset, count, patience.limit).await;
        if is_shared && let Err(LinkError::Unsent { left, .. }) = replies {
            let patience = Patience { limit: left, ..patience };
            let (other, patience) = self.open_instead(slot, &link, patience).await?;
            link = other;
            replies = link.ask_many(pipeline, offset, count, patience.limit).await;
        }
        drop(under_way);
        self.conclude(asked, &link, replies)
    }

    /// The part of a request that `node` answers.
    pub(super) async fn ask_part(
        &self,
        node: NodeId,
        command: &Cmd,
        patience: Patience,
    ) -> Result<Part<Value>, Failure> {
        match self.ask(node, command, patience).await {
            Ok(reply) => Ok(Part { node, reply }),
            Err(unmet) => Err(unmet.into_failure(&self.roster.slot(node).member)),
        }
    }

    /// The link that tasks share.
    pub(super) async fn link(&self, slot: &Arc<Slot>, patience: Patience) -> Result<Link, Failure> {
        match slot.ready(self.lane, self.links.session_version()) {
            Some(link) => Ok(link),
            None => Ok(self.open_and_wait(slot, patience).await?.0),
        }
    }

    /// Waits for the link to be opened, and tells what patience is left.
    #[cold]
    async fn open_and_wait(
        &self,
        slot: &Arc<Slot>,
        patience: Patience,
    ) -> Result<(Link, Patience), Failure> {
        let deadline = Deadline::after(clock::now(), patience.limit);
        // In a box, so that the future of a request that need not wait is small.
        let opened = Box::pin(self.links.open(slot, self.lane, patience)).await;
        let link = opened.inspect_err(|_| slot.member.counters().shared().failed())?;
        Ok((link, Patience { limit: deadline.left(clock::now()), ..patience }))
    }

    /// Another link in the place of one that was closed before a request could be sent on it.
    #[cold]
    async fn open_instead(
        &self,
        slot: &Arc<Slot>,
        closed: &Link,
        patience: Patience,
    ) -> Result<(Link, Patience), Failure> {
        slot.remove(closed);
        match slot.ready(self.lane, self.links.session_version()) {
            Some(link) => Ok((link, patience)),
            None => self.open_and_wait(slot, patience).await,
        }
    }

    /// Begins a request.
    ///
    /// # Errors
    ///
    /// If there is no time left for it.
    #[inline]
    fn begin<'a>(&self, slot: &'a Slot, patience: Patience) -> Result<Asked<'a>, Failure> {
        if patience.limit.is_some_and(|limit| limit.is_zero()) {
            let deadline = self.until.or_earlier(Deadline::after(clock::now(), patience.limit));
            return Err(failure_of(&slot.member, WireError::Deadline, Phase::Talking, deadline));
        }
        Ok(Asked { slot, epoch: slot.member.epoch(), patience })
    }

    /// Tells the node's health what became of a request, and hangs up on one that failed.
    #[inline]
    fn conclude<T>(
        &self,
        asked: Asked<'_>,
        link: &Link,
        result: Result<T, LinkError>,
    ) -> Result<T, Unmet> {
        let Asked { slot, epoch, patience } = asked;
        let error = match result {
            Ok(reply) => {
                self.links.observe(&slot.member, epoch, Incident::Reply);
                return Ok(reply);
            }
            Err(error) => error,
        };
        let (failure, incident) = match request_failure(&slot.member, error, patience) {
            Ok(failed) => failed,
            Err(error) => {
                self.links.observe(&slot.member, epoch, Incident::Reply);
                return Err(Unmet::Refused(error));
            }
        };
        slot.member.counters().shared().failed();
        slot.remove(link);
        if link.state.break_once() {
            self.links.observe(&slot.member, epoch, incident);
        }
        Err(failure.into())
    }
}
