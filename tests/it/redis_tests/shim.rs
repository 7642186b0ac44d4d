//! What redis-rs's own tests take for the crate `redis`: this crate, whose clients have more nodes than they were told.
//!
//! It also takes whatever redis-rs takes for one server, as a generic function of those tests wants it.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::ops::Deref;
use std::ops::DerefMut;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::Weak;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

pub use shardwright::*;

/// A client of the server it is opened with, and of `NODES` - 1 others that live as long as it does.
#[derive(Clone, Debug)]
pub struct Client {
    client: ShardedClient,
    _others: Arc<Vec<Server>>,
}

impl Client {
    pub fn open<T: IntoConnectionInfo>(server: T) -> RedisResult<Self> {
        let server = server.into_connection_info()?;
        let others = others(server.addr());
        let mut nodes = vec![server.clone()];
        for other in &*others {
            let address = ConnectionAddr::Unix(other.socket.clone()).into_connection_info()?;
            nodes.push(address.set_redis_settings(server.redis_settings().clone()));
        }
        // Keys are placed by the names of nodes, so each run tests the same; by this hash also keys that are short and
        // much alike get on different nodes.
        // The tests find out what the server can do from its INFO, which is a map of several nodes' otherwise.
        let table = CommandTable::new().with("INFO", CommandRule::no_key());
        let mut builder = ShardedClient::builder().hash(HashKind::Murmur).command_table(table);
        // The tests wait for their server by trying to connect.
        builder = builder.connect_mode(ConnectMode::All);
        for (node, name) in nodes.into_iter().zip(["a", "b", "c", "d"]) {
            builder = builder.node(NodeConfig::new(node)?.name(name));
        }
        Ok(Self { client: builder.build()?, _others: others })
    }
}

impl Deref for Client {
    type Target = ShardedClient;

    fn deref(&self) -> &ShardedClient {
        &self.client
    }
}

/// With this it is a connection, as redis-rs says of whatever points to one.
impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ShardedClient {
        &mut self.client
    }
}

impl Client {
    pub async fn get_connection_manager(&self) -> RedisResult<aio::ConnectionManager> {
        let config = aio::ConnectionManagerConfig::new();
        self.get_connection_manager_with_config(config).await
    }

    pub async fn get_connection_manager_with_config(
        &self,
        config: aio::ConnectionManagerConfig,
    ) -> RedisResult<aio::ConnectionManager> {
        aio::ConnectionManager::new_with_config(self.clone(), config).await
    }

    pub fn get_connection_manager_lazy(
        &self,
        config: aio::ConnectionManagerConfig,
    ) -> RedisResult<aio::ConnectionManager> {
        let manager = self.client.get_connection_manager_lazy(config)?;
        Ok(aio::ConnectionManager { manager, _client: self.clone() })
    }
}

/// The module of this name, with a manager that takes the client from above.
pub mod aio {
    use super::Client;
    use super::Cmd;
    use super::Deref;
    use super::DerefMut;
    use super::Pipeline;
    use super::RedisFuture;
    use super::RedisResult;
    use super::ToRedisArgs;
    use super::Value;

    pub use shardwright::aio::*;

    /// It outlives its client in those tests: the further nodes must too.
    #[derive(Clone, Debug)]
    pub struct ConnectionManager {
        pub(super) manager: shardwright::aio::ConnectionManager,
        pub(super) _client: Client,
    }

    impl ConnectionManager {
        pub async fn new_with_config(
            client: Client,
            config: ConnectionManagerConfig,
        ) -> RedisResult<Self> {
            let manager = client.client.get_connection_manager_with_config(config).await?;
            Ok(Self { manager, _client: client })
        }

        pub async fn subscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
            self.manager.subscribe(names).await
        }

        pub async fn psubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
            self.manager.psubscribe(names).await
        }

        pub async fn unsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
            self.manager.unsubscribe(names).await
        }

        pub async fn punsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
            self.manager.punsubscribe(names).await
        }
    }

    impl Deref for ConnectionManager {
        type Target = shardwright::aio::ConnectionManager;

        fn deref(&self) -> &Self::Target {
            &self.manager
        }
    }

    impl DerefMut for ConnectionManager {
        fn deref_mut(&mut self) -> &mut Self::Target {
            &mut self.manager
        }
    }

    impl ConnectionLike for ConnectionManager {
        fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
            self.manager.req_packed_command(command)
        }

        fn req_packed_commands<'a>(
            &'a mut self,
            pipeline: &'a Pipeline,
            offset: usize,
            count: usize,
        ) -> RedisFuture<'a, Vec<Value>> {
            self.manager.req_packed_commands(pipeline, offset, count)
        }

        fn get_db(&self) -> i64 {
            self.manager.get_db()
        }
    }
}

impl r2d2::ManageConnection for Client {
    type Connection = ShardedConnection;
    type Error = RedisError;

    fn connect(&self) -> RedisResult<ShardedConnection> {
        self.client.connect()
    }

    fn is_valid(&self, connection: &mut ShardedConnection) -> RedisResult<()> {
        self.client.is_valid(connection)
    }

    fn has_broken(&self, connection: &mut ShardedConnection) -> bool {
        self.client.has_broken(connection)
    }
}

/// A server on a unix socket: a port that was free a moment ago may be another test's by now.
#[derive(Debug)]
struct Server {
    child: Child,
    socket: PathBuf,
}

/// The servers beside the one at `address`: the same for all clients of it.
fn others(address: &ConnectionAddr) -> Arc<Vec<Server>> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Weak<Vec<Server>>>>> =
        LazyLock::new(Mutex::default);
    let count: usize =
        env::var("NODES").map_or(1, |count| count.parse().expect("NODES is a number"));
    let mut known = KNOWN.lock().unwrap();
    let entry = known.entry(address.to_string()).or_default();
    entry.upgrade().unwrap_or_else(|| {
        let servers = Arc::new((1..count).map(|_| Server::start()).collect());
        *entry = Arc::downgrade(&servers);
        servers
    })
}

impl Server {
    fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("shardwright-{}-{number}.sock", std::process::id());
        let socket = env::temp_dir().join(name);
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--enable-debug-command", "yes", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, socket };
        while UnixStream::connect(&server.socket).is_err() {
            let status = server.child.try_wait().unwrap();
            assert!(status.is_none(), "redis-server has ended: {status:?}");
            sleep(Duration::from_millis(1));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}
