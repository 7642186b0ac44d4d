//! Requests whose replies are fetched later: `send_packed_command` and `recv_response`.

use redis::ErrorKind;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;

use super::connection::ShardedConnection;
use super::dispatch::PackedCommand;
use super::dispatch::commands;
use super::dispatch::refused;
use super::failure::Failure;
use super::partial::Joining;
use super::patience::Patience;
use crate::command::CommandRule;
use crate::command::Gather;
use crate::command::Waiting;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::plan::Part;
use crate::plan::Plan;
use crate::plan::Split;
use crate::plan::scatter;

/// A request that was sent, and where its replies will come from.
#[derive(Debug)]
pub(super) enum Flight {
    /// It has landed: another request wanted the links.
    Landed(RedisResult<Value>),
    Airborne(Box<Airborne>),
}

/// A request that can be sent.
struct Departure<'a> {
    command: PackedCommand<'a>,
    rule: CommandRule,
    nodes: Vec<NodeId>,
    route: FlightRoute,
}

#[derive(Debug)]
pub(super) struct Airborne {
    command: Vec<u8>,
    rule: CommandRule,
    /// The members that were written to, or why one was not.
    members: Vec<Result<u64, Failure>>,
    route: FlightRoute,
    /// How long the servers may wait.
    waiting: Waiting,
}

#[derive(Debug)]
pub(super) enum FlightRoute {
    One,
    Split(Split),
    All(Gather),
}

impl ShardedConnection {
    /// Sends a command, or several, without waiting for replies;
    /// [`recv_response`](Self::recv_response) fetches them, in the order of the commands.
    ///
    /// Whatever else is done with the connection before takes the replies off the wire and keeps them, so
    /// that no request can get the reply of another. Connections that are missing are opened, and waited for.
    ///
    /// # Errors
    ///
    /// If a command cannot be sharded, or its reply is not that of one node or the replies of nodes that are
    /// asked together: `PING`, `ECHO`, `SCAN`, `RANDOMKEY`, `SELECT`, `AUTH`, `WATCH`, `MULTI` and their like
    /// must be asked for as usual. So must everything while a `MULTI` is open. Nothing was sent then, of
    /// several commands none. A node that could not be written to is reported by `recv_response`.
    pub fn send_packed_command(&mut self, bytes: &[u8]) -> RedisResult<()> {
        self.links.refresh();
        let departures = commands(bytes)?.into_iter().map(|command| self.departure(command));
        let departures = departures.collect::<RedisResult<Vec<_>>>()?;
        let until = self.begin();
        for departure in departures {
            self.depart(departure, until);
        }
        Ok(())
    }

    fn departure<'a>(&self, command: PackedCommand<'a>) -> RedisResult<Departure<'a>> {
        let args = &command.args;
        let rule = self.rule(args)?;
        if self.transaction.is_open() {
            return Err(refused(args[0], "a transaction is open").into());
        }
        let (nodes, route) = match scatter(args, &rule, self.router())? {
            Plan::One(node) => (vec![node], FlightRoute::One),
            Plan::Split(split) => (split.nodes().collect(), FlightRoute::Split(split)),
            Plan::All(how) => (self.router().live_nodes().collect(), FlightRoute::All(how)),
            _ => {
                let why = "its reply cannot be fetched with recv_response";
                return Err(refused(args[0], why).into());
            }
        };
        Ok(Departure { command, rule, nodes, route })
    }

    fn depart(&mut self, departure: Departure<'_>, until: Deadline) {
        let Departure { command: PackedCommand { args, bytes }, rule, nodes, route } = departure;
        let mut unopened = self.links.open(&nodes, self.patience());
        let send = |(fragment, node): (usize, NodeId)| {
            let mut buffer = Vec::new();
            let bytes = match &route {
                FlightRoute::Split(split) => {
                    split.write(fragment, &args, &mut buffer);
                    &buffer
                }
                _ => bytes,
            };
            if let Some(failure) = unopened[fragment].take() {
                return Err(failure);
            }
            let patience = Patience::until(until, clock::now());
            let sent = self.links.send(node, bytes, 1, patience);
            sent.map(|()| self.links.member_of_node(node))
        };
        let members = nodes.into_iter().enumerate().map(send).collect();
        let command = args.first().copied().unwrap_or_default().to_vec();
        let waiting = rule.waiting(&args);
        let airborne = Airborne { command, rule, members, route, waiting };
        self.flights.push_back(Flight::Airborne(Box::new(airborne)));
    }

    /// Fetches the reply to the earliest command sent with
    /// [`send_packed_command`](Self::send_packed_command) that has not been fetched.
    ///
    /// # Errors
    ///
    /// If no reply is owed, or if its node failed.
    pub fn recv_response(&mut self) -> RedisResult<Value> {
        self.begin();
        match self.flights.pop_front() {
            Some(flight) => self.land(flight),
            None => Err(RedisError::from((ErrorKind::Client, "no reply is owed"))),
        }
    }

    /// Takes all replies off the wire, within the time of the request that wants the links.
    #[cold]
    pub(super) fn land_all(&mut self) {
        self.begin();
        for flight in std::mem::take(&mut self.flights) {
            let reply = self.land(flight);
            self.flights.push_back(Flight::Landed(reply));
        }
    }

    fn land(&mut self, flight: Flight) -> RedisResult<Value> {
        let Airborne { command, rule, members, route, waiting } = match flight {
            Flight::Landed(reply) => return reply,
            Flight::Airborne(airborne) => *airborne,
        };
        let patience = self.patience().and_waiting(waiting);
        let deadline = Deadline::after(clock::now(), patience.limit);
        if self.until.at().is_some() {
            // What is behind it was not to have waited.
            self.until = deadline;
        }
        let parts = members.into_iter().map(|member| {
            let member = member?;
            // The topology may have changed: the node's number, or that there is such a node.
            match self.links.node_of_member(member) {
                Some(now) => {
                    let patience = Patience { limit: deadline.left(clock::now()), ..patience };
                    self.links.receive(now, patience).map(|reply| Part { node: now, reply })
                }
                None => Err(self.links.gone()),
            }
        });
        let parts = parts.collect();
        let joining = match &route {
            FlightRoute::One => Joining::Only,
            FlightRoute::Split(split) => Joining::Fragments(split),
            FlightRoute::All(how) => Joining::Nodes(*how),
        };
        self.join(joining, parts, &[command.as_slice()], &rule)
    }
}
