//! Memcacheds that speak TLS and fail, and nodes that only seem to speak it.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use memcache::MemcacheError;
use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedAsyncMemcache;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::alone;
use super::connections;
use super::eventually;
use super::in_flight;
use super::key_of;
use super::run;
use super::stop;
use crate::memcached::PATIENT;
use crate::memcached::tls::Secured;
use crate::memcached::tls::choose_cryptography;
use crate::support::memcached::Memcached;

/// What a request of a node that hangs may take.
const LIMIT: Duration = Duration::from_millis(300);

fn kind<T>(result: Result<T, MemcacheError>) -> ShardErrorKind {
    let error = result.err().expect("it failed");
    ShardError::of_memcache(&error).unwrap_or_else(|| panic!("{error:?}")).kind()
}

fn are_live(cache: &ShardedAsyncMemcache) -> bool {
    cache.node_states().iter().all(|(_, state)| *state == NodeState::Live)
}

/// What most gets of a node that is well take at the longest.
async fn look(cache: &ShardedAsyncMemcache, key: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        assert_eq!(cache.get(key).await.unwrap(), Some("well".to_owned()));
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    times.sort();
    times[90]
}

#[test]
fn a_handshake_that_hangs_costs_its_deadline_and_delays_nobody_else() {
    let Some(secured) = Secured::start(1) else { return };
    // The system answers for it, and nobody says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let hung = format!("memcache+tls://127.0.0.1:{port}?verify_mode=none");
    let policy = EjectPolicy::fail_fast().failure_limit(2).retry_timeout(PATIENT);
    let cache = secured.builder().add_server(hung.as_str()).unwrap().timeout(LIMIT).eject(policy);
    let cache = cache.build_async().unwrap();
    run(async {
        let well = key_of(&cache, &format!("localhost:{}", secured.servers[0].port()));
        let hung = key_of(&cache, &format!("127.0.0.1:{port}"));
        cache.set(&well, "well", 0).await.unwrap();
        let start = Instant::now();
        let waiting = async {
            let results = join_all((0..100).map(|_| cache.get::<String>(&hung))).await;
            (results, start.elapsed())
        };
        let ((results, took), time) = tokio::join!(waiting, look(&cache, &well));
        assert!(time < LIMIT / 3, "{time:?}");
        assert!(took >= LIMIT && took < 10 * LIMIT, "{took:?}");
        for result in results {
            assert_eq!(kind(result), ShardErrorKind::Deadline);
        }
        assert!(are_live(&cache), "one handshake is one failure");
        let both = [well.as_str(), hung.as_str()];
        let found = cache.get_many::<String, _>(&both).await;
        assert_eq!(found[0].as_ref().unwrap().as_deref(), Some("well"));
        assert!(!are_live(&cache), "{:?}", cache.metrics());
        assert_eq!(kind(cache.get::<String>(&hung).await), ShardErrorKind::Ejected);
        assert_eq!(in_flight(&cache), 0);
    });
}

#[test]
fn a_server_without_tls_is_refused() {
    let Some(servers) = Memcached::start_many(1) else { return };
    choose_cryptography();
    let port = servers[0].port();
    let url = format!("memcache+tls://127.0.0.1:{port}?verify_mode=none&timeout=0.5");
    let cache = ShardedAsyncMemcache::connect(url.as_str()).unwrap();
    run(async {
        let kind = kind(cache.set("key", "value", 0).await);
        assert!([ShardErrorKind::Node, ShardErrorKind::Deadline].contains(&kind), "{kind:?}");
        assert_eq!(connections(&cache), [0]);
        let plain = ShardedAsyncMemcache::connect(servers[0].url().as_str()).unwrap();
        assert_eq!(plain.get::<String>("key").await.unwrap(), None);
    });
}

#[test]
fn a_server_that_was_killed_and_started_again_serves_at_once() {
    let Some(mut secured) = Secured::start(2) else { return };
    let cache = secured.builder().build_async().unwrap();
    run(async {
        let key = key_of(&cache, &format!("localhost:{}", secured.servers[0].port()));
        for _ in 0..3 {
            cache.set(&key, "value", 0).await.unwrap();
            secured.servers[0].kill();
            for result in join_all((0..20).map(|_| cache.get::<String>(&key))).await {
                assert_eq!(kind(result), ShardErrorKind::Node);
            }
            secured.servers[0].restart();
            assert_eq!(cache.get::<String>(&key).await.unwrap(), None);
        }
        // Where nobody asks meanwhile, nobody notices.
        cache.set(&key, "value", 0).await.unwrap();
        secured.servers[0].restart();
        eventually("it is noticed", || connections(&cache)[0] == 0).await;
        assert_eq!(cache.get::<String>(&key).await.unwrap(), None);
    });
}

#[test]
fn a_server_that_stops_costs_the_deadline_counts_once_and_comes_back() {
    let Some(secured) = Secured::start(1) else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(4).retry_timeout(PATIENT);
    let cache = secured.builder().timeout(LIMIT).eject(policy).build_async().unwrap();
    run(async {
        // More than fits into the buffers of both ends, many times.
        let large = vec![1_u8; 3 << 20];
        cache.set("key", "value", 0).await.unwrap();
        stop(&secured.servers[0], &cache, "key").await;
        let start = Instant::now();
        let sets = join_all((0..20).map(|_| cache.set("large", large.as_slice(), 0)));
        let gets = join_all((0..20).map(|_| cache.get::<Vec<u8>>("key")));
        let (sets, gets) = tokio::join!(sets, gets);
        let took = start.elapsed();
        assert!(took >= LIMIT && took < 20 * LIMIT, "{took:?}");
        for result in sets {
            assert_eq!(kind(result), ShardErrorKind::Deadline);
        }
        for result in gets {
            assert_eq!(kind(result), ShardErrorKind::Deadline);
        }
        assert!(are_live(&cache), "{:?}", cache.metrics());
        secured.servers[0].process().resume();
        let start = Instant::now();
        while cache.get::<String>("key").await.is_err() {
            assert!(start.elapsed() < PATIENT, "it answers again");
        }
        cache.set("large", large.as_slice(), 0).await.unwrap();
        assert!(cache.get::<Vec<u8>>("large").await.unwrap() == Some(large));
        eventually("late connections are closed", || connections(&cache) == [1]).await;
        assert_eq!(in_flight(&cache), 0);
    });
}

#[test]
fn failures_of_tls_count_and_eject() {
    let (Some(mut secured), Some(other)) = (Secured::start(2), Secured::start(1)) else { return };
    let options = format!("ca_path={}", secured.path("ca.crt"));
    // What this one shows is not to be trusted.
    let stranger = other.urls("localhost", &options);
    let policy = EjectPolicy::successor().failure_limit(2).retry_timeout(Duration::from_millis(50));
    let cache = secured.builder().add_server(stranger.as_str()).unwrap().eject(policy);
    let cache = cache.build_async().unwrap();
    run(async {
        let is_live = |port: u16| {
            let name = format!("localhost:{port}");
            cache
                .node_states()
                .iter()
                .any(|(node, state)| node.name() == name && *state == NodeState::Live)
        };
        let port = other.servers[0].port();
        let key = key_of(&cache, &format!("localhost:{port}"));
        // Whoever waits for the same handshake makes it no more failures than one.
        for result in join_all((0..20).map(|_| cache.get::<String>(&key))).await {
            assert_eq!(kind(result), ShardErrorKind::Node);
        }
        assert!(is_live(port), "{:?}", cache.metrics());
        assert_eq!(kind(cache.get::<String>(&key).await), ShardErrorKind::Node);
        assert!(!is_live(port), "{:?}", cache.metrics());
        let keys: Vec<_> = (0..60).map(|number| format!("{number}:key")).collect();
        assert!(cache.get_many::<String, _>(&keys).await.iter().all(Result::is_ok));
        // Probes see the same certificate.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!is_live(port));
        // One that was killed is ejected, and probed over TLS.
        let port = secured.servers[0].port();
        secured.servers[0].kill();
        let start = Instant::now();
        while is_live(port) {
            let _ = cache.get_many::<String, _>(&keys).await;
            assert!(start.elapsed() < PATIENT, "it is ejected");
        }
        secured.servers[0].restart();
        eventually("it is back", || is_live(port)).await;
        assert!(cache.get_many::<String, _>(&keys).await.iter().all(Result::is_ok));
    });
}

/// What stands between a client and a server, and changes what the server says if it is told to.
struct Meddler {
    port: u16,
    meddles: Arc<AtomicBool>,
}

impl Meddler {
    /// Its threads end with their connections, or with the process.
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let meddles = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&meddles);
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || relay(from, to, &AtomicBool::new(false)));
                let meddles = Arc::clone(&shared);
                thread::spawn(move || relay(server, client, &meddles));
            }
        });
        Self { port, meddles }
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, meddles: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if meddles.load(Relaxed) {
            buffer[count - 1] ^= 1;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_stream_that_was_changed_on_the_way_gives_no_value_and_counts_once() {
    let Some(secured) = Secured::start(1) else { return };
    let meddler = Meddler::start(secured.servers[0].port());
    let policy = EjectPolicy::fail_fast().failure_limit(2).retry_timeout(PATIENT);
    let ca = secured.path("ca.crt");
    let url = format!("memcache+tls://127.0.0.1:{}?ca_path={ca}&timeout=10", meddler.port);
    let cache = ShardedAsyncMemcache::builder().add_server(url.as_str()).unwrap().eject(policy);
    let cache = cache.build_async().unwrap();
    // All are asked before the first reply is looked at.
    alone().block_on(async {
        cache.set("key", "value", 0).await.unwrap();
        meddler.meddles.store(true, Relaxed);
        for result in join_all((0..50).map(|_| cache.get::<String>("key"))).await {
            assert_eq!(kind(result), ShardErrorKind::Node);
        }
        assert!(are_live(&cache), "{:?}", cache.metrics());
        // A handshake that was changed is the second.
        assert_eq!(kind(cache.get::<String>("key").await), ShardErrorKind::Node);
        assert!(!are_live(&cache));
        eventually("nothing is open", || connections(&cache) == [0]).await;
        assert_eq!(in_flight(&cache), 0);
    });
}

#[test]
fn what_is_dropped_at_any_moment_leaves_nothing_behind() {
    let Some(secured) = Secured::start(1) else { return };
    run(async {
        let before = Handle::current().metrics().num_alive_tasks();
        for round in 0..60_u32 {
            let cache = secured.builder().build_async().unwrap();
            let value = vec![round as u8; 100_000];
            let keys: Vec<_> = (0..8).map(|number| format!("{number}:key")).collect();
            // In the handshake, in the greeting, in requests.
            let patience = Duration::from_micros(u64::from(round) * 150);
            let sets = join_all(keys.iter().map(|key| cache.set(key, value.as_slice(), 0)));
            let _ = timeout(patience, sets).await;
            if round % 2 == 0 {
                // The connection goes on, or one is opened still.
                cache.set("key", round, 0).await.unwrap();
                assert_eq!(cache.get("key").await.unwrap(), Some(round));
            }
            assert_eq!(in_flight(&cache), 0);
        }
        eventually("no task is left", || Handle::current().metrics().num_alive_tasks() <= before)
            .await;
        let watcher = secured.builder().build().unwrap();
        eventually("the server has no connection but the one that looks", || {
            watcher.stats().unwrap()[0].1["curr_connections"] == "1"
        })
        .await;
    });
}
