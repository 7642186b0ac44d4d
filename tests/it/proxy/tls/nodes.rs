//! TLS to Redises.

use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use super::Certificates;
use super::LENGTHS;
use super::TlsClient;
use super::before_redises;
use super::pool_of;
use super::ports;
use super::value;
use crate::proxy::support::key_on;
use crate::support::certificates;
use crate::support::eventually;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;

const NO_CERTIFICATES: [&str; 2] = ["--tls-auth-clients", "no"];

#[test]
fn values_of_all_sizes_come_and_go() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redises) = certificates.redises(3, &NO_CERTIFICATES) else { return };
    let proxy = before_redises(&certificates.settings(&[]), &ports(&redises));
    let mut client = proxy.client();
    for length in LENGTHS {
        let key = format!("key{length}");
        let value = value(length);
        assert_eq!(client.ask_with(&[b"SET", key.as_bytes(), &value]), "+OK\r\n");
        let text = String::from_utf8(value).unwrap();
        assert!(client.ask(&format!("GET {key}")) == bulk(&text), "{length}");
    }
    let keys = LENGTHS.map(|length| format!("key{length}"));
    let reply = client.ask(&format!("MGET {} none", keys.join(" ")));
    let values = LENGTHS.map(|length| bulk(&String::from_utf8(value(length)).unwrap()));
    assert!(reply == format!("*{}\r\n{}$-1\r\n", LENGTHS.len() + 1, values.concat()));
    // They are on all nodes, and in plain sight there.
    let counts = redises.iter().map(|(redis, _)| Client::connect(redis.port()).ask("DBSIZE"));
    assert!(counts.into_iter().all(|count| count != ":0\r\n"));
}

#[test]
fn pipelines_go_through_in_order() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redises) = certificates.redises(2, &NO_CERTIFICATES) else { return };
    let proxy = before_redises(&certificates.settings(&[]), &ports(&redises));
    let mut client = proxy.client();
    for round in 0..20 {
        let (mut requests, mut expected) = (Vec::new(), String::new());
        for number in 0..200 {
            let key = format!("{round}:{number}");
            let value = value((number * 37 + round * 501) % 3000);
            requests.extend(request_of(&[b"SET", key.as_bytes(), &value]));
            requests.extend(request(&format!("GET {key}")));
            expected += &format!("+OK\r\n{}", bulk(std::str::from_utf8(&value).unwrap()));
        }
        client.send(&requests);
        assert!(client.bytes(expected.len()) == expected.as_bytes(), "round {round}");
    }
}

#[test]
fn a_client_that_sends_much_and_reads_late_gets_everything() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redises) = certificates.redises(1, &NO_CERTIFICATES) else { return };
    let proxy = before_redises(&certificates.settings(&[]), &ports(&redises));
    let large = value(3 << 20);
    let mut client = proxy.client();
    assert_eq!(client.ask_with(&[b"SET", b"k", &large]), "+OK\r\n");
    client.send(request("GET k").repeat(20));
    std::thread::sleep(Duration::from_millis(200));
    let expected = bulk(std::str::from_utf8(&large).unwrap());
    for _ in 0..20 {
        assert!(client.bytes(expected.len()) == expected.as_bytes());
    }
}

#[test]
fn greetings_messages_and_transactions_go_through_tls() {
    let Some(certificates) = Certificates::make() else { return };
    let arguments = [&NO_CERTIFICATES[..], &["--requirepass", "s3cret"]].concat();
    let Some(redises) = certificates.redises(2, &arguments) else { return };
    let settings = certificates.settings(&["redis_auth: s3cret", "redis_db: 3"]);
    let proxy = before_redises(&settings, &ports(&redises));
    let [mut client, mut other] = [proxy.client(), proxy.client()];
    for client in [&mut client, &mut other] {
        assert_eq!(client.ask("AUTH s3cret"), "+OK\r\n");
    }
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    let replies = ["MULTI", "GET k", "EXEC"].map(|line| client.ask(line));
    assert_eq!(replies[2], "*1\r\n$1\r\nv\r\n", "{replies:?}");
    assert_eq!(client.ask("SUBSCRIBE c"), "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    assert_eq!(other.ask("PUBLISH c x"), ":1\r\n");
    assert_eq!(client.reply(), "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
}

/// What a client is told when the certificate of its node is not as it should be.
fn refusal(settings: &[String], host: &str, port: u16) -> String {
    let settings = [&["redis: true".to_owned()], settings].concat();
    let proxy = Proxy::start(Program::Ours, &[pool_of(&settings, host, &[port])]);
    let reply = proxy.client().ask("GET k");
    let log = proxy.process().log();
    assert!(log.contains("node 'node0': TLS failed: "), "{log}");
    reply
}

#[test]
fn certificates_are_verified() {
    let Some(certificates) = Certificates::make() else { return };
    certificates::make_expired(&certificates.directory);
    let Some(redises) = certificates.redises(1, &NO_CERTIFICATES) else { return };
    let port = redises[0].1;
    let Some(others) = Certificates::make() else { return };
    let reply = refusal(&others.settings(&[]), "127.0.0.1", port);
    assert_eq!(reply, "-ERR TLS failed: invalid peer certificate: UnknownIssuer\r\n");
    let settings = certificates.settings(&["server_tls_name: other.example"]);
    let reply = refusal(&settings, "127.0.0.1", port);
    assert!(reply.starts_with("-ERR TLS failed: invalid peer certificate: "), "{reply}");
    assert!(reply.contains("other.example"), "{reply}");
    // The name is asked for in place of the host, and the host without it.
    let settings = certificates.settings(&["server_tls_name: localhost"]);
    for (settings, host) in [(settings, "127.0.0.1"), (certificates.settings(&[]), "localhost")] {
        let settings = [&["redis: true".to_owned()], &settings[..]].concat();
        let proxy = Proxy::start(Program::Ours, &[pool_of(&settings, host, &[port])]);
        assert_eq!(proxy.client().ask("SET k v"), "+OK\r\n");
    }
    let expired = ["--tls-cert-file", &certificates.path("expired.crt")];
    let arguments = [&NO_CERTIFICATES[..], &expired].concat();
    let Some(redises) = certificates.redises(1, &arguments) else { return };
    let reply = refusal(&certificates.settings(&[]), "127.0.0.1", redises[0].1);
    assert!(reply.starts_with("-ERR TLS failed: invalid peer certificate: "), "{reply}");
    assert!(reply.contains("expired"), "{reply}");
}

#[test]
fn a_node_may_ask_for_a_certificate() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redises) = certificates.redises(1, &[]) else { return };
    let ports = ports(&redises);
    let own = ["server_tls_cert: @/client.crt", "server_tls_key: @/client.key"];
    let proxy = before_redises(&certificates.settings(&own), &ports);
    assert_eq!(proxy.client().ask("SET k v"), "+OK\r\n");
    let proxy = before_redises(&certificates.settings(&[]), &ports);
    let reply = proxy.client().ask("GET k");
    assert!(reply.starts_with("-ERR TLS failed: received fatal alert: "), "{reply}");
}

#[test]
fn a_node_without_tls_is_refused() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redises) = certificates.redises(1, &NO_CERTIFICATES) else { return };
    let proxy = before_redises(&certificates.settings(&["timeout: 2000"]), &[redises[0].0.port()]);
    let reply = proxy.client().ask("GET k");
    let words = ["TLS failed", "closed", "reset", "timed out"];
    assert!(words.iter().any(|word| reply.contains(word)), "{reply}");
}

#[test]
fn a_handshake_that_hangs_costs_the_timeout() {
    let Some(certificates) = Certificates::make() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let proxy = before_redises(&certificates.settings(&["timeout: 300"]), &[port]);
    let start = Instant::now();
    assert_eq!(proxy.client().ask("GET k"), "-ERR Connection timed out\r\n");
    let took = start.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[test]
fn a_node_that_is_ended_and_started_again_is_found_again() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(mut redises) = certificates.redises(2, &NO_CERTIFICATES) else { return };
    let ejecting =
        ["auto_eject_hosts: true", "server_failure_limit: 1", "server_retry_timeout: 50"];
    for settings in [&[][..], &ejecting] {
        let proxy = before_redises(&certificates.settings(settings), &ports(&redises));
        let mut client = proxy.client();
        let keys = [0, 1].map(|node| key_on(2, node, "key"));
        for _ in 0..2 {
            for key in &keys {
                assert_eq!(client.ask(&format!("SET {key} v")), "+OK\r\n");
            }
            redises[0].0.kill();
            let _ = client.ask(&format!("GET {}", keys[0]));
            assert_eq!(client.ask(&format!("GET {}", keys[1])), bulk("v"));
            redises[0].0.restart();
            let set = format!("SET {} v", keys[0]);
            let mut direct = Client::connect(redises[0].0.port());
            eventually("it is back", || {
                client.ask(&set) == "+OK\r\n" && direct.ask("DBSIZE") == ":1\r\n"
            });
        }
    }
}

#[test]
fn a_pool_with_tls_and_one_without_and_clients_of_both() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redises) = certificates.redises(1, &NO_CERTIFICATES) else { return };
    let directory = certificates.directory.to_str().unwrap();
    let listen = ["listen_tls_cert: @/node.crt", "listen_tls_key: @/node.key"]
        .map(|setting| setting.replace('@', directory));
    let redis = ["redis: true".to_owned()];
    let secured = certificates.settings(&[]);
    let (port, plain_port) = (redises[0].1, redises[0].0.port());
    let pools = [
        pool_of(&[&redis[..], &secured].concat(), "127.0.0.1", &[port]),
        pool_of(&redis, "127.0.0.1", &[plain_port]),
        pool_of(&[&redis[..], &secured, &listen].concat(), "127.0.0.1", &[port]),
        pool_of(&[&redis[..], &listen].concat(), "127.0.0.1", &[plain_port]),
    ];
    let proxy = Proxy::start(Program::Ours, &pools);
    let [one, two, three, four] = proxy.ports() else { unreachable!() };
    assert_eq!(Client::connect(*one).ask("SET k v"), "+OK\r\n");
    assert_eq!(Client::connect(*two).ask("GET k"), bulk("v"));
    for port in [three, four] {
        TlsClient::connect(*port, &certificates).exchange(request("GET k"), bulk("v"));
    }
}
