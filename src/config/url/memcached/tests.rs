use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::health::EjectMode;
use crate::health::EjectPolicy;
use crate::node::Address;
use crate::node::Weight;

#[cfg(feature = "redis")]
mod against_url;

fn parse(text: &str) -> MemcacheUrl {
    MemcacheUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    MemcacheUrl::parse(text).expect_err(text).to_string()
}

/// A node without user, password and options.
fn plain(address: Address) -> MemcacheUrlNode {
    let (tls, username, password) = (None, None, None);
    MemcacheUrlNode { node: Node::new(address), tls, username, password, nodelay: true }
}

fn tcp(host: &str) -> MemcacheUrlNode {
    plain(Address::tcp(host, 11211))
}

fn socket(path: &str) -> MemcacheUrlNode {
    plain(Address::Unix(path.into()))
}

fn with_user(node: MemcacheUrlNode, username: &str, password: &str) -> MemcacheUrlNode {
    MemcacheUrlNode { username: Some(username.into()), password: Some(password.into()), ..node }
}

fn secured(verify: bool, paths: [Option<&str>; 3]) -> Option<MemcacheTls> {
    let [ca_path, cert_path, key_path] = paths.map(|path| path.map(str::to_owned));
    Some(MemcacheTls { verify, ca_path, cert_path, key_path })
}

#[test]
fn the_urls_of_the_memcache_crate_are_read() {
    let a = || tcp("a");
    let tls = |tls| MemcacheUrlNode { tls, ..tcp("a") };
    for (text, node) in [
        ("memcache://a:11211", a()),
        ("memcache://a", a()),
        ("memcache://a/", a()),
        ("memcache://a:/?", a()),
        (" MEMCACHE://a\n", a()),
        ("memcache+tcp://a:1", plain(Address::tcp("a", 1))),
        ("memcache://[::1]:1", plain(Address::tcp("::1", 1))),
        ("a:1", plain(Address::tcp("a", 1))),
        ("127.0.0.1:1", plain(Address::tcp("127.0.0.1", 1))),
        ("localhost", tcp("localhost")),
        ("u:p@a", with_user(a(), "u", "p")),
        ("memcache://u:p@a", with_user(a(), "u", "p")),
        ("memcache://u:p:q@r@a", with_user(a(), "u", "p:q@r")),
        ("memcache://%75%3a:p%2C%2F+%25 @a", with_user(a(), "u:", "p,/+% ")),
        ("memcache://@a", a()),
        ("memcache://a?protocol=ascii&timeout=2&connect_timeout=0.5&udp=false", a()),
        ("memcache://a?tcp_nodelay=true", a()),
        ("memcache://a?tcp_nodelay=false", MemcacheUrlNode { nodelay: false, ..a() }),
        ("memcache+tls://a", tls(secured(true, [None; 3]))),
        ("memcache+tls://a?verify_mode=none", tls(secured(false, [None; 3]))),
        (
            "memcache+tls://a?verify_mode=peer&ca_path=/ca&key_path=/%6bey&cert_path=c+d",
            tls(secured(true, [Some("/ca"), Some("c d"), Some("/key")])),
        ),
        ("memcache:///run/a.sock", socket("/run/a.sock")),
        ("memcache:/run/a.sock", socket("/run/a.sock")),
        ("memcache+unix:///run/%61.sock?timeout=1", socket("/run/a.sock")),
        ("memcache+unix://localhost/run/a%40b", socket("/run/a@b")),
        ("memcache+unix://u:p@localhost/run/a", with_user(socket("/run/a"), "u", "p")),
        ("memcache+unix://u:p@/run/a", with_user(socket("/run/a"), "u", "p")),
    ] {
        let url = parse(text);
        assert_eq!(url.nodes, [node], "{text}");
        assert_eq!(MemcacheUrl::from_urls([text]).unwrap().nodes, url.nodes, "{text}");
    }
}

#[test]
fn times_of_items_are_seconds() {
    let url = parse("memcache://a?timeout=0.4&connect_timeout=1e1");
    assert_eq!(url.timeout, Limit::After(Duration::from_millis(400)));
    assert_eq!(url.connect_timeout, Limit::After(Duration::from_secs(10)));
    let url = parse("memcache://a?timeout=0");
    assert_eq!((url.timeout, url.connect_timeout), (Limit::Never, Limit::Unsaid));
    for bad in ["", "2s", "400ms", "-1", "nan", "inf", "1e30", "x"] {
        let error = error(&format!("memcache://a?connect_timeout={bad}"));
        let expected = format!(
            "node 1 of the URL: option \"connect_timeout\": \"{bad}\" is not a number of seconds"
        );
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn items_of_a_list_inherit_the_scheme_and_nothing_else() {
    let url = parse(
        "memcache+tls://u:p@a:1?verify_mode=none&tcp_nodelay=false, b:2,memcache://c,d,x:y@e",
    );
    let tls = |node, verify| MemcacheUrlNode { tls: secured(verify, [None; 3]), ..node };
    let first = with_user(tls(plain(Address::tcp("a", 1)), false), "u", "p");
    assert_eq!(
        url.nodes,
        [
            MemcacheUrlNode { nodelay: false, ..first },
            tls(plain(Address::tcp("b", 2)), true),
            tcp("c"),
            tcp("d"),
            with_user(tcp("e"), "x", "y"),
        ]
    );
    let names: Vec<_> = url.topology.nodes().iter().map(Node::name).collect();
    assert_eq!(names, ["a:1", "b:2", "c", "d", "e"], "as nutcracker names them");
    let url = parse("memcache:///run/a.sock,/run/b.sock,c,memcache+unix:///d,/e");
    let sockets = [socket("/run/a.sock"), socket("/run/b.sock"), tcp("c"), socket("/d")];
    assert_eq!(url.nodes[..4], sockets);
    assert_eq!(url.nodes[4], socket("/e"));
    assert_eq!(
        parse("a:1,b:2").nodes,
        [("a", 1), ("b", 2)].map(|(a, b)| plain(Address::tcp(a, b)))
    );
}

#[test]
fn options_of_all_nodes_stand_anywhere_and_agree() {
    let url = parse("memcache://a?timeout=2,b?protocol=meta&timeout=2.0,c?connect_timeout=1");
    assert_eq!(url.timeout, Limit::After(Duration::from_secs(2)));
    assert_eq!(url.connect_timeout, Limit::After(Duration::from_secs(1)));
    assert_eq!(url.protocol, UrlProtocol::Meta);
    let url = parse("memcache://a,b?protocol=ascii");
    assert_eq!((url.timeout, url.protocol), (Limit::Unsaid, UrlProtocol::Ascii));
    assert_eq!(parse("a,b").protocol, UrlProtocol::Auto);
    for (option, other) in [
        ("timeout=2", "timeout=0"),
        ("connect_timeout=1", "connect_timeout=1.5"),
        ("protocol=auto", "protocol=ascii"),
    ] {
        let name = option.split_once('=').unwrap().0;
        let reason = format!(
            "node 4 of the URL: option \"{name}\" is for all nodes, and node 2 has another"
        );
        assert_eq!(error(&format!("memcache://a,b?{option},c?{option},d?{other}")), reason);
    }
}

#[test]
fn a_list_of_urls_may_hold_commas() {
    let url = MemcacheUrl::from_urls(["memcache://u:a,b@c", "memcache:///run/x,y", "d:1"]).unwrap();
    assert_eq!(url.nodes[0].password.as_deref(), Some("a,b"));
    assert_eq!(url.nodes[1].node.address(), &Address::Unix("/run/x,y".into()));
    assert_eq!(url.nodes[2].node.address(), &Address::tcp("d", 1));
    assert_eq!(MemcacheUrl::from_urls(["memcache+shard://a,b"]).unwrap().nodes.len(), 2);
    for (urls, reason) in [
        (vec![], "there is no node"),
        (vec!["a", "memcache+shard://b"], "URL 2: a memcache+shard URL stands alone"),
        (vec!["a", "redis://b"], "URL 2: scheme \"redis\" is not one of memcache, memcache+tcp, "),
        // Else the rest of the password would be the name of an option.
        (vec!["memcache:///a,memcache://u:?p@b"], "URL 1: there is an @ in the path or behind it"),
        (vec!["a", "a:11211"], "two nodes have the name 'a'"),
    ] {
        let error = MemcacheUrl::from_urls(&urls).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{urls:?}: {error}");
    }
}

#[test]
fn a_shard_url_says_weights_and_names() {
    let url = parse(
        "memcache+tls+shard://u:p%40%2C@a:1*2=first,b,[::1]:3=x%20y%3D?verify_mode=none&ca_path=/ca\
         &tcp_nodelay=false&protocol=ascii",
    );
    let node = |address, weight, name: Option<&str>| {
        let node = Node::new(address).with_weight(Weight::new(weight).unwrap());
        let node = match name {
            Some(name) => node.with_name(name).unwrap(),
            None => node,
        };
        let tls = secured(false, [Some("/ca"), None, None]);
        let plain = MemcacheUrlNode { node, tls, nodelay: false, ..tcp("a") };
        with_user(plain, "u", "p@,")
    };
    assert_eq!(
        url.nodes,
        [
            node(Address::tcp("a", 1), 2, Some("first")),
            node(Address::tcp("b", 11211), 1, None),
            node(Address::tcp("::1", 3), 1, Some("x y=")),
        ]
    );
    assert_eq!(url.protocol, UrlProtocol::Ascii);
    let url = parse("memcache+shard://%2Frun%2Fa.sock*2=a,b");
    assert_eq!(url.nodes[0].node.address(), &Address::Unix("/run/a.sock".into()));
    assert_eq!((url.nodes[1].tls.clone(), url.nodes[1].nodelay), (None, true));
}

#[test]
fn a_shard_url_says_the_rules_of_its_pool() {
    let default = parse("memcache+shard://a,b");
    assert_eq!(default.topology.hash().name(), "fnv1a_64");
    assert_eq!(default.topology.distribution().name(), "ketama");
    assert_eq!(default.topology.eject_policy(), &EjectPolicy::default());
    assert_eq!((default.timeout, default.protocol), (Limit::Unsaid, UrlProtocol::Auto));
    let url = parse(
        "memcache+shard://bb,a?distribution=modula&hash=murmur&hash_tag={}&eject=successor\
         &failure_limit=5&retry_timeout=2s&timeout=400ms&connect_timeout=0s&protocol=meta",
    );
    assert_eq!(url.topology.hash().name(), "murmur");
    assert_eq!(url.topology.distribution().name(), "modula");
    let policy = EjectPolicy::new(EjectMode::Successor)
        .failure_limit(5)
        .retry_timeout(Duration::from_secs(2));
    assert_eq!(url.topology.eject_policy(), &policy);
    assert_eq!(url.timeout, Limit::After(Duration::from_millis(400)));
    assert_eq!((url.connect_timeout, url.protocol), (Limit::Never, UrlProtocol::Meta));
}

#[test]
fn a_bad_url_names_the_part_that_is_bad() {
    for (text, reason) in [
        ("", "node 1 of the URL: it is empty"),
        ("memcache://a,", "node 2 of the URL: it is empty"),
        ("memcache://", "node 1 of the URL: there is no host"),
        ("memcache+tcp:///run/a.sock", "node 1 of the URL: something stands behind the slash"),
        ("memcached://a", "node 1 of the URL: scheme \"memcached\" is not one of memcache, "),
        ("http://u:p@a", "node 1 of the URL: the scheme is not one of memcache, memcache+tcp, "),
        ("memcache+udp://a:1", "node 1 of the URL: memcached is not spoken to over UDP; use "),
        ("memcache://a?udp=true", "node 1 of the URL: memcached is not spoken to over UDP; use "),
        ("memcache:///a?udp=true", "node 1 of the URL: memcached is not spoken to over UDP; use "),
        (
            "memcache://a?udp=1",
            "node 1 of the URL: option \"udp\": \"1\" is not one of true, false",
        ),
        (
            "memcache://a?protocol=binary",
            "node 1 of the URL: option \"protocol\": the binary protocol is not spoken, only meta",
        ),
        (
            "memcache+shard://a?protocol=binary",
            "the URL: option \"protocol\": the binary protocol is not spoken, only meta and ascii",
        ),
        (
            "memcache://a?protocol=resp3",
            "node 1 of the URL: option \"protocol\": \"resp3\" is not one of auto, meta, ascii",
        ),
        ("memcache://a/1", "node 1 of the URL: something stands behind the slash, and memcached"),
        ("memcache://a#x", "node 1 of the URL: there is a #, which a memcached has no use for"),
        ("memcache:///a#x", "node 1 of the URL: a unix socket has no #"),
        (
            "memcache://a*2",
            "node 1 of the URL: weights and names (*, =) are for memcache+shard URLs",
        ),
        ("memcache://a,b:x", "node 2 of the URL: the port is not a number; a password is followed"),
        ("a:0", "node 1 of the URL: port 0 is not between 1 and 65535"),
        ("memcache://u@a", "node 1 of the URL: memcached takes a user name and a password, and"),
        ("memcache://:p@a", "node 1 of the URL: memcached takes a user name and a password, and"),
        ("memcache://u:@a", "node 1 of the URL: memcached takes a user name and a password, and"),
        ("memcache+shard://u@a", "the URL: memcached takes a user name and a password, and one"),
        ("memcache://u%20v:p@a", "node 1 of the URL: there is a space in the user name"),
        ("memcache://%ff:p@a", "node 1 of the URL: the user name is not UTF-8"),
        ("memcache+unix://run/a", "node 1 of the URL: the path of a unix socket begins with a"),
        ("memcache:///a,memcache+unix://b", "node 2 of the URL: the path of a unix socket begins"),
        ("memcache:///a%00", "node 1 of the URL: the path contains a NUL character"),
        ("memcache:///%ff", "node 1 of the URL: the path is not UTF-8"),
        ("memcache://a?x=1", "node 1 of the URL: option \"x\" is not known; known are timeout, "),
        ("memcache://a?hash=md5", "node 1 of the URL: option \"hash\" is for the whole pool; it "),
        (
            "memcache://a?timeout=1&timeout=1",
            "node 1 of the URL: option \"timeout\" is there twice",
        ),
        (
            "memcache://a?tcp_nodelay=0",
            "node 1 of the URL: option \"tcp_nodelay\": \"0\" is not one of true, false",
        ),
        (
            "memcache+tls://a?verify_mode=x",
            "node 1 of the URL: option \"verify_mode\": \"x\" is not one of peer, none",
        ),
        ("memcache+tls://a?ca_path=", "node 1 of the URL: option \"ca_path\" is empty"),
        (
            "memcache+tls://a?key_path=/k",
            "node 1 of the URL: there is a key_path without a cert_path",
        ),
        (
            "memcache+tls://a?cert_path=c",
            "node 1 of the URL: there is a cert_path without a key_path",
        ),
        (
            "memcache://a?verify_mode=none",
            "node 1 of the URL: option \"verify_mode\" is for TLS, which has the scheme memcache+tls",
        ),
        (
            "memcache+shard://a?ca_path=/ca",
            "the URL: option \"ca_path\" is for TLS, which has the scheme memcache+tls",
        ),
        ("memcache://a,memcache+shard://b", "node 2 of the URL: a memcache+shard URL stands alone"),
        ("memcache://a,a", "two nodes have the name 'a': a:11211 and a:11211"),
        ("memcache+shard://", "node 1 of the URL: it is empty"),
        ("memcache+shard://a*0", "node 1 of the URL: weight \"0\" is not a number between 1 and"),
        (
            "memcache+shard://a/1",
            "the URL: something stands behind the slash, and memcached has no",
        ),
        ("memcache+shard://a#insecure", "the URL: there is a #, which a memcached has no use for"),
        ("memcache+shard://u:p@a,u:p@b", "the URL: there is more than one @"),
        ("memcache+tls+shard://b,%2Fa", "node 2 of the URL: a unix socket has no TLS"),
        (
            "memcache+shard://a?timeout=400",
            "the URL: option \"timeout\": \"400\" has no unit; write 400ms or 400s",
        ),
        (
            "memcache+shard://a?retry_timeout=2",
            "the URL: option \"retry_timeout\": \"2\" has no unit; write 2ms or 2s",
        ),
        (
            "memcache+shard://a?timeout=0.4",
            "the URL: option \"timeout\": \"0.4\" is not a time such",
        ),
        ("memcache+shard://a?x=1", "the URL: option \"x\" is not known; known are distribution, "),
        (
            "memcache+shard://a?hash=md4",
            "the URL: option \"hash\": \"md4\" is not a valid hash; one",
        ),
        ("memcache+shard://a?udp=true", "the URL: option \"udp\" is not known; known are "),
        // What may be a password.
        ("memcache://u:p/q@a", "node 1 of the URL: there is an @ behind the host; in a user name"),
        ("memcache://u:p,q@a", "node 1 of the URL: it is not the URL of a node; a comma in a"),
        ("u:p,q@a", "node 1 of the URL: it is not the URL of a node; a comma in a password"),
        ("memcache://u:1,q@a", "node 2 of the URL: it has a user name without a password; a comma"),
        (
            "memcache+unix://u:p@/q@localhost/a",
            "node 1 of the URL: there is an @ in the path or behind it; in",
        ),
    ] {
        let error = error(text);
        assert!(error.starts_with(reason), "{text}: {error}");
    }
}

/// Stands in every password of the tests, and in nothing else.
const SECRET: &str = "S3cr3t";

#[test]
fn debug_output_has_no_password() {
    let url = parse(&format!("memcache://u:{SECRET}@a:1,memcache://b"));
    assert_eq!(url.nodes[0].password.as_deref(), Some(SECRET));
    let debug = format!("{url:?}");
    assert!(!debug.contains(SECRET) && debug.contains("redacted"), "{debug}");
}

/// Pieces of URLs.
const PIECES: [&str; 36] = [
    "memcache://",
    "memcache+tls://",
    "memcache+unix://",
    "memcache+shard://",
    "memcache:",
    "http://",
    ":",
    "/",
    "//",
    "?",
    "#",
    "@",
    ",",
    "*",
    "=",
    "&",
    "[",
    "]",
    "::1",
    "%",
    "%2F",
    "%00",
    "%ff",
    "a",
    "b:1",
    "é",
    " ",
    "timeout=2",
    "protocol=ascii",
    "tcp_nodelay=false",
    "hash=md5",
    "ca_path=/a",
    "udp=true",
    "65536",
    "+",
    "\u{7f}",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|it| it.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text: String, pieces in pieces()) {
        let _ = MemcacheUrl::parse(&text);
        let _ = MemcacheUrl::parse(&pieces);
        let _ = MemcacheUrl::from_urls([&text, &pieces]);
    }

    #[test]
    fn no_error_shows_a_password(
        start in prop::sample::select(&[
            "memcache://u:", "memcache://b:1,u:", "memcache+shard://u:", "a,memcache+tls://u:", "u:",
            "memcache+unix://u:", "memcache:///a,memcache://u:", "MEMCACHE://u:", "memcache://x:y@z,u:",
        ][..]),
        before in "[a-z0-9,:/?#@%=*&.+ \\[\\]-]{0,3}",
        after in "[a-z0-9,:/?#@%=*&.+ \\[\\]-]{0,3}",
        host in prop::sample::select(
            &["a", "a:1", "a:x", "[::1", "", "a/x", "a?x=1", "a,b:x", "/a", "localhost/a?x=1"][..]
        ),
    ) {
        let text = format!("{start}{before}{SECRET}{after}@{host}");
        if let Err(error) = MemcacheUrl::parse(&text) {
            prop_assert!(!format!("{error} {error:?}").contains(SECRET), "{}: {}", text, error);
        }
        if let Err(error) = MemcacheUrl::from_urls(["b", &text]) {
            prop_assert!(!format!("{error} {error:?}").contains(SECRET), "{}: {}", text, error);
        }
    }
}
