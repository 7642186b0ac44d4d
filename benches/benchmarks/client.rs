//! Requests to real servers, through this crate and through redis-rs.

use std::cell::OnceCell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use redis::Arg;
use redis::Cmd;
use redis::ConnectionLike;
use redis::Pipeline;
use redis::RedisResult;
use redis::Value;
use redis::cmd;
use shardwright::ConnectMode;
use shardwright::ShardedClient;

use super::List;
use super::servers::Program;
use super::servers::Server;
use super::servers::Servers;

/// One server through redis-rs, one through this crate, four through this crate.
pub(super) const WAYS: [&str; 3] = ["redis-rs/1", "shardwright/1", "shardwright/4"];

/// Keys of the requests with one key, each of which is asked for once a pass.
const KEYS: usize = 512;

/// Keys of an MGET, commands of a pipeline.
pub(super) const MANY: usize = 100;

/// Bytes of a value.
pub(super) const SMALL: usize = 100;
const LARGE: usize = 1024;

pub(super) const DEADLINE: Duration = Duration::from_secs(5);

type Connection = Box<dyn ConnectionLike>;

pub(super) fn add_to(list: &mut List<'_>) {
    let servers = Rc::default();
    for way in WAYS {
        let name = |what: &str| format!("client/{what}/{way}");
        let expected = (SMALL * KEYS) as u64;
        add(list, &servers, name("get"), KEYS, expected, |connection| {
            let gets = gets(SMALL);
            Box::new(move || {
                gets.iter().map(|get| length(&connection.borrow_mut().req_command(get))).sum()
            })
        });
        add(list, &servers, name("set"), KEYS, KEYS as u64, |connection| {
            let sets = sets(SMALL);
            Box::new(move || {
                sets.iter().map(|set| done(connection.borrow_mut().req_command(set))).sum()
            })
        });
        let expected = (LARGE * MANY) as u64;
        add(list, &servers, name("mget_100x1k"), 1, expected, |connection| {
            let mut mget = cmd("MGET");
            mget.arg((0..MANY).map(|index| key(LARGE, index)).collect::<Vec<_>>());
            Box::new(move || lengths(connection.borrow_mut().req_command(&mget)))
        });
        let expected = (SMALL * MANY) as u64;
        add(list, &servers, name("pipeline_100"), 1, expected, |connection| {
            let mut pipeline = Pipeline::with_capacity(MANY);
            gets(SMALL).into_iter().take(MANY).for_each(|get| {
                pipeline.add_command(get);
            });
            Box::new(move || lengths(pipeline.query(&mut **connection.borrow_mut())))
        });
    }
    add_routing(list);
}

/// From a command to its node. The nodes' names differ in their last character.
fn add_routing(list: &mut List<'_>) {
    list.add_pair("client/node_for_command/4".to_owned(), || {
        let client = ShardedClient::builder()
            .nodes((1..=4).map(|port| format!("redis://h:{port}/")).collect::<Vec<_>>())
            .and_then(|builder| builder.connect_mode(ConnectMode::Lazy).build());
        let connection = client.and_then(|client| client.get_connection());
        let connection = Rc::new(connection.expect("nothing is connected yet"));
        let router = connection.router().clone();
        let last = |name: &str| name.as_bytes().last().copied().map_or(u32::MAX, u32::from);
        let find = move |get: &Cmd| match connection.node_for_command(get) {
            Ok(Some(node)) => last(node.name()),
            _ => u32::MAX,
        };
        let oracle = move |get: &Cmd| match get.args_iter().nth(1) {
            Some(Arg::Simple(key)) => {
                router.node_for_key(key).map_or(u32::MAX, |node| last(router.node(node).name()))
            }
            _ => u32::MAX,
        };
        (gets(SMALL).into(), find, oracle)
    });
}

/// Adds a benchmark of a connection of the kind that ends its name.
fn add(
    list: &mut List<'_>,
    servers: &Rc<OnceCell<Servers>>,
    name: String,
    repeats: usize,
    expected: u64,
    prepare: impl FnOnce(RefCell<Connection>) -> Box<dyn Fn() -> u64>,
) {
    if !(list.is_wanted)(&name) {
        return;
    }
    let Some(started) = servers.get_or_init(|| Server::start_many(Program::RedisServer, 4)) else {
        eprintln!("{name} is left out: redis-server is not installed");
        return;
    };
    let pass = prepare(RefCell::new(connect(&name, started)));
    // The servers live as long as a benchmark does.
    let servers = Rc::clone(servers);
    list.push(name, repeats, expected, move || {
        let _ = &servers;
        pass()
    });
}

/// A connection of the kind that ends `name`. All keys are stored where it looks for them.
fn connect(name: &str, servers: &[Server]) -> Connection {
    let count = if name.ends_with("/4") { 4 } else { 1 };
    let urls: Vec<_> = servers[..count].iter().map(Server::url).collect();
    let connection = if name.contains("/redis-rs/") { plain(&urls[0]) } else { sharded(urls) };
    let mut connection = connection.expect("the servers listen");
    for size in [SMALL, LARGE] {
        for set in sets(size) {
            done(connection.req_command(&set));
        }
    }
    connection
}

fn plain(url: &str) -> RedisResult<Connection> {
    let connection = redis::Client::open(url)?.get_connection()?;
    connection.set_read_timeout(Some(DEADLINE))?;
    Ok(Box::new(connection))
}

fn sharded(urls: Vec<String>) -> RedisResult<Connection> {
    let client = ShardedClient::builder().nodes(urls)?.timeout(DEADLINE).build()?;
    Ok(Box::new(client.get_connection()?))
}

/// The varying digits come first: `fnv1a_64` keeps keys together that differ only at the end.
pub(super) fn key(size: usize, index: usize) -> String {
    format!("{index:04}:bench:{size:04}:key")
}

pub(super) fn gets(size: usize) -> Vec<Cmd> {
    (0..KEYS).map(|index| Cmd::get(key(size, index))).collect()
}

pub(super) fn sets(size: usize) -> Vec<Cmd> {
    (0..KEYS).map(|index| Cmd::set(key(size, index), vec![b'v'; size])).collect()
}

pub(super) fn length(value: &RedisResult<Value>) -> u64 {
    match value {
        Ok(Value::BulkString(value)) => value.len() as u64,
        other => panic!("instead of a value: {other:?}"),
    }
}

pub(super) fn lengths(values: RedisResult<Value>) -> u64 {
    match values {
        Ok(Value::Array(values)) => values.into_iter().map(|value| length(&Ok(value))).sum(),
        other => panic!("instead of values: {other:?}"),
    }
}

pub(super) fn done(reply: RedisResult<Value>) -> u64 {
    match reply {
        Ok(Value::Okay) => 1,
        other => panic!("instead of OK: {other:?}"),
    }
}
