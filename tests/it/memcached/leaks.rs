//! Nothing is left open or running behind failures, reconnections, ejections and probes.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use shardwright::EjectPolicy;
use shardwright::NodeState;
use shardwright::ShardedMemcache;

use super::key_of;
use super::named;
use super::ports;
use crate::support::eventually;
use crate::support::memcached::Memcached;
use crate::support::own_process::alone;

/// Short, because there are many.
const LIMIT: Duration = Duration::from_millis(20);

/// What this process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
}

fn holdings() -> Holdings {
    let count = |path| fs::read_dir(path).unwrap().count();
    Holdings { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task") }
}

/// How many connections a server has, that of who asks included.
fn connections(server: &Memcached) -> u64 {
    // Without a client, whose threads would be counted here.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"stats\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut lines = lines.take_while(|line| line != "END");
    let count =
        lines.find_map(|line| Some(line.strip_prefix("STAT curr_connections ")?.to_owned()));
    count.expect("it counts them").parse().unwrap()
}

/// Makes a request of each kind, whatever becomes of it.
fn ask_all(cache: &ShardedMemcache, keys: &[String; 2]) {
    for key in keys {
        let _ = cache.set(key, "x", 0);
        let _ = cache.get::<String>(key);
        let _ = cache.increment(key, 1);
    }
    let _ = cache.get_many::<String, _>(keys);
    let _ = cache.set_many(&[(&keys[0], 1), (&keys[1], 2)], 0);
    let _ = cache.version();
    let _ = cache.stats();
}

#[test]
fn descriptors_threads_and_connections_are_given_back() {
    alone("memcached::leaks::descriptors_threads_and_connections_are_given_back", || {
        let Some(mut servers) = Memcached::start_many(2) else { return };
        let at_servers = connections(&servers[0]);
        let before = holdings();
        let policy = EjectPolicy::fail_fast().failure_limit(9).retry_timeout(LIMIT);
        let cache =
            named(ports(&servers)).timeout(LIMIT).max_connections(4).eject(policy).build().unwrap();
        // Both nodes live: later one of them owns no keys.
        let keys = &["n0", "n1"].map(|node| key_of(&cache, node));
        for round in 0..30 {
            match round % 3 {
                0 => servers[1].kill(),
                1 => servers[1].process().stop(),
                _ => {}
            }
            thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| (0..3).for_each(|_| ask_all(&cache, keys)));
                }
            });
            match round % 3 {
                0 => servers[1].restart(),
                1 => servers[1].process().resume(),
                _ => eventually("all are live", || {
                    cache.node_states().iter().all(|(_, state)| *state == NodeState::Live)
                }),
            }
            // Four sockets a node, the probe and its socket.
            let during = holdings();
            assert!(during.descriptors <= before.descriptors + 8 + 2, "{before:?} {during:?}");
            // A scope ends when what its threads do has ended; the system has them a moment longer.
            eventually("no thread but ours is left", || holdings().threads <= before.threads + 2);
        }
        let metrics = cache.metrics();
        assert!(metrics[1].failures > 50 && metrics[1].ejections > 5, "{metrics:?}");
        assert!(metrics.iter().all(|metrics| metrics.in_flight == 0), "{metrics:?}");
        let open: u64 = metrics.iter().map(|metrics| metrics.connections).sum();
        assert_eq!(open as usize, holdings().descriptors - before.descriptors, "{metrics:?}");
        assert!(open > 0, "nothing was counted");
        eventually("the server has those that are counted", || {
            connections(&servers[0]) == at_servers + metrics[0].connections
        });
        drop(cache);
        eventually("everything is given back", || holdings() == before);
        for server in &servers {
            eventually("servers have none", || connections(server) == at_servers);
        }
    });
}

#[test]
fn a_thread_that_waits_long_to_probe_ends_with_the_client() {
    alone("memcached::leaks::a_thread_that_waits_long_to_probe_ends_with_the_client", || {
        let Some(mut servers) = Memcached::start_many(2) else { return };
        servers.iter_mut().for_each(Memcached::kill);
        let before = holdings();
        let hour = Duration::from_secs(3600);
        for _ in 0..3 {
            let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(hour);
            let cache =
                named(ports(&servers)).eject(policy.max_ejected_share(1.0)).build().unwrap();
            for key in ["n0", "n1"].map(|node| key_of(&cache, node)) {
                cache.get::<String>(&key).unwrap_err();
            }
            eventually("threads wait", || holdings().threads == before.threads + 2);
            drop(cache);
            eventually("the threads have ended", || holdings() == before);
        }
    });
}
