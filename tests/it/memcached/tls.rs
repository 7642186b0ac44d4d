//! Memcacheds that speak TLS, with certificates made by openssl.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use shardwright::EjectPolicy;
use shardwright::MemcacheNodeConfig;
use shardwright::MemcacheProtocol;
use shardwright::MemcacheTlsOptions;
use shardwright::NodeState;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;
use shardwright::ShardedMemcacheBuilder;

use super::PATIENT;
use super::builder;
use super::program::program;
use crate::support::certificates;
use crate::support::eventually;
use crate::support::is_installed;
use crate::support::memcached::Memcached;
use crate::support::scratch;

/// Servers that speak TLS, and where their certificates are.
pub(crate) struct Secured {
    pub(crate) servers: Vec<Memcached>,
    pub(crate) directory: PathBuf,
}

impl Secured {
    pub(crate) fn start(count: usize) -> Option<Self> {
        Self::start_with(count, "")
    }

    /// Starts servers with further options (`,ssl_…`), in which `@` is the directory.
    pub(crate) fn start_with(count: usize, options: &str) -> Option<Self> {
        if !is_installed("openssl") {
            return None;
        }
        choose_cryptography();
        let directory = scratch();
        certificates::make(&directory, "DNS:localhost,IP:127.0.0.1");
        let options = format!("ssl_chain_cert=@/node.crt,ssl_key=@/node.key{options}")
            .replace('@', directory.to_str().unwrap());
        let mut secured = Self { servers: Vec::new(), directory };
        for _ in 0..count {
            let arguments = ["-Z", "-I", "4m", "-o", options.as_str()];
            secured.servers.push(Memcached::start_with(&arguments)?);
        }
        Some(secured)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn urls(&self, host: &str, options: &str) -> String {
        let url = |it: &Memcached| format!("memcache+tls://{host}:{}?{options}", it.port());
        self.servers.iter().map(url).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn builder(&self) -> ShardedMemcacheBuilder {
        let urls = self.urls("localhost", &format!("ca_path={}", self.path("ca.crt")));
        ShardedMemcache::builder().add_server(urls.as_str()).unwrap().timeout(PATIENT)
    }

    /// A client for each of the two protocols.
    fn clients(&self) -> [ShardedMemcache; 2] {
        [MemcacheProtocol::Auto, MemcacheProtocol::Ascii]
            .map(|protocol| self.builder().protocol(protocol).build().unwrap())
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// It is the application that chooses; the first to do so has chosen.
pub(crate) fn choose_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Ours in the error of a request that fails.
fn failure(cache: &ShardedMemcache) -> ShardError {
    let error = cache.get::<String>("key").unwrap_err();
    ShardError::of_memcache(&error).unwrap()
}

/// Of the whole life of the server.
fn connections(cache: &ShardedMemcache) -> u64 {
    cache.stats().unwrap()[0].1["total_connections"].parse().unwrap()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}:key")).collect()
}

#[test]
fn a_program_runs_alike_with_tls() {
    let (Some(secured), Some(plain)) = (Secured::start(1), Memcached::start_many(1)) else {
        return;
    };
    for (cache, protocol) in
        secured.clients().into_iter().zip([MemcacheProtocol::Auto, MemcacheProtocol::Ascii])
    {
        let plain = builder(&plain).protocol(protocol).build().unwrap();
        plain.flush().unwrap();
        cache.flush().unwrap();
        assert_eq!(program!(&cache;), program!(&plain;));
    }
}

#[test]
fn many_keys_and_large_values_over_tls() {
    let Some(secured) = Secured::start(3) else { return };
    for cache in secured.clients() {
        let keys = keys(300);
        let large = |number: usize| number.to_string().repeat(1 << (number % 12));
        let entries: Vec<_> = (0..300).map(|number| (&keys[number], large(number))).collect();
        assert!(cache.set_many(&entries, 0).iter().all(Result::is_ok));
        let found = cache.get_many::<String, _>(&keys).into_iter().map(Result::unwrap);
        assert!(found.eq(entries.iter().map(|(_, value)| Some(value.clone()))));
        let names: Vec<_> = keys.iter().map(String::as_str).collect();
        let found: HashMap<String, String> = cache.gets(&names).unwrap();
        assert_eq!(found.len(), 300);
        // Alone and together; more than fits into the buffers in both directions.
        let value: Vec<u8> = (0..(1 << 20) - 200_u32).map(|number| (number % 251) as u8).collect();
        cache.set("large", value.as_slice(), 0).unwrap();
        assert!(cache.get::<Vec<u8>>("large").unwrap().unwrap() == value);
        let entries: Vec<_> = keys[..24].iter().map(|key| (key, value.as_slice())).collect();
        assert!(cache.set_many(&entries, 0).iter().all(Result::is_ok));
        for found in cache.get_many::<Vec<u8>, _>(&keys[..24]) {
            assert!(found.unwrap().unwrap() == value);
        }
    }
}

#[test]
fn several_threads_ask_over_tls() {
    let Some(secured) = Secured::start(2) else { return };
    let [cache, _] = secured.clients();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let cache = &cache;
            scope.spawn(move || {
                for number in 0..200 {
                    let key = format!("{thread}:{number}");
                    cache.set(&key, &key, 0).unwrap();
                    assert_eq!(cache.get::<String>(&key).unwrap().as_deref(), Some(key.as_str()));
                }
            });
        }
    });
}

#[test]
fn a_connection_that_rested_is_used_again() {
    // What TLS 1.3 sends on its own (tickets) is nothing to hang up for.
    for options in ["", ",ssl_min_version=3", ",ssl_session_cache"] {
        let Some(secured) = Secured::start_with(1, options) else { return };
        let [cache, _] = secured.clients();
        let before = connections(&cache);
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(5));
            cache.set("key", "value", 0).unwrap();
        }
        assert_eq!(connections(&cache), before, "{options}");
    }
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    let (Some(secured), Some(other)) = (Secured::start(1), Secured::start(1)) else { return };
    let port = secured.servers[0].port();
    let url = secured.urls("localhost", &format!("ca_path={}", other.path("ca.crt")));
    let error = failure(&ShardedMemcache::connect(url.as_str()).unwrap());
    assert_eq!(error.kind(), ShardErrorKind::Node);
    assert_eq!(error.node(), Some(format!("localhost:{port}").as_str()));
    let text = error.to_string();
    assert!(text.contains("localhost") && text.contains("certificate"), "{text}");
    // An IP address is a name like others, and one of them is not on it.
    let options = format!("ca_path={}", secured.path("ca.crt"));
    let cache = ShardedMemcache::connect(secured.urls("127.0.0.1", &options).as_str()).unwrap();
    cache.set("key", "value", 0).unwrap();
    let cache = ShardedMemcache::connect(secured.urls("127.0.0.2", &options).as_str()).unwrap();
    let start = failure(&cache).to_string();
    assert!(start.contains("127.0.0.2"), "{start}");
}

#[test]
fn a_certificate_is_for_a_name() {
    let Some(mut secured) = Secured::start(1) else { return };
    certificates::make(&secured.directory, "DNS:elsewhere");
    secured.servers[0].restart();
    let options = format!("ca_path={}", secured.path("ca.crt"));
    let cache = ShardedMemcache::connect(secured.urls("localhost", &options).as_str()).unwrap();
    let text = failure(&cache).to_string();
    assert!(text.contains("certificate") && text.contains("elsewhere"), "{text}");
    // Nobody asks.
    let url = secured.urls("localhost", "verify_mode=none");
    let cache = ShardedMemcache::connect(url.as_str()).unwrap();
    cache.set("key", "value", 0).unwrap();
    let tls = MemcacheTlsOptions::new().danger_accept_any_certificate();
    let node = MemcacheNodeConfig::new(&secured.servers[0].url()).unwrap().tls(tls);
    let cache = ShardedMemcache::connect(node).unwrap();
    assert_eq!(cache.get::<String>("key").unwrap().as_deref(), Some("value"));
}

#[test]
fn a_server_may_ask_for_our_certificate() {
    for more in ["ssl_min_version=2", "ssl_min_version=3", "ssl_session_cache"] {
        let options = format!(",ssl_verify_mode=2,ssl_ca_cert=@/ca.crt,{more}");
        let Some(secured) = Secured::start_with(1, &options) else { return };
        let path = |name| secured.path(name);
        let options = format!(
            "ca_path={}&cert_path={}&key_path={}&timeout=10",
            path("ca.crt"),
            path("client.crt"),
            path("client.key")
        );
        let cache = ShardedMemcache::connect(secured.urls("localhost", &options).as_str()).unwrap();
        // Several connections, so that a session that is taken up again would show.
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let cache = &cache;
                scope.spawn(move || {
                    for _ in 0..50 {
                        cache.set(&format!("key{thread}"), "value", 0).unwrap();
                    }
                });
            }
        });
        let [without, _] = secured.clients();
        let error = failure(&without);
        assert_eq!(error.kind(), ShardErrorKind::Node, "{error}");
        assert!(error.to_string().contains(&secured.servers[0].port().to_string()), "{error}");
        // Who has none does not spoil it for others.
        cache.set("key", "value", 0).unwrap();
    }
}

#[test]
fn a_server_that_hangs_in_the_handshake_costs_the_deadline() {
    let Some(secured) = Secured::start(1) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let limit = Duration::from_millis(300);
    let hung = format!("memcache+tls://127.0.0.1:{port}?verify_mode=none");
    let cache =
        secured.builder().add_server(hung.as_str()).unwrap().timeout(limit).build().unwrap();
    let keys = keys(50);
    let start = Instant::now();
    let found = cache.get_many::<String, _>(&keys);
    let took = start.elapsed();
    assert!(took >= limit && took < Duration::from_secs(10), "{took:?}");
    for (key, found) in keys.iter().zip(found) {
        let is_hung =
            cache.node_for_key(key).unwrap().address().to_string().ends_with(&port.to_string());
        match found {
            Ok(found) => assert!(found.is_none() && !is_hung),
            Err(error) => {
                let error = ShardError::of_memcache(&error).unwrap();
                assert_eq!(error.kind(), ShardErrorKind::Deadline, "{error}");
                assert!(is_hung, "{error}");
            }
        }
    }
    let key = keys
        .iter()
        .find(|key| {
            cache.node_for_key(key).unwrap().address().to_string().ends_with(&port.to_string())
        })
        .unwrap();
    let start = Instant::now();
    assert!(cache.get::<String>(key).is_err());
    let took = start.elapsed();
    assert!(took >= limit && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_server_without_tls_is_refused() {
    let Some(servers) = Memcached::start_many(1) else { return };
    choose_cryptography();
    let url =
        format!("memcache+tls://127.0.0.1:{}?verify_mode=none&timeout=0.5", servers[0].port());
    let error = failure(&ShardedMemcache::connect(url.as_str()).unwrap());
    assert!([ShardErrorKind::Node, ShardErrorKind::Deadline].contains(&error.kind()), "{error}");
}

#[test]
fn a_server_that_was_restarted_costs_no_request() {
    let Some(mut secured) = Secured::start(1) else { return };
    for cache in secured.clients() {
        for round in 0..3 {
            cache.set("key", round, 0).unwrap();
            assert_eq!(cache.get::<i32>("key").unwrap(), Some(round));
            secured.servers[0].restart();
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(cache.get::<i32>("key").unwrap(), None);
        }
    }
}

#[test]
fn a_server_that_stops_costs_the_deadline() {
    let Some(secured) = Secured::start(1) else { return };
    let limit = Duration::from_millis(300);
    for cache in secured.clients() {
        let cache = cache.to_builder().timeout(limit).build().unwrap();
        cache.set("key", "value", 0).unwrap();
        let large = vec![0_u8; 3 << 20];
        secured.servers[0].process().stop();
        // In a request, in one that does not fit into the buffers (on a new connection), among several.
        let ask: [&dyn Fn() -> Result<(), memcache::MemcacheError>; 3] = [
            &|| cache.get::<String>("key").map(drop),
            &|| cache.set("key", large.as_slice(), 0),
            &|| cache.gets::<String>(&["key", "other"]).map(drop),
        ];
        for ask in ask {
            let start = Instant::now();
            let error = ShardError::of_memcache(&ask().unwrap_err()).unwrap();
            let took = start.elapsed();
            assert_eq!(error.kind(), ShardErrorKind::Deadline, "{error}");
            assert!(took >= limit && took < Duration::from_secs(10), "{took:?}");
        }
        secured.servers[0].process().resume();
        // The server has three handshakes to give up first.
        eventually("it answers again", || cache.get::<String>("key").is_ok());
    }
}

#[test]
fn a_large_value_that_stops_on_the_way_costs_the_deadline() {
    let Some(secured) = Secured::start(1) else { return };
    let limit = Duration::from_millis(300);
    let cache = secured.builder().timeout(limit).build().unwrap();
    cache.set("key", "value", 0).unwrap();
    secured.servers[0].process().stop();
    // On the connection that is open.
    let start = Instant::now();
    let large = vec![0_u8; 64 << 20];
    let error = cache.set("key", large.as_slice(), 0).unwrap_err();
    let took = start.elapsed();
    assert_eq!(ShardError::of_memcache(&error).unwrap().kind(), ShardErrorKind::Deadline);
    assert!(took >= limit && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn failures_of_tls_count_and_eject() {
    let (Some(secured), Some(other)) = (Secured::start(2), Secured::start(1)) else { return };
    let options = format!("ca_path={}", secured.path("ca.crt"));
    // What this one shows is not to be trusted.
    let stranger = other.urls("localhost", &options);
    let policy = EjectPolicy::successor().failure_limit(2).retry_timeout(Duration::from_millis(50));
    let cache =
        secured.builder().add_server(stranger.as_str()).unwrap().eject(policy).build().unwrap();
    let keys = keys(60);
    let is_stranger = |key: &&String| {
        cache.node_for_key(key).unwrap().name().ends_with(&other.servers[0].port().to_string())
    };
    let key = keys.iter().find(is_stranger).unwrap();
    for _ in 0..2 {
        assert!(cache.get::<String>(key).is_err());
    }
    let is_ejected = || cache.node_states().iter().any(|(_, state)| *state != NodeState::Live);
    assert!(is_ejected(), "{:?}", cache.node_states());
    assert!(cache.get_many::<String, _>(&keys).iter().all(Result::is_ok));
    // Probes see the same certificate.
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_ejected());
    assert!(cache.metrics().iter().any(|node| node.failures >= 2), "{:?}", cache.metrics());
}

#[test]
fn an_ejected_node_comes_back_over_tls() {
    let Some(mut secured) = Secured::start(2) else { return };
    let policy = EjectPolicy::successor().failure_limit(1).retry_timeout(Duration::from_millis(50));
    let cache = secured.builder().eject(policy).build().unwrap();
    let keys = keys(20);
    assert!(cache.get_many::<String, _>(&keys).iter().all(Result::is_ok));
    secured.servers[0].kill();
    let _ = cache.get_many::<String, _>(&keys);
    let is_ejected = || cache.node_states().iter().any(|(_, state)| *state != NodeState::Live);
    assert!(is_ejected());
    secured.servers[0].restart();
    eventually("it is back", || !is_ejected());
    assert!(cache.get_many::<String, _>(&keys).iter().all(Result::is_ok));
}

#[test]
fn a_file_that_is_missing_or_none_is_known_at_once() {
    let Some(secured) = Secured::start(0) else { return };
    let path = |name| secured.path(name);
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("torn"), "-----BEGIN PRIVATE KEY-----\nS3cr3t\n").unwrap();
    std::fs::write(path("odd"), "-----BEGIN S3cr3t\n").unwrap();
    std::fs::write(
        path("garbage"),
        "-----BEGIN CERTIFICATE-----\nUzNjcjN0\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for (ca, cert, key, wrong) in [
        ("absent", "client.crt", "client.key", "cannot read @absent: No such file"),
        ("ca.crt", "absent", "client.key", "cannot read @absent: No such file"),
        ("ca.crt", "client.crt", "absent", "cannot read @absent: No such file"),
        ("empty", "client.crt", "client.key", "there is no certificate in @empty"),
        ("client.key", "client.crt", "client.key", "there is no certificate in @client.key"),
        ("garbage", "client.crt", "client.key", "@garbage: "),
        ("ca.crt", "client.crt", "client.crt", "there is no private key in @client.crt"),
        ("ca.crt", "client.crt", "torn", "@torn is not in PEM"),
        ("ca.crt", "client.crt", "odd", "@odd is not in PEM"),
        ("ca.crt", "garbage", "client.key", "@garbage with the key @client.key: "),
        ("ca.crt", "client.crt", "node.key", "@client.crt with the key @node.key: "),
    ] {
        for verify in ["peer", "none"] {
            let url = format!(
                "memcache+tls://a:1?verify_mode={verify}&ca_path={}&cert_path={}&key_path={}",
                path(ca),
                path(cert),
                path(key)
            );
            let error = ShardedMemcache::connect(vec!["memcache://b:1", url.as_str()]).unwrap_err();
            assert!(matches!(error, memcache::MemcacheError::BadURL(_)), "{error:?}");
            let text = error.to_string();
            let expected = wrong.replace('@', &path(""));
            assert!(text.contains("node 'a:1': ") && text.contains(&expected), "{text}");
            assert!(!text.contains("S3cr3t"), "{text}");
        }
    }
    let node = MemcacheNodeConfig::new("memcache:///run/a").unwrap().tls(MemcacheTlsOptions::new());
    let error = ShardedMemcache::connect(node).unwrap_err().to_string();
    assert!(error.contains("a unix socket has no TLS"), "{error}");
    // Where keys go can be told without the files.
    let builder =
        ShardedMemcache::builder().add_server("memcache+tls://a:1?ca_path=absent").unwrap();
    assert_eq!(builder.to_topology().unwrap().nodes().len(), 1);
}

#[test]
fn nodes_that_are_secured_otherwise_get_new_connections() {
    let Some(secured) = Secured::start(1) else { return };
    let [cache, _] = secured.clients();
    let before = connections(&cache);
    cache.set_topology(secured.builder()).unwrap();
    assert_eq!(connections(&cache), before);
    cache.set_nodes(secured.urls("localhost", "verify_mode=none").as_str()).unwrap();
    assert_eq!(connections(&cache), before + 1);
}
