//! What is watched: on a connection of its own, so that no other task's `EXEC` ends it.
//!
//! ```text
//!   WATCH k ──► takes a connection to the node of k for itself
//!   reads   ──► as always, over the connections that tasks share
//!   MULTI … EXEC (an atomic pipeline) ──► over the connection that watches, which then rests
//! ```
//!
//! A connection that breaks takes its `WATCH` with it. An `EXEC` on another would run unguarded, so it is
//! refused ([`TransactionLost`](crate::ShardErrorKind::TransactionLost)).

use std::sync::Arc;

use parking_lot::Mutex;
use redis::Cmd;
use redis::Pipeline;
use redis::RedisResult;
use redis::Value;

use super::ShardedMultiplexedConnection;
use super::link::Link;
use crate::client::dispatch::Source;
use crate::client::dispatch::refused;
use crate::client::dispatch::rule_in;
use crate::client::patience::Patience;
use crate::client::place::Gathering;
use crate::client::transaction::lost;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::node::NodeId;
use crate::plan::cross_shard;
use crate::plan::one_node;

/// What a connection, and clones that were made since, have watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Watching {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Watched(Watched),
    /// What the application takes for watched is not: `EXEC` must not be carried out.
    Lost,
}

#[derive(Debug)]
struct Watched {
    link: Link,
    /// The node, as its member's id: node ids change with the topology.
    member: u64,
    /// Never empty.
    keys: Vec<Vec<u8>>,
}

impl Watched {
    fn first_key(&self) -> &[u8] {
        self.keys.first().map(Vec::as_slice).unwrap_or_default()
    }
}

impl Watching {
    /// Takes what is watched, which nothing is behind it.
    fn take(&self) -> State {
        std::mem::take(&mut *self.state.lock())
    }

    fn set(&self, state: State) {
        *self.state.lock() = state;
    }
}

impl ShardedMultiplexedConnection {
    /// One that fails ends what was watched before, for clones too that share it: their `EXEC` is refused.
    pub(super) async fn watch(&mut self, args: &[&[u8]], command: &Cmd) -> RedisResult<Value> {
        let before = self.watching.take();
        let was_watching = !matches!(before, State::Nothing);
        if !was_watching {
            // Clones that watch for themselves are another matter: `transaction_async` clones at the start.
            self.watching = Watching::default();
        }
        // This future may be dropped.
        self.watching.set(State::Lost);
        match self.watch_behind(before, args, command).await {
            Ok((reply, watched)) => {
                self.watching.set(watched);
                Ok(reply)
            }
            Err(error) => {
                if !was_watching {
                    self.watching.set(State::Nothing);
                }
                Err(error)
            }
        }
    }

    async fn watch_behind(
        &self,
        before: State,
        args: &[&[u8]],
        command: &Cmd,
    ) -> RedisResult<(Value, State)> {
        let rule = *rule_in(&self.options().table, args)?;
        let node = one_node(args, &rule, self.router())?;
        let slot = self.roster.slot(node);
        let start = clock::now();
        let (link, mut keys) = match before {
            State::Watched(watched) => {
                let pinned = self.node_of(&watched).ok_or_else(lost)?;
                if pinned != node {
                    let one = (watched.first_key(), pinned);
                    return Err(cross_shard(args[0], one, (args[1], node), self.router()).into());
                }
                (watched.link, watched.keys)
            }
            State::Nothing | State::Lost => {
                (self.links.open_aside(slot, self.patience()).await?, Vec::new())
            }
        };
        let limit = Deadline::after(start, self.patience().limit).left(clock::now());
        let patience = Patience { limit, is_blocking: false };
        let reply = self.ask_on(&link, slot, command, patience).await?;
        if reply != Value::Okay && keys.is_empty() {
            slot.put_spare(link);
            return Ok((reply, State::Nothing));
        }
        keys.extend(args[1..].iter().map(|key| key.to_vec()));
        Ok((reply, State::Watched(Watched { link, member: slot.member.id(), keys })))
    }

    pub(super) async fn unwatch(&mut self, command: &Cmd) -> RedisResult<Value> {
        let State::Watched(watched) = self.watching.take() else {
            return Ok(Value::Okay);
        };
        let Some(node) = self.node_of(&watched) else {
            return Ok(Value::Okay);
        };
        let slot = self.roster.slot(node);
        let reply = self.ask_on(&watched.link, slot, command, self.patience()).await?;
        if reply == Value::Okay {
            slot.put_spare(watched.link);
        }
        Ok(reply)
    }

    /// Nothing is watched any more.
    pub(super) fn end_watching(&self) {
        self.watching.set(State::Nothing);
    }

    /// What is to be watched is not.
    pub(super) fn fail_watch(&self) {
        self.watching.set(State::Lost);
    }

    /// Carries out an atomic pipeline: all its keys are on one node, and on that of what is watched, or
    /// nothing is sent. Whatever comes of it, nothing is watched behind it.
    pub(super) async fn execute_atomic(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let watched = match self.watching.take() {
            State::Nothing => None,
            State::Watched(watched) => Some(watched),
            State::Lost => return Err(lost().into()),
        };
        let pinned = match &watched {
            Some(watched) => {
                let node = self.node_of(watched).ok_or_else(lost)?;
                Some((node, watched.first_key().to_vec()))
            }
            None => None,
        };
        let node = self.node_of_atomic(pipeline, pinned)?;
        let slot = self.roster.slot(node);
        let link = watched.map(|watched| watched.link);
        let counts = (offset, count);
        let replies = self.ask_many(slot, link.as_ref(), pipeline, counts, self.patience()).await;
        match (link, &replies) {
            (Some(link), Ok(_)) if link.is_usable(self.links.session_version()) => {
                slot.put_spare(link);
            }
            _ => {}
        }
        Ok(replies?)
    }

    fn node_of_atomic(
        &self,
        pipeline: &Pipeline,
        pinned: Option<(NodeId, Vec<u8>)>,
    ) -> RedisResult<NodeId> {
        let mut gathering = Gathering::new(pinned);
        for command in pipeline.cmd_iter() {
            let Some(args) = Source::Command(command).args() else {
                return Err(refused(b"SCAN", "it does not belong into a transaction here").into());
            };
            let rule = rule_in(&self.options().table, &args)?;
            gathering.add(&args, rule, self.router())?;
        }
        gathering.node(self.router())
    }

    /// The node of what is watched, if its connection is still there and its keys are.
    fn node_of(&self, watched: &Watched) -> Option<NodeId> {
        let node = self.roster.node_of_member(watched.member)?;
        let is_there = |key: &Vec<u8>| self.router().route(key) == Ok(node);
        let is_usable = watched.link.is_usable(self.links.session_version());
        (is_usable && watched.keys.iter().all(is_there)).then_some(node)
    }
}
