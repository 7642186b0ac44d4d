//! Requests of many tasks at the same time, through this crate and through the asynchronous client of memcache.

use std::cell::OnceCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use memcache::exp::AsyncMemcache;
use memcache::exp::Ttl;
use shardwright::Address;
use shardwright::Node;
use shardwright::ShardedAsyncMemcache;
use tokio::runtime::Runtime;

use super::List;
use super::servers::Program;
use super::servers::Server;
use super::servers::Servers;

/// How many tasks ask at the same time.
const TASKS: [usize; 3] = [1, 10, 50];
/// Requests of all tasks together in a pass.
const REQUESTS: usize = 2000;
const KEYS: usize = 256;
/// Bytes of a value.
const SIZE: usize = 100;

const WAYS: [&str; 3] = ["memcache/1", "shardwright/1", "shardwright/4"];

pub(super) fn add_to(list: &mut List<'_>) {
    let servers: Rc<OnceCell<Servers>> = Rc::default();
    for way in WAYS {
        for tasks in TASKS {
            let name = format!("memcached_aio/get_by_{tasks}/{way}");
            if !(list.is_wanted)(&name) {
                continue;
            }
            let started = servers.get_or_init(|| Server::start_many(Program::Memcached, 4));
            let Some(started) = started else { continue };
            // One thread, so that the processor time is that of the requests and not of threads that look for
            // work.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            let pass = if way == "memcache/1" {
                let connect = AsyncMemcache::connect([("127.0.0.1", started[0].port())]);
                let cache = runtime.block_on(connect).expect("the server listens");
                passes(runtime, Arc::new(cache), tasks)
            } else {
                let count = if way.ends_with("/4") { 4 } else { 1 };
                passes(runtime, Arc::new(ours(&started[..count])), tasks)
            };
            // The servers live as long as a benchmark does.
            let servers = Rc::clone(&servers);
            list.push(name, REQUESTS, (REQUESTS * SIZE) as u64, move || {
                let _ = &servers;
                pass()
            });
        }
    }
}

fn ours(servers: &[Server]) -> ShardedAsyncMemcache {
    let builder = ShardedAsyncMemcache::builder().timeout(Duration::from_secs(5));
    let node = |server: &Server| Node::new(Address::tcp("127.0.0.1", server.port()));
    let builder = servers.iter().map(node).fold(builder, |builder, node| builder.node(node));
    builder.build_async().expect("the nodes have different names")
}

/// What a client is measured by.
trait Caching: Send + Sync + 'static {
    fn store(&self, key: &str, value: &[u8]) -> impl Future<Output = ()> + Send;
    fn load(&self, key: &str) -> impl Future<Output = u64> + Send;
}

impl Caching for AsyncMemcache {
    async fn store(&self, key: &str, value: &[u8]) {
        self.set(key, value.to_vec(), Ttl::NEVER).await.expect("it is stored");
    }

    async fn load(&self, key: &str) -> u64 {
        let value: Option<Vec<u8>> = self.get(key).await.expect("it is read");
        value.expect("it is there").len() as u64
    }
}

impl Caching for ShardedAsyncMemcache {
    async fn store(&self, key: &str, value: &[u8]) {
        self.set(key, value, 0).await.expect("it is stored");
    }

    async fn load(&self, key: &str) -> u64 {
        let value: Option<Vec<u8>> = self.get(key).await.expect("it is read");
        value.expect("it is there").len() as u64
    }
}

fn passes<C: Caching>(runtime: Runtime, cache: Arc<C>, tasks: usize) -> Box<dyn Fn() -> u64> {
    let keys: Arc<[String]> = (0..KEYS).map(|index| format!("{index:04}:bench:key")).collect();
    runtime.block_on(async {
        for key in keys.iter() {
            cache.store(key, &[b'v'; SIZE]).await;
        }
    });
    Box::new(move || {
        runtime.block_on(async {
            let ask = |task: usize| {
                let (cache, keys) = (Arc::clone(&cache), Arc::clone(&keys));
                tokio::spawn(async move {
                    let mut sum = 0;
                    for request in 0..REQUESTS / tasks {
                        sum += cache.load(&keys[(task + request * 7) % KEYS]).await;
                    }
                    sum
                })
            };
            let running: Vec<_> = (0..tasks).map(ask).collect();
            let mut sum = 0;
            for task in running {
                sum += task.await.expect("a task ends");
            }
            sum
        })
    })
}
