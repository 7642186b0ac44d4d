//! Clients that speak TLS with the proxy.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use super::Certificates;
use super::LENGTHS;
use super::TlsClient;
use super::value;
use crate::proxy::support::Backends;
use crate::proxy::support::Memcacheds;
use crate::proxy::support::Redis;
use crate::support::eventually;
use crate::support::is_installed;
use crate::support::listens;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;

/// Ours in front of servers without TLS, with further settings in which `@` is the directory of the certificates.
fn before(backends: &dyn Backends, certificates: &Certificates, settings: &[&str]) -> Proxy {
    let own = ["listen_tls_cert: @/node.crt", "listen_tls_key: @/node.key"];
    let directory = certificates.directory.to_str().unwrap();
    let settings: Vec<_> =
        own.iter().chain(settings).map(|setting| setting.replace('@', directory)).collect();
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    Proxy::start(Program::Ours, &[backends.lines(&settings)])
}

#[test]
fn values_of_all_sizes_come_and_go() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(2) else { return };
    let proxy = before(&redis, &certificates, &[]);
    let mut client = TlsClient::connect(proxy.port(), &certificates);
    for length in LENGTHS {
        let (key, value) = (format!("key{length}"), value(length));
        client.exchange(request_of(&[b"SET", key.as_bytes(), &value]), "+OK\r\n");
        let expected = bulk(std::str::from_utf8(&value).unwrap());
        client.exchange(request(&format!("GET {key}")), expected);
    }
    let (mut requests, mut expected) = (Vec::new(), String::new());
    for number in 0..3000 {
        requests.extend(request(&format!("SET {number} {number}")));
        requests.extend(request(&format!("GET {number}")));
        expected += &format!("+OK\r\n{}", bulk(&number.to_string()));
    }
    client.exchange(requests, expected);
    // The proxy says that it is the end.
    assert_eq!(client.finish().unwrap(), b"");
}

#[test]
fn a_client_that_reads_late_gets_everything_and_what_it_is_owed_at_the_end() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let proxy = before(&redis, &certificates, &[]);
    let large = value(2 << 20);
    let mut client = TlsClient::connect(proxy.port(), &certificates);
    client.exchange(request_of(&[b"SET", b"k", &large]), "+OK\r\n");
    let expected = bulk(std::str::from_utf8(&large).unwrap());
    client.send(request("GET k").repeat(10)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    client.expect(expected.repeat(10));
    // It closes when all is sent.
    client.send([request("GET k").repeat(5), request("QUIT")].concat()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    client.expect(expected.repeat(5) + "+OK\r\n");
    assert_eq!(client.rest().unwrap(), b"");
    // And so when the client has said that it asks nothing more.
    let mut client = TlsClient::connect(proxy.port(), &certificates);
    client.send(request("GET k").repeat(5)).unwrap();
    assert!(client.finish().unwrap() == expected.repeat(5).as_bytes());
}

#[test]
fn a_record_of_which_half_has_come_when_the_proxy_ends_is_answered() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let mut proxy = before(&redis, &certificates, &[]);
    let mut client = TlsClient::connect(proxy.port(), &certificates);
    client.exchange(request("SET k v"), "+OK\r\n");
    let stream = client.stream.get_mut();
    let mut records = Vec::new();
    for _ in 0..2 {
        stream.conn.writer().write_all(&request("GET k").repeat(3)).unwrap();
        stream.conn.write_tls(&mut records).unwrap();
    }
    // All of the first, and some of the second.
    let (start, end) = records.split_at(records.len() * 3 / 4);
    stream.sock.write_all(start).unwrap();
    client.expect(bulk("v").repeat(3));
    proxy.process().signal(Signal::TERM);
    eventually("it listens no more", || !listens(proxy.port()));
    std::thread::sleep(Duration::from_millis(250));
    client.stream.get_mut().sock.write_all(end).unwrap();
    client.expect(bulk("v").repeat(3));
    assert_eq!(client.rest().unwrap(), b"");
    eventually("it has ended", || proxy.process_mut().has_ended());
}

#[test]
fn memcached_is_spoken_over_tls() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    let proxy = before(&memcacheds, &certificates, &[]);
    let mut client = TlsClient::connect(proxy.port(), &certificates);
    for length in LENGTHS.map(|length| length.min(900_000)) {
        let value = String::from_utf8(value(length)).unwrap();
        let set = format!("set k 0 0 {length}\r\n{value}\r\nget k\r\n");
        client.exchange(set, format!("STORED\r\nVALUE k 0 {length}\r\n{value}\r\nEND\r\n"));
    }
}

#[test]
fn redis_cli_speaks_tls_with_it() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    if !is_installed("redis-cli") {
        return;
    }
    let settings = ["listen_tls_client_ca: @/ca.crt"];
    let proxy = before(&redis, &certificates, &settings);
    let port = proxy.port().to_string();
    let ca = certificates.path("ca.crt");
    let (cert, key) = (certificates.path("client.crt"), certificates.path("client.key"));
    let arguments = ["-p", &port, "--tls", "--cacert", &ca, "--cert", &cert, "--key", &key];
    let output =
        Command::new("redis-cli").args(arguments).args(["SET", "k", "v"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "OK\n", "{output:?}");
}

#[test]
fn a_client_may_have_to_show_a_certificate() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let proxy = before(&redis, &certificates, &["listen_tls_client_ca: @/ca.crt"]);
    TlsClient::connect_with(proxy.port(), &certificates, true)
        .exchange(request("SET k v"), "+OK\r\n");
    // With TLS 1.3 it learns that only when it reads.
    let mut client = TlsClient::connect(proxy.port(), &certificates);
    let error = client.line(request("GET k")).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    // Of another authority.
    let Some(others) = Certificates::make() else { return };
    std::fs::copy(certificates.path("ca.crt"), others.path("ca.crt")).unwrap();
    let mut client = TlsClient::connect_with(proxy.port(), &others, true);
    assert!(client.line(request("GET k")).is_err());
    assert_eq!(proxy.pool_stat("client_connections"), 0);
}

#[test]
fn a_client_without_tls_gets_an_alert_and_is_closed() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let proxy = before(&redis, &certificates, &[]);
    for bytes in [&request("GET k")[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 100_000]] {
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        // Content type 21 is an alert, and level 2 a fatal one.
        assert!(reply.len() == 7 && (reply[0], reply[5]) == (21, 2), "{reply:?}");
    }
    TlsClient::connect(proxy.port(), &certificates).exchange(request("PING"), "+PONG\r\n");
}

#[test]
fn a_client_that_hangs_in_its_handshake_is_closed_and_costs_nobody() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let proxy = before(&redis, &certificates, &[]);
    let start = Instant::now();
    let silent: Vec<_> = (0..100)
        .map(|number| {
            let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            // The beginning of a greeting that is announced to be longer.
            let begun = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
            stream.write_all(&begun[..number % (begun.len() + 1)]).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        })
        .collect();
    TlsClient::connect(proxy.port(), &certificates).exchange(request("SET k v"), "+OK\r\n");
    assert!(start.elapsed() < Duration::from_secs(5));
    for mut stream in silent {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    let took = start.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(18)).contains(&took), "{took:?}");
    assert_eq!(proxy.pool_stat("client_connections"), 0);
}

#[test]
fn a_client_that_sends_byte_by_byte_is_understood() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let proxy = before(&redis, &certificates, &[]);
    // Somebody on the way cuts everything into pieces.
    let middle = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = middle.local_addr().unwrap().port();
    let mut client = TlsClient::connect(port, &certificates);
    let mut near = middle.accept().unwrap().0;
    let mut far = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    far.set_nodelay(true).unwrap();
    std::thread::scope(|scope| {
        let (mut back, mut answers) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        scope.spawn(move || std::io::copy(&mut answers, &mut back));
        scope.spawn(move || {
            let mut buffer = [0; 1000];
            while let Ok(count @ 1..) = near.read(&mut buffer) {
                for byte in &buffer[..count] {
                    far.write_all(std::slice::from_ref(byte)).unwrap();
                }
            }
            let _ = far.shutdown(std::net::Shutdown::Both);
        });
        client.exchange(request("SET k v"), "+OK\r\n");
        client.exchange(request("GET k").repeat(50), bulk("v").repeat(50));
        drop(client);
    });
}

#[test]
fn a_client_that_is_one_too_many_is_closed() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(redis) = Redis::start(1) else { return };
    let proxy = before(&redis, &certificates, &["client_connections: 1"]);
    // Whoever looked whether it listens.
    eventually("nobody is there", || proxy.pool_stat("client_connections") == 0);
    let mut first = TlsClient::connect(proxy.port(), &certificates);
    first.exchange(request("PING"), "+PONG\r\n");
    let mut second = TlsClient::connect(proxy.port(), &certificates);
    assert!(second.line(request("PING")).is_err());
    first.exchange(request("PING"), "+PONG\r\n");
}
