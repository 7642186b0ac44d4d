//! Servers reached and greeted in other ways: a unix socket, IPv6, with a password.

use std::fs;
use std::net::TcpListener;

use shardwright::Address;
use shardwright::MemcacheNodeConfig;
use shardwright::MemcacheProtocol;
use shardwright::Node;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;

use super::PATIENT;
use super::failure;
use super::node;
use crate::support::eventually;
use crate::support::memcached::Memcached;
use crate::support::memcached::MemcachedSocket;
use crate::support::scratch;

const ALL: [MemcacheProtocol; 3] =
    [MemcacheProtocol::Auto, MemcacheProtocol::Meta, MemcacheProtocol::Ascii];

fn client(node: impl Into<MemcacheNodeConfig>, protocol: MemcacheProtocol) -> ShardedMemcache {
    let builder = ShardedMemcache::builder().node(node).timeout(PATIENT);
    builder.protocol(protocol).max_connections(2).build().unwrap()
}

/// Stores and reads small and large values, alone and together.
fn works(cache: &ShardedMemcache) {
    let large = "x".repeat(1_000_000);
    for round in 0..3 {
        cache.set("small", round, 0).unwrap();
        cache.set("large", &*large, 0).unwrap();
        let values = cache.gets::<String>(&["small", "large", "absent"]).unwrap();
        assert_eq!((values["small"].clone(), values.len()), (round.to_string(), 2));
        assert!(values["large"] == large);
        assert!(cache.get::<String>("large").unwrap().unwrap() == large);
    }
    assert_eq!(cache.metrics()[0].connections, 1);
}

#[test]
fn a_unix_socket_works_alike() {
    let Some(server) = MemcachedSocket::start() else { return };
    let address = Address::Unix(server.path().to_str().unwrap().into());
    for protocol in ALL {
        let cache = client(Node::new(address.clone()), protocol);
        works(&cache);
        let version = cache.version().unwrap();
        assert_eq!(version[0].0, format!("memcache+unix://{}", server.path().display()));
    }
    let cache = client(Node::new(address), MemcacheProtocol::Auto);
    let path = server.path();
    drop(server);
    let error = failure(cache.get::<String>("small"));
    assert_eq!(error.kind(), ShardErrorKind::Node);
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn ipv6_works_alike() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: there is no ::1");
        return;
    }
    let Some(server) = Memcached::start_with(&["-l", "::1"]) else { return };
    for protocol in ALL {
        let cache = client(Node::new(Address::tcp("::1", server.port())), protocol);
        works(&cache);
        let version = cache.version().unwrap();
        assert_eq!(version[0].0, format!("memcache://[::1]:{}", server.port()));
    }
}

const PASSWORD: &str = "correct-horse";

/// A server that wants a password.
fn secured() -> Option<(Memcached, std::path::PathBuf)> {
    let directory = scratch();
    let file = directory.join("passwords");
    fs::write(&file, format!("jane:{PASSWORD}\n")).unwrap();
    let server = Memcached::start_with(&["-Y", file.to_str().unwrap()])?;
    Some((server, directory))
}

#[test]
fn a_password_is_said_first_and_never_shown() {
    let Some((server, directory)) = secured() else { return };
    for protocol in ALL {
        let node = MemcacheNodeConfig::from(node(0, server.port()));
        let cache = client(node.clone().user("jane", PASSWORD), protocol);
        works(&cache);
        assert!(!format!("{cache:?} {:?}", cache.to_builder()).contains(PASSWORD));

        let wrong = client(node.clone().user("jane", "correct-mule"), protocol);
        for _ in 0..2 {
            let error = failure(wrong.get::<String>("small"));
            assert_eq!((error.kind(), error.node()), (ShardErrorKind::Handshake, Some("n0")));
            // memcached 1.6.18 passes over its own first words if a request is behind the password.
            let words = error.to_string();
            let start = format!("node 'n0': {}: CLIENT_ERROR ", server.address());
            let reason = words.strip_prefix(&start).unwrap_or_else(|| panic!("{words}"));
            assert!(["authentication failure", "unauthenticated"].contains(&reason), "{words}");
            assert!(!format!("{error:?}").contains("mule"));
        }
        let errors = wrong.get_many::<String, _>(&["small", "large"]);
        for error in errors.into_iter().map(failure) {
            assert_eq!(error.kind(), ShardErrorKind::Handshake);
        }
        assert_eq!(wrong.metrics()[0].connections, 0);

        let without = client(node, protocol);
        for _ in 0..2 {
            let error = without.get::<String>("small").unwrap_err().to_string();
            let stored = without.set("small", "x", 0).unwrap_err().to_string();
            assert!(error.ends_with("CLIENT_ERROR unauthenticated"), "{error}");
            // Without a greeting the server takes the first value for the password.
            assert!(stored.contains("CLIENT_ERROR "), "{stored}");
        }
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_server_that_restarts_is_told_the_password_again() {
    let Some((mut server, directory)) = secured() else { return };
    for protocol in ALL {
        let node = MemcacheNodeConfig::from(node(0, server.port())).user("jane", PASSWORD);
        let cache = client(node, protocol);
        cache.set("key", "x", 0).unwrap();
        server.restart();
        eventually("it forgot", || cache.get::<String>("key").unwrap().is_none());
        cache.set("key", "x", 0).unwrap();
    }
    fs::remove_dir_all(directory).unwrap();
}
