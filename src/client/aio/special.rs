//! Commands that concern the connection rather than a node.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::Cmd;
use redis::RedisResult;
use redis::Value;

use super::ShardedMultiplexedConnection;
use super::connecting::command_of;
use super::execute::not_shared;
use super::link::Link;
use super::links::Roster;
use super::runtime::within;
use crate::client::dispatch::refused;
use crate::client::failure::Failure;
use crate::client::partial::Joining;
use crate::client::patience::Patience;
use crate::client::scan::ScanFailed;
use crate::client::scan::ScanStep;
use crate::client::scan::begin_scan;
use crate::client::scan::end_scan;
use crate::client::special::is_error;
use crate::client::special::local_reply;
use crate::client::special::wrong_arity;
use crate::command::CommandRule;
use crate::command::Gather;
use crate::command::SessionCommand;
use crate::command::Special;
use crate::command::TransactionCommand;
use crate::error::ShardError;
use crate::error::ShardErrorKind;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::plan::Part;
use crate::plan::designated;

impl ShardedMultiplexedConnection {
    pub(super) async fn execute_special(
        &mut self,
        special: Special,
        args: &[&[u8]],
        command: &Cmd,
    ) -> RedisResult<Value> {
        match special {
            // `QUIT` included: others use the connections.
            Special::Local(reply) => Ok(local_reply(reply, args)),
            Special::Session(SessionCommand::Reset) if args.len() == 1 => Ok(self.reset()),
            Special::Session(kind) => self.change_session(kind, args, command).await,
            Special::Transaction(TransactionCommand::Watch) if args.len() > 1 => {
                self.watch(args, command).await
            }
            Special::Transaction(TransactionCommand::Unwatch) if args.len() == 1 => {
                self.unwatch(command).await
            }
            Special::Transaction(TransactionCommand::Watch | TransactionCommand::Unwatch) => {
                Ok(wrong_arity(args[0]))
            }
            Special::Transaction(_) => Err(not_shared(args[0])),
            Special::Scan => self.scan(args, command).await,
            Special::Refused(reason) => Err(refused(args[0], reason).into()),
        }
    }

    /// Forgets what was set. No node is told: a connection that is reset would answer requests of others in
    /// another database, so new ones are opened instead.
    fn reset(&mut self) -> Value {
        self.links.remember(SessionCommand::Reset, &[b"RESET"], &[]);
        self.roster.slots().for_each(|(_, slot)| slot.close());
        self.end_watching();
        Value::SimpleString("RESET".into())
    }

    /// Tells all open links, and remembers it for those that will be opened. One change after the other:
    /// two at the same time would reach each node in another order.
    async fn change_session(
        &mut self,
        kind: SessionCommand,
        args: &[&[u8]],
        command: &Cmd,
    ) -> RedisResult<Value> {
        let outer = self.until;
        let patience = self.patience();
        self.until = Deadline::after(clock::now(), patience.limit);
        let links = Arc::clone(&self.links);
        let changed = match within(patience.limit, links.session_turn.lock()).await {
            Some(_turn) => self.change_session_in_turn(kind, args, command).await,
            None => Err(late(args[0], patience).into()),
        };
        self.until = outer;
        changed
    }

    async fn change_session_in_turn(
        &mut self,
        kind: SessionCommand,
        args: &[&[u8]],
        command: &Cmd,
    ) -> RedisResult<Value> {
        let told = self.links_to_tell().await?;
        // Until it is known what they made of it, nobody may rely on any of them.
        let mut doubt = Doubt { roster: Arc::clone(&self.roster), links: told.clone() };
        let patience = self.patience();
        let this = &*self;
        let tell = |(node, link)| this.tell(node, link, command, patience);
        let parts = join_all(told.iter().cloned().map(tell)).await;
        let changed = |part: &Result<Part<Value>, _>| match part {
            Ok(part) => kind == SessionCommand::Hello || !is_error(&part.reply),
            Err(_) => false,
        };
        let is_done =
            parts.iter().all(|part| part.as_ref().is_ok_and(|part| !is_error(&part.reply)));
        let changed: Vec<_> = parts.iter().map(changed).collect();
        let rule = CommandRule::all_nodes(Gather::First);
        // What was not set everywhere is not set: an error in the place of the reply would not keep a
        // pipeline from going on.
        let failed = parts.iter().find_map(|part| part.as_ref().err().cloned());
        let reply = self.join(Joining::Nodes(Gather::First), parts, args, &rule);
        let reply = reply.and_then(|reply| failed.map_or(Ok(reply), |failure| Err(failure.into())));
        if is_done {
            doubt.links.clear();
            let told: Vec<_> = told.into_iter().map(|(_, link)| link).collect();
            self.links.remember(kind, args, &told);
            return reply;
        }
        let mut changed = changed.into_iter();
        doubt.links.retain(|_| changed.next().unwrap_or(true));
        reply
    }

    async fn tell(
        &self,
        node: NodeId,
        link: Link,
        command: &Cmd,
        patience: Patience,
    ) -> Result<Part<Value>, Failure> {
        let slot = self.roster.slot(node);
        match self.ask_on(&link, slot, command, patience).await {
            Ok(reply) => Ok(Part { node, reply }),
            Err(unmet) => Err(unmet.into_failure(&slot.member)),
        }
    }

    /// The links that are in use, to nodes that are not ejected; if there is none, a new one: somebody has
    /// to say whether the database exists, or the password is right.
    async fn links_to_tell(&self) -> RedisResult<Vec<(NodeId, Link)>> {
        let mut told = Vec::new();
        let version = self.links.session_version();
        for (node, slot) in self.roster.slots() {
            if self.router().ejected().contains(node) {
                // It may take the whole timeout. It hears of it with the handshake of its next link.
                slot.close();
            } else {
                // One that has missed a change before is replaced, and must not pass for up to date.
                let links = slot.open_links().into_iter();
                told.extend(links.filter(|link| link.is_usable(version)).map(|link| (node, link)));
            }
        }
        if told.is_empty() {
            let node = designated(self.router())?;
            let link = self.link(self.roster.slot(node), self.patience()).await?;
            told.push((node, link));
        }
        Ok(told)
    }

    /// Scans the node that the cursor names.
    async fn scan(&mut self, args: &[&[u8]], command: &Cmd) -> RedisResult<Value> {
        let patience = self.patience();
        let scan = match begin_scan(args, self.router())? {
            ScanStep::Forward(node) => return Ok(self.ask(node, command, patience).await?),
            ScanStep::Done(reply) => return Ok(reply),
            ScanStep::Scan(scan) => scan,
        };
        let cursor = scan.own.to_string();
        let head = [args[0], cursor.as_bytes()];
        let command = command_of(head.into_iter().chain(args[2..].iter().copied()));
        let reply = self.ask(scan.node, &command, patience).await?;
        end_scan(scan, reply, args[0], self.router()).map_err(|failed| match failed {
            ScanFailed::Refused(error) => error.into(),
            ScanFailed::Broken(reply) => self.hang_up(reply, args[0]),
        })
    }
}

/// Links of which it is not known what holds on them. They are replaced, also if the future that told them
/// is dropped.
struct Doubt {
    roster: Arc<Roster>,
    links: Vec<(NodeId, Link)>,
}

impl Drop for Doubt {
    fn drop(&mut self) {
        for (node, link) in &self.links {
            link.state.close();
            self.roster.slot(*node).remove(link);
        }
    }
}

/// An error for a change that had to wait too long for the one before it.
fn late(name: &[u8], patience: Patience) -> ShardError {
    let name = String::from_utf8_lossy(name).to_uppercase();
    let limit = patience.limit.unwrap_or_default();
    let why = "other clones were changing the connection";
    ShardError::new(ShardErrorKind::Deadline, format!("{name}: {why} for {limit:?}"))
}
