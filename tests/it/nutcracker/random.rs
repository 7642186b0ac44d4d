//! Random pools and keys, the same ones from the same seed.

use std::collections::HashSet;

use shardwright::Address;
use shardwright::DistributionKind;
use shardwright::HashKind;
use shardwright::HashTag;

use super::pool::Pool;
use super::pool::Server;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number from 0 up to and without `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in 1..items.len() {
            items.swap(place, self.below(place + 1));
        }
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

const TAGS: [&str; 4] = ["{}", "$$", "ab", "é"];

/// A pool of `count` of the witnesses at `addresses`.
pub(crate) fn pool(
    random: &mut Random,
    hash: HashKind,
    distribution: DistributionKind,
    addresses: &[Address],
    count: usize,
) -> Pool {
    let mut witnesses: Vec<_> = (0..addresses.len()).collect();
    random.shuffle(&mut witnesses);
    witnesses.truncate(count);
    let weights = random.below(5);
    let names = random.below(7);
    let mut seen = HashSet::new();
    let servers = witnesses.into_iter().map(|witness| {
        let weight = weight(random, weights);
        loop {
            let address = respelled(random, &addresses[witness]);
            let name = name(random, names);
            let server = Server::new(witness, &address, weight, name.as_deref());
            if seen.insert(server.node().name().to_owned()) {
                return server;
            }
        }
    });
    let servers = servers.collect();
    let hash_tag: Option<HashTag> =
        (random.below(2) == 0).then(|| random.pick(&TAGS).parse().expect("tags are two bytes"));
    Pool { hash, distribution, hash_tag, servers, is_redis: random.below(3) > 0, ejects: false }
}

fn weight(random: &mut Random, style: usize) -> usize {
    match style {
        0 => 1,
        1 => 7,
        2 => 1 + random.below(3),
        3 => 1 + random.below(100),
        // So unequal that ketama leaves the light ones without a point.
        _ => *random.pick(&[1, 2, 50, 100, 100_000]),
    }
}

/// `None` for a server that has no name, and is called by its address.
fn name(random: &mut Random, style: usize) -> Option<String> {
    let number = random.below(1000);
    match style {
        0 => None,
        1 => Some(format!("n{number}")),
        2 => Some(format!("server{number:03}")),
        3 => Some(format!("10.0.0.{}:6379:{}", number % 256, random.below(10))),
        4 => Some(format!("{number:0width$}", width = 255 + random.below(12))),
        // What YAML, printf and our own parser might take for something else.
        5 => Some(format!(
            "{}{number}",
            random.pick(&["'", "\"", "#", "%s%n", "{", "&", "узел", "-", "/", "[", ":"])
        )),
        _ => {
            let any = random.below(6);
            name(random, any)
        }
    }
}

/// The text of an address is hashed, not what it means: `address`, or another way to write it.
fn respelled(random: &mut Random, address: &Address) -> Address {
    match address {
        Address::Tcp { host, port } if host == "127.0.0.1" => {
            Address::tcp(*random.pick(&["127.0.0.1", "127.0.1", "127.1"]), *port)
        }
        other => other.clone(),
    }
}

/// `count` keys of all shapes that the protocol of `pool` allows.
pub(crate) fn keys(random: &mut Random, count: usize, pool: &Pool) -> Vec<Vec<u8>> {
    let mut keys: Vec<_> = (0..count).map(|_| key(random, pool.hash_tag)).collect();
    if !pool.is_redis {
        keys.iter_mut().for_each(suit_memcached);
    }
    keys
}

fn key(random: &mut Random, tag: Option<HashTag>) -> Vec<u8> {
    let length = random.below(200);
    let mut key = match random.below(8) {
        0 => Vec::new(),
        1 => format!("user:{}", random.next() >> random.below(64)).into_bytes(),
        2 => format!("key-{:03}", random.below(1000)).into_bytes(),
        3 => vec![*random.pick(b"\r\n\0\xff a{}"); length % 20],
        4 => format!("{}\r\n$3\r\nGET\r\n", random.next()).into_bytes(),
        5 => random.bytes(length % 16),
        _ => random.bytes(length),
    };
    if let Some(tag) = tag {
        for _ in 0..random.below(5) {
            let byte = *random.pick(&[tag.open(), tag.close()]);
            key.insert(random.below(key.len() + 1), byte);
        }
    }
    key
}

/// Changes what the memcached protocol has no room for: a key has 1 to 250 bytes and none that ends it.
fn suit_memcached(key: &mut Vec<u8>) {
    key.truncate(250);
    key.iter_mut().filter(|byte| b" \r\n".contains(byte)).for_each(|byte| *byte = b'_');
    if key.is_empty() {
        key.push(b'_');
    }
}
