//! Nodes that are slow, and calls that end in time all the same.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use shardwright::EjectPolicy;
use shardwright::FailedReads;
use shardwright::MemcacheProtocol;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::DEADLINE;
use super::failure;
use super::failure_kind;
use super::key_of;
use super::metrics;
use super::named;
use super::state;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::Step;
use crate::support::fake_node::reply;
use crate::support::memcached::Memcached;
use crate::support::stopwatch::in_time;

const BOTH: [MemcacheProtocol; 2] = [MemcacheProtocol::Meta, MemcacheProtocol::Ascii];

fn found(request: &Request) -> Vec<u8> {
    let key = request.key();
    match request.args[0].as_slice() {
        b"mg" => format!("VA {} f0 c1 O{}\r\n{key}\r\n", key.len(), request.opaque()).into_bytes(),
        b"gets" => format!("VALUE {key} 0 {} 1\r\n{key}\r\nEND\r\n", key.len()).into_bytes(),
        b"get" => format!("VALUE {key} 0 {}\r\n{key}\r\nEND\r\n", key.len()).into_bytes(),
        other => panic!("{}", other.escape_ascii()),
    }
}

#[test]
fn a_node_that_trickles_does_not_hold_up_the_deadline() {
    for protocol in BOTH {
        let node =
            FakeNode::start_memcached(|request| vec![Step::Trickle(found(request), DEADLINE / 4)]);
        let other = FakeNode::start_memcached(|request| vec![Step::Send(found(request))]);
        let cache = named([node.port(), other.port()]).protocol(protocol).build().unwrap();
        let (slow, quick) = (key_of(&cache, "n0"), key_of(&cache, "n1"));
        for _ in 0..3 {
            let error = in_time(DEADLINE, || failure(cache.get::<String>(&slow)));
            assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
            let all = in_time(DEADLINE, || cache.get_many::<String, _>(&[&slow, &quick]));
            let [first, second] = <[_; 2]>::try_from(all).unwrap();
            assert_eq!(failure_kind(first), ShardErrorKind::Deadline);
            assert_eq!(second.unwrap(), Some(quick.clone()));
            let all = in_time(DEADLINE, || cache.gets::<String>(&[&slow, &quick]));
            assert_eq!(failure_kind(all), ShardErrorKind::Deadline);
        }
    }
}

#[test]
fn a_node_that_is_slow_and_in_time_is_heard() {
    for protocol in BOTH {
        let node = FakeNode::start_memcached(|request| {
            vec![Step::Wait(DEADLINE / 2), Step::Trickle(found(request), DEADLINE / 300)]
        });
        let cache = named([node.port()]).timeout(8 * DEADLINE).protocol(protocol).build().unwrap();
        for key in ["a", "b"] {
            assert_eq!(cache.get::<String>(key).unwrap().as_deref(), Some(key));
        }
        assert_eq!((node.connections(), cache.metrics()[0].failures), (1, 0));
    }
}

#[test]
fn a_greeting_is_bounded_too() {
    let node = FakeNode::start_rude_memcached(|_| {
        vec![Step::Trickle(b"VERSION 1.6.18\r\nMN\r\n".to_vec(), DEADLINE / 4)]
    });
    let cache = named([node.port()]).build().unwrap();
    for _ in 0..2 {
        let error = in_time(DEADLINE, || failure(cache.get::<String>("key")));
        assert_eq!(error.kind(), ShardErrorKind::Deadline);
        assert!(error.to_string().contains("no connection to"), "{error}");
    }
    let short = DEADLINE / 3;
    let cache = named([node.port()]).connect_timeout(short).build().unwrap();
    let error = in_time(short, || failure(cache.get::<String>("key")));
    assert!(error.to_string().ends_with(&format!("within {short:?}")), "{error}");
}

/// A port whose queue is full: whoever connects waits.
fn hole() -> (Socket, u16, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let dial = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let queued = std::iter::from_fn(dial).collect();
    (socket, address.port(), queued)
}

#[test]
fn nobody_waits_for_a_node_that_is_not_asked() {
    let Some(server) = Memcached::start() else { return };
    let (_socket, port, _queued) = hole();
    let cache = in_time(Duration::ZERO, || named([port, server.port()]).build().unwrap());
    let (lost, key) = (key_of(&cache, "n0"), key_of(&cache, "n1"));
    in_time(DEADLINE, || cache.set(&key, "x", 0)).unwrap();
    assert_eq!(cache.metrics()[0].requests, 0);
    let error = in_time(DEADLINE, || failure(cache.set(&lost, "x", 0)));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
    let all = in_time(DEADLINE, || cache.get_many::<String, _>(&[&lost, &key]));
    assert!(all[0].is_err());
    assert_eq!(all[1].as_ref().unwrap().as_deref(), Some("x"));
    for failed in [failure_kind(cache.version()), failure_kind(cache.flush())] {
        assert_eq!(failed, ShardErrorKind::Deadline);
    }
    let misses = named([port, server.port()]).failed_reads(FailedReads::Miss).build().unwrap();
    let miss: Option<String> = in_time(DEADLINE, || misses.get(&lost).unwrap());
    assert_eq!(miss, None);
}

/// An old server creates no counter itself: that takes two requests, and again and again if others are
/// at it.
#[test]
fn a_counter_that_is_made_has_one_deadline() {
    for delay in [Duration::ZERO, DEADLINE * 3 / 4] {
        let node = FakeNode::start_rude_memcached(move |request| {
            let line = match request.args[0].as_slice() {
                b"version" => "VERSION 1.4.15\r\n",
                b"mn" => "ERROR\r\n",
                b"incr" => "NOT_FOUND\r\n",
                _ => "NOT_STORED\r\n",
            };
            let delay = if request.is_greeting() { Duration::ZERO } else { delay };
            vec![Step::Wait(delay), Step::Send(line.into())]
        });
        let cache = named([node.port()]).build().unwrap();
        let error = in_time(DEADLINE, || failure(cache.increment("key", 1)));
        assert_eq!(error.kind(), ShardErrorKind::Deadline);
    }
}

#[test]
fn an_old_server_is_spoken_to_in_its_own_way() {
    let node = FakeNode::start_rude_memcached(|request| {
        reply(match request.args[0].as_slice() {
            b"version" => "VERSION 1.4.15\r\n".into(),
            b"mn" => "ERROR\r\n".into(),
            b"add" | b"set" => "STORED\r\n".into(),
            b"incr" if request.key() == "counted" => "6\r\n".into(),
            b"incr" => "NOT_FOUND\r\n".into(),
            _ => String::from_utf8(found(request)).unwrap(),
        })
    });
    let cache = named([node.port()]).build().unwrap();
    assert_eq!(cache.get::<String>("a").unwrap().as_deref(), Some("a"));
    cache.set("a", "b", 0).unwrap();
    assert_eq!(cache.increment("counted", 5).unwrap(), 6);
    assert_eq!(cache.increment("new", 5).unwrap(), 0);
    let lines = node.lines();
    assert_eq!(
        lines,
        ["get a", "set a 0 0 1 b", "incr counted 5", "incr new 5", "add new 0 0 1 0"]
    );
}

#[test]
fn timeouts_change_for_all_clones_at_once() {
    let node = FakeNode::start_memcached(|_| vec![Step::Hang]);
    let cache = named([node.port()]).timeout(Duration::from_secs(60)).build().unwrap();
    let clone: ShardedMemcache = cache.clone();
    clone.set_read_timeout(Some(DEADLINE)).unwrap();
    let error = in_time(DEADLINE, || failure(cache.get::<String>("key")));
    assert_eq!(error.kind(), ShardErrorKind::Deadline);
    clone.set_read_timeout(Some(DEADLINE / 2)).unwrap();
    in_time(DEADLINE / 2, || failure(cache.get::<String>("key")));
}

#[test]
fn a_counter_that_cannot_be_made_fails_at_once_in_the_servers_words() {
    let node = FakeNode::start_rude_memcached(|request| {
        reply(match request.args[0].as_slice() {
            b"version" => "VERSION 1.5.22\r\n",
            b"mn" => "ERROR\r\n",
            b"incr" => "NOT_FOUND\r\n",
            _ => "SERVER_ERROR out of memory storing object\r\n",
        })
    });
    let cache = named([node.port()]).build().unwrap();
    let error = cache.increment("key", 1).unwrap_err().to_string();
    assert_eq!(error, "SERVER_ERROR out of memory storing object");
    assert_eq!(node.lines().len(), 2);
}

/// A server that is started with `-F` does not flush; it says so, and nothing else is the matter.
#[test]
fn a_refusal_of_a_whole_node_costs_no_connection() {
    let Some(server) = Memcached::start_with(&["-F"]) else { return };
    let cache = named([server.port()]).build().unwrap();
    cache.set("key", "value", 0).unwrap();
    for _ in 0..5 {
        let error = cache.flush().unwrap_err().to_string();
        assert!(error.contains("flush_all not allowed"), "{error}");
        assert_eq!(cache.get::<String>("key").unwrap().as_deref(), Some("value"));
    }
    let connections: u64 = cache.stats().unwrap()[0].1["total_connections"].parse().unwrap();
    // The one of the test that waited for the server among them.
    assert!(connections <= 3, "{connections}");
}

#[test]
fn what_takes_too_long_to_put_together_is_not_sent_and_is_no_fault_of_the_node() {
    let Some(server) = Memcached::start() else { return };
    let policy = EjectPolicy::fail_fast().failure_limit(1);
    let cache = named([server.port()]).eject(policy).build().unwrap();
    cache.set("k0", "before", 0).unwrap();
    cache.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    cache.set_write_timeout(Some(Duration::from_millis(2))).unwrap();
    let value = vec![b'x'; 500_000];
    let entries: Vec<_> = (0..200).map(|number| (format!("k{number}"), value.as_slice())).collect();
    for result in cache.set_many(&entries, 0) {
        let error = failure(result);
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
        assert!(
            error.to_string().ends_with("longer than 2ms to encode, and was not sent"),
            "{error}"
        );
    }
    cache.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(cache.get::<String>("k0").unwrap().as_deref(), Some("before"));
    assert_eq!(cache.get::<String>("k1").unwrap(), None);
    assert_eq!((state(&cache, "n0"), metrics(&cache, "n0").ejections), (NodeState::Live, 0));
}

#[test]
fn a_timeout_of_nothing_is_refused_as_by_memcache() {
    let cache = ShardedMemcache::connect("memcache://127.0.0.1:1").unwrap();
    for refused in [
        cache.set_read_timeout(Some(Duration::ZERO)),
        cache.set_write_timeout(Some(Duration::ZERO)),
    ] {
        let Err(memcache::MemcacheError::IOError(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    cache.set_read_timeout(None).unwrap();
}
