//! The place of one link.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use redis::PushInfo;
use redis::PushKind;

use super::endpoint::Endpoint;
use super::failure::Failure;
use super::wire::Link;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::topology::Member;
use crate::topology::Tally;

/// The place of the link to one node.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) member: Arc<Member<Endpoint>>,
    pub(super) tally: Arc<Tally>,
    pub(super) link: Option<Link>,
    /// Replies on the link that `Links::receive` is to fetch, and the member's epoch when the last of
    /// their requests was sent.
    pub(super) flying: usize,
    pub(super) sent_in: u64,
    /// Replies that it is to fetch and that went down with links before: those come first.
    pub(super) lost: usize,
    /// Who is told when a link is lost, and with it whatever was listened to on it.
    push_sender: Option<Sender<PushInfo>>,
}

impl Slot {
    pub(super) fn new(member: &Arc<Member<Endpoint>>) -> Self {
        Self {
            member: Arc::clone(member),
            tally: member.counters().begin(),
            link: None,
            flying: 0,
            sent_in: 0,
            lost: 0,
            push_sender: None,
        }
    }

    pub(super) fn set_push_sender(&mut self, sender: &Sender<PushInfo>) {
        self.push_sender = Some(sender.clone());
    }

    /// Closes the link if it may not be used.
    #[inline]
    pub(super) fn close_if_unusable(&mut self, now: Instant) {
        if self.link.as_mut().is_some_and(|link| !link.is_usable(now)) {
            self.close();
        }
    }

    /// Takes the link out, if there is one that may be used.
    pub(super) fn take(&mut self, now: Instant) -> Option<Link> {
        self.close_if_unusable(now);
        let link = self.link.take()?;
        self.tally.disconnected();
        Some(link)
    }

    /// What is said instead of a reply that no link will give.
    pub(super) fn no_reply(&self, what: &str) -> Failure {
        ShardError::new(ShardErrorKind::Node, what)
            .with_io_kind(std::io::ErrorKind::NotConnected)
            .with_node(Arc::clone(self.member.name()))
            .into()
    }

    pub(super) fn put(&mut self, link: Link) {
        self.tally.connected();
        self.link = Some(link);
    }

    pub(super) fn close(&mut self) {
        if self.link.take().is_some() {
            self.tally.disconnected();
            self.lost += std::mem::take(&mut self.flying);
            self.tell_of_loss();
        }
    }

    /// Tells of a link that was lost.
    pub(super) fn tell_of_loss(&self) {
        if let Some(sender) = &self.push_sender {
            // Nobody listens any more: that is the listener's choice.
            let _ = sender.send(PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Whoever drops a connection knows.
        self.push_sender = None;
        self.close();
        self.member.counters().end(&self.tally);
    }
}
