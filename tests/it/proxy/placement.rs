//! Where a running proxy sends keys: as recorded from nutcracker, and as the real one does now.

use serde_json::Value;
use shardwright::Address;
use shardwright::DistributionKind;
use shardwright::HashKind;
use shardwright::Node;

use crate::nutcracker;
use crate::nutcracker::Client;
use crate::nutcracker::Scratch;
use crate::nutcracker::compare;
use crate::nutcracker::pairs_with_a_common_point;
use crate::nutcracker::pool::Pool;
use crate::nutcracker::pool::Server;
use crate::nutcracker::pool_of_named;
use crate::nutcracker::random;
use crate::nutcracker::random::Random;
use crate::nutcracker::witnesses::Witnesses;
use crate::support::golden;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::scratch;

/// Rows 1 to 8, 10, 13 and 15 to 17.
#[test]
fn redis_pools_place_the_recorded_keys_as_nutcracker_did() {
    let records = records("routes");
    assert_eq!(records.len(), 240);
    compare_with_records(&records, true, &keys());
}

/// Row 23.
#[test]
fn memcached_pools_place_the_recorded_keys_as_nutcracker_did() {
    let is_recorded = |key: &Vec<u8>| {
        (1..=250).contains(&key.len()) && !key.iter().any(|byte| b" \r\n\0".contains(byte))
    };
    let records = records("memcache");
    assert_eq!(records.len(), 30);
    let keys: Vec<_> = keys().into_iter().filter(is_recorded).collect();
    compare_with_records(&records, false, &keys);
}

/// Rows 18 and 19.
#[test]
fn keys_of_killed_nodes_go_where_nutcracker_sent_them() {
    let records = records("ejects");
    assert_eq!(records.len(), 42);
    let keys = keys();
    for program in Program::chosen() {
        let witnesses: Vec<_> = records
            .iter()
            .map(|record| start_witnesses(places(&record["pool"]["servers"])))
            .collect();
        let pools = records.iter().zip(&witnesses);
        let pools: Vec<_> = pools
            .map(|(record, (witnesses, _))| {
                let pool = pool_of(&record["pool"], witnesses.addresses(), true);
                Pool { ejects: true, ..pool }.to_string()
            })
            .collect();
        let proxy = Proxy::start(program, &pools);
        for ((record, (witnesses, _)), &port) in records.iter().zip(&witnesses).zip(proxy.ports()) {
            let mut client = Client::connect(port, true);
            // Without that nobody notices a death before it is asked for something.
            assert!(client.ask(&keys).iter().all(Result::is_ok));
            for ejected in numbers(&record["ejected"]) {
                witnesses.kill(ejected);
            }
            let is_settled = |_| client.ask(&keys).iter().all(Result::is_ok);
            assert!((0..100).any(is_settled), "{program:?}: errors go on in {}", record["pool"]);
            let placed: Vec<_> = client.ask(&keys).into_iter().map(Result::unwrap).collect();
            let what = &record["pool"];
            assert_eq!(placed, numbers(&record["map"]), "{program:?} without {what}");
        }
    }
}

/// Rows 7 to 15: what no record has, above all names, weights, unix sockets, many nodes and ties.
#[test]
fn random_pools_place_random_keys_alike_through_each_program() {
    let mut random = Random(nutcracker::seed());
    let sockets = Scratch(scratch());
    let witnesses = Witnesses::start(50, 4, &sockets.0);
    let addresses = witnesses.addresses();
    let mut pools = Vec::new();
    for hash in HashKind::ALL {
        for distribution in [DistributionKind::Ketama, DistributionKind::Modula] {
            let count = 2 + random.below(12);
            pools.push(random::pool(&mut random, hash, distribution, addresses, count));
        }
    }
    // Row 11: here nodes of equal weights have 156 points and not 160.
    for count in [25, 47, 50] {
        let ketama = DistributionKind::Ketama;
        pools.push(random::pool(&mut random, HashKind::Murmur, ketama, addresses, count));
    }
    // Row 12: the light one may be without a point.
    let pair = addresses.iter().take(2).enumerate().zip([100_000, 1]);
    let pair = pair.map(|((witness, at), weight)| Server::new(witness, at, weight, None));
    pools.push(Pool { servers: pair.collect(), ..Pool::default() });
    // Rows 8 and 9, and IPv6.
    let last = addresses.iter().enumerate().skip(50);
    let last = last.map(|(witness, address)| Server::new(witness, address, 1, None));
    pools.push(Pool { servers: last.collect(), ..Pool::default() });
    // Row 14.
    if nutcracker::POINTS_ARE_SORTED_STABLY {
        let pairs = pairs_with_a_common_point(3);
        let both = pairs.into_iter().flat_map(|[a, b]| [[a.clone(), b.clone()], [b, a]]);
        pools.extend(both.map(|names| pool_of_named(addresses, &names)));
    }
    for program in Program::chosen() {
        let texts: Vec<_> = pools.iter().map(Pool::to_string).collect();
        let proxy = Proxy::start(program, &texts);
        for (pool, &port) in pools.iter().zip(proxy.ports()) {
            let mut keys = random::keys(&mut random, 500, pool);
            keys.retain(|key| pool.is_redis || is_valid(key));
            eprintln!("{program:?}");
            compare(pool, &pool.topology().router(), port, &keys);
        }
    }
}

/// Row 22.
#[test]
fn the_random_distribution_knows_no_weights() {
    let (witnesses, _scratch) = start_witnesses(2);
    let servers = witnesses.addresses().iter().enumerate().zip([9, 1]);
    let servers = servers.map(|((witness, at), weight)| Server::new(witness, at, weight, None));
    let distribution = DistributionKind::Random;
    let pool = Pool { distribution, servers: servers.collect(), ..Pool::default() };
    for program in Program::chosen() {
        let proxy = Proxy::start(program, &[pool.to_string()]);
        let answers = Client::connect(proxy.port(), true).ask(&vec![b"key".to_vec(); 1000]);
        let heavy = answers.iter().filter(|answer| **answer == Ok(0)).count();
        assert!((350..650).contains(&heavy), "{program:?}: {heavy} of 1000");
    }
}

fn compare_with_records(records: &[Value], is_redis: bool, keys: &[Vec<u8>]) {
    let most = records.iter().map(|record| places(&record["pool"]["servers"])).max();
    let (witnesses, _scratch) = start_witnesses(most.unwrap());
    for program in Program::chosen() {
        // Fewer than 1024 descriptors for each of us.
        for records in records.chunks(60) {
            let pool = |record: &Value| {
                pool_of(&record["pool"], witnesses.addresses(), is_redis).to_string()
            };
            let proxy = Proxy::start(program, &records.iter().map(pool).collect::<Vec<_>>());
            for (record, &port) in records.iter().zip(proxy.ports()) {
                compare_with_record(program, record, is_redis, port, keys);
            }
        }
    }
}

fn compare_with_record(
    program: Program,
    record: &Value,
    is_redis: bool,
    port: u16,
    keys: &[Vec<u8>],
) {
    let expected = numbers(&record["map"]);
    assert_eq!(expected.len(), keys.len());
    // Row 61: what no key of memcached may have, we refuse.
    let is_asked = |(key, _): &(&Vec<u8>, usize)| is_redis || is_valid(key);
    let asked = keys.iter().zip(expected).filter(is_asked);
    let (asked, expected): (Vec<_>, Vec<_>) =
        asked.map(|(key, place)| (key.clone(), place)).unzip();
    let placed: Vec<_> =
        Client::connect(port, is_redis).ask(&asked).into_iter().map(Result::unwrap).collect();
    assert_eq!(placed, expected, "{program:?}: {} {}", record["set"], record["pool"]);
}

/// A recorded pool whose server with the place `k` is the witness `k`. It has the recorded one's name
/// on the ring.
fn pool_of(record: &Value, addresses: &[Address], is_redis: bool) -> Pool {
    let servers = record["servers"].as_array().unwrap().iter().enumerate();
    let servers = servers.map(|(place, line)| {
        let node: Node = line.as_str().unwrap().parse().unwrap();
        let weight = node.weight().as_u32() as usize;
        Server::new(place, &addresses[place], weight, Some(node.name()))
    });
    Pool {
        hash: record["hash"].as_str().unwrap().parse().unwrap(),
        distribution: record["distribution"].as_str().unwrap().parse().unwrap(),
        hash_tag: record["hash_tag"].as_str().map(|tag| tag.parse().unwrap()),
        servers: servers.collect(),
        is_redis,
        ejects: false,
    }
}

fn start_witnesses(count: usize) -> (Witnesses, Scratch) {
    let directory = Scratch(scratch());
    (Witnesses::start(count, 0, &directory.0), directory)
}

/// Whether memcached's protocol allows the key.
fn is_valid(key: &[u8]) -> bool {
    !key.iter().any(|byte| byte.is_ascii_control() || *byte == b' ')
}

fn records(file: &str) -> Vec<Value> {
    let text = golden(&format!("nutcracker/{file}.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn keys() -> Vec<Vec<u8>> {
    records("keys").iter().map(|line| bytes(line["key_hex"].as_str().unwrap())).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn places(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

fn numbers(list: &Value) -> Vec<usize> {
    list.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}
