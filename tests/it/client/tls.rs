//! Nodes that speak TLS, with certificates made by openssl.

use std::time::Duration;
use std::time::Instant;

use redis::Commands;
use redis::TlsCertificates;
use shardwright::NodeConfig;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::pool::say;
use super::pool::shard_error;
use crate::support::certificates;
use crate::support::free_port;
use crate::support::is_installed;
use crate::support::redis_server::RedisServer;
use crate::support::scratch;

/// Servers that speak TLS, and the root of their certificates.
struct Secured {
    servers: Vec<RedisServer>,
    ports: Vec<u16>,
    root: Vec<u8>,
}

impl Secured {
    fn start(count: usize) -> Option<Self> {
        if !is_installed("openssl") || !is_installed("redis-server") {
            return None;
        }
        // As with redis-rs, it is the application that chooses; the first to do so has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = scratch();
        certificates::make(&directory, "DNS:localhost");
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let (mut servers, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let port = free_port();
            let arguments = [
                ["--tls-port", &port.to_string()],
                ["--tls-cert-file", &path("node.crt")],
                ["--tls-key-file", &path("node.key")],
                ["--tls-ca-cert-file", &path("ca.crt")],
                ["--tls-auth-clients", "no"],
                ["--requirepass", "s3cret"],
            ];
            servers.push(RedisServer::start_with(arguments.as_flattened())?);
            ports.push(port);
        }
        let root = std::fs::read(directory.join("ca.crt")).unwrap();
        // The servers have read them.
        let _ = std::fs::remove_dir_all(directory);
        Some(Self { servers, ports, root })
    }

    fn urls(&self, options: &str) -> String {
        let url = |port: &u16| format!("rediss://:s3cret@localhost:{port}/{options}");
        self.ports.iter().map(url).collect::<Vec<_>>().join(",")
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: Some(self.root.clone()) }
    }

    fn client(&self) -> ShardedClient {
        ShardedClient::build_with_tls(self.urls("").as_str(), self.certificates()).unwrap()
    }
}

#[test]
fn nodes_that_speak_tls_are_as_other_nodes() {
    let Some(secured) = Secured::start(3) else { return };
    let client = secured.client();
    let mut con = client.get_connection().unwrap();
    let pairs: Vec<_> = (0..300).map(|number| (format!("{number}:key"), number)).collect();
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key).collect();
    let () = con.mset(&pairs).unwrap();
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), (0..300).collect::<Vec<_>>());
    assert_eq!(say(&mut con, "DBSIZE"), "300");
    let mut pipe = redis::pipe();
    for key in &keys {
        pipe.incr(key, 1);
    }
    assert_eq!(pipe.query::<Vec<i64>>(&mut con).unwrap(), (1..=300).collect::<Vec<_>>());
    let value = "x".repeat(5 << 20);
    let () = con.set("0:key", &value).unwrap();
    assert!(con.get::<_, String>("0:key").unwrap() == value);
    let (new,): (i64,) = redis::transaction(&mut con, &["1:key"], |con, pipe| {
        let old: i64 = con.get("1:key")?;
        pipe.set("1:key", old + 1).ignore().get("1:key").query(con)
    })
    .unwrap();
    assert_eq!(new, 3);
    // What is sent for and fetched later.
    let get = redis::cmd("GET").arg("2:key").get_packed_command();
    con.send_packed_command(&get).unwrap();
    con.send_packed_command(&get).unwrap();
    assert_eq!(con.recv_response().unwrap(), con.recv_response().unwrap());
    // A database is on every link, be it new or replaced.
    assert_eq!(say(&mut con, "SELECT 3"), "OK");
    assert_eq!(con.mget::<_, Vec<Option<i64>>>(&keys[..9]).unwrap(), [None; 9]);
}

#[test]
fn channels_of_nodes_that_speak_tls() {
    let Some(secured) = Secured::start(2) else { return };
    let client = secured.client();
    let (mut con, mut publisher) =
        (client.get_connection().unwrap(), client.get_connection().unwrap());
    let mut pubsub = con.as_pubsub();
    pubsub.subscribe(&["a", "b", "c", "d"]).unwrap();
    pubsub.psubscribe("p*").unwrap();
    for channel in ["a", "b", "c", "d", "pattern"] {
        assert_eq!(publisher.publish::<_, _, i64>(channel, "x").unwrap(), 1);
        assert_eq!(pubsub.get_message().unwrap().get_channel_name(), channel);
    }
    pubsub.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(pubsub.get_message().unwrap_err().is_timeout());
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    let Some(secured) = Secured::start(1) else { return };
    let client = ShardedClient::open(secured.urls("").as_str()).unwrap();
    let error = client.get_connection().unwrap_err();
    let ours = shard_error(&error);
    assert!(ours.to_string().to_lowercase().contains("certificate"), "{ours}");
    assert!(!format!("{error:?} {ours:?} {client:?}").contains("s3cret"));
    // The name counts, too: the certificate is for localhost.
    let url = secured.urls("").replace("localhost", "127.0.0.1");
    let client = ShardedClient::build_with_tls(url.as_str(), secured.certificates()).unwrap();
    let text = shard_error(&client.get_connection().unwrap_err()).to_string();
    assert!(text.to_lowercase().contains("certificate"), "{text}");
}

#[test]
#[cfg(feature = "tls-rustls-insecure")]
fn whoever_asks_for_it_is_not_protected() {
    let Some(secured) = Secured::start(2) else { return };
    let client = ShardedClient::open(secured.urls("#insecure").as_str()).unwrap();
    let mut con = client.get_connection().unwrap();
    let () = con.mset(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]).unwrap();
    assert_eq!(con.mget::<_, Vec<i64>>(&["d", "c", "b", "a"]).unwrap(), [4, 3, 2, 1]);
}

#[test]
fn a_node_may_have_a_certificate_of_its_own() {
    let (Some(one), Some(other)) = (Secured::start(1), Secured::start(1)) else { return };
    let node = |secured: &Secured, name: &str| {
        let url = secured.urls("");
        NodeConfig::with_tls(url.as_str(), secured.certificates()).unwrap().name(name)
    };
    let builder = ShardedClient::builder().node(node(&one, "n0")).node(node(&other, "n1"));
    let mut con = builder.build().unwrap().get_connection().unwrap();
    let all = con.on_all(|node| redis::cmd("PING").query::<String>(node));
    assert!(all.iter().all(|(_, pong)| pong.as_deref() == Ok("PONG")), "{all:?}");
}

#[test]
fn a_node_that_hangs_costs_the_deadline_over_tls() {
    let Some(secured) = Secured::start(2) else { return };
    let limit = Duration::from_millis(700);
    let client = secured.client().to_builder().timeout(limit).build().unwrap();
    let mut con = client.get_connection().unwrap();
    let keys: Vec<_> = (0..40).map(|number| format!("{number}:key")).collect();
    let () = con.mset(&keys.iter().map(|key| (key, 1)).collect::<Vec<_>>()).unwrap();
    secured.servers[0].process().stop();
    // On the link that is open, and in the handshake of a new one.
    for _ in 0..2 {
        let start = Instant::now();
        let error = con.mget::<_, Vec<i64>>(&keys).unwrap_err();
        let took = start.elapsed();
        assert_eq!(shard_error(&error).kind(), ShardErrorKind::Deadline, "{error}");
        assert!(took >= limit, "{took:?}");
        // Far from what any other timeout here would take; tests/it/failures measures it.
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    secured.servers[0].process().resume();
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), vec![1; 40]);
}
