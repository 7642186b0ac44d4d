//! The table against the installed server.

use redis::Connection;
use redis::ConnectionLike;
use redis::Value;
use shardwright::CommandTable;

use super::generator::Documented;
use super::generator::Generator;
use super::generator::Invocation;
use super::generator::documented;
use super::generator::elements;
use super::generator::text;
use crate::support::redis_server::RedisServer;

/// Invocations of each command.
const EACH: usize = 100;

fn connect(server: &RedisServer) -> Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

#[test]
fn every_command_of_the_server_has_a_row() {
    let Some(server) = RedisServer::start() else { return };
    let commands: Value = redis::cmd("COMMAND").query(&mut connect(&server)).unwrap();
    let table = CommandTable::new().strict();
    let mut missing = Vec::new();
    let mut todo: Vec<_> = elements(&commands).iter().collect();
    let mut count = 0;
    while let Some(command) = todo.pop() {
        let fields = elements(command);
        let name = text(&fields[0]).replace('|', " ");
        count += 1;
        if table.rule(&name).is_none() {
            missing.push(name);
        }
        todo.extend(elements(&fields[9]));
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(count > 300, "{count}");
}

#[test]
fn keys_are_where_command_getkeys_says() {
    let Some(server) = RedisServer::start() else { return };
    let mut connection = connect(&server);
    let docs: Value = redis::cmd("COMMAND").arg("DOCS").query(&mut connection).unwrap();
    let mut generator = Generator::new(0x5eed);
    let (mut with_keys, mut compared, mut made) = (0, 0, 0);
    for command in documented(&docs) {
        let invocations: Vec<_> = std::iter::repeat_with(|| generator.invoke(&command))
            .take(10 * EACH)
            .filter(|invocation| is_possible(&command, invocation))
            .take(EACH)
            .collect();
        if invocations.is_empty() {
            continue;
        }
        let answers = getkeys(&mut connection, &invocations);
        let mut answered = 0;
        for (invocation, answer) in invocations.iter().zip(answers) {
            answered += usize::from(check(invocation, &answer));
        }
        if invocations.iter().any(|invocation| !invocation.keys.is_empty()) {
            with_keys += 1;
            assert!(answered >= 50, "{}: only {answered} compared", command.name);
        }
        made += invocations.len();
        compared += answered;
    }
    println!("{compared} of {made} invocations compared, {with_keys} commands have keys");
    assert!(compared * 100 >= made * 99, "only {compared} of {made} compared");
}

/// Whether it can be asked for: `COMMAND GETKEYS` wants an argument behind the name, and `MIGRATE` has
/// either a key or `KEYS`, which its tree does not say.
fn is_possible(command: &Documented, invocation: &Invocation) -> bool {
    match (command.name.as_str(), invocation.keys.as_slice()) {
        ("MIGRATE", [3, more @ ..]) => more.is_empty(),
        ("MIGRATE", listed) => !listed.is_empty(),
        _ => invocation.args.len() > 1,
    }
}

/// Whether the server's own answer is wrong: a key `STORE` of `GEORADIUS` looks like the option.
fn fools_the_server(invocation: &Invocation) -> bool {
    let args = &invocation.args;
    let is_option = |place: &usize| {
        args[*place].eq_ignore_ascii_case(b"STORE")
            || args[*place].eq_ignore_ascii_case(b"STOREDIST")
    };
    args[0].starts_with(b"GEORADIUS") && invocation.keys.iter().skip(1).any(is_option)
}

fn getkeys(connection: &mut Connection, invocations: &[Invocation]) -> Vec<Value> {
    let mut pipeline = redis::pipe();
    for invocation in invocations {
        pipeline.cmd("COMMAND").arg("GETKEYS").arg(&invocation.args);
    }
    let bytes = pipeline.get_packed_pipeline();
    connection.req_packed_commands(&bytes, 0, invocations.len()).unwrap()
}

/// Compares our keys with those of the documentation, and with the server's if it could tell.
fn check(invocation: &Invocation, answer: &Value) -> bool {
    let args = &invocation.args;
    let shown = || args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>();
    let ours = CommandTable::new().key_places(args);
    assert_eq!(ours.as_ref(), Some(&invocation.keys), "{:?}", shown());
    if fools_the_server(invocation) {
        return false;
    }
    let ours: Vec<Vec<u8>> = invocation.keys.iter().map(|place| args[*place].clone()).collect();
    let theirs: Vec<Vec<u8>> = match answer {
        Value::ServerError(error) => match error.details() {
            Some("The command has no key arguments") => Vec::new(),
            _ => return false,
        },
        keys => redis::from_redis_value_ref(keys).unwrap(),
    };
    assert_eq!(ours, theirs, "{:?}", shown());
    true
}

#[test]
fn the_server_uses_the_keys_we_see_where_command_getkeys_sees_others() {
    let Some(server) = RedisServer::start() else { return };
    let mut connection = connect(&server);
    let mut run = |line: &str| -> Value {
        let mut words = line.split(' ');
        let command = redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).to_owned();
        command.query(&mut connection).unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    let places =
        |line: &str| CommandTable::new().key_places(&line.split(' ').collect::<Vec<_>>()).unwrap();

    run("GEOADD k 1 1 m");
    let radius = "GEORADIUS k 1 1 9 km STOREDIST STORE STORE b";
    assert_eq!(places(radius), [1, 7, 9]);
    assert_eq!(run(radius), Value::Int(1));
    assert_eq!(run("EXISTS b"), Value::Int(1));
    assert_eq!(run("EXISTS STORE"), Value::Int(0));

    run("XGROUP CREATE s STREAMS 0 MKSTREAM");
    run("XADD s 1-1 f v");
    let read = "XREADGROUP COUNT 1 GROUP STREAMS x STREAMS s >";
    assert_eq!(places(read), [7]);
    assert_ne!(run(read), Value::Nil);
    let seen: Vec<String> =
        redis::from_redis_value(run(&format!("COMMAND GETKEYS {read}"))).unwrap();
    assert_eq!(seen, ["x", "STREAMS"]);
}
