//! Several nodes at the same time.

use std::time::Instant;

use super::ask::Ask;
use super::ask::Outcome;
use super::batch::Batch;
use super::endpoint::Endpoint;
use super::endpoint::Target;
use super::link::Connecting;
use super::link::Link;
use super::link::Progress;
use super::options::Options;
use super::pool::Lease;
use super::pool::Ticket;
use super::wire_error::Phase;
use super::wire_error::WireError;
use crate::net;
use crate::net::BYTES_A_TURN;
use crate::net::Interest;
use crate::net::clock::Deadline;
use crate::topology::Member;

/// What one node is asked.
#[derive(Debug)]
pub(super) struct Job<'a> {
    batch: Batch<'a>,
    stage: Stage<'a>,
    /// Where its link comes from and goes to; a probe's comes from nowhere.
    lease: Option<Lease<'a>>,
    deadline: Deadline,
    phase: Phase,
    bytes: Vec<u8>,
    sent: usize,
    received: usize,
}

#[derive(Debug)]
enum Stage<'a> {
    /// All connections to the node are in use.
    Queueing(Queueing<'a>),
    Connecting(Box<Connecting>),
    Talking(Box<Link>),
    Finished,
    Failed(WireError),
    /// Only between two stages.
    Changing,
}

/// Where a connection is to come from.
#[derive(Debug)]
struct Queueing<'a> {
    member: &'a Member<Endpoint>,
    options: &'a Options,
    /// If there was none.
    ticket: Option<Ticket<'a>>,
}

/// What became of a job.
#[derive(Debug)]
pub(super) struct Done {
    /// What came of its asks; of each of them if nothing failed.
    pub(super) outcomes: Vec<Option<Outcome>>,
    pub(super) failure: Option<(WireError, Phase)>,
    /// Bytes written and read.
    pub(super) sent: usize,
    pub(super) received: usize,
}

impl<'a> Job<'a> {
    /// Asks `member`, over one of its connections.
    pub(super) fn new(
        member: &'a Member<Endpoint>,
        options: &'a Options,
        asks: &'a [Ask<'a>],
        deadline: Deadline,
    ) -> Self {
        let stage = Stage::Queueing(Queueing { member, options, ticket: None });
        Self::at(stage, asks, deadline, Phase::Talking(deadline))
    }

    /// Asks `target` over a connection that is made for this, until `deadline`, and closed afterwards.
    pub(super) fn connecting(
        target: &Target,
        deadline: Deadline,
        now: Instant,
        asks: &'a [Ask<'a>],
    ) -> Self {
        let stage = connect(target, deadline, now);
        Self::at(stage, asks, deadline, Phase::Connecting(deadline))
    }

    /// The same job, with a lease already.
    pub(super) fn with_lease(mut self, lease: Lease<'a>) -> Self {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Changing) {
            Stage::Queueing(queueing) => self.begin(lease, queueing),
            stage => stage,
        };
        self
    }

    fn at(stage: Stage<'a>, asks: &'a [Ask<'a>], deadline: Deadline, phase: Phase) -> Self {
        Self {
            batch: Batch::new(asks),
            stage,
            lease: None,
            deadline,
            phase,
            bytes: Vec::new(),
            sent: 0,
            received: 0,
        }
    }

    /// Its time was over before it began.
    pub(super) fn leave_unsent(&mut self) {
        self.stage = Stage::Failed(WireError::Unsent);
    }

    pub(super) fn into_done(self) -> Done {
        let Self { stage, phase, batch, sent, received, .. } = self;
        let failure = match stage {
            Stage::Finished => None,
            Stage::Failed(error) => Some((error, phase)),
            Stage::Queueing(queueing) => {
                Some((WireError::Busy(queueing.options.max_connections), phase))
            }
            _ => Some((WireError::Deadline, phase)),
        };
        Done { outcomes: batch.into_outcomes(), failure, sent, received }
    }

    /// Goes on as far as it goes without waiting.
    fn advance(&mut self, now: Instant) {
        let stage = std::mem::replace(&mut self.stage, Stage::Changing);
        self.stage = match stage {
            Stage::Queueing(mut queueing) => {
                let Queueing { member, options, .. } = queueing;
                let (pool, tally) = (member.endpoint().pool(), member.counters().shared());
                let ticket = &mut queueing.ticket;
                match pool.try_lease(ticket, tally, options, now, self.deadline) {
                    Some(lease) => self.begin(lease, queueing),
                    None => Stage::Queueing(queueing),
                }
            }
            stage => stage,
        };
        self.stage = match std::mem::replace(&mut self.stage, Stage::Changing) {
            Stage::Connecting(connecting) => match connecting.advance(now) {
                Ok(Progress::Waiting(connecting)) => Stage::Connecting(Box::new(connecting)),
                Ok(Progress::Connected(link)) => {
                    if let Some(lease) = &mut self.lease {
                        lease.opened();
                    }
                    self.talk(Box::new(link))
                }
                Err(error) => Stage::Failed(error),
            },
            Stage::Talking(link) => self.talk(link),
            stage => stage,
        };
        if matches!(self.stage, Stage::Finished | Stage::Failed(_)) {
            // Others may wait for it, and this exchange for what those have.
            self.lease = None;
        }
    }

    /// Takes the link of `lease`, or makes one.
    fn begin(&mut self, mut lease: Lease<'a>, queueing: Queueing<'a>) -> Stage<'a> {
        let Queueing { member, options, .. } = queueing;
        let now = lease.since;
        let stage = match lease.link.take() {
            Some(link) => Stage::Talking(Box::new(link)),
            None => {
                let limit = options.connect_timeout;
                let connect_by = Deadline::after(now, limit).or_earlier(self.deadline);
                self.phase = Phase::Connecting(connect_by);
                connect(member.endpoint().target(), connect_by, now)
            }
        };
        self.lease = Some(lease);
        stage
    }

    fn talk(&mut self, mut link: Box<Link>) -> Stage<'a> {
        self.phase = Phase::Talking(self.deadline);
        match self.try_talk(&mut link) {
            Ok(()) if self.is_answered() => {
                if let Some(lease) = &mut self.lease {
                    lease.link = Some(*link);
                }
                Stage::Finished
            }
            Ok(()) => Stage::Talking(link),
            Err(error) => Stage::Failed(error),
        }
    }

    fn is_answered(&self) -> bool {
        self.batch.is_answered() && self.sent == self.bytes.len()
    }

    fn try_talk(&mut self, link: &mut Link) -> Result<(), WireError> {
        let is_new = !self.batch.is_written();
        if is_new {
            self.batch.write(link, &mut self.bytes, self.deadline)?;
        }
        // The clock and the other nodes have their turn, too.
        let most = self.sent + 4 * BYTES_A_TURN;
        while self.sent < self.bytes.len().min(most) {
            let end = match link.piece() {
                Some(limit) => self.batch.end_of_piece(self.sent, limit),
                None => self.bytes.len(),
            };
            match link.try_send(&self.bytes[self.sent..end])? {
                0 => break,
                count => self.sent += count,
            }
        }
        if is_new {
            // There is no reply yet: asking for it would cost a system call.
            return Ok(());
        }
        let mut received = 0;
        loop {
            let missing = self.batch.read(link, &mut self.received)?;
            if self.is_answered() || received >= BYTES_A_TURN {
                return Ok(());
            }
            match link.try_receive(missing)? {
                0 => return Ok(()),
                count => received += count,
            }
        }
    }
}

fn connect<'a>(target: &Target, deadline: Deadline, now: Instant) -> Stage<'a> {
    match Connecting::start(target, deadline, now) {
        Ok(connecting) => Stage::Connecting(Box::new(connecting)),
        Err(error) => Stage::Failed(error),
    }
}

impl net::Job for Job<'_> {
    fn interest(&self) -> Option<Interest<'_>> {
        match &self.stage {
            Stage::Queueing(_) => Some(Interest::Thread),
            Stage::Connecting(connecting) => Some(connecting.interest()),
            Stage::Talking(link) => Some(link.interest(self.sent < self.bytes.len())),
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
/// passed; then those that are not finished have failed, and what the others were answered is kept.
pub(super) fn exchange(jobs: &mut [Job<'_>], deadline: Deadline) {
    if let Err(error) = net::exchange(jobs, deadline, Job::advance) {
        // The system refused to wait (too many descriptors, no memory).
        for job in jobs.iter_mut() {
            if net::Job::interest(job).is_some() {
                job.stage = Stage::Failed(WireError::Io(net::copy_of(&error)));
            }
        }
    }
}
