//! What a client can be opened with.

use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::ErrorKind;
use redis::IntoConnectionInfo;
use redis::ProtocolVersion;
use redis::RedisConnectionInfo;
use redis::RedisResult;

use super::builder::ShardedClientBuilder;
use super::node_config::NodeConfig;
use crate::config::Limit;
use crate::config::ShardUrl;
use crate::config::Tls;
use crate::config::UrlNode;
use crate::node::Address;

/// What describes the nodes of a client, as [`redis::IntoConnectionInfo`] describes one server.
///
/// Text is a URL of redis-rs, several of them with commas between, or one that says it all:
///
/// ```text
/// redis://user:pass@a:6379/2?protocol=resp3,redis://b,c:6380
/// unix:///run/a.sock,/run/b.sock
/// redis+shard://user:pass@a:6379*2=first,b,[::1]:6380/2?hash=murmur&hash_tag={}&timeout=400ms
/// ```
///
/// In a list, an item without a scheme has that of the item before it, and nothing else of it. In a
/// `redis+shard://` URL (`rediss+shard://` with TLS) a node is `host[:port][*weight][=name]`; user,
/// password and database are for all nodes, and these options for the pool:
///
/// | option | value | without it |
/// |---|---|---|
/// | `distribution` | `ketama`, `modula`, `random`, `rendezvous`, `jump` | `ketama` |
/// | `hash` | a name of a [`HashKind`](crate::HashKind) | `fnv1a_64` |
/// | `hash_tag` | two characters, such as `{}` | the whole key is hashed |
/// | `char_sign` | `signed`, `unsigned` | `signed` |
/// | `node_order` | `by_name`, `as_listed` | as the distribution wants it |
/// | `eject` | `off`, `rebuild`, `successor`, `fail_fast` | `off` |
/// | `failure_limit` | a number | 2 |
/// | `retry_timeout`, `max_retry_timeout` | `400ms`, `2s`, or a number of milliseconds | 30 s, 5 min |
/// | `max_ejected_share` | 0 to 1 | 1 |
/// | `timeout`, `connect_timeout` | as above; 0 is never | never |
/// | `protocol` | `resp2`, `resp3` | `resp2` |
///
/// In user names and passwords the characters `, / ? # @` are written `%2C %2F %3F %23 %40`; a unix socket
/// in a `redis+shard://` URL is a host that begins with `%2F`.
pub trait IntoTopology: Sized {
    /// A builder with these nodes, and with whatever else was said.
    ///
    /// # Errors
    ///
    /// If it describes no nodes.
    fn into_builder(self) -> RedisResult<ShardedClientBuilder>;

    /// A builder with the nodes of all of `items`, and what else the first one said.
    ///
    /// # Errors
    ///
    /// If one of them describes no nodes.
    fn list_into_builder(items: Vec<Self>) -> RedisResult<ShardedClientBuilder> {
        let mut items = items.into_iter();
        let Some(first) = items.next() else {
            return Ok(ShardedClientBuilder::new());
        };
        let builder = first.into_builder()?;
        items.try_fold(builder, |builder, item| builder.nodes(item))
    }
}

impl IntoTopology for ShardedClientBuilder {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Ok(self)
    }
}

impl IntoTopology for &str {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        from_url(ShardUrl::parse(self)?)
    }

    /// Each item is one URL, in which a comma is nothing special.
    fn list_into_builder(items: Vec<Self>) -> RedisResult<ShardedClientBuilder> {
        from_url(ShardUrl::from_urls(items)?)
    }
}

impl IntoTopology for String {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        self.as_str().into_builder()
    }

    /// Each item is one URL, in which a comma is nothing special.
    fn list_into_builder(items: Vec<Self>) -> RedisResult<ShardedClientBuilder> {
        from_url(ShardUrl::from_urls(items)?)
    }
}

/// What redis-rs takes for one server is one node.
macro_rules! one_node {
    ($($(#[$attribute:meta])* [$($generics:tt)*] $type:ty),+ $(,)?) => {
        $(
            impl<$($generics)*> IntoTopology for $type {
                fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
                    Ok(ShardedClientBuilder::new().node(NodeConfig::new(self)?))
                }
            }
        )+
    };
}

one_node!([] ConnectionInfo, [] ConnectionAddr, [] url::Url, [T: Into<String>] (T, u16));

impl IntoTopology for NodeConfig {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        Ok(ShardedClientBuilder::new().node(self))
    }
}

impl<T: IntoTopology> IntoTopology for Vec<T> {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        T::list_into_builder(self)
    }
}

impl<T: IntoTopology, const N: usize> IntoTopology for [T; N] {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        T::list_into_builder(self.into())
    }
}

impl<T: IntoTopology + Clone> IntoTopology for &[T] {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        T::list_into_builder(self.to_vec())
    }
}

impl<T: IntoTopology + Clone> IntoTopology for &Vec<T> {
    fn into_builder(self) -> RedisResult<ShardedClientBuilder> {
        self.as_slice().into_builder()
    }
}

fn from_url(url: ShardUrl) -> RedisResult<ShardedClientBuilder> {
    let mut builder = ShardedClientBuilder::new().rules_of(&url.topology);
    for node in url.nodes {
        let info = connection_info(&node)?;
        let weight = node.node.weight().as_u32();
        builder = builder.node(NodeConfig::new(info)?.name(node.node.name()).weight(weight)?);
    }
    if let Limit::After(timeout) = url.timeout {
        builder = builder.timeout(timeout);
    }
    if let Limit::After(timeout) = url.connect_timeout {
        builder = builder.connect_timeout(timeout);
    }
    Ok(builder)
}

/// How redis-rs connects to a node of a URL.
fn connection_info(node: &UrlNode) -> RedisResult<ConnectionInfo> {
    let address = match node.node.address() {
        Address::Unix(path) => ConnectionAddr::Unix(path.into()),
        Address::Tcp { host, port } if node.tls == Tls::Off => {
            ConnectionAddr::Tcp(host.clone(), *port)
        }
        Address::Tcp { host, port } => ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: node.tls == Tls::Insecure,
            tls_params: None,
        },
    };
    if !address.is_supported() {
        return Err((
            ErrorKind::InvalidClientConfig,
            "this kind of address cannot be used",
            format!("node '{}': {address}: is a TLS feature turned on?", node.node.name()),
        )
            .into());
    }
    let mut settings = RedisConnectionInfo::default().set_db(node.database);
    if let Some(username) = &node.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &node.password {
        settings = settings.set_password(password);
    }
    if node.is_resp3 {
        settings = settings.set_protocol(ProtocolVersion::RESP3);
    }
    Ok(address.into_connection_info()?.set_redis_settings(settings))
}
