//! A pool of servers in memory says what one big server says.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::gather::tests::Toy;
use super::*;
use crate::DistributionKind;
use crate::command::CommandTable;
use crate::command::FanOut;
use crate::command::Found;
use crate::command::Gather;
use crate::node::Node;
use crate::protocol::resp::request;
use crate::topology::Router;
use crate::topology::Topology;

/// As much of a server as has each way of gathering.
#[derive(Clone, Debug, Default, PartialEq)]
struct Server {
    data: BTreeMap<Vec<u8>, Vec<u8>>,
    scripts: BTreeSet<Vec<u8>>,
    /// Channels, and how many subscribe to them.
    channels: BTreeMap<Vec<u8>, i64>,
    /// How many replicas have everything, in memory and on disk.
    replicas: (i64, i64),
    is_busy: bool,
}

impl Server {
    /// The server that has all that `parts` have: keys, channels and subscribers together, scripts and
    /// replicas as far as every part has them.
    fn merged(parts: &[Self]) -> Self {
        let mut all = parts[0].clone();
        for part in &parts[1..] {
            all.data.extend(part.data.clone());
            all.scripts.retain(|script| part.scripts.contains(script));
            for (channel, count) in &part.channels {
                *all.channels.entry(channel.clone()).or_default() += count;
            }
            all.replicas.0 = all.replicas.0.min(part.replicas.0);
            all.replicas.1 = all.replicas.1.min(part.replicas.1);
            all.is_busy |= part.is_busy;
        }
        all
    }

    fn carry_out(&mut self, args: &[&[u8]]) -> Toy {
        let (name, rest) = args.split_first().unwrap();
        let value = |value: Option<&Vec<u8>>| value.map_or(Toy::Nil, |value| string(value));
        let known = |known: bool| Toy::Integer(i64::from(known));
        match (*name, rest) {
            (b"GET", [key]) => value(self.data.get(*key)),
            (b"MGET", keys) | (b"JSON.MGET", [keys @ .., _]) => {
                Toy::Array(keys.iter().map(|key| value(self.data.get(*key))).collect())
            }
            (b"SET" | b"MSET", pairs) => self.set(pairs.chunks(2).map(|pair| (pair[0], pair[1]))),
            (b"JSON.MSET", all) => self.set(all.chunks(3).map(|unit| (unit[0], unit[2]))),
            (b"DEL" | b"UNLINK", keys) => {
                Toy::Integer(keys.iter().filter_map(|key| self.data.remove(*key)).count() as i64)
            }
            (b"EXISTS" | b"TOUCH", keys) => {
                Toy::Integer(keys.iter().filter(|key| self.data.contains_key(**key)).count() as i64)
            }
            (b"DBSIZE", _) => Toy::Integer(self.data.len() as i64),
            (b"KEYS", _) => Toy::Array(self.data.keys().map(|key| string(key)).collect()),
            (b"FLUSHALL", _) => {
                self.data.clear();
                string(b"OK")
            }
            (b"SCRIPT", [b"EXISTS", scripts @ ..]) => {
                Toy::Array(scripts.iter().map(|one| known(self.scripts.contains(*one))).collect())
            }
            (b"SCRIPT", [b"KILL"]) if std::mem::take(&mut self.is_busy) => string(b"OK"),
            (b"SCRIPT", [b"KILL"]) => Toy::Error("NOTBUSY"),
            (b"PUBSUB", [b"CHANNELS"]) => {
                Toy::Array(self.channels.keys().map(|channel| string(channel)).collect())
            }
            (b"PUBSUB", [b"NUMSUB", channels @ ..]) => {
                let count =
                    |channel: &[u8]| self.channels.get(channel).copied().unwrap_or_default();
                let pair = |one: &&[u8]| [string(one), Toy::Integer(count(one))];
                Toy::Array(channels.iter().flat_map(pair).collect())
            }
            (b"WAIT", _) => Toy::Integer(self.replicas.0),
            (b"WAITAOF", _) => {
                Toy::Array(vec![Toy::Integer(self.replicas.0), Toy::Integer(self.replicas.1)])
            }
            (b"INFO", _) => string(format!("keys:{}", self.data.len()).as_bytes()),
            _ => panic!("this server does not know {args:?}"),
        }
    }

    fn set<'a>(&mut self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Toy {
        self.data.extend(pairs.map(|(key, value)| (key.to_vec(), value.to_vec())));
        string(b"OK")
    }
}

fn string(bytes: &[u8]) -> Toy {
    Toy::String(bytes.to_vec())
}

/// Asks a pool of servers, as a front end does.
fn ask(servers: &mut [Server], router: &Router, args: &[&[u8]]) -> Toy {
    let table = CommandTable::new();
    let Found::Rule(rule) = table.find(args[0], || args.get(1).copied()) else { unreachable!() };
    match scatter(args, rule, router).unwrap() {
        Plan::One(node) => servers[node.index()].carry_out(args),
        Plan::Split(split) => {
            let parts = split.nodes().enumerate().map(|(fragment, node)| {
                let (mut bytes, mut part) = (Vec::new(), Vec::new());
                split.write(fragment, args, &mut bytes);
                request(&bytes, &mut part).unwrap();
                Part { node, reply: servers[node.index()].carry_out(&part) }
            });
            let parts: Vec<_> = parts.collect();
            match split.gather() {
                Gather::InKeyOrder => gather_by_key(&split, parts.into_iter().map(Ok).collect()),
                how => gather(how, parts, |_| Toy::Nil),
            }
            .unwrap()
        }
        Plan::All(how) => {
            let parts = router.live_nodes().map(|node| {
                let reply = servers[node.index()].carry_out(args);
                Part { node, reply }
            });
            let name = |node| string(router.node(node).name().as_bytes());
            gather(how, parts.collect(), name).unwrap()
        }
        plan => panic!("{plan:?}"),
    }
}

/// The reply without the order of what has none.
fn unordered(args: &[&[u8]], reply: Toy) -> Toy {
    match (args, reply) {
        ([b"KEYS", ..] | [b"PUBSUB", b"CHANNELS"], Toy::Array(mut elements)) => {
            elements.sort_by_key(|element| format!("{element:?}"));
            Toy::Array(elements)
        }
        (_, reply) => reply,
    }
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    "[a-l]|\\{[ab]\\}[a-d]|".prop_map(String::into_bytes)
}

/// A request of a command with some of `words`, in groups of as many as it wants.
fn line(command: &str, group: usize, tail: usize, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let whole = words.len() / group * group;
    let words = words[..whole].iter().cloned();
    let name = command.split(' ').map(|word| word.as_bytes().to_vec());
    name.chain(words).chain(vec![b"$".to_vec(); tail]).collect()
}

/// Commands, how many arguments belong together, and how many stand behind all.
const COMMANDS: &[(&str, usize, usize)] = &[
    ("MGET", 1, 0),
    ("JSON.MGET", 1, 1),
    ("MSET", 2, 0),
    ("JSON.MSET", 3, 0),
    ("DEL", 1, 0),
    ("UNLINK", 1, 0),
    ("EXISTS", 1, 0),
    ("TOUCH", 1, 0),
    ("DBSIZE", 99, 0),
    ("KEYS *", 99, 0),
    ("FLUSHALL", 99, 0),
    ("SCRIPT EXISTS", 1, 0),
    ("SCRIPT KILL", 99, 0),
    ("PUBSUB CHANNELS", 99, 0),
    ("PUBSUB NUMSUB", 1, 0),
    ("WAIT 1 1", 99, 0),
    ("WAITAOF 1 1 1", 99, 0),
    ("INFO", 99, 0),
];

fn requests() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let command = prop_oneof![
        3 => Just(("MSET", 2, 0)),
        20 => prop::sample::select(COMMANDS),
    ];
    let words = prop::collection::vec(word(), 3..16);
    (command, words).prop_map(|((command, group, tail), words)| line(command, group, tail, &words))
}

fn server() -> impl Strategy<Value = Server> {
    let scripts = prop::collection::btree_set(word(), 0..12);
    let channels = prop::collection::btree_map(word(), 1i64..9, 0..6);
    (scripts, channels, (0i64..9, 0i64..9), prop::bool::weighted(0.2)).prop_map(
        |(scripts, channels, replicas, is_busy)| Server {
            scripts,
            channels,
            replicas,
            is_busy,
            ..Server::default()
        },
    )
}

fn router(nodes: usize, kind: DistributionKind) -> Router {
    let nodes = (0..nodes).map(|index| format!("10.0.0.{index}:6379:1 n{index}").parse().unwrap());
    let topology = Topology::new(nodes.collect::<Vec<Node>>()).unwrap();
    topology.with_distribution(kind).with_hash_tag("{}".parse().unwrap()).router()
}

proptest! {
    #[test]
    fn a_pool_says_what_one_big_server_says(
        mut servers in prop::collection::vec(server(), 1..6),
        requests in prop::collection::vec(requests(), 1..30),
        kind in prop::sample::select(vec![
            DistributionKind::Modula,
            DistributionKind::Jump,
            DistributionKind::Rendezvous,
        ]),
    ) {
        let router = router(servers.len(), kind);
        let mut big = Server::merged(&servers);
        for request in &requests {
            let args: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
            let ours = ask(&mut servers, &router, &args);
            let theirs = big.carry_out(&args);
            if args == [b"INFO"] && servers.len() > 1 {
                let each = router.live_nodes().map(|node| {
                    let reply = servers[node.index()].carry_out(&args);
                    (string(router.node(node).name().as_bytes()), reply)
                });
                prop_assert_eq!(ours, Toy::Map(each.collect()));
                continue;
            }
            prop_assert_eq!(unordered(&args, ours), unordered(&args, theirs), "{:?}", args);
            if args == [&b"SCRIPT"[..], b"KILL"] {
                // On several nodes several scripts may have run; all are killed.
                prop_assert!(servers.iter().all(|server| !server.is_busy));
            }
            prop_assert_eq!(&Server::merged(&servers), &big, "after {:?}", args);
        }
        for (index, server) in servers.iter().enumerate() {
            for key in server.data.keys() {
                prop_assert_eq!(router.route(key).unwrap().index(), index);
            }
        }
    }
}

#[test]
fn each_way_of_gathering_is_among_the_commands() {
    let table = CommandTable::new();
    let ways = COMMANDS.iter().map(|(command, ..)| {
        let mut words = command.split(' ').map(str::as_bytes);
        let Found::Rule(rule) = table.find(words.next().unwrap(), || words.next()) else {
            unreachable!()
        };
        match rule.fan_out() {
            FanOut::ByKey(how) | FanOut::AllNodes(how) => format!("{how:?}"),
            other => panic!("{command}: {other:?}"),
        }
    });
    let all = [
        Gather::First,
        Gather::Sum,
        Gather::Min,
        Gather::MinEach,
        Gather::AndEach,
        Gather::AnySuccess,
        Gather::Concat,
        Gather::InKeyOrder,
        Gather::Union,
        Gather::SumPairs,
        Gather::ByNode,
    ];
    assert_eq!(ways.collect::<BTreeSet<_>>(), all.map(|how| format!("{how:?}")).into());
}
