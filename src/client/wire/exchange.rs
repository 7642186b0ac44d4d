//! Several nodes at the same time.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use redis::ConnectionInfo;
use redis::Value;

use super::connecting::Connecting;
use super::connecting::Progress;
use super::direct::Direct;
use super::link::Link;
use super::link::Transport;
use super::link::WireError;
use crate::client::session::Session;
use crate::net;
use crate::net::BYTES_A_TURN;
use crate::net::Interest;
use crate::net::clock;
use crate::net::clock::Deadline;

/// The part of an exchange that concerns one node.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is written.
    bytes: Vec<u8>,
    /// How many requests that is, each with one reply.
    requests: usize,
    sent: usize,
    replies: Vec<Value>,
    received: usize,
    /// Whether there was a link to talk on.
    is_connected: bool,
    /// Whether the replies are noted as owed.
    is_owed: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Connecting(Box<Connecting>),
    Talking(Link),
    /// Everything was answered.
    Finished(Link),
    Failed(WireError),
    /// Only between two stages.
    Changing,
}

/// What became of a job.
#[derive(Debug)]
pub(crate) struct Done {
    /// The replies that came, all of them if `link` is there.
    pub(crate) replies: Vec<Value>,
    /// Bytes written and read.
    pub(crate) sent: usize,
    pub(crate) received: usize,
    /// The link, if it may be used again; otherwise what happened to it.
    pub(crate) link: Result<Link, WireError>,
}

impl Job {
    /// A job on a link that is ready.
    pub(crate) fn on(link: Link, bytes: Vec<u8>, requests: usize) -> Self {
        Self::new(Stage::Talking(link), bytes, requests)
    }

    /// A job whose link must be made first, until `connect_by` at the latest.
    pub(crate) fn connecting(
        info: ConnectionInfo,
        session: Session,
        connect_by: Deadline,
        bytes: Vec<u8>,
        requests: usize,
    ) -> Self {
        let stage = match Connecting::start(info, session, connect_by, clock::now()) {
            Ok(connecting) => Stage::Connecting(Box::new(connecting)),
            Err(error) => Stage::Failed(error),
        };
        Self::new(stage, bytes, requests)
    }

    fn new(stage: Stage, bytes: Vec<u8>, requests: usize) -> Self {
        let is_connected = matches!(stage, Stage::Talking(_));
        Self {
            bytes,
            requests,
            sent: 0,
            replies: Vec::new(),
            received: 0,
            is_connected,
            is_owed: false,
            stage,
        }
    }

    /// Whether there was a link to talk on.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// What became of it, and its space for the next one.
    pub(crate) fn into_done(self) -> (Done, Vec<u8>) {
        let link = match self.stage {
            Stage::Finished(link) => Ok(link),
            Stage::Failed(error) => Err(error),
            _ => Err(WireError::Deadline),
        };
        let Self { replies, sent, received, bytes, .. } = self;
        (Done { replies, sent, received, link }, bytes)
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Finished(_) | Stage::Failed(_))
    }

    /// Goes on as far as it goes without waiting.
    fn advance(&mut self, now: Instant, on_push: &mut dyn FnMut(Value)) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Changing) {
            Stage::Connecting(connecting) => match connecting.advance(now) {
                Ok(Progress::Waiting(connecting)) => Stage::Connecting(connecting),
                Ok(Progress::Connected(link)) => {
                    self.is_connected = true;
                    self.talk(link, on_push)
                }
                Err(error) => Stage::Failed(error),
            },
            Stage::Talking(link) => self.talk(link, on_push),
            stage => stage,
        };
    }

    fn talk(&mut self, mut link: Link, on_push: &mut dyn FnMut(Value)) -> Stage {
        let Transport::Direct(direct) = &mut link.transport else {
            // A delegate blocks: it is served when the others are done.
            return Stage::Talking(link);
        };
        match self.try_talk(direct, on_push) {
            Ok(()) if self.is_answered() => Stage::Finished(link),
            Ok(()) => Stage::Talking(link),
            Err(error) => Stage::Failed(error),
        }
    }

    fn is_answered(&self) -> bool {
        self.replies.len() >= self.requests && self.sent == self.bytes.len()
    }

    fn try_talk(
        &mut self,
        direct: &mut Direct,
        on_push: &mut dyn FnMut(Value),
    ) -> Result<(), WireError> {
        let is_new = !self.is_owed;
        if is_new {
            direct.owe(self.requests);
            self.is_owed = true;
        }
        while self.sent < self.bytes.len() {
            match direct.try_send(&self.bytes[self.sent..])? {
                0 => break,
                count => self.sent += count,
            }
        }
        let mut received = 0;
        loop {
            while self.replies.len() < self.requests {
                let Some((reply, length)) = direct.next_reply(on_push)? else { break };
                self.replies.push(reply);
                self.received += length;
            }
            // What was written just now has no reply yet: asking for it would cost a system call.
            if is_new || self.is_answered() || received >= BYTES_A_TURN {
                return Ok(());
            }
            match direct.try_receive()? {
                0 => return Ok(()),
                count => received += count,
            }
        }
    }

    /// The blocking part of a job whose connection redis-rs holds.
    fn send_through_delegate(&mut self, deadline: Deadline) {
        // redis-rs takes no bytes for a mistake; here they are a connection that is only to be made.
        if self.sent == self.bytes.len() || !self.is_delegated() {
            return;
        }
        if let Stage::Talking(link) = &mut self.stage {
            match link.send(&self.bytes, self.requests, deadline) {
                Ok(()) => self.sent = self.bytes.len(),
                Err(error) => self.stage = Stage::Failed(error),
            }
        }
    }

    fn receive_through_delegate(&mut self, deadline: Deadline, on_push: &mut dyn FnMut(Value)) {
        while self.is_delegated() {
            let Stage::Talking(mut link) = std::mem::replace(&mut self.stage, Stage::Changing)
            else {
                return;
            };
            self.stage = if self.replies.len() >= self.requests {
                Stage::Finished(link)
            } else {
                match link.receive(deadline, on_push) {
                    Ok((reply, length)) => {
                        self.replies.push(reply);
                        self.received += length;
                        Stage::Talking(link)
                    }
                    Err(error) => Stage::Failed(error),
                }
            };
        }
    }

    fn is_delegated(&self) -> bool {
        matches!(&self.stage, Stage::Talking(Link { transport: Transport::Delegate(_), .. }))
    }
}

impl net::Job for Job {
    fn interest(&self) -> Option<Interest<'_>> {
        match &self.stage {
            Stage::Connecting(connecting) => Some(connecting.interest()),
            Stage::Talking(Link { transport: Transport::Direct(direct), .. }) => {
                Some(if self.sent < self.bytes.len() {
                    Interest::Both(direct.as_fd())
                } else {
                    Interest::Readable(direct.as_fd())
                })
            }
            _ => None,
        }
    }

    fn wakes(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Connecting(connecting) => connecting.wakes(),
            _ => None,
        }
    }
}

/// Carries out `jobs` at the same time, until each of them is answered or has failed, or the deadline has
/// passed; then those that are not finished have failed, and the replies of the others are kept.
///
/// All nodes are written to before any is waited for, and each connects, writes and reads as its socket
/// allows: one that hangs delays nobody else.
pub(crate) fn exchange(jobs: &mut [Job], deadline: Deadline, on_push: &mut dyn FnMut(Value)) {
    let outcome = net::exchange(jobs, deadline, |job, now| {
        job.advance(now, on_push);
        job.send_through_delegate(deadline);
    });
    if let Err(error) = outcome {
        return fail_all(jobs, &error);
    }
    for job in jobs.iter_mut() {
        job.receive_through_delegate(deadline, on_push);
        if !job.is_over() {
            job.stage = Stage::Failed(WireError::Deadline);
        }
    }
}

/// The system refused to wait (too many descriptors, no memory).
fn fail_all(jobs: &mut [Job], error: &io::Error) {
    for job in jobs.iter_mut().filter(|job| !job.is_over()) {
        job.stage = Stage::Failed(WireError::Io(net::copy_of(error)));
    }
}
