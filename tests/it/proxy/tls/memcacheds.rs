//! TLS to memcacheds.

use super::Certificates;
use super::LENGTHS;
use super::pool_of;
use super::value;
use crate::support::eventually;
use crate::support::memcached::Memcached;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;

fn before(settings: &[String], memcacheds: &[Memcached]) -> Proxy {
    let ports: Vec<_> = memcacheds.iter().map(Memcached::port).collect();
    let timeout = "timeout: 5000".to_owned();
    let settings = [settings, &[timeout]].concat();
    Proxy::start(Program::Ours, &[pool_of(&settings, "127.0.0.1", &ports)])
}

fn set(key: &str, value: &[u8]) -> Vec<u8> {
    let line = format!("set {key} 0 0 {}\r\n", value.len());
    [line.as_bytes(), value, b"\r\n"].concat()
}

fn found(key: &str, value: &[u8]) -> Vec<u8> {
    let line = format!("VALUE {key} 0 {}\r\n", value.len());
    [line.as_bytes(), value, b"\r\n"].concat()
}

#[test]
fn values_of_all_sizes_come_and_go() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(memcacheds) = certificates.memcacheds(2, "") else { return };
    let proxy = before(&certificates.settings(&[]), &memcacheds);
    let mut client = proxy.client();
    for length in LENGTHS {
        let (key, value) = (format!("key{length}"), value(length));
        client.send(set(&key, &value));
        assert_eq!(client.memcached_reply(), "STORED\r\n", "{length}");
        let expected = [&found(&key, &value)[..], b"END\r\n"].concat();
        client.send(format!("get {key}\r\n"));
        assert!(client.bytes(expected.len()) == expected, "{length}");
    }
}

/// The trigger of what memcached 1.6.18 does wrong: the tail of a value and another request in one record.
#[test]
fn sets_of_all_sizes_that_are_sent_at_once_are_all_answered() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(memcacheds) = certificates.memcacheds(1, "") else { return };
    let proxy = before(&certificates.settings(&[]), &memcacheds);
    let mut client = proxy.client();
    let near = (16_384 - 60..16_384 + 60).step_by(7);
    let lengths: Vec<_> =
        LENGTHS.into_iter().chain(near).chain((0..60).map(|it| it * 777)).collect();
    for &length in &lengths {
        let mut requests = Vec::new();
        let mut expected = Vec::new();
        for number in 0..(2 << 20) / (length + 5000) {
            let (key, value) = (format!("{length}:{number}"), value(length));
            requests.extend(set(&key, &value));
            requests.extend(format!("get {key}\r\n").into_bytes());
            requests.extend(format!("mg {key} s\r\n").into_bytes());
            expected.extend(b"STORED\r\n");
            expected.extend(found(&key, &value));
            expected.extend(format!("END\r\nHD s{length}\r\n").into_bytes());
        }
        client.send(&requests);
        assert!(client.bytes(expected.len()) == expected, "{length}");
    }
}

#[test]
fn requests_of_many_clients_share_connections() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(memcacheds) = certificates.memcacheds(2, "") else { return };
    let proxy = before(&certificates.settings(&[]), &memcacheds);
    std::thread::scope(|scope| {
        for number in 0..12_usize {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = proxy.client();
                for round in 0..60 {
                    let length = (number * 5000 + round * 1373) % 70_000;
                    let (key, value) = (format!("{number}:{round}"), value(length));
                    client.send([set(&key, &value), format!("get {key}\r\n").into()].concat());
                    let expected = [b"STORED\r\n", &found(&key, &value)[..], b"END\r\n"].concat();
                    assert!(client.bytes(expected.len()) == expected, "{key} of {length}");
                }
            });
        }
    });
}

#[test]
fn many_keys_are_asked_for_at_once() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(memcacheds) = certificates.memcacheds(1, "") else { return };
    let proxy = before(&certificates.settings(&[]), &memcacheds);
    let mut client = proxy.client();
    for count in [100, 1000, 5000, 20_000] {
        // A line that does not fit into a record, and requests around it.
        let keys: String = (0..count).map(|number| format!(" no-such-key-{number}")).collect();
        client.send(format!("set k 0 0 1\r\nv\r\nget{keys} k\r\nget k\r\n"));
        let expected = b"STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\nVALUE k 0 1\r\nv\r\nEND\r\n";
        assert_eq!(client.bytes(expected.len()), expected, "{count}");
    }
}

#[test]
fn a_value_that_is_too_large_is_refused_and_the_next_request_answered() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(memcacheds) = certificates.memcacheds(1, "") else { return };
    let proxy = before(&certificates.settings(&[]), &memcacheds);
    let mut client = proxy.client();
    client.send([set("k", &value(5 << 20)), set("l", b"v"), b"get l\r\n".to_vec()].concat());
    assert_eq!(client.memcached_reply(), "SERVER_ERROR object too large for cache\r\n");
    assert_eq!(client.memcached_reply(), "STORED\r\n");
    assert_eq!(client.memcached_reply(), "VALUE l 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn a_node_that_asks_for_a_certificate_may_be_ended_and_started_again() {
    let Some(certificates) = Certificates::make() else { return };
    let verifying = ",ssl_verify_mode=2,ssl_ca_cert=@/ca.crt";
    let Some(mut memcacheds) = certificates.memcacheds(1, verifying) else { return };
    let own = ["server_tls_cert: @/client.crt", "server_tls_key: @/client.key"];
    let proxy = before(&certificates.settings(&own), &memcacheds);
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send(set("k", b"v"));
        assert_eq!(client.memcached_reply(), "STORED\r\n");
        memcacheds[0].restart();
        eventually("it answers again", || client.ask_memcached("get k") == "END\r\n");
    }
    let proxy = before(&certificates.settings(&[]), &memcacheds);
    let reply = proxy.client().ask_memcached("get k");
    assert!(reply.starts_with("SERVER_ERROR "), "{reply}");
}
