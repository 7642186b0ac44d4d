//! One big server and small ones, which all cases use one after the other.

use std::time::Duration;

use shardwright::ShardedClient;

use super::setting::Setting;
#[cfg(feature = "tokio-comp")]
use super::shared::open as open_shared;
use super::sides::Sides;
use super::step::Connection;
use super::step::args;
use super::step::ask;
#[cfg(not(feature = "tokio-comp"))]
use super::without_shared::open as open_shared;
use crate::support::redis_server::RedisServer;

/// The servers, and connections that look what they store.
pub struct World {
    ports: Vec<u16>,
    /// The big one's first.
    watchers: Vec<redis::Connection>,
    _servers: Vec<RedisServer>,
}

/// How long either side may take to answer.
pub const LIMIT: Duration = Duration::from_secs(20);

/// What is undone before a case.
const RESET: &[&str] = &[
    "SELECT 0",
    "FLUSHALL",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "CONFIG SET hash-max-listpack-entries 128",
    "CONFIG SET set-max-intset-entries 512",
    "ACL DELUSER u1",
];

impl World {
    /// Starts the servers, of which at most `nodes` are in a pool, or says why the test is skipped.
    pub fn start(nodes: usize) -> Option<Self> {
        // At its usual 10 Hz a server notices the end of a wait up to 100 ms late.
        let start = |_| RedisServer::start_with(&["--hz", "100"]);
        let servers = (0..=nodes).map(start).collect::<Option<Vec<_>>>()?;
        let watcher = |server: &RedisServer| {
            let client = redis::Client::open(server.url()).expect("a URL");
            client.get_connection().expect("the server is there")
        };
        let watchers = servers.iter().map(watcher).collect();
        let ports = servers.iter().map(RedisServer::port).collect();
        Some(Self { ports, watchers, _servers: servers })
    }

    /// Empties the servers and opens both sides.
    pub fn begin(&mut self, setting: &Setting) -> Sides<'_> {
        for watcher in &mut self.watchers {
            for line in RESET {
                ask(watcher, &args(line)).expect("the server is there");
            }
        }
        let count = setting.count();
        let client = setting.client(&self.ports[1..=count]).expect("a pool");
        let theirs_client =
            redis::Client::open(setting.url(self.ports[0])).expect("a URL of redis-rs");
        let ours = open_ours(&client, setting);
        let theirs = open_theirs(&theirs_client);
        Sides {
            setting: setting.clone(),
            watchers: &mut self.watchers[..=count],
            client,
            ours,
            theirs_client,
            theirs,
        }
    }
}

pub fn open_ours(client: &ShardedClient, setting: &Setting) -> Box<dyn Connection> {
    if let Some(connection) = setting.is_shared.then(|| open_shared(client)).flatten() {
        return connection;
    }
    let connection = client.get_connection().expect("a node is there");
    connection.set_read_timeout(Some(LIMIT)).expect("not zero");
    Box::new(connection)
}

pub fn open_theirs(client: &redis::Client) -> redis::Connection {
    let connection = client.get_connection().expect("the server is there");
    connection.set_read_timeout(Some(LIMIT)).expect("not zero");
    connection
}
