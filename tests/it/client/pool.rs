//! Servers, and a client of them.

use std::time::Duration;

use redis::Cmd;
use redis::Connection;
use redis::ConnectionLike;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use shardwright::NodeConfig;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedClientBuilder;
use shardwright::ShardedConnection;

use crate::support::eventually;
use crate::support::redis_server::RedisServer;

/// Servers as the nodes `n0`, `n1` … of a client. The names place the keys, so that every run puts each
/// key on the same node; `{}` is the hash tag.
pub struct Pool {
    pub servers: Vec<RedisServer>,
    pub client: ShardedClient,
}

impl Pool {
    /// Starts `count` servers, or says why the test is skipped.
    pub fn start(count: usize) -> Option<Self> {
        Self::start_with(count, |builder| builder)
    }

    /// Starts `count` servers; `change` changes the client of them.
    pub fn start_with(
        count: usize,
        change: impl FnOnce(ShardedClientBuilder) -> ShardedClientBuilder,
    ) -> Option<Self> {
        let servers = RedisServer::start_many(count)?;
        let client = change(builder(&servers, "")).build().unwrap();
        Some(Self { servers, client })
    }

    /// Starts `count` servers; `options` stand behind their URLs.
    pub fn start_at(count: usize, options: &str) -> Option<Self> {
        let servers = RedisServer::start_many(count)?;
        let client = builder(&servers, options).build().unwrap();
        Some(Self { servers, client })
    }

    pub fn connection(&self) -> ShardedConnection {
        self.client.get_connection().unwrap()
    }

    /// redis-rs's own connection to a server, past all of ours.
    pub fn direct(&self, server: usize) -> Connection {
        direct(&self.servers[server])
    }

    /// The number of the server that owns `key`.
    pub fn owner(&self, key: impl redis::ToRedisArgs) -> usize {
        let node = self.client.node_for_key(key).unwrap();
        node.name()[1..].parse().unwrap()
    }

    /// Some key that the server owns, another one for each `number`.
    pub fn key_on(&self, server: usize, number: usize) -> String {
        let mut keys =
            (0..).map(|number| format!("{number}:key")).filter(|key| self.owner(key) == server);
        keys.nth(number).unwrap()
    }

    /// One key on each server.
    pub fn keys(&self) -> Vec<String> {
        (0..self.servers.len()).map(|server| self.key_on(server, 0)).collect()
    }

    /// Closes the connections of all clients of a server, and lets them rest until they would look.
    pub fn disconnect_all(&self, server: usize) {
        let mut direct = self.direct(server);
        for class in ["normal", "pubsub"] {
            let kill = ["KILL", "TYPE", class, "SKIPME", "yes"];
            redis::cmd("CLIENT").arg(&kill).exec(&mut direct).unwrap();
        }
        eventually("the clients are gone", || clients(&mut direct) == 1);
        rest();
    }

    /// How often the server has carried out a command since it was started.
    pub fn calls(&self, server: usize, command: &str) -> u64 {
        let mut con = self.direct(server);
        let text: String = redis::cmd("INFO").arg("commandstats").query(&mut con).unwrap();
        let name = format!("cmdstat_{}:calls=", command.to_lowercase());
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// How often all servers have.
    pub fn calls_everywhere(&self, command: &str) -> u64 {
        (0..self.servers.len()).map(|server| self.calls(server, command)).sum()
    }
}

/// A builder of a client of `servers`; `options` stand behind their URLs.
pub fn builder(servers: &[RedisServer], options: &str) -> ShardedClientBuilder {
    let nodes = servers.iter().enumerate().map(|(number, server)| node(number, server, options));
    let builder = ShardedClient::builder().hash_tag("{}".parse().unwrap());
    nodes.fold(builder, |builder, node| builder.node(node))
}

/// The node `n<number>`.
pub fn node(number: usize, server: &RedisServer, options: &str) -> NodeConfig {
    NodeConfig::new(format!("{}{options}", server.url())).unwrap().name(format!("n{number}"))
}

pub fn direct(server: &RedisServer) -> Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

/// Waits so long that a connection looks, before it is used, whether the node has hung up.
pub fn rest() {
    std::thread::sleep(Duration::from_millis(15));
}

/// How many connections the server has.
pub fn clients(con: &mut impl ConnectionLike) -> usize {
    redis::cmd("CLIENT").arg("LIST").query::<String>(con).unwrap().lines().count()
}

/// The command that a line of words is.
pub fn command(line: &str) -> Cmd {
    let words: Vec<_> = line.split(' ').collect();
    redis::cmd(words[0]).arg(&words[1..]).to_owned()
}

/// What a line of words is answered.
pub fn ask(con: &mut impl ConnectionLike, line: &str) -> RedisResult<Value> {
    command(line).query(con)
}

/// The same, as text.
pub fn say(con: &mut impl ConnectionLike, line: &str) -> String {
    match ask(con, line) {
        Ok(value) => show(&value),
        Err(error) => match error.detail() {
            Some(detail) => format!("{} {detail}", error.code().unwrap_or("-")),
            None => error.to_string(),
        },
    }
}

/// A reply as a person writes it.
pub fn show(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(" ");
    match value {
        Value::Nil => "nil".into(),
        Value::Okay => "OK".into(),
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => bytes.escape_ascii().to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::Array(values) => format!("[{}]", list(values)),
        other => format!("{other:?}"),
    }
}

/// Our error in one of redis-rs.
pub fn shard_error(error: &RedisError) -> ShardError {
    ShardError::of(error).unwrap_or_else(|| panic!("not ours: {error}"))
}

/// The kind of our error in one of redis-rs.
pub fn kind<T: std::fmt::Debug>(result: RedisResult<T>) -> ShardErrorKind {
    shard_error(&result.unwrap_err()).kind()
}
