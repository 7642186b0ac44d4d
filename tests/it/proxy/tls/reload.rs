//! Certificates that change while the proxy runs.

use rustix::process::Signal;

use super::Certificates;
use super::TlsClient;
use super::before_redises;
use super::ports;
use crate::proxy::support::Backends;
use crate::proxy::support::Redis;
use crate::support::eventually;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;

/// Has the proxy read its file again, and waits until it has said `text` once more.
fn reload(proxy: &Proxy, text: &str) {
    let count = || proxy.process().log().matches(text).count();
    let before = count();
    proxy.process().signal(Signal::USR1);
    eventually(text, || count() > before);
}

/// Lines of a pool before `redis` whose clients have to speak TLS.
fn secured(redis: &Redis, certificates: &Certificates) -> String {
    let files = ["listen_tls_cert: @/node.crt", "listen_tls_key: @/node.key"]
        .map(|setting| setting.replace('@', certificates.directory.to_str().unwrap()));
    redis.lines(&files.each_ref().map(String::as_str))
}

#[test]
fn clients_get_the_new_certificate_though_the_configuration_is_the_same() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let plain = redis.lines(&[]);
    let secured = secured(&redis, &certificates);
    let proxy = Proxy::start(Program::Ours, std::slice::from_ref(&secured));
    let mut old = TlsClient::connect(proxy.port(), &certificates);
    old.exchange(request("SET k v"), "+OK\r\n");
    reload(&proxy, "is reloaded, nothing is different");
    certificates.renew();
    // Those that trust the new authority are not served before.
    assert!(TlsClient::connect(proxy.port(), &certificates).line(request("GET k")).is_err());
    reload(&proxy, "TLS with its clients has changed");
    TlsClient::connect(proxy.port(), &certificates).exchange(request("GET k"), bulk("v"));
    // Who was there stays.
    old.exchange(request("GET k"), bulk("v"));
    // A file that is broken changes nothing.
    std::fs::write(certificates.path("node.key"), "no key\n").unwrap();
    reload(&proxy, ": pool 'pool000': directive \"listen_tls_key\": ");
    TlsClient::connect(proxy.port(), &certificates).exchange(request("GET k"), bulk("v"));
    // And with TLS or without is a matter of the next client.
    proxy.rewrite(&[plain]);
    reload(&proxy, "TLS with its clients has changed");
    assert_eq!(proxy.client().ask("GET k"), bulk("v"));
    certificates.renew();
    proxy.rewrite(&[secured]);
    reload(&proxy, "TLS with its clients has changed");
    TlsClient::connect(proxy.port(), &certificates).exchange(request("GET k"), bulk("v"));
}

#[test]
fn nodes_get_new_connections_when_the_certificates_have_changed() {
    let Some(certificates) = Certificates::make() else { return };
    let arguments = ["--tls-auth-clients", "no"];
    let Some(mut redises) = certificates.redises(1, &arguments) else { return };
    let proxy = before_redises(&certificates.settings(&[]), &ports(&redises));
    let mut client = proxy.client();
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    reload(&proxy, "is reloaded, nothing is different");
    certificates.renew();
    redises[0].0.restart();
    eventually("the new certificate is not trusted", || {
        client.ask("GET k").contains("cannot speak TLS")
    });
    reload(&proxy, "TLS with its nodes has changed");
    eventually("it is now", || client.ask("SET k v") == "+OK\r\n");
    assert_eq!(client.ask("GET k"), bulk("v"));
}

#[test]
fn certificates_are_watched_with_the_configuration() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let secured = secured(&redis, &certificates);
    let proxy = Proxy::start_with(Program::Ours, &[secured], &["--watch"]);
    let mut old = TlsClient::connect(proxy.port(), &certificates);
    old.exchange(request("SET k v"), "+OK\r\n");
    certificates.renew();
    eventually("TLS with its clients has changed", || {
        proxy.process().log().contains("TLS with its clients has changed")
    });
    TlsClient::connect(proxy.port(), &certificates).exchange(request("GET k"), bulk("v"));
    old.exchange(request("GET k"), bulk("v"));
    assert!(!proxy.process().log().contains("is refused"), "{}", proxy.process().log());
}
