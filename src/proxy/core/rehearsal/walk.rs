//! A random walk: clients that pipeline, nodes that fail, pools that change.
//!
//! Each request has a reply of its own, so that a reply to another one is seen at once.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use super::PoolPlan;
use super::Random;
use super::Stage;
use crate::health::EjectMode;
use crate::health::EjectPolicy;
use crate::protocol::resp::Scanner;
use crate::proxy::core::Link;
use crate::proxy::core::backend::Stage as Step;
use crate::proxy::settings::Protocol;

mod requests;

/// What a client must be answered, if not with an error.
#[derive(Clone, Debug)]
enum Expected {
    Bytes(Vec<u8>),
    /// Any reply of Redis's.
    Reply,
    /// The end of what memcached was asked quietly, perhaps behind an error.
    Noop,
}

/// A client, as it sees itself.
#[derive(Debug)]
struct Client {
    pool: usize,
    is_resp3: bool,
    /// What was received and is not a whole reply.
    received: Vec<u8>,
    expected: VecDeque<Expected>,
    /// Whether it has said that it goes.
    is_leaving: bool,
    /// Whether it reads whatever comes.
    reads: bool,
}

struct Walk {
    stage: Stage,
    random: Random,
    plans: Vec<PoolPlan>,
    clients: BTreeMap<usize, Client>,
    next: u32,
    answered: usize,
}

/// Plays so many steps and then looks whether everybody was answered. Answers how many replies there were.
pub(crate) fn walk(seed: Result<u64, &[u8]>, steps: usize) -> usize {
    let mut random = match seed {
        Ok(seed) => Random::Seed(seed),
        Err(bytes) => Random::Bytes(bytes.to_vec(), 0),
    };
    let plans = vec![plan(&mut random, Protocol::Redis), plan(&mut random, Protocol::Memcache)];
    let mut stage = Stage::new(&plans);
    stage.wires.is_sending_ahead = random.one_in(2);
    let mut walk = Walk { stage, random, plans, clients: BTreeMap::new(), next: 0, answered: 0 };
    for _ in 0..steps {
        if walk.random.is_over() {
            break;
        }
        walk.step();
        walk.look();
    }
    walk.end();
    walk.answered
}

const NAMES: [&[&str]; 5] = [&["a"], &["a", "b"], &["a", "b", "c"], &["c", "b"], &["d", "a", "b"]];

fn plan(random: &mut Random, protocol: Protocol) -> PoolPlan {
    let policies = [
        EjectPolicy::new(EjectMode::Off),
        EjectPolicy::rebuild(),
        EjectPolicy::successor(),
        EjectPolicy::fail_fast(),
    ];
    let policy = random.pick(&policies).clone();
    let nodes = *random.pick(&NAMES);
    let mut plan = PoolPlan::new(protocol, nodes);
    plan.policy = policy.retry_timeout(Duration::from_millis(300)).failure_limit(2);
    plan.connections = 1 + random.below(2);
    plan.timeout = (!random.one_in(4)).then_some(Duration::from_millis(400));
    plan.password = random.one_in(3).then_some("secret");
    plan.database = if protocol == Protocol::Redis && random.one_in(3) { 2 } else { 0 };
    plan.preconnect = random.one_in(3);
    plan
}

impl Walk {
    fn step(&mut self) {
        match self.random.below(32) {
            0..=8 => self.ask(),
            9..=18 => self.answer(),
            19 | 20 => self.connect_nodes(),
            21 => self.meet(),
            22 => self.leave(),
            23 => self.stop_reading(),
            24..=25 => self.read_on(),
            26 => self.break_node(),
            27 => {
                let time = *self.random.pick(&[1, 10, 60, 200, 401, 1100]);
                self.stage.wait(Duration::from_millis(time));
            }
            28 => self.stop_taking(),
            29 if self.random.one_in(6) => self.change_pools(),
            30 if self.random.one_in(4) => self.refuse(),
            _ => self.answer(),
        }
    }

    fn any_client(&mut self) -> Option<usize> {
        let keys: Vec<usize> = self.clients.keys().copied().collect();
        (!keys.is_empty()).then(|| *self.random.pick(&keys))
    }

    fn any_backend(&mut self) -> Option<usize> {
        let keys = self.stage.wires.all.keys().filter(|(is_backend, _)| *is_backend);
        let keys: Vec<usize> = keys.map(|(_, key)| *key).collect();
        (!keys.is_empty()).then(|| *self.random.pick(&keys))
    }

    fn meet(&mut self) {
        if self.clients.len() < 6 {
            let pool = self.random.below(2);
            if let Some(key) = self.stage.connect(pool) {
                let client = Client {
                    pool,
                    is_resp3: false,
                    received: Vec::new(),
                    expected: VecDeque::new(),
                    is_leaving: false,
                    reads: true,
                };
                self.clients.insert(key, client);
            }
        }
    }

    fn leave(&mut self) {
        let Some(key) = self.any_client() else {
            return;
        };
        if self.random.one_in(2) {
            self.stage.hang_up(Link::Session(key));
            if let Some(client) = self.clients.get_mut(&key) {
                client.is_leaving = true;
            }
        } else {
            if let Some(wire) = self.stage.wires.get(Link::Session(key)) {
                wire.is_broken = true;
            }
            self.stage.core.begin_turn(self.stage.now);
            self.stage.core.session_broken(&mut self.stage.wires, key);
            self.stage.core.end_turn(&mut self.stage.wires);
        }
        self.stage.turn();
    }

    fn stop_reading(&mut self) {
        if let Some(key) = self.any_client() {
            let room = *self.random.pick(&[0, 1, 100, 20_000]);
            if let Some(wire) = self.stage.wires.get(Link::Session(key)) {
                wire.room = room;
            }
            if let Some(client) = self.clients.get_mut(&key) {
                client.reads = false;
            }
        }
    }

    fn read_on(&mut self) {
        if let Some(key) = self.any_client() {
            let bytes = *self.random.pick(&[1, 7, 3000, usize::MAX]);
            self.stage.take(Link::Session(key), bytes);
        }
    }

    fn stop_taking(&mut self) {
        if let Some(key) = self.any_backend() {
            let link = Link::Backend(key);
            let step = self.stage.core.backends[key].stage;
            // A greeting is always taken.
            if step == Step::Ready {
                if self.random.one_in(2) {
                    self.stage.take(link, usize::MAX);
                } else if let Some(wire) = self.stage.wires.get(link) {
                    wire.room = *self.random.pick(&[0, 1, 50, 17_000]);
                }
            }
        }
    }

    fn connect_nodes(&mut self) {
        if let Some(key) = self.any_backend() {
            let is_made = !self.random.one_in(8);
            self.stage.finish_connecting(key, is_made);
        }
    }

    /// A node answers, perhaps a part of the reply only.
    fn answer(&mut self) {
        let Some(key) = self.any_backend() else {
            return;
        };
        self.stage.finish_connecting(key, true);
        let mut bytes = Vec::new();
        for _ in 0..1 + self.random.below(6) {
            bytes.extend(self.stage.answer_of(key).unwrap_or_default());
        }
        if bytes.is_empty() {
            return;
        }
        let cut = if self.random.one_in(2) { self.random.below(bytes.len()) } else { 0 };
        let (first, second) = bytes.split_at(cut);
        if !first.is_empty() {
            self.stage.arrive(Link::Backend(key), first);
            if !self.random.one_in(3) {
                self.stage.turn();
            }
        }
        if self.random.one_in(30) {
            self.stage.hang_up(Link::Backend(key));
        } else {
            self.stage.arrive(Link::Backend(key), second);
        }
        self.stage.turn();
    }

    fn break_node(&mut self) {
        let Some(key) = self.any_backend() else {
            return;
        };
        let link = Link::Backend(key);
        let backend = &self.stage.core.backends[key];
        // What a node says before the first request has gone looks like the reply to it.
        let is_idle = backend.queue.is_empty() && backend.stage == Step::Ready;
        let is_between = backend.rest.is_empty() && backend.stream.is_none();
        match self.random.below(5) {
            0 => self.stage.hang_up(link),
            1 => {
                if let Some(wire) = self.stage.wires.get(link)
                    && !wire.is_connecting
                {
                    wire.is_broken = true;
                }
            }
            2 if is_idle => self.stage.arrive(link, b"+OK\r\nHD\r\n"),
            3 if is_between => self.stage.arrive(link, b"\0\xff\r\n\r\n"),
            4 if is_between => self.stage.arrive(link, b"$x\r\n"),
            _ => {}
        }
        self.stage.turn();
    }

    fn refuse(&mut self) {
        let wires = &mut self.stage.wires;
        if wires.refused.is_empty() {
            wires.refused.push("a".into());
        } else {
            wires.refused.clear();
        }
    }

    fn change_pools(&mut self) {
        let which = self.random.below(2);
        let protocol = self.plans[which].protocol;
        self.plans[which] = plan(&mut self.random, protocol);
        let plans = self.plans.clone();
        self.stage.replace(&plans);
    }

    fn ask(&mut self) {
        let Some(key) = self.any_client() else {
            return self.meet();
        };
        let Some(mut client) = self.clients.remove(&key) else {
            return;
        };
        if !client.is_leaving {
            let mut bytes = Vec::new();
            for _ in 0..1 + self.random.below(8) {
                match self.plans[client.pool].protocol {
                    Protocol::Redis => self.redis_request(&mut client, &mut bytes),
                    Protocol::Memcache => self.memcache_request(&mut client, &mut bytes),
                }
                if client.is_leaving {
                    break;
                }
            }
            if let Some(wire) = self.stage.wires.get(Link::Session(key)) {
                wire.pipe_room = *self.random.pick(&[0, 5000, 60_000]);
            }
            let cut = self.random.below(bytes.len());
            self.stage.arrive(Link::Session(key), &bytes[..cut]);
            if self.random.one_in(2) {
                self.stage.turn();
            }
            self.stage.arrive(Link::Session(key), &bytes[cut..]);
        }
        self.clients.insert(key, client);
        self.stage.turn();
    }

    /// Looks at what clients have got.
    fn look(&mut self) {
        let keys: Vec<usize> = self.clients.keys().copied().collect();
        for key in keys {
            let bytes = self.stage.received(key);
            let Some(client) = self.clients.get_mut(&key) else {
                continue;
            };
            client.received.extend(bytes);
            self.answered += client.take(self.plans[client.pool].protocol);
        }
        for key in std::mem::take(&mut self.stage.wires.closed) {
            self.clients.remove(&key);
        }
    }

    fn drain(&mut self) {
        self.stage.core.begin_turn(self.stage.now);
        self.stage.core.drain(&mut self.stage.wires);
        self.stage.core.end_turn(&mut self.stage.wires);
    }

    /// Everything works again: who is still there is answered, and then all go; or all are told to go first.
    fn end(&mut self) {
        self.stage.wires.refused.clear();
        let is_drained = self.random.one_in(2);
        if is_drained {
            self.drain();
        }
        for _ in 0..30 {
            let open: Vec<_> = self.stage.wires.all.keys().copied().collect();
            for (is_backend, key) in open {
                let link = if is_backend { Link::Backend(key) } else { Link::Session(key) };
                self.stage.take(link, usize::MAX);
            }
            self.stage.settle();
            self.stage.wait(Duration::from_millis(300));
            self.look();
        }
        assert!(!is_drained || self.stage.core.is_empty(), "clients are kept");
        for (key, client) in &self.clients {
            let session = &self.stage.core.sessions[*key];
            assert!(client.expected.is_empty(), "{client:?} waits for ever: {session:?}");
            assert!(!client.is_leaving, "{client:?} is kept: {session:?}");
        }
        self.drain();
        // As long as the rest of a request may still come.
        self.stage.wait(Duration::from_secs(1));
        assert!(self.stage.core.is_empty(), "clients are kept");
        self.stage.settle();
        for (key, backend) in &self.stage.core.backends {
            assert!(backend.owner.is_none() && backend.rest.is_empty(), "backend {key}");
            assert!(backend.queue.is_empty() && backend.out.is_empty(), "backend {key}");
        }
    }
}

impl Client {
    /// Compares what was received with what was asked for; answers how many replies that were.
    fn take(&mut self, protocol: Protocol) -> usize {
        let mut count = 0;
        loop {
            let Some(expected) = self.expected.front() else {
                let left = self.received.escape_ascii();
                assert!(self.received.is_empty(), "nobody asked for {left}");
                return count;
            };
            let Some(length) = self.match_reply(expected, protocol) else {
                return count;
            };
            self.received.drain(..length);
            self.expected.pop_front();
            count += 1;
        }
    }

    /// How long the reply is, if it is whole.
    fn match_reply(&self, expected: &Expected, protocol: Protocol) -> Option<usize> {
        let bytes: &[u8] = match expected {
            Expected::Reply => return Scanner::default().scan(&self.received).expect("a reply"),
            Expected::Bytes(bytes) => bytes,
            Expected::Noop => {
                let mut lines = self.received.split_inclusive(|&byte| byte == b'\n');
                let first = lines.next().filter(|line| line.ends_with(b"\n"))?;
                if first == b"MN\r\n" {
                    return Some(first.len());
                }
                assert!(first.starts_with(b"SERVER_ERROR "), "{}", first.escape_ascii());
                let second = lines.next().filter(|line| line.ends_with(b"\n"))?;
                assert_eq!(second, b"MN\r\n");
                return Some(first.len() + second.len());
            }
        };
        if self.received.starts_with(bytes) {
            return Some(bytes.len());
        }
        let words: &[&[u8]] = match protocol {
            Protocol::Redis => &[b"-"],
            Protocol::Memcache => &[b"SERVER_ERROR ", b"CLIENT_ERROR ", b"ERROR"],
        };
        if words.iter().any(|word| self.received.starts_with(word)) {
            return self.received.iter().position(|&byte| byte == b'\n').map(|end| end + 1);
        }
        let begins = |bytes: &[u8]| bytes.starts_with(&self.received);
        let is_begun = begins(bytes) || words.iter().any(|word| begins(word));
        let shown = |bytes: &[u8]| bytes[..bytes.len().min(300)].escape_ascii().to_string();
        assert!(is_begun, "{} instead of {}", shown(&self.received), shown(bytes));
        None
    }
}
