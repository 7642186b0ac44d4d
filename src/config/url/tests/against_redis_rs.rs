//! A URL of one node means to us what it means to redis-rs. TLS is left out: the build has none.

use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::IntoConnectionInfo;
use redis::ProtocolVersion;

use super::*;

/// What redis-rs makes of a URL, in our words.
fn theirs(info: &ConnectionInfo) -> UrlNode {
    let address = match info.addr() {
        ConnectionAddr::Tcp(host, port) => Address::tcp(host.as_str(), *port),
        ConnectionAddr::Unix(path) => Address::Unix(path.to_str().unwrap().to_owned()),
        other => panic!("{other:?}"),
    };
    let settings = info.redis_settings();
    let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    UrlNode {
        username: some(settings.username()),
        password: some(settings.password()),
        database: settings.db(),
        is_resp3: settings.protocol() == ProtocolVersion::RESP3,
        ..plain(address)
    }
}

fn assert_alike(text: &str) -> Result<(), TestCaseError> {
    let Ok(url) = ShardUrl::from_urls([text]) else { return Ok(()) };
    let [ours] = url.nodes.as_slice() else { return Ok(()) };
    // `url` takes a path with a colon at its end for a drive of Windows and appends a slash.
    let is_drive = matches!(ours.node.address(), Address::Unix(path) if path.ends_with(':'));
    if ours.tls == Tls::Off && !text.contains("+shard") && !is_drive {
        let info = text.into_connection_info();
        let info = info.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(ours, &theirs(&info), "{}", text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_both_accept_means_the_same(
        scheme in prop::sample::select(&["redis://", "valkey://", "unix://", "redis+unix:///", "unix:/"][..]),
        pieces in pieces(),
    ) {
        assert_alike(&format!("{scheme}{pieces}"))?;
    }

    #[test]
    fn users_and_passwords_mean_the_same(user in "[ -~é]{0,6}", password in "[ -~é]{0,6}") {
        assert_alike(&format!("redis://{user}:{password}@a:1/2"))?;
        assert_alike(&format!("unix:///a?user={user}&pass={password}"))?;
    }
}
