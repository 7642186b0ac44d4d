//! What a client can be connected to. No server is needed.

use memcache::MemcacheError;
use memcache::Url;
use shardwright::IntoMemcacheTopology;
use shardwright::MemcacheNodeConfig;
use shardwright::Node;
use shardwright::Preset;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedMemcache;

fn nodes(of: impl IntoMemcacheTopology) -> Vec<String> {
    let mut nodes: Vec<_> =
        ShardedMemcache::connect(of).unwrap().nodes().iter().map(Node::to_string).collect();
    nodes.sort();
    nodes
}

#[test]
fn whatever_memcache_connects_to_is_a_client() {
    let both = ["a (a:11211)", "b:1"];
    assert_eq!(nodes("memcache://a:11211,b:1"), both);
    assert_eq!(nodes("a:11211,b:1".to_owned()), both);
    assert_eq!(nodes(vec!["memcache://a", "memcache+tcp://b:1?timeout=2"]), both);
    assert_eq!(nodes(vec!["memcache://a".to_owned(), "b:1".to_owned()]), both);
    assert_eq!(nodes(&[("a", 11211), ("b", 1)][..]), both);
    assert_eq!(nodes(("b", 1)), ["b:1"]);
    assert_eq!(nodes(Url::parse("memcache://b:1").unwrap()), ["b:1"]);
    assert_eq!(nodes("memcache:///run/a.sock"), ["/run/a.sock: (/run/a.sock)"]);
    assert_eq!(
        nodes(MemcacheNodeConfig::new("memcache://b:1").unwrap().name("n").unwrap()),
        ["n (b:1)"]
    );
    assert_eq!(nodes(ShardedMemcache::builder().add_server("a,b:1").unwrap()), both);
    assert_eq!(nodes("memcache+shard://a,b:1*3=n/"), ["a (a:11211)", "n (b:1)"]);
}

#[test]
fn one_url_says_how_keys_are_placed() {
    let keys: Vec<_> = (0..300).map(|number| format!("{number}:key")).collect();
    let places = |cache: &ShardedMemcache| -> Vec<String> {
        keys.iter().map(|key| cache.node_for_key(key).unwrap().address().to_string()).collect()
    };
    let of_url = |query: &str| {
        ShardedMemcache::connect(format!("memcache+shard://a,b:1,c/{query}")).unwrap()
    };
    let list = || ShardedMemcache::builder().add_server("a,b:1,c").unwrap();
    let default = places(&list().build().unwrap());
    assert_eq!(places(&of_url("")), default);
    for preset in Preset::ALL.into_iter().filter(|preset| *preset != Preset::SpymemcachedKetama) {
        let preset_places = places(&list().preset(preset).build().unwrap());
        assert_eq!(places(&of_url(&format!("?preset={preset}"))), preset_places, "{preset}");
        let nodes = ["a:11211:1", "b:1:1", "c:11211:1"].map(|line| line.parse::<Node>().unwrap());
        let router = preset.topology(nodes).unwrap().router();
        let of_core = |key: &String| {
            router.node(router.node_for_key(key.as_bytes()).unwrap()).address().to_string()
        };
        assert_eq!(preset_places, keys.iter().map(of_core).collect::<Vec<_>>(), "{preset}");
        assert_eq!(preset_places == default, preset == Preset::Twemproxy, "{preset}");
    }
    let hashed = list().hash(shardwright::HashKind::Murmur).build().unwrap();
    assert_eq!(places(&of_url("?hash=murmur")), places(&hashed));
}

/// A node that is added to what a URL began is placed by the same rules.
#[test]
fn a_preset_of_a_url_names_nodes_that_come_later() {
    let url = "memcache+shard://10.0.0.1,10.0.0.2/?preset=dalli&eject=successor&hash_tag={}";
    let cache = ShardedMemcache::connect(url).unwrap();
    cache.set_nodes("10.0.0.1,10.0.0.3").unwrap();
    let names: Vec<_> = cache.nodes().iter().map(|node| node.name().to_owned()).collect();
    assert_eq!(names, ["10.0.0.1:11211", "10.0.0.3:11211"]);
    let topology = cache.router().topology().clone();
    assert_eq!(topology.eject_policy().mode(), shardwright::EjectMode::Successor);
    assert!(topology.hash_tag().is_some());
}

#[test]
fn what_is_wrong_is_said_without_the_password() {
    for (url, part) in [
        ("", "empty"),
        ("memcache+udp://a", "UDP"),
        ("memcache://a?protocol=binary", "binary"),
        ("memcache://u:SECRET@a:port", "port"),
        ("memcache+shard://u:SECRET@a/?preset=dally", "dally"),
        (
            "memcache+shard://u:SECRET@a/?preset=dalli&hash=md5",
            "\"hash\" is part of what \"preset\"",
        ),
        ("memcache+shard://u:SECRET@a/?timeout=400", "400ms"),
        ("memcache+shard://a,u:SECRET@b", "%2C"),
        ("redis://a", "scheme"),
        ("a,a", "two nodes"),
    ] {
        let error = ShardedMemcache::connect(url).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, MemcacheError::BadURL(_)), "{url}: {error:?}");
        assert!(text.contains(part) && !text.contains("SECRET"), "{url}: {text}");
        let ours = ShardError::of_memcache(&error).unwrap();
        assert_eq!(ours.kind(), ShardErrorKind::Configuration);
    }
    assert!(ShardedMemcache::connect(Vec::<String>::new()).is_err());
    assert!(ShardedMemcache::builder().build().is_err());
    let error = ShardedMemcache::builder()
        .preset(Preset::Dalli)
        .hash(shardwright::HashKind::Md5)
        .add_server("a,b")
        .and_then(|builder| builder.build())
        .unwrap_err();
    assert!(error.to_string().contains("dalli"), "{error}");
    let cache = ShardedMemcache::connect("memcache://user:SECRET@a").unwrap();
    assert!(!format!("{cache:?} {:?}", cache.to_builder()).contains("SECRET"));
}

#[cfg(feature = "config")]
#[test]
fn a_memcached_pool_of_a_nutcracker_yml_is_a_client() {
    let text = "pages:\n  listen: 127.0.0.1:1\n  hash: murmur\n  distribution: modula\n  timeout: 250\n  \
                servers:\n   - 10.0.0.1:11211:1\n   - 10.0.0.2:11211:2 two\n";
    let config = shardwright::NutcrackerConfig::parse(text).unwrap();
    let pool = config.pool("pages").unwrap();
    let cache = ShardedMemcache::connect(pool).unwrap();
    let router = pool.topology().unwrap().router();
    for number in 0..100 {
        let key = format!("{number}:key");
        let expected = router.node_for_key(key.as_bytes()).map(|id| router.node(id).clone());
        assert_eq!(cache.node_for_key(&key), expected);
    }
    let config =
        shardwright::NutcrackerConfig::parse(&text.replace("hash:", "redis: true\n  hash:"));
    let config = config.unwrap();
    let error = ShardedMemcache::connect(config.pool("pages").unwrap()).unwrap_err();
    assert!(error.to_string().contains("pool 'pages' is one of Redis servers"), "{error}");
}

#[test]
#[cfg(not(feature = "memcache-tls"))]
fn tls_needs_its_feature() {
    let error = ShardedMemcache::connect("memcache+tls://a:1").unwrap_err();
    assert!(matches!(error, MemcacheError::BadURL(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("node 'a:1'") && text.contains("feature memcache-tls"), "{text}");
}

/// What a URL does not say is left as it was, whichever comes first.
#[test]
fn a_url_overrides_only_what_it_says() {
    let url = "memcache+shard://10.0.0.1,10.0.0.2,10.0.0.3/?timeout=200ms";
    let places = |cache: ShardedMemcache| -> Vec<Node> {
        (0..200).map(|number| cache.node_for_key(&format!("{number}:key")).unwrap()).collect()
    };
    let list = ShardedMemcache::builder().add_server("10.0.0.1,10.0.0.2,10.0.0.3").unwrap();
    let expected = places(list.preset(Preset::Dalli).build().unwrap());
    let preset = || ShardedMemcache::builder().preset(Preset::Dalli);
    assert_eq!(places(preset().add_server(url).unwrap().build().unwrap()), expected);
    let after = ShardedMemcache::builder().add_server(url).unwrap().preset(Preset::Dalli);
    assert_eq!(places(after.build().unwrap()), expected);

    let builder = ShardedMemcache::builder()
        .hash(shardwright::HashKind::Md5)
        .hash_tag("{}".parse().unwrap())
        .eject(shardwright::EjectPolicy::successor());
    let topology = builder.clone().add_server(url).unwrap().to_topology().unwrap();
    assert_eq!(topology.hash().name(), "md5");
    assert!(topology.hash_tag().is_some());
    assert_eq!(topology.eject_policy().mode(), shardwright::EjectMode::Successor);
    let url = "memcache+shard://a,b/?hash=murmur&eject=fail_fast&hash_tag=<>&distribution=modula";
    let topology = builder.add_server(url).unwrap().to_topology().unwrap();
    assert_eq!(topology.hash().name(), "murmur");
    assert_eq!(topology.distribution().name(), "modula");
    assert_eq!(topology.hash_tag(), Some("<>".parse().unwrap()));
    assert_eq!(topology.eject_policy().mode(), shardwright::EjectMode::FailFast);
}

#[test]
fn each_of_several_urls_names_one_node() {
    for urls in [vec!["a,b", "c"], vec!["memcache://a,b", "c"]] {
        let error = ShardedMemcache::connect(urls).unwrap_err().to_string();
        assert!(error.contains("URL 1: there is a comma in the host"), "{error}");
    }
    let error = MemcacheNodeConfig::new("memcache://a,b").unwrap_err().to_string();
    assert!(error.contains("there is a comma in the host"), "{error}");
}
