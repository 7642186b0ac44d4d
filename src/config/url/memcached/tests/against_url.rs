//! A URL of one node means to us what it means to the memcache crate, as far as that can be said without
//! connecting: the crate asks the `url` crate for all parts (memcache 0.21 `connection.rs`).

use percent_encoding::percent_decode_str;
use url::Url;

use super::*;

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into()
}

/// What the memcache crate would connect to, less what it does not decode, and how.
fn theirs(url: &Url) -> MemcacheUrlNode {
    let option = |name| url.query_pairs().find(|(known, _)| known == name).map(|it| it.1.into());
    let is_socket = match url.scheme() {
        "memcache" => url.host().is_none() && url.port().is_none(),
        scheme => scheme == "memcache+unix",
    };
    let address = if is_socket {
        Address::Unix(decoded(url.path()))
    } else {
        let host = url.host_str().unwrap().trim_start_matches('[').trim_end_matches(']');
        // Without a port it would not connect.
        Address::tcp(host, url.port().unwrap_or(11211))
    };
    let tls = (url.scheme() == "memcache+tls").then(|| MemcacheTls {
        verify: option("verify_mode").is_none_or(|mode: String| mode == "peer"),
        ca_path: option("ca_path"),
        cert_path: option("cert_path"),
        key_path: option("key_path"),
    });
    let nodelay = !url.query_pairs().any(|(name, value)| name == "tcp_nodelay" && value == "false");
    let node = MemcacheUrlNode { tls, nodelay, ..plain(address) };
    match url.password() {
        Some(password) if !url.username().is_empty() => {
            with_user(node, &decoded(url.username()), &decoded(password))
        }
        _ => node,
    }
}

fn limit(url: &Url, name: &str) -> Limit {
    let value = url.query_pairs().find(|(known, _)| known == name);
    match value.and_then(|(_, value)| value.parse().ok()).map(Duration::from_secs_f64) {
        Some(limit) => Limit::of(limit),
        None => Limit::Unsaid,
    }
}

fn assert_alike(text: &str) -> Result<(), TestCaseError> {
    let Ok(ours) = MemcacheUrl::from_urls([text]) else { return Ok(()) };
    // It removes these, wherever they stand.
    if text.contains("+shard") || text.contains(['\t', '\n', '\r']) {
        return Ok(());
    }
    let parsed =
        Url::parse(text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    prop_assert_eq!(&ours.nodes, &[theirs(&parsed)], "{}", text);
    prop_assert_eq!(ours.timeout, limit(&parsed, "timeout"), "{}", text);
    prop_assert_eq!(ours.connect_timeout, limit(&parsed, "connect_timeout"), "{}", text);
    let is_ascii = parsed.query_pairs().any(|(name, value)| name == "protocol" && value == "ascii");
    prop_assert_eq!(ours.protocol == UrlProtocol::Ascii, is_ascii, "{}", text);
    Ok(())
}

proptest! {
    #[test]
    fn what_both_accept_means_the_same(
        scheme in prop::sample::select(&[
            "memcache://", "memcache+tcp://a", "memcache+tls://a", "memcache+unix:///", "memcache:///",
        ][..]),
        pieces in pieces(),
    ) {
        assert_alike(&format!("{scheme}{pieces}"))?;
    }

    #[test]
    fn users_and_passwords_mean_the_same(user in "[ -~é]{0,6}", password in "[ -~é]{0,6}") {
        assert_alike(&format!("memcache://{user}:{password}@a:1"))?;
        assert_alike(&format!("memcache+tls://{user}:{password}@a:1/?timeout=0.5"))?;
    }

    #[test]
    fn options_mean_the_same(
        options in prop::collection::vec(prop::sample::select(&[
            "timeout=0.25", "connect_timeout=3", "timeout=x", "protocol=ascii", "tcp_nodelay=false",
            "tcp_nodelay=true", "verify_mode=none", "verify_mode=peer", "ca_path=/a+b%2c",
            "cert_path=c", "key_path=k", "udp=false",
        ][..]), 0..6),
        scheme in prop::sample::select(&["memcache", "memcache+tls"][..]),
    ) {
        assert_alike(&format!("{scheme}://a:1/?{}", options.join("&")))?;
    }
}
