//! What happens when nodes fail: no reply answers another request, no value is wrong, no call takes longer
//! than its deadline and a little.

mod broken_replies;
mod channels;
pub mod connecting;
mod deadlines;
mod ejection;
mod leaks;
mod listeners;
mod probes;
mod strays;
pub mod traffic;
mod waiting;

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;

use shardwright::NodeConfig;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedClientBuilder;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

/// The deadline of most requests here.
pub const DEADLINE: Duration = Duration::from_millis(150);

/// A port that refuses connections, and that no other test gets meanwhile.
pub struct DeadPort(Socket);

impl DeadPort {
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        // Nobody listens.
        Self(socket)
    }

    pub fn url(&self) -> String {
        let address = self.0.local_addr().unwrap().as_socket().unwrap();
        format!("redis://{address}/")
    }
}

/// A builder of a client of the nodes at `urls`, which are named `n0`, `n1` … so that keys are where they
/// were on the run before.
pub fn builder(urls: impl IntoIterator<Item = String>) -> ShardedClientBuilder {
    let nodes = urls.into_iter().enumerate();
    let node = |(number, url)| NodeConfig::new(url).unwrap().name(format!("n{number}"));
    nodes.map(node).fold(ShardedClient::builder(), ShardedClientBuilder::node).timeout(DEADLINE)
}

/// Keys that `node` owns.
pub fn keys_of<'a>(
    client: &ShardedClient,
    node: &'a str,
) -> impl Iterator<Item = String> + use<'a> {
    let router = client.router();
    let owner = router.id_of(node).expect("there is such a node");
    (0..)
        .map(|number| format!("key:{number}"))
        .filter(move |key| router.node_for_key(key.as_bytes()) == Some(owner))
}

/// A key that `node` owns.
pub fn key_of(client: &ShardedClient, node: &str) -> String {
    keys_of(client, node).next().expect("every node has keys")
}

/// The error of this crate that a request failed with.
pub fn failure<T: std::fmt::Debug>(result: redis::RedisResult<T>) -> ShardError {
    let error = result.expect_err("this cannot succeed");
    ShardError::of(&error).unwrap_or_else(|| panic!("not an error of ours: {error:?}"))
}

/// The kind of the error that a request failed with.
pub fn failure_kind<T: std::fmt::Debug>(result: redis::RedisResult<T>) -> ShardErrorKind {
    failure(result).kind()
}
