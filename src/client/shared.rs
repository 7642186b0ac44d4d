//! What all connections of a client share, and how one of its nodes is probed.

use std::time::Duration;

use redis::Value;

use super::endpoint::Endpoint;
use super::options::Options;
use super::session::Session;
use super::wire::Job;
use super::wire::exchange;
use crate::net;
use crate::net::Probe;
use crate::net::ProbeLimit;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

pub(crate) type Shared = net::Shared<Endpoint, Options>;

impl Probe for Endpoint {
    /// Whether a new connection can be made, greeted and pinged.
    ///
    /// A node that is loading its data, or that is a replica without its master, answers and is still of no
    /// use; any other reply will do, even that this user may not ping.
    fn answers(&self, limit: Duration) -> bool {
        let deadline = Deadline::after(clock::now(), Some(limit));
        let mut ping = Vec::new();
        write_array_header(&mut ping, 1);
        write_bulk_string(&mut ping, b"PING");
        let mut jobs =
            [Job::connecting(self.info().clone(), Session::default(), deadline, ping, 1)];
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
}

impl ProbeLimit for Options {
    fn probe_limit(&self) -> Duration {
        self.connect_timeout.or(self.timeout).unwrap_or(net::PROBE_LIMIT)
    }
}
