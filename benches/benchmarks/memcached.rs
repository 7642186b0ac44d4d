//! Requests to real memcacheds, through this crate and through the crate memcache.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use memcache::Client;
use shardwright::Address;
use shardwright::Node;
use shardwright::ShardedMemcache;

use super::List;
use super::servers::Program;
use super::servers::Server;
use super::servers::Servers;

/// Keys of the requests with one key, each of which is asked for once a pass.
const KEYS: usize = 256;
/// Keys of a multi-get.
const MANY: usize = 100;
/// Bytes of a value.
const SMALL: usize = 100;
const LARGE: usize = 1024;
const HUGE: usize = 16 << 10;

/// memcache's default, its other protocol, ours over one server and over four.
const WAYS: [&str; 4] = ["memcache/1", "memcache-ascii/1", "shardwright/1", "shardwright/4"];

pub(super) fn add_to(list: &mut List<'_>) {
    let servers: Rc<OnceCell<Servers>> = Rc::default();
    for way in WAYS {
        for what in ["get", "set", "gets_100", "gets_100x1k", "gets_100x16k"] {
            let name = format!("memcached/{what}/{way}");
            if !(list.is_wanted)(&name) {
                continue;
            }
            let started = servers.get_or_init(|| Server::start_many(Program::Memcached, 4));
            let Some(started) = started else { continue };
            let (repeats, expected, pass) = match Cache::connect(way, started) {
                Cache::Theirs(client) => passes(what, client),
                Cache::Ours(cache) => passes(what, cache),
            };
            // The servers live as long as a benchmark does.
            let servers = Rc::clone(&servers);
            list.push(name, repeats, expected, move || {
                let _ = &servers;
                pass()
            });
        }
    }
}

enum Cache {
    Theirs(Client),
    Ours(ShardedMemcache),
}

impl Cache {
    fn connect(way: &str, servers: &[Server]) -> Self {
        let count = if way.ends_with("/4") { 4 } else { 1 };
        let url = servers[0].url();
        match way {
            "memcache/1" => Self::Theirs(Client::connect(url).expect("the server listens")),
            "memcache-ascii/1" => {
                let url = format!("{url}?protocol=ascii");
                Self::Theirs(Client::connect(url).expect("the server listens"))
            }
            _ => {
                let node = |server: &Server| Node::new(Address::tcp("127.0.0.1", server.port()));
                let builder = ShardedMemcache::builder().timeout(Duration::from_secs(5));
                let builder = servers[..count]
                    .iter()
                    .map(node)
                    .fold(builder, |builder, node| builder.node(node));
                Self::Ours(builder.build().expect("the nodes have different names"))
            }
        }
    }
}

type Pass = Box<dyn Fn() -> u64>;

/// What a client is measured by.
trait Caching: 'static {
    fn store(&self, key: &str, value: &[u8]);
    fn load(&self, key: &str) -> u64;
    fn load_all(&self, keys: &[&str]) -> u64;
}

macro_rules! caching {
    ($client:ty) => {
        impl Caching for $client {
            fn store(&self, key: &str, value: &[u8]) {
                self.set(key, value, 0).expect("it is stored");
            }

            fn load(&self, key: &str) -> u64 {
                let value: Option<Vec<u8>> = self.get(key).expect("it is read");
                value.expect("it is there").len() as u64
            }

            fn load_all(&self, keys: &[&str]) -> u64 {
                let values = self.gets::<Vec<u8>>(keys).expect("they are read");
                values.values().map(|value| value.len() as u64).sum()
            }
        }
    };
}

caching!(Client);
caching!(ShardedMemcache);

/// How often a pass does it, what it makes of it, and the pass. All keys are stored before.
fn passes(what: &str, cache: impl Caching) -> (usize, u64, Pass) {
    let size = match what.rsplit_once('x') {
        Some((_, "1k")) => LARGE,
        Some((_, "16k")) => HUGE,
        _ => SMALL,
    };
    // Other benchmarks have values of other sizes on the same servers.
    let keys: Vec<_> = (0..KEYS).map(|index| format!("{index:04}:bench:{size:05}:key")).collect();
    let value = vec![b'v'; size];
    keys.iter().for_each(|key| cache.store(key, &value));
    match what {
        "get" => {
            let pass = move || keys.iter().map(|key| cache.load(key)).sum();
            (KEYS, (KEYS * size) as u64, Box::new(pass))
        }
        "set" => {
            let pass = move || {
                keys.iter().for_each(|key| cache.store(key, &value));
                KEYS as u64
            };
            (KEYS, KEYS as u64, Box::new(pass))
        }
        _ => {
            let pass = move || {
                let keys: Vec<_> = keys[..MANY].iter().map(String::as_str).collect();
                cache.load_all(&keys)
            };
            (1, (MANY * size) as u64, Box::new(pass))
        }
    }
}
