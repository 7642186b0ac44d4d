//! The configuration file, as the program judges it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use rustix::process::Signal;

use super::support::Redis;
use super::support::Sides;
use super::support::pool;
use crate::nutcracker_config::table;
use crate::nutcracker_config::table::Verdict;
use crate::support::eventually;
use crate::support::free_port;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::scratch;

/// Row 74.
#[test]
fn with_t_the_program_says_what_is_wrong_and_where() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let directory = Directory(scratch());
    for (text, verdict) in table::rows() {
        let output = test(Program::Ours, &directory.0, &text);
        let said = String::from_utf8_lossy(&output.stderr);
        match reason(verdict).or_else(|| beyond_the_text(&text)) {
            None => {
                assert_eq!(output.status.code(), Some(0), "{said}\n{text}");
                assert!(said.contains("'F' syntax is ok"), "{said}\n{text}");
            }
            Some(reason) => {
                assert_eq!(output.status.code(), Some(1), "{said}\n{text}");
                assert!(said.contains(reason), "not {reason:?}:\n{said}\n{text}");
                assert!(said.contains("'F' syntax is invalid"), "{said}\n{text}");
            }
        }
    }
}

/// Row 74: and when it is to start, too.
#[test]
fn the_program_does_not_start_with_what_is_wrong_and_says_why() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let directory = Directory(scratch());
    for (text, reason) in table::rows().into_iter().filter_map(|(text, v)| Some((text, reason(v)?)))
    {
        fs::write(directory.0.join("F"), &text).unwrap();
        let mut command = Program::Ours.command();
        let port = free_port().to_string();
        command.args(["-c", "F", "-a", "127.0.0.1", "-s", &port]).current_dir(&directory.0);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}\n{text}");
        assert!(said.contains(reason), "not {reason:?}:\n{said}\n{text}");
    }
}

/// Rows 75, 80 and 85: where the two differ on purpose.
#[test]
fn nonsense_that_nutcracker_takes_is_refused_and_what_its_successor_takes_is_not() {
    let directory = Directory(scratch());
    let with =
        |line: &str| format!("p:\n  listen: 127.0.0.1:1\n  {line}\n  servers:\n   - a:1:1\n");
    let server = |line: &str| format!("p:\n  listen: 127.0.0.1:1\n  servers:\n   - {line}\n");
    let cases = [
        // Row 75.
        (with("timeout: 4294967297"), true, false),
        (with("server_connections: 99999999999"), true, false),
        (with("timeout: 2147483647"), true, true),
        (server("a:1:4294967297"), true, false),
        // Row 76.
        (server("'[::1]:1:1'"), true, true),
        (server("'::1:1:1'"), true, true),
        (with("timeout: 1").replace("127.0.0.1:1", "'[::1]:1'"), false, true),
        (with("timeout: 1").replace("127.0.0.1:1", "'::1:1'"), true, true),
        // Row 80.
        (with("reuseport: true"), false, true),
        // Row 85.
        (server("'a:1:1 '"), true, false),
        // Row 82.
        (with("timeout: 1").replace("127.0.0.1:1", "shardwright.invalid:1"), false, false),
    ];
    for (text, theirs, ours) in cases {
        for program in Program::chosen() {
            let output = test(program, &directory.0, &text);
            let expected = if program == Program::Ours { ours } else { theirs };
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), expected, "{program:?}: {said}\n{text}");
        }
    }
}

/// Row 76.
#[test]
fn a_pool_may_listen_on_an_ipv6_address_in_both_forms() {
    let Some(redis) = Redis::start(1) else { return };
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    for program in Program::chosen() {
        for form in ["::1", "[::1]"] {
            if form == "[::1]" && program == Program::Nutcracker {
                continue;
            }
            // The second pool shows that the program has started.
            let port = free_port();
            let listen = format!("listen: '{form}:{port}'");
            let pools = [redis.pool(&[&listen]), redis.pool(&[])];
            let proxy = Proxy::start_where(program, &pools, |ports| vec![ports[1]]);
            let stream = std::net::TcpStream::connect(("::1", port)).expect("it listens there");
            assert_eq!(Client::new(stream).ask("SET k v"), "+OK\r\n");
            drop(proxy);
        }
    }
}

/// Row 1.2, `listen`: a unix socket, with the mode that is asked for.
#[test]
fn a_pool_may_listen_on_a_unix_socket() {
    use std::io::Read;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    let Some(redis) = Redis::start(1) else { return };
    let directory = Directory(scratch());
    for program in Program::chosen() {
        for (mode, expected) in [(" 0600", 0o600), (" 0777", 0o777), (" 660", 0o660)] {
            let path = directory.0.join("pool.sock");
            // What is left there from before is taken away.
            let listen = format!("listen: '{}{mode}'", path.display());
            let pools = [redis.pool(&[&listen]), redis.pool(&[])];
            let _proxy = Proxy::start_where(program, &pools, |ports| vec![ports[1]]);
            let permissions = fs::metadata(&path).expect("the socket is there").permissions();
            assert_eq!(permissions.mode() & 0o777, expected, "{program:?}{mode}");
            let mut stream = UnixStream::connect(&path).expect("it listens");
            stream.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
            let mut reply = [0; 7];
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(&reply, b"+PONG\r\n");
        }
    }
}

/// nutcracker leaves it there.
#[test]
fn a_unix_socket_goes_with_the_proxy_unless_another_has_taken_its_place() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let directory = Directory(scratch());
    let path = directory.0.join("pool.sock");
    let pools = [redis.pool(&[&format!("listen: {}", path.display())]), redis.pool(&[])];
    let start = || Proxy::start_where(Program::Ours, &pools, |ports| vec![ports[1]]);
    let end = |mut proxy: Proxy| {
        proxy.process().signal(Signal::TERM);
        eventually("it has ended", || proxy.process_mut().has_ended());
        assert_eq!(proxy.process_mut().exit_status().and_then(|status| status.code()), Some(0));
    };
    let proxy = start();
    assert!(path.exists());
    end(proxy);
    assert!(!path.exists());

    // The second one takes its place, as at an update.
    let (first, second) = (start(), start());
    end(first);
    UnixStream::connect(&path).expect("the second one listens");
    // A pool that goes takes its socket with it.
    second.rewrite(&[redis.pool(&[&format!("listen: {}.other", path.display())])]);
    second.process().signal(Signal::USR1);
    eventually("it listens elsewhere", || directory.0.join("pool.sock.other").exists());
    eventually("and here no more", || !path.exists());
    fs::write(&path, "mine").unwrap();
    end(second);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert!(!directory.0.join("pool.sock.other").exists());
}

#[test]
fn a_second_proxy_that_cannot_start_takes_no_socket_from_the_first() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let directory = Directory(scratch());
    let path = directory.0.join("pool.sock");
    let pools = [redis.pool(&[&format!("listen: {}", path.display())]), redis.pool(&[])];
    let first = Proxy::start_where(Program::Ours, &pools, |ports| vec![ports[1]]);
    let in_use = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (in_use, free) = (in_use.local_addr().unwrap().port().to_string(), free_port().to_string());
    let alone = format!("alone:\n  listen: {}\n{}", path.display(), redis.pool(&[]));
    fs::write(directory.0.join("alone.yml"), alone).unwrap();
    let both = first.file();
    for (file, stats) in [(Path::new("alone.yml"), in_use), (&both, free)] {
        let mut second = Program::Ours.command();
        second.args(["-a", "127.0.0.1", "-s", &stats, "-c"]).arg(file).current_dir(&directory.0);
        let output = second.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("Address already in use"), "{text}");
        assert_eq!(output.status.code(), Some(1));
        UnixStream::connect(&path).expect("the first still listens");
    }
}

/// Row 80.
#[test]
fn reuseport_lets_two_processes_listen() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let port = free_port();
    let pools = [redis.pool(&["reuseport: true", &format!("listen: 127.0.0.1:{port}")])];
    let proxies: Vec<_> =
        (0..2).map(|_| Proxy::start_where(Program::Ours, &pools, |_| vec![port])).collect();
    assert_eq!(proxies.len(), 2);
    for _ in 0..20 {
        assert_eq!(Client::connect(port).ask("PING"), "+PONG\r\n");
    }
}

/// Section 1.3: nodes without a name, which differ in nothing but it, and twice the same one.
#[test]
fn one_server_may_be_several_nodes() {
    let Some(redis) = Redis::start(1) else { return };
    let port = redis.ports()[0];
    let servers = ["one", "two", "three"].map(|name| format!("127.0.0.1:{port}:1 {name}"));
    let pools = [pool(&["redis: true"], &servers)];
    for program in Program::chosen() {
        let proxy = Proxy::start(program, &pools);
        let mut client = proxy.client();
        let names: Vec<_> = (0..50).map(|number| format!("{}-key", number * 7919)).collect();
        assert_eq!(client.ask(&format!("MSET {} v", names.join(" v "))), "+OK\r\n");
        assert_eq!(client.ask(&format!("DEL {}", names.join(" "))), ":50\r\n");
    }
    Sides::start(&redis, &[]).each(|proxy| assert_eq!(proxy.client().ask("PING"), "+PONG\r\n"));
}

/// What the program says of a file.
fn test(program: Program, directory: &Path, text: &str) -> Output {
    fs::write(directory.join("F"), text).unwrap();
    let mut command: Command = program.command();
    command.args(["-t", "-c", "F"]).current_dir(directory).output().unwrap()
}

/// Our reason to refuse a file whose text is good: names and files are looked for, too, and these are nowhere.
fn beyond_the_text(text: &str) -> Option<&'static str> {
    // Row 82.
    if text.contains("listen: nohost.invalid:22121\n") {
        return Some(
            "pool 'p': directive \"listen\" has an invalid value: \
             address resolution of 'nohost.invalid:22121' failed: ",
        );
    }
    // Both programs fail when they start.
    if text.contains("listen: 127.0.0.1:01\n") {
        return Some("pools 'p' and 'q' listen on the same address '127.0.0.1:01'");
    }
    let has = |line: &str| text.contains(&format!("  {line}\n"));
    match cfg!(feature = "proxy-tls") {
        true if has("server_tls_ca: /a") => Some("directive \"server_tls_ca\": cannot read /a: "),
        true if has("listen_tls_cert: a") => Some("directive \"listen_tls_cert\": cannot read a: "),
        false if has("server_tls: true") => {
            Some("directive \"server_tls\": TLS is not compiled in; it needs the Cargo feature")
        }
        false if has("listen_tls_cert: a") => Some(
            "directive \"listen_tls_cert\": TLS is not compiled in; it needs the Cargo feature",
        ),
        _ => None,
    }
}

/// Our reason to refuse it.
fn reason(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Good | Verdict::BadForThem(_) => None,
        Verdict::Bad(ours)
        | Verdict::BadWithoutReason(ours)
        | Verdict::BadInOtherWords(ours, _)
        | Verdict::BadForUs(ours) => Some(ours),
    }
}

struct Directory(std::path::PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
