//! The accessors, and what holds for any text. What each kind of bad file is told, and that nutcracker
//! says the same, is in `tests/it/nutcracker_config`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::FailedReads;
use crate::distribution::DistributionKind;
use crate::hash::HashKind;
use crate::health::EjectMode;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::node::Address;

fn parse(text: &str) -> NutcrackerConfig {
    NutcrackerConfig::parse(text).unwrap()
}

#[test]
fn a_pool_that_says_little_has_nutcrackers_defaults() {
    let config = parse("p:\n  listen: 127.0.0.1:22121\n  servers:\n   - a:6379:1\n");
    let pool = config.pool("p").unwrap();
    assert_eq!(pool.listen().address(), &Address::tcp("127.0.0.1", 22121));
    assert_eq!((pool.hash(), pool.hash_tag()), (HashKind::Fnv1a64, None));
    assert_eq!(pool.distribution(), DistributionKind::Ketama);
    assert_eq!((pool.timeout(), pool.backlog(), pool.client_connections()), (None, 512, None));
    assert_eq!((pool.redis(), pool.redis_auth(), pool.redis_db()), (false, None, 0));
    assert!(!pool.tcpkeepalive() && !pool.reuseport() && !pool.preconnect());
    assert_eq!((pool.auto_eject_hosts(), pool.server_failure_limit()), (false, 2));
    assert_eq!(pool.server_retry_timeout(), Duration::from_secs(30));
    assert_eq!(pool.server_connections(), 1);
    assert_eq!(pool.servers(), ["a:6379:1".parse().unwrap()]);
    let topology = pool.topology().unwrap();
    assert_eq!(topology.eject_policy(), &EjectPolicy::default());
    assert_eq!((topology.hash().name(), topology.distribution().name()), ("fnv1a_64", "ketama"));
}

#[test]
fn a_pool_that_says_everything_is_read() {
    let config = parse(
        "p:\n  listen: /run/p.sock 0660\n  hash: murmur\n  hash_tag: '[]'\n  distribution: modula\n  \
         timeout: 400\n  backlog: 1024\n  client_connections: 9\n  redis: true\n  \
         redis_auth: secret\n  redis_db: 3\n  tcpkeepalive: true\n  reuseport: true\n  \
         preconnect: true\n  auto_eject_hosts: true\n  server_connections: 4\n  \
         server_retry_timeout: 2500\n  server_failure_limit: 7\n  servers:\n   - b:1:2 x\n   - a:1:1\n",
    );
    let pool = &config.pools()[0];
    assert_eq!((pool.name(), pool.listen().mode()), ("p", Some(0o660)));
    assert_eq!((pool.hash(), pool.hash_tag()), (HashKind::Murmur, Some(HashTag::new(b'[', b']'))));
    assert_eq!(pool.distribution(), DistributionKind::Modula);
    assert_eq!((pool.timeout(), pool.backlog()), (Some(Duration::from_millis(400)), 1024));
    assert_eq!(pool.client_connections(), Some(9));
    assert_eq!((pool.redis(), pool.redis_auth(), pool.redis_db()), (true, Some("secret"), 3));
    assert!(pool.tcpkeepalive() && pool.reuseport() && pool.preconnect());
    assert_eq!((pool.auto_eject_hosts(), pool.server_failure_limit()), (true, 7));
    assert_eq!(pool.server_retry_timeout(), Duration::from_millis(2500));
    assert_eq!(pool.server_connections(), 4);
    let topology = pool.topology().unwrap();
    assert_eq!(topology.nodes(), pool.servers());
    assert_eq!((topology.hash().name(), topology.distribution().name()), ("murmur", "modula"));
    assert_eq!(topology.hash_tag(), pool.hash_tag());
    let policy = EjectPolicy::rebuild().failure_limit(7).retry_timeout(Duration::from_millis(2500));
    assert_eq!(topology.eject_policy(), &policy);
}

#[test]
fn a_pool_without_our_directives_is_as_nutcracker_has_it() {
    let config = parse("p:\n  listen: a:1\n  servers:\n   - a:6379:1\n");
    let pool = &config.pools()[0];
    assert_eq!((pool.admin_commands(), pool.eject_mode()), (false, EjectMode::Off));
    assert_eq!((pool.failed_reads(), pool.client_idle_timeout()), (FailedReads::Error, None));
    assert_eq!((pool.server_user(), pool.server_auth()), (None, None));
    assert_eq!(pool.server_credentials(), [None]);
    assert!(!pool.server_tls());
    let files = [pool.server_tls_ca(), pool.server_tls_cert(), pool.server_tls_key()];
    assert_eq!((files, pool.server_tls_name()), ([None; 3], None));
    let files = [pool.listen_tls_cert(), pool.listen_tls_key(), pool.listen_tls_client_ca()];
    assert_eq!(files, [None; 3]);
    let ejecting =
        parse("p:\n  listen: a:1\n  auto_eject_hosts: true\n  servers:\n   - a:6379:1\n");
    assert_eq!(ejecting.pools()[0].eject_mode(), EjectMode::Rebuild);
}

#[test]
fn our_directives_are_read() {
    let config = parse(
        "p:\n  listen: a:1\n  redis: true\n  admin_commands: true\n  auto_eject_hosts: true\n  \
         eject_mode: fail_fast\n  client_idle_timeout: 60000\n  server_tls: true\n  \
         server_tls_ca: ca.pem\n  server_tls_cert: c.pem\n  server_tls_key: c.key\n  \
         server_tls_name: redis.example\n  listen_tls_cert: /l.pem\n  listen_tls_key: /l.key\n  \
         listen_tls_client_ca: /clients.pem\n  servers:\n   - a:1:1\n\
         pp:\n  listen: a:2\n  failed_reads: miss\n  client_idle_timeout: 0\n  servers:\n   - a:1:1\n",
    );
    let [pool, pages] = config.pools() else { panic!("there are two") };
    assert_eq!((pool.admin_commands(), pool.eject_mode()), (true, EjectMode::FailFast));
    assert_eq!(pool.topology().unwrap().eject_policy().mode(), EjectMode::FailFast);
    assert_eq!(pool.client_idle_timeout(), Some(Duration::from_secs(60)));
    let files = [pool.server_tls_ca(), pool.server_tls_cert(), pool.server_tls_key()];
    assert_eq!(files, ["ca.pem", "c.pem", "c.key"].map(|file| Some(Path::new(file))));
    assert_eq!((pool.server_tls(), pool.server_tls_name()), (true, Some("redis.example")));
    let files = [pool.listen_tls_cert(), pool.listen_tls_key(), pool.listen_tls_client_ca()];
    assert_eq!(files, ["/l.pem", "/l.key", "/clients.pem"].map(|file| Some(Path::new(file))));
    assert_eq!((pages.failed_reads(), pages.client_idle_timeout()), (FailedReads::Miss, None));
}

#[test]
fn a_server_is_told_its_own_credentials_or_else_the_pools() {
    let credentials = |lines: &str| {
        let config = parse(&format!(
            "p:\n  listen: a:1\n{lines}  servers:\n   - a:1:1\n   - u:%20p@b:1:2 x\n"
        ));
        let pool = &config.pools()[0];
        assert_eq!(pool.servers(), ["a:1:1".parse().unwrap(), "b:1:2 x".parse().unwrap()]);
        let [common, own] = pool.server_credentials() else { panic!("there are two") };
        assert_eq!(own, &Some(ServerCredentials::new(Some("u"), " p")));
        common.clone()
    };
    let some = |user, password| Some(ServerCredentials::new(user, password));
    assert_eq!(credentials(""), None);
    assert_eq!(credentials("  redis: true\n"), None);
    assert_eq!(credentials("  redis: true\n  redis_auth: r\n"), some(None, "r"));
    assert_eq!(credentials("  redis: true\n  redis_auth: r\n  server_auth: s\n"), some(None, "s"));
    assert_eq!(
        credentials("  redis: true\n  redis_auth: r\n  server_user: v\n"),
        some(Some("v"), "r")
    );
    assert_eq!(credentials("  server_user: v\n  server_auth: s\n"), some(Some("v"), "s"));
}

#[test]
fn no_directive_and_zero_are_both_no_timeout() {
    let config = parse("p:\n  listen: 127.0.0.1:22121\n  timeout: 0\n  servers:\n   - a:6379:1\n");
    assert_eq!(config.pools()[0].timeout(), None);
}

#[test]
fn pools_are_sorted_by_length_and_bytes_of_their_names() {
    let pool =
        |name: &str, port| format!("{name}:\n  listen: a:{port}\n  servers:\n   - a:6379:1\n");
    let config = parse(&(pool("ccc", 1) + &pool("b", 2) + &pool("aaaa", 3) + &pool("a", 4)));
    let names: Vec<_> = config.pools().iter().map(PoolConfig::name).collect();
    assert_eq!(names, ["a", "b", "ccc", "aaaa"]);
    assert!(config.pool("B").is_none());
}

#[test]
fn the_password_is_never_shown() {
    let text =
        "p:\n  listen: a:1\n  redis: true\n  redis_auth: hunter2\n  servers:\n   - a:6379:1\n";
    let config = parse(text);
    assert_eq!(config.pools()[0].redis_auth(), Some("hunter2"));
    assert!(!format!("{config:?} {:?}", config.pools()[0]).contains("hunter2"));
    for (from, to) in [
        ("redis: true", "redis: false"),
        ("redis: true", "redis_auth: hunter2"),
        ("hunter2", "\"hunter2\\0\""),
        ("hunter2", "&hunter2 x"),
        ("hunter2", "hunter2: x"),
        ("hunter2", "[hunter2]"),
        ("hunter2", "\n    hunter2: x"),
    ] {
        let error = NutcrackerConfig::parse(&text.replace(from, to)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn the_passwords_of_servers_are_never_shown() {
    let text = "p:\n  listen: a:1\n  redis: true\n  server_auth: hunter2\n  servers:\n   \
                - u:hunter2@a:6379:1\n";
    let config = parse(text);
    let pool = &config.pools()[0];
    assert_eq!(pool.server_auth(), Some("hunter2"));
    assert_eq!(pool.server_credentials()[0].as_ref().unwrap().password(), "hunter2");
    assert!(!format!("{config:?} {:?}", pool.server_credentials()).contains("hunter2"));
    for (from, to) in [
        ("server_auth: hunter2", "server_auth: x\n  server_auth: hunter2"),
        ("server_auth: hunter2", "server_auth: \"hunter2\\0\""),
        ("redis: true", "redis: false"),
        ("u:hunter2@", "hunter2@"),
        ("u:hunter2@", ":hunter2@/"),
        ("u:hunter2@", "u:hunter2%ff@"),
        ("u:hunter2@", "u:x@hunter2 "),
        ("u:hunter2@", "/u:hunter2@"),
        ("6379:1", "6379:0"),
        ("6379:1", "6379:1\n   - a:6379:1"),
        ("6379:1", "6379:2147483647\n   - v:hunter2@a:1:2147483647\n   - w:hunter2@b:1:2"),
    ] {
        let bad = text.replace(from, to);
        let error = NutcrackerConfig::parse(&bad).expect_err(&bad);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn texts_that_make_the_scanner_panic_are_refused_before_it_sees_them() {
    for text in [
        "|",
        "p: |\n #",
        "p: >\n x",
        "\"\\",
        "p: \"\\",
        "[!a,b]",
        "[!,",
        "{x: !<y>,",
        "\"!\",[!x,y]",
        "p!a:,: [!x,y]",
        "- !t &p: [a, {.. !<c}!, !x,y]",
    ] {
        assert!(NutcrackerConfig::parse(text).is_err(), "{text:?}");
    }
}

/// Pieces of YAML, the more dangerous ones.
const PIECES: [&str; 54] = [
    "\n",
    "\n  ",
    " ",
    "\t",
    ":",
    ": ",
    "- ",
    "-",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    " #",
    "&a ",
    "*a",
    "!",
    "!a,",
    "!<x>",
    "!e!%ff",
    "%YAML 1.1\n",
    "%TAG ! x:\n",
    "%",
    "---",
    "...",
    "|",
    "|\n ",
    ">-\n ",
    "|+2",
    "'",
    "\"",
    "\\",
    "\\x4",
    "\\u00e9",
    "\\ud800",
    "\\\n",
    "é",
    "\u{feff}",
    "\u{2028}",
    "\u{85}",
    "\r",
    "\u{7}",
    "p:\n",
    "servers:",
    "listen: a:1",
    "listen: /a 9",
    "redis",
    "a:1:1",
    "a",
    "0",
    "9",
    "~",
];

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = NutcrackerConfig::parse(&text);
    }

    #[test]
    fn no_yaml_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        let _ = NutcrackerConfig::parse(&pieces.concat());
    }

    #[test]
    fn what_was_written_is_read(pools in prop::collection::btree_map("[a-z][a-z0-9]{0,9}", pool(), 1..4)) {
        let mut text = String::from("# written by a test\n");
        for (port, (name, pool)) in pools.iter().enumerate() {
            pool.write(name, port + 1, &mut text);
        }
        let config = NutcrackerConfig::parse(&text).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{text}"))
        })?;
        prop_assert_eq!(config.pools().len(), pools.len());
        for (name, pool) in &pools {
            pool.check(config.pool(name).unwrap())?;
        }
    }
}

/// A pool to be written.
#[derive(Debug)]
struct Written {
    hash: Option<usize>,
    tag: Option<String>,
    timeout: Option<u32>,
    redis: Option<bool>,
    auth: Option<String>,
    eject: Option<bool>,
    failures: Option<u32>,
    servers: Vec<(String, u16, u32, bool)>,
    /// Which quotation marks stand around values, and whether the servers come first.
    style: (usize, bool),
}

fn pool() -> impl Strategy<Value = Written> {
    let number = prop::option::of(0..=i32::MAX as u32);
    let text = "[ -~é]{0,8}[!-~]";
    let server = ("[a-z0-9.-]{1,12}", 1..=u16::MAX, 1..1000_u32, any::<bool>());
    (
        prop::option::of(0..HashKind::ALL.len()),
        prop::option::of("[ -~]{2}"),
        number.clone(),
        any::<Option<bool>>(),
        prop::option::of(text),
        any::<Option<bool>>(),
        number,
        prop::collection::vec(server, 1..9),
        (0..2_usize, any::<bool>()),
    )
        .prop_map(|(hash, tag, timeout, redis, auth, eject, failures, servers, style)| {
            Written {
                hash,
                tag,
                timeout,
                redis,
                auth: auth.filter(|_| redis == Some(true)),
                eject,
                failures,
                servers,
                style,
            }
        })
}

impl Written {
    fn write(&self, name: &str, port: usize, text: &mut String) {
        let quoted = |value: &str| match self.style.0 {
            0 => format!("'{}'", value.replace('\'', "''")),
            _ => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        };
        let mut lines = vec![format!("listen: {}", quoted(&format!("127.0.0.1:{port}")))];
        let mut line = |directive: &str, value: Option<String>| {
            lines.extend(value.map(|value| format!("{directive}: {value}")));
        };
        line("hash", self.hash.map(|hash| quoted(HashKind::ALL[hash].as_str())));
        line("hash_tag", self.tag.as_deref().map(quoted));
        line("timeout", self.timeout.map(|timeout| timeout.to_string()));
        line("redis", self.redis.map(|redis| redis.to_string()));
        line("redis_auth", self.auth.as_deref().map(quoted));
        line("auto_eject_hosts", self.eject.map(|eject| eject.to_string()));
        line("server_failure_limit", self.failures.map(|failures| failures.to_string()));
        let mut servers = String::from("servers:");
        for place in 0..self.servers.len() {
            write!(servers, "\n    - {}", quoted(&self.server(place))).unwrap();
        }
        let at = if self.style.1 { 0 } else { lines.len() };
        lines.insert(at, servers);
        writeln!(text, "{name}:   # a pool\n  {}\n", lines.join("\n  ")).unwrap();
    }

    fn server(&self, place: usize) -> String {
        let (host, port, weight, is_named) = &self.servers[place];
        // The host makes the name one of its own, the place makes it the only one.
        let name = if *is_named { format!(" n{place}") } else { String::new() };
        format!("{host}-{place}:{port}:{weight}{name}")
    }

    fn check(&self, pool: &PoolConfig) -> Result<(), TestCaseError> {
        prop_assert_eq!(pool.hash(), self.hash.map_or(HashKind::Fnv1a64, |at| HashKind::ALL[at]));
        let tag = self.tag.as_ref().map(|tag| tag.parse::<HashTag>().unwrap());
        prop_assert_eq!(pool.hash_tag(), tag);
        let timeout = self.timeout.filter(|&timeout| timeout > 0);
        prop_assert_eq!(pool.timeout(), timeout.map(|ms| Duration::from_millis(ms.into())));
        prop_assert_eq!(pool.redis(), self.redis == Some(true));
        prop_assert_eq!(pool.redis_auth(), self.auth.as_deref());
        prop_assert_eq!(pool.server_failure_limit(), self.failures.unwrap_or(2));
        let topology = pool.topology().unwrap();
        let mode = if self.eject == Some(true) { EjectMode::Rebuild } else { EjectMode::Off };
        prop_assert_eq!(topology.eject_policy().mode(), mode);
        prop_assert_eq!(topology.nodes().len(), self.servers.len());
        for (place, node) in topology.nodes().iter().enumerate() {
            let (host, port, weight, is_named) = &self.servers[place];
            let host = format!("{host}-{place}");
            let name = if *is_named {
                format!("n{place}")
            } else {
                Address::tcp(host.as_str(), *port).ring_name()
            };
            prop_assert_eq!(node.name(), name);
            prop_assert_eq!(node.address(), &Address::tcp(host, *port));
            prop_assert_eq!(node.weight().as_u32(), *weight);
        }
        Ok(())
    }
}
