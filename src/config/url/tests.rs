use proptest::prelude::*;

use super::*;
use crate::hash::CharSign;
use crate::hash::HashKind;
use crate::health::EjectMode;
use crate::health::EjectPolicy;
use crate::key::HashTag;
use crate::node::Address;
use crate::node::Weight;

#[cfg(feature = "redis")]
mod against_redis_rs;
mod round_trip;

fn parse(text: &str) -> ShardUrl {
    ShardUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    ShardUrl::parse(text).expect_err(text).to_string()
}

/// A node without user, password and options.
fn plain(address: Address) -> UrlNode {
    UrlNode {
        node: Node::new(address),
        tls: Tls::Off,
        username: None,
        password: None,
        database: 0,
        is_resp3: false,
    }
}

fn with_user(node: UrlNode, username: Option<&str>, password: Option<&str>) -> UrlNode {
    let own = |text: Option<&str>| text.map(str::to_owned);
    UrlNode { username: own(username), password: own(password), ..node }
}

#[test]
fn the_urls_of_redis_rs_are_read() {
    let a = || plain(Address::tcp("a", 6379));
    let socket = || plain(Address::Unix("/run/a.sock".into()));
    for (text, node) in [
        ("redis://a", a()),
        ("redis://a/", a()),
        ("redis://a:", a()),
        ("  REDIS://a:6379\n", a()),
        ("valkey://a", a()),
        ("redis://a:1", plain(Address::tcp("a", 1))),
        ("redis://127.0.0.1", plain(Address::tcp("127.0.0.1", 6379))),
        ("redis://[::1]", plain(Address::tcp("::1", 6379))),
        ("redis://[::1]:1/3", UrlNode { database: 3, ..plain(Address::tcp("::1", 1)) }),
        ("redis://a/2", UrlNode { database: 2, ..a() }),
        ("redis://a//2/", UrlNode { database: 2, ..a() }),
        ("redis://u:p@a", with_user(a(), Some("u"), Some("p"))),
        ("redis://:p@a", with_user(a(), None, Some("p"))),
        ("redis://u@a", with_user(a(), Some("u"), None)),
        ("redis://u:@a", with_user(a(), Some("u"), None)),
        ("redis://@a", a()),
        ("redis://:p:q@r@a", with_user(a(), None, Some("p:q@r"))),
        ("redis://%75%3a:p%2C%2F+%25@a", with_user(a(), Some("u:"), Some("p,/+%"))),
        ("redis://:100%@a", with_user(a(), None, Some("100%"))),
        ("redis://a?protocol=resp3", UrlNode { is_resp3: true, ..a() }),
        ("redis://a/?protocol=3", UrlNode { is_resp3: true, ..a() }),
        ("redis://a?protocol=resp2", a()),
        ("redis://a?", a()),
        ("rediss://a", UrlNode { tls: Tls::On, ..a() }),
        ("valkeys://a/#insecure", UrlNode { tls: Tls::Insecure, ..a() }),
        ("unix:///run/a.sock", socket()),
        ("unix:/run/a.sock", socket()),
        ("redis+unix:///run/a.sock", socket()),
        ("valkey+unix://localhost/run/a.sock", socket()),
        ("unix:///run/%61.sock?db=4", UrlNode { database: 4, ..socket() }),
        (
            "unix:///run/a.sock?user=u&pass=p+q@%2B&protocol=resp3",
            UrlNode { is_resp3: true, ..with_user(socket(), Some("u"), Some("p q@+")) },
        ),
    ] {
        let url = parse(text);
        assert_eq!(url.nodes, [node], "{text}");
        assert_eq!((url.timeout, url.connect_timeout), (Limit::Unsaid, Limit::Unsaid));
        assert_eq!(ShardUrl::from_urls([text]).unwrap().nodes, url.nodes, "{text}");
    }
}

#[test]
fn items_of_a_list_inherit_the_scheme_and_nothing_else() {
    let url = parse("rediss://u:p@a:1/2?protocol=resp3#insecure, b:2,[::1] ,redis://c,d/5,x:y@e");
    let tls = |host: &str, port| UrlNode { tls: Tls::On, ..plain(Address::tcp(host, port)) };
    let first = with_user(tls("a", 1), Some("u"), Some("p"));
    assert_eq!(
        url.nodes,
        [
            UrlNode { tls: Tls::Insecure, database: 2, is_resp3: true, ..first },
            tls("b", 2),
            tls("::1", 6379),
            plain(Address::tcp("c", 6379)),
            UrlNode { database: 5, ..plain(Address::tcp("d", 6379)) },
            with_user(plain(Address::tcp("e", 6379)), Some("x"), Some("y")),
        ]
    );
    let names: Vec<_> = url.topology.nodes().iter().map(Node::name).collect();
    assert_eq!(names, ["a:1", "b:2", "::1:6379", "c:6379", "d:6379", "e:6379"]);
    let url = parse("unix:///run/a.sock?db=2,/run/b.sock,redis://a:11211");
    let names: Vec<_> = url.topology.nodes().iter().map(Node::name).collect();
    assert_eq!(names, ["/run/a.sock:", "/run/b.sock:", "a"], "as nutcracker names them");
    assert_eq!((url.nodes[0].database, url.nodes[1].database), (2, 0));
}

#[test]
fn a_list_of_urls_may_hold_commas() {
    let url = ShardUrl::from_urls(["redis://:a,b@c", "unix:///run/x,y"]).unwrap();
    assert_eq!(url.nodes[0].password.as_deref(), Some("a,b"));
    assert_eq!(url.nodes[1].node.address(), &Address::Unix("/run/x,y".into()));
    let url = ShardUrl::from_urls(["redis+shard://a,b"]).unwrap();
    assert_eq!(url.nodes.len(), 2);
    for (urls, reason) in [
        (vec![], "there is no node"),
        (vec!["redis://a", "redis+shard://b"], "URL 2: a redis+shard URL stands alone"),
        (vec!["redis://a", "b"], "URL 2: it begins with no scheme"),
        (
            vec!["redis://a", "redis://b:x"],
            "URL 2: the port is not a number; a password is followed by an @ and the host",
        ),
        (vec!["redis://a", "redis://a"], "two nodes have the name 'a:6379'"),
    ] {
        let error = ShardUrl::from_urls(&urls).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{urls:?}: {error}");
    }
}

#[test]
fn a_shard_url_says_weights_and_names() {
    let url = parse(
        "rediss+shard://u:p%40%2C@a:1*2=first,b,[::1]:3=x%20y%3D,c*7/4?protocol=resp3#insecure",
    );
    let node = |address, weight, name: Option<&str>| {
        let node = Node::new(address).with_weight(Weight::new(weight).unwrap());
        let node = match name {
            Some(name) => node.with_name(name).unwrap(),
            None => node,
        };
        UrlNode {
            node,
            tls: Tls::Insecure,
            username: Some("u".into()),
            password: Some("p@,".into()),
            database: 4,
            is_resp3: true,
        }
    };
    assert_eq!(
        url.nodes,
        [
            node(Address::tcp("a", 1), 2, Some("first")),
            node(Address::tcp("b", 6379), 1, None),
            node(Address::tcp("::1", 3), 1, Some("x y=")),
            node(Address::tcp("c", 6379), 7, None),
        ]
    );
    let url = parse("valkey+shard://%2Frun%2Fa.sock*2=a,b");
    assert_eq!(url.nodes[0].node.address(), &Address::Unix("/run/a.sock".into()));
    assert_eq!(url.nodes[0].node.to_string(), "a (/run/a.sock)");
}

#[test]
fn a_shard_url_says_the_rules_of_its_pool() {
    let default = parse("redis+shard://a,b");
    assert_eq!(default.topology.hash().name(), "fnv1a_64");
    assert_eq!(default.topology.distribution().name(), "ketama");
    assert_eq!(default.topology.eject_policy(), &EjectPolicy::default());
    let url = parse(
        "redis+shard://bb,a?distribution=modula&hash=murmur&hash_tag={}&node_order=as_listed\
         &eject=successor&failure_limit=5&retry_timeout=2s&max_retry_timeout=60s\
         &max_ejected_share=0.25&timeout=400&connect_timeout=1500ms",
    );
    assert_eq!(url.topology.hash().name(), "murmur");
    assert_eq!(url.topology.distribution().name(), "modula");
    assert_eq!(url.topology.hash_tag(), Some(HashTag::new(b'{', b'}')));
    assert_eq!(url.topology.numbering(), [0, 1]);
    assert_eq!(parse("redis+shard://bb,a?node_order=by_name").topology.numbering(), [1, 0]);
    let policy = EjectPolicy::new(EjectMode::Successor)
        .failure_limit(5)
        .retry_timeout(Duration::from_secs(2))
        .max_retry_timeout(Duration::from_secs(60))
        .max_ejected_share(0.25);
    assert_eq!(url.topology.eject_policy(), &policy);
    assert_eq!(url.timeout, Limit::After(Duration::from_millis(400)));
    assert_eq!(url.connect_timeout, Limit::After(Duration::from_millis(1500)));
    assert_eq!(parse("redis+shard://a?timeout=0s").timeout, Limit::Never);
    assert_eq!(parse("redis+shard://a?hash_tag=%2B+").topology.hash_tag().unwrap().open(), b'+');
    for (sign, name) in [(CharSign::Signed, "signed"), (CharSign::Unsigned, "unsigned")] {
        let url = parse(&format!("redis+shard://a,b?char_sign={name}"));
        let hash = HashKind::Fnv1a64.with_char_sign(sign);
        assert_eq!(url.topology.hash().hash(b"\xff"), crate::hash::HashFn::hash(&hash, b"\xff"));
    }
}

#[test]
fn a_bad_url_names_the_part_that_is_bad() {
    for (text, reason) in [
        ("", "node 1 of the URL: it is empty"),
        ("a:1", "node 1 of the URL: it begins with no scheme; there are redis, rediss, "),
        ("u:p@a:1", "node 1 of the URL: it begins with no scheme"),
        ("http://a", "node 1 of the URL: scheme \"http\" is not one of redis, rediss, "),
        ("http://u:p@a", "node 1 of the URL: the scheme is not one of redis, rediss, "),
        ("redis:/a", "node 1 of the URL: two slashes follow the scheme"),
        ("redis://", "node 1 of the URL: there is no host"),
        ("redis://:1", "node 1 of the URL: there is no host"),
        ("redis://u:p@", "node 1 of the URL: there is no host"),
        ("redis://a,", "node 2 of the URL: it is empty"),
        ("redis://a,,b", "node 2 of the URL: it is empty"),
        ("redis://a*2,b", "node 1 of the URL: weights and names (*, =) are for redis+shard URLs"),
        (
            "redis://a=x,redis://b",
            "node 1 of the URL: weights and names (*, =) are for redis+shard URLs",
        ),
        (
            "redis://a,b,c:x",
            "node 3 of the URL: the port is not a number; a password is followed by an @ and the host",
        ),
        (
            "redis://a:+1",
            "node 1 of the URL: the port is not a number; a password is followed by an @ and the host",
        ),
        ("redis://a:0", "node 1 of the URL: port 0 is not between 1 and 65535"),
        ("redis://a:65536", "node 1 of the URL: port 65536 is not between 1 and 65535"),
        ("redis://::1:6379", "node 1 of the URL: an IPv6 address stands in brackets"),
        ("redis://[::1", "node 1 of the URL: a bracket is not closed"),
        ("redis://[x]", "node 1 of the URL: \"[x]\" is not an IPv6 address"),
        ("redis://[::1]6379", "node 1 of the URL: \"6379\" follows the IPv6 address"),
        ("redis://a b", "node 1 of the URL: \"a b\" is not a host"),
        ("redis://%2Fa", "node 1 of the URL: \"%2Fa\" is not a host"),
        ("redis://0.0.0.0", "node 1 of the URL: \"0.0.0.0\" is a wildcard"),
        ("redis://a,[::]:1", "node 2 of the URL: \"::\" is a wildcard"),
        ("redis://[0:0::0]", "node 1 of the URL: \"0:0::0\" is a wildcard"),
        ("redis://a/x", "node 1 of the URL: the database behind the slash is not a number"),
        ("redis://a/-1", "node 1 of the URL: the database behind the slash is not a number"),
        ("redis://a/1/2", "node 1 of the URL: the database behind the slash is not a number"),
        ("redis://%ff:p@a", "node 1 of the URL: the user name is not UTF-8"),
        ("redis://u:%ff@a", "node 1 of the URL: the password is not UTF-8"),
        (
            "redis://a?protocol=4",
            "node 1 of the URL: option \"protocol\": \"4\" is not one of resp2, ",
        ),
        ("redis://a?x=1", "node 1 of the URL: option \"x\" is not known; known is protocol"),
        (
            "redis://a?hash=md5",
            "node 1 of the URL: option \"hash\" is for the whole pool; it goes into",
        ),
        (
            "redis://a?protocol=2&protocol=3",
            "node 1 of the URL: option \"protocol\" is there twice",
        ),
        (
            "redis://a#insecure",
            "node 1 of the URL: #insecure is for TLS, which has the scheme rediss",
        ),
        ("rediss://a#x", "node 1 of the URL: \"#x\" is not #insecure"),
        ("redis://a,redis+shard://b", "node 2 of the URL: a redis+shard URL stands alone"),
        ("redis://a,redis://a", "two nodes have the name 'a:6379': a:6379 and a:6379"),
        ("unix://run/a.sock", "node 1 of the URL: the path of a unix socket begins with a slash"),
        ("unix:///a,b", "node 2 of the URL: the path of a unix socket begins with a slash"),
        ("unix:///a%00", "node 1 of the URL: the path contains a NUL character"),
        ("unix:///a#insecure", "node 1 of the URL: a unix socket has no #"),
        ("unix:///a?db=x", "node 1 of the URL: the database behind the slash is not a number"),
        ("redis+shard://", "node 1 of the URL: it is empty"),
        ("redis+shard://a,,b", "node 2 of the URL: it is empty"),
        (
            "redis+shard://a,b:x",
            "node 2 of the URL: the port is not a number; a password is followed by an @ and the host",
        ),
        ("redis+shard://a*0", "node 1 of the URL: weight \"0\" is not a number between 1 and"),
        ("redis+shard://a*", "node 1 of the URL: weight \"\" is not a number between 1 and"),
        ("redis+shard://a*4294967297", "node 1 of the URL: weight \"4294967297\" is not a number"),
        ("redis+shard://a=", "node 1 of the URL: the name is empty"),
        ("redis+shard://a=x*2", "node 1 of the URL: \"x*2\" is not a name; a weight stands before"),
        ("redis+shard://a=%ff", "node 1 of the URL: the name is not UTF-8"),
        ("redis+shard://a=x,b=x", "two nodes have the name 'x': a:6379 and b:6379"),
        ("redis+shard://u:p@a,u:p@b", "the URL: there is more than one @"),
        ("redis+shard://%2Fa%ff", "node 1 of the URL: the path is not UTF-8"),
        ("redis+shard://%2Fa:1", "node 1 of the URL: a unix socket has no port"),
        ("rediss+shard://b,%2Fa", "node 2 of the URL: a unix socket has no TLS"),
        ("redis+shard://a/x", "the URL: the database behind the slash is not a number"),
        ("redis+shard://a#insecure", "the URL: #insecure is for TLS"),
        (
            "redis+shard://a?x=1",
            "the URL: option \"x\" is not known; known are distribution, hash, ",
        ),
        (
            "redis+shard://a?hash=md4",
            "the URL: option \"hash\": \"md4\" is not a valid hash; one of ",
        ),
        (
            "redis+shard://a?distribution=",
            "the URL: option \"distribution\": \"\" is not a valid distri",
        ),
        (
            "redis+shard://a?hash_tag={",
            "the URL: option \"hash_tag\": a hash tag has two characters",
        ),
        (
            "redis+shard://a?char_sign=x",
            "the URL: option \"char_sign\": \"x\" is not one of signed, ",
        ),
        (
            "redis+shard://a?node_order=x",
            "the URL: option \"node_order\": \"x\" is not one of by_name, ",
        ),
        (
            "redis+shard://a?eject=on",
            "the URL: option \"eject\": \"on\" is not a valid ejection mode",
        ),
        (
            "redis+shard://a?failure_limit=-1",
            "the URL: option \"failure_limit\": \"-1\" is not a number",
        ),
        (
            "redis+shard://a?timeout=1m",
            "the URL: option \"timeout\": \"1m\" is not a time such as 400ms",
        ),
        ("redis+shard://a?retry_timeout=", "the URL: option \"retry_timeout\": \"\" is not a time"),
        (
            "redis+shard://a?max_ejected_share=2",
            "the URL: option \"max_ejected_share\": \"2\" is not a nu",
        ),
        (
            "redis+shard://a?max_ejected_share=NaN",
            "the URL: option \"max_ejected_share\": \"NaN\" is not",
        ),
        ("redis+shard://a?timeout=1&timeout=2", "the URL: option \"timeout\" is there twice"),
        ("redis+shard://a?timeout=%ff", "the URL: the value of option \"timeout\" is not UTF-8"),
        // What may be a password.
        ("redis://:p/q@a", "node 1 of the URL: there is an @ behind the host; in a user name"),
        ("redis://:p,q@a", "node 1 of the URL: it is not the URL of a node; a comma in a password"),
        ("redis://u:1,q@a", "node 2 of the URL: it has a user name without a password; a comma in"),
        ("redis+shard://:p?q@a", "the URL: there is an @ behind the host; in a user name"),
        ("unix:///a?pass=p,/b?q", "node 2 of the URL: it is not the URL of a node; a comma in a"),
        (
            "unix:///a?pass=p&q",
            "node 1 of the URL: its options are wrong; known are db, user, pass and",
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
    let url = parse(&format!("redis://u:{SECRET}@a:1,redis://b"));
    assert_eq!(url.nodes[0].password.as_deref(), Some(SECRET));
    let debug = format!("{url:?}");
    assert!(!debug.contains(SECRET) && debug.contains("redacted"), "{debug}");
}

/// Pieces of URLs.
const PIECES: [&str; 40] = [
    "redis://",
    "rediss://",
    "unix://",
    "redis+shard://",
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
    "0.0.0.0",
    "é",
    " ",
    "db=1",
    "pass=p",
    "protocol=resp3",
    "hash=md5",
    "timeout=2s",
    "#insecure",
    "65536",
    "0",
    "-1",
    "+",
    "hash_tag={}",
    "eject=off",
    "\u{7f}",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|it| it.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text: String, pieces in pieces()) {
        let _ = ShardUrl::parse(&text);
        let _ = ShardUrl::parse(&pieces);
        let _ = ShardUrl::from_urls([&text, &pieces]);
    }

    #[test]
    fn no_error_shows_a_password(
        start in prop::sample::select(&[
            "redis://:", "redis://u:", "redis://b:1,:", "redis+shard://u:", "redis://a,rediss://u:",
            "unix:///a?pass=", "unix:///a,/b?user=u&pass=", "unix:///a,redis://u:", "REDIS://u:", "redis://x:y@z,u:",
        ][..]),
        before in "[a-z0-9,:/?#@%=*&.+ \\[\\]-]{0,3}",
        after in "[a-z0-9,:/?#@%=*&.+ \\[\\]-]{0,3}",
        host in prop::sample::select(&["a", "a:1", "a:x", "[::1", "", "a/x", "a?x=1", "a,b:x"][..]),
    ) {
        // A unix URL ends with its password; in the others one @ at least comes behind it.
        let end = if start.starts_with("unix") && start.contains("pass") { String::new() } else { format!("@{host}") };
        let text = format!("{start}{before}{SECRET}{after}{end}");
        if let Err(error) = ShardUrl::parse(&text) {
            prop_assert!(!format!("{error} {error:?}").contains(SECRET), "{}: {}", text, error);
        }
        if let Err(error) = ShardUrl::from_urls(["redis://b", &text]) {
            prop_assert!(!format!("{error} {error:?}").contains(SECRET), "{}: {}", text, error);
        }
    }
}
