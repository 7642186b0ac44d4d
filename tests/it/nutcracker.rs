//! Placement compared with a real nutcracker, live: random pools and keys, and the cases that chance
//! would not find. It shows what the placements recorded in `tests/golden` cannot: that the record
//! left nothing out.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use shardwright::Address;
use shardwright::Distribution;
use shardwright::DistributionKind;
use shardwright::EjectPolicy;
use shardwright::HashKind;
use shardwright::Node;
use shardwright::NodeId;
use shardwright::RingNode;
use shardwright::Router;

use crate::support::free_port;
use crate::support::nutcracker::Nutcracker;
use crate::support::scratch;
use pool::Pool;
use pool::Server;
use random::Random;
use witnesses::Witnesses;

pub(crate) mod pool;
pub(crate) mod random;
pub(crate) mod witnesses;

const KEYS: usize = 2000;

#[test]
fn random_pools_place_random_keys_alike() {
    let mut random = Random(seed());
    let sockets = Scratch(scratch());
    let witnesses = Witnesses::start(56, 4, &sockets.0);
    let addresses = witnesses.addresses();
    let most = addresses.len();
    // Equal weights give 156 points and not 160 at 25, 47 and 50 nodes; one node is never hashed for.
    let ketama = [vec![1, 2], vec![25, 47, 50, 60], (3..=24).collect(), (3..=60).collect()];
    let modula = [(1..=9).collect::<Vec<_>>(), (10..=60).collect()];
    let sizes = ketama.map(|sizes| (DistributionKind::Ketama, sizes)).into_iter();
    let sizes: Vec<_> =
        sizes.chain(modula.map(|sizes| (DistributionKind::Modula, sizes))).collect();
    for hash in HashKind::ALL {
        let pools: Vec<_> = sizes
            .iter()
            .map(|(distribution, sizes)| {
                let count = *random.pick(sizes).min(&most);
                random::pool(&mut random, hash, *distribution, addresses, count)
            })
            .collect();
        compare_with_random_keys(&mut random, &pools);
    }
}

#[test]
fn the_ring_without_killed_nodes_is_the_one_that_is_rebuilt() {
    let mut random = Random(seed());
    let sockets = Scratch(scratch());
    let witnesses: Vec<_> = (0..12).map(|_| Witnesses::start(12, 0, &sockets.0)).collect();
    let pools: Vec<_> = witnesses
        .iter()
        .zip(HashKind::ALL)
        .enumerate()
        .map(|(number, (witnesses, hash))| {
            let distribution = [DistributionKind::Ketama, DistributionKind::Modula][number % 2];
            let count = 2 + random.below(11);
            let pool = random::pool(&mut random, hash, distribution, witnesses.addresses(), count);
            Pool { ejects: true, ..pool }
        })
        .collect();
    let Some(proxy) = Proxy::start(&pools) else { return };
    for ((pool, witnesses), &port) in pools.iter().zip(&witnesses).zip(&proxy.ports) {
        let keys = random::keys(&mut random, KEYS, pool);
        let topology = pool.topology().with_eject_policy(EjectPolicy::rebuild());
        compare(pool, &topology.router(), port, &keys);

        // Only nodes that were asked: nutcracker notices no other's death.
        let mut client = Client::connect(port, pool.is_redis);
        let asked: BTreeSet<_> = client.ask(&keys).into_iter().flatten().collect();
        let most = asked.len().min(pool.servers.len() - 1);
        let killed: Vec<_> = asked.into_iter().take(1 + random.below(most)).collect();
        killed.iter().for_each(|&witness| witnesses.kill(witness));
        let is_settled = |_| client.ask(&keys).iter().all(Result::is_ok);
        assert!((0..100).any(is_settled), "errors go on without {killed:?} in\n{pool}");

        let is_live = |server: &&Server| !killed.contains(&server.witness);
        let live = pool.servers.iter().filter(is_live).map(Server::node);
        compare(pool, &topology.with_nodes(live).unwrap().router(), port, &keys);
    }
}

#[test]
fn nodes_without_names_are_named_alike() {
    let sockets = Scratch(scratch());
    let witnesses = Witnesses::start(2, 2, &sockets.0);
    let unnamed = witnesses.addresses().iter().enumerate();
    let server = |(witness, address)| Server::new(witness, address, 1, None);
    let pool = Pool { servers: unnamed.map(server).collect(), ..Pool::default() };
    compare_with_random_keys(&mut Random(seed()), &[pool]);
}

/// nutcracker hashes at most 272 bytes of "name-number". Longer names lose digits of the number, and
/// names that differ only behind become one: the points of one node hide those of the others.
#[test]
fn long_names_are_cut_alike() {
    let sockets = Scratch(scratch());
    let witnesses = Witnesses::start(4, 0, &sockets.0);
    let padding = |length| "x".repeat(length);
    let mut pools = Vec::new();
    for length in [262, 263, 268, 269, 270, 271, 272, 273, 300, 1000] {
        let name = |number| format!("{number}{}", padding(length - 1));
        pools.push(pool_of_named(witnesses.addresses(), &[0, 1, 2, 3].map(name)));
    }
    if POINTS_ARE_SORTED_STABLY {
        let name = |number| format!("{}{number}", padding(272));
        pools.push(pool_of_named(witnesses.addresses(), &[3, 1, 2, 0].map(name)));
    }
    compare_with_random_keys(&mut Random(seed()), &pools);
}

#[test]
fn of_two_equal_points_the_same_one_wins() {
    if !POINTS_ARE_SORTED_STABLY {
        return;
    }
    let sockets = Scratch(scratch());
    let witnesses = Witnesses::start(2, 0, &sockets.0);
    let pairs = pairs_with_a_common_point(10);
    assert_eq!(pairs.len(), 10);
    // In both orders: the order in the file does not matter.
    let pools: Vec<_> = pairs
        .into_iter()
        .flat_map(|[a, b]| [[a.clone(), b.clone()], [b, a]])
        .map(|names| pool_of_named(witnesses.addresses(), &names))
        .collect();
    let Some(proxy) = Proxy::start(&pools) else { return };
    for (pool, &port) in pools.iter().zip(&proxy.ports) {
        let router = pool.topology().router();
        let points: Vec<_> =
            router.ring().unwrap().points().iter().map(|point| point.hash()).collect();
        let tie = points.windows(2).position(|pair| pair[0] == pair[1]).unwrap();
        let arc = if tie == 0 { 0 } else { points[tie - 1] + 1 }..=points[tie];
        let keys: Vec<_> = (0u32..)
            .map(|number| number.wrapping_mul(0x9e37_79b9).to_string().into_bytes())
            .filter(|key| arc.contains(&router.hash_of_key(key)))
            .take(20)
            .collect();
        compare(pool, &router, port, &keys);
    }
}

/// nutcracker sorts points with the C library's `qsort`, and of equal ones the first wins. With glibc
/// this is the one inserted first; other libraries leave it open.
pub(crate) const POINTS_ARE_SORTED_STABLY: bool = cfg!(target_env = "gnu");

/// Pairs of names of which a point of the one is a point of the other.
pub(crate) fn pairs_with_a_common_point(count: usize) -> Vec<[String; 2]> {
    let id = NodeId::new(0).unwrap();
    let name = |number| format!("node{number}");
    let mut points = Vec::new();
    for number in 0..3000 {
        let node = Node::new(Address::tcp("h", 1)).with_name(name(number)).unwrap();
        let ring = DistributionKind::Ketama.build(&[RingNode::new(id, &node)]);
        points.extend(ring.points().iter().map(|point| (point.hash(), number)));
    }
    points.sort_unstable();
    let pairs = points.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
    pairs.map(|pair| [name(pair[0].1), name(pair[1].1)]).take(count).collect()
}

pub(crate) fn pool_of_named(addresses: &[Address], names: &[String]) -> Pool {
    let named = addresses.iter().zip(names).enumerate();
    let servers =
        named.map(|(witness, (address, name))| Server::new(witness, address, 1, Some(name)));
    Pool { servers: servers.collect(), ..Pool::default() }
}

/// The seed of the random pools: always the same one, or `SHARDWRIGHT_SEED`.
pub(crate) fn seed() -> u64 {
    match std::env::var("SHARDWRIGHT_SEED") {
        Ok(seed) => seed.parse().expect("SHARDWRIGHT_SEED is a number"),
        Err(_) => 5,
    }
}

/// A directory that is removed when dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A nutcracker, and the port of each of its pools.
struct Proxy {
    _nutcracker: Nutcracker,
    ports: Vec<u16>,
}

impl Proxy {
    fn start(pools: &[Pool]) -> Option<Self> {
        let ports = RefCell::new(Vec::new());
        let nutcracker = Nutcracker::start(|port| {
            // Pools are opened in the order of their names: when the last listens, all do.
            let mut ports = ports.borrow_mut();
            *ports = (1..pools.len()).map(|_| free_port()).chain([port]).collect();
            let pool = |(number, (pool, port))| {
                format!("pool{number:03}:\n  listen: 127.0.0.1:{port}\n{pool}")
            };
            pools.iter().zip(&*ports).enumerate().map(pool).collect()
        })?;
        Some(Self { _nutcracker: nutcracker, ports: ports.into_inner() })
    }
}

/// Starts `pools` in one nutcracker and compares each with random keys.
fn compare_with_random_keys(random: &mut Random, pools: &[Pool]) {
    let Some(proxy) = Proxy::start(pools) else { return };
    for (pool, &port) in pools.iter().zip(&proxy.ports) {
        let keys = random::keys(random, KEYS, pool);
        compare(pool, &pool.topology().router(), port, &keys);
    }
}

/// Compares where a proxy sends each of `keys` with where `router` does.
pub(crate) fn compare(pool: &Pool, router: &Router, port: u16, keys: &[Vec<u8>]) {
    let witness_of = |id: NodeId| {
        let name = router.node(id).name();
        let server = pool.servers.iter().find(|server| server.node().name() == name);
        server.expect("the router has no other nodes").witness
    };
    let by_id: Vec<_> =
        (0..router.nodes().len()).map(|id| witness_of(NodeId::new(id).unwrap())).collect();
    for (key, theirs) in keys.iter().zip(Client::connect(port, pool.is_redis).ask(keys)) {
        let ours = by_id[router.node_for_key(key).unwrap().index()];
        assert!(
            theirs == Ok(ours),
            "SHARDWRIGHT_SEED={}: the proxy sends '{}' to {theirs:?}, we to {ours}, in\n{pool}",
            seed(),
            key.escape_ascii()
        );
    }
}

/// A client of a pool behind which are witnesses.
pub(crate) struct Client {
    socket: BufReader<TcpStream>,
    is_redis: bool,
}

impl Client {
    pub(crate) fn connect(port: u16, is_redis: bool) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("nutcracker listens");
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket: BufReader::new(socket), is_redis }
    }

    /// The number of the witness that got each key, or the error that came back.
    pub(crate) fn ask(&mut self, keys: &[Vec<u8>]) -> Vec<Result<usize, String>> {
        let mut answers = Vec::with_capacity(keys.len());
        for some in keys.chunks(100) {
            let mut requests = Vec::new();
            for key in some {
                if self.is_redis {
                    write!(requests, "*2\r\n$3\r\nGET\r\n${}\r\n", key.len()).unwrap();
                    requests.extend_from_slice(key);
                } else {
                    requests.extend_from_slice(b"get ");
                    requests.extend_from_slice(key);
                }
                requests.extend_from_slice(b"\r\n");
            }
            self.socket.get_mut().write_all(&requests).unwrap();
            answers.extend(some.iter().map(|key| self.answer(key)));
        }
        answers
    }

    fn answer(&mut self, key: &[u8]) -> Result<usize, String> {
        let first = self.line();
        if let Some(number) = first.strip_prefix(b":") {
            return Ok(number_in(number));
        }
        let Some(value) = first.strip_prefix(b"VALUE ") else {
            return Err(first.escape_ascii().to_string());
        };
        assert!(value.starts_with(key), "{} is no answer", first.escape_ascii());
        let number = number_in(&self.line());
        assert_eq!(self.line(), b"END");
        Ok(number)
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let length = self.socket.read_until(b'\n', &mut line).expect("nutcracker answers");
            assert!(length > 0, "nutcracker closed the connection: {}", line.escape_ascii());
        }
        line.truncate(line.len() - 2);
        line
    }
}

fn number_in(digits: &[u8]) -> usize {
    std::str::from_utf8(digits).unwrap().parse().expect("witnesses answer numbers")
}
