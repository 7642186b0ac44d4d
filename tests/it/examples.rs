//! The examples run, and print what they are there to show. `script/demo` runs the quickstart.

use std::process::Command;

use crate::support::redis_server::RedisServer;

/// What the example prints, unless it was not built: Cargo leaves examples out if one test is named.
fn output(example: &str, arguments: &[String]) -> Option<String> {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples").join(example);
    if !program.exists() && std::env::var("CI").as_deref() != Ok("true") {
        eprintln!("skipped: the example {example} is not built");
        return None;
    }
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_hash_of_ones_own_places_keys() {
    let Some(output) = output("custom_hash", &[]) else { return };
    let node =
        |key: &str| output.lines().find(|line| line.starts_with(key)).unwrap()[11..].to_owned();
    assert_eq!(node("order:7"), node("invoice:7"));
    assert_ne!(node("order:7"), node("order:8"));
}

#[test]
fn a_distribution_of_ones_own_places_keys() {
    let Some(output) = output("custom_distribution", &[]) else { return };
    assert!(output.contains("50.00 % of the hash space moves"), "{output}");
}

#[test]
fn where_a_key_is_needs_no_server() {
    let Some(output) = output("where_is", &[]) else { return };
    let node =
        |key: &str| output.lines().find(|line| line.starts_with(key)).unwrap()[20..].to_owned();
    assert_eq!(node("user:{42}:name"), node("user:{42}:mail"));
}

#[test]
fn each_ejection_mode_does_as_it_says() {
    let Some(output) = output("ejection", &[]) else { return };
    let mode = |name: &str| {
        let from = output.find(&format!("\n{name}\n")).unwrap() + 1;
        output[from..].split("\n\n").next().unwrap().to_owned()
    };
    assert!(!mode("off").contains("ejected"), "{output}");
    assert!(mode("fail_fast").contains("ejected after repeated failures, nothing was sent"));
    for moving in ["rebuild", "successor"] {
        assert_eq!(mode(moving).matches(" ejected, probe in ").count(), 2, "{output}");
    }
}

#[test]
fn an_application_of_redis_rs_is_sharded_by_its_construction() {
    let Some(servers) = RedisServer::start_many(3) else { return };
    let urls: Vec<_> = servers.iter().map(RedisServer::url).collect();
    for url in [urls.join(","), urls[0].clone()] {
        let Some(output) = output("drop_in", &[url]) else { return };
        assert!(output.contains("ages: [Some(36), Some(41), None]"), "{output}");
        assert!(output.contains("ada is 37 now"), "{output}");
    }
}

#[cfg(feature = "bb8")]
#[test]
fn a_pool_of_connections_serves_many_tasks() {
    let Some(servers) = RedisServer::start_many(3) else { return };
    let urls: Vec<_> = servers.iter().map(RedisServer::url).collect();
    let Some(output) = output("pool", &[urls.join(",")]) else { return };
    assert!(output.contains("[0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121]"), "{output}");
}

#[cfg(feature = "tokio-comp")]
#[test]
fn a_service_counts_visits() {
    use std::io::BufRead;
    use std::io::BufReader;
    use std::io::Write;

    let Some(servers) = RedisServer::start_many(3) else { return };
    let urls: Vec<_> = servers.iter().map(RedisServer::url).collect();
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/aio");
    if !program.exists() && std::env::var("CI").as_deref() != Ok("true") {
        eprintln!("skipped: the example aio is not built");
        return;
    }
    let mut command = Command::new(program);
    command.args([urls.join(","), "127.0.0.1:0".into()]).stdout(std::process::Stdio::piped());
    let mut service = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(service.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let address = said.trim().strip_prefix("listening on ").unwrap();
    let mut visitor = std::net::TcpStream::connect(address).unwrap();
    visitor.write_all(b"visit home\nvisit home\nshow home about\nwhat\n").unwrap();
    visitor.shutdown(std::net::Shutdown::Write).unwrap();
    let replies: Vec<_> = BufReader::new(visitor).lines().map(Result::unwrap).collect();
    service.kill().unwrap();
    service.wait().unwrap();
    assert_eq!(replies[..3], ["1", "2", "home 2, about 0"]);
    assert!(replies[3].starts_with("say 'visit PAGE'"), "{replies:?}");
}
