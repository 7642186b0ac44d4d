//! URLs that name the nodes of a pool.
//!
//! ```text
//!   redis://user:pass@a:6379/2?protocol=resp3,redis://b,c:6380      a list: each item a URL of redis-rs
//!   unix:///run/a.sock?db=2,/run/b.sock
//!
//!   redis+shard://user:pass@a:6379*2=first,b,[::1]:6380/2?hash=murmur&timeout=400ms
//!                 for all   host port weight name     for all: database and options
//! ```
//!
//! In a list an item without a scheme has that of the item before it, and nothing else of it: user,
//! password, database and `protocol` are each item's own. In a `redis+shard://` URL, or
//! `rediss+shard://` with TLS, there is one of each for all nodes, and options for the pool:
//!
//! | option | value | without it |
//! |---|---|---|
//! | `distribution` | `ketama`, `modula`, `random`, `rendezvous`, `jump` | `ketama` |
//! | `hash` | nutcracker's names | `fnv1a_64` |
//! | `hash_tag` | two characters, such as `{}` | the whole key is hashed |
//! | `char_sign` | `signed`, `unsigned` | `signed` |
//! | `node_order` | `by_name`, `as_listed` | as the distribution wants it |
//! | `eject` | `off`, `rebuild`, `successor`, `fail_fast` | `off` |
//! | `failure_limit` | a number | 2 |
//! | `retry_timeout`, `max_retry_timeout` | `400ms`, `2s`, or a number of milliseconds | 30 s, 5 min |
//! | `max_ejected_share` | 0 to 1 | 1 |
//! | `timeout`, `connect_timeout` | as above; 0 is never | the front end's |
//! | `protocol` | `resp2`, `resp3` | `resp2` |
//!
//! Users, passwords, names, paths and options are percent-decoded; in a user name or a password the
//! characters `, / ? # @` are written `%2C %2F %3F %23 %40`. A unix socket in a `redis+shard://` URL is a host
//! that begins with `%2F`, as in PostgreSQL's URLs. Ports are 6379 if left out. A node has
//! nutcracker's name, `host:port`, unless it is given one.
//!
//! Not here: what becomes of it. Nothing is resolved, and no type of redis-rs is named.

use std::fmt;
use std::time::Duration;

use crate::error::Result;
use crate::error::ShardError;
use crate::node::Node;
use crate::topology::Topology;

mod item;
mod list;
#[cfg_attr(not(feature = "memcache"), allow(dead_code, reason = "the memcached client reads them"))]
mod memcached;
mod options;
mod parts;
mod scheme;
mod shard;

#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use memcached::MemcacheTls;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use memcached::MemcacheUrl;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use memcached::MemcacheUrlNode;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use memcached::Rules;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use memcached::UrlProtocol;

use options::Options;

/// What a URL, or a list of them, says.
#[derive(Debug)]
pub(crate) struct ShardUrl {
    /// How to reach each node, in the order of the URL.
    pub(crate) nodes: Vec<UrlNode>,
    /// The same nodes, and the rules by which they share the keys.
    pub(crate) topology: Topology,
    /// How long a request may take.
    pub(crate) timeout: Limit,
    /// How long opening a connection may take.
    pub(crate) connect_timeout: Limit,
}

/// A node and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UrlNode {
    pub(crate) node: Node,
    pub(crate) tls: Tls,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// Never negative; the type is redis-rs's.
    pub(crate) database: i64,
    /// Whether the protocol is RESP3, not RESP2.
    pub(crate) is_resp3: bool,
}

/// How a connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    Off,
    On,
    /// `#insecure`: encrypted, but the other side may be anybody.
    Insecure,
}

/// How long something may take, as far as the URL says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    #[default]
    Unsaid,
    /// 0.
    Never,
    After(Duration),
}

impl Limit {
    fn of(duration: Duration) -> Self {
        match duration {
            Duration::ZERO => Self::Never,
            duration => Self::After(duration),
        }
    }
}

/// Which servers a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Redis,
    Memcache,
}

impl Family {
    /// The port of a node without one.
    fn port(self) -> u16 {
        match self {
            Self::Redis => 6379,
            Self::Memcache => 11211,
        }
    }

    /// The scheme of a URL of several nodes.
    fn shard(self) -> &'static str {
        match self {
            Self::Redis => "redis+shard",
            Self::Memcache => "memcache+shard",
        }
    }
}

/// What is wrong with a part of a URL. It is shown behind the number of the node, and holds no
/// password.
type Reason = String;

impl ShardUrl {
    /// Reads a list of URLs with commas between them, or one `redis+shard://` URL.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ShardErrorKind::Configuration), naming the node and the part that is
    /// wrong, and never a password.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(url) = shard::parse(text.trim()) {
            return url;
        }
        let nodes = item::parse_list(text.trim()).map_err(ShardError::configuration)?;
        Self::new(nodes, &Options::default())
    }

    /// Reads one URL for each node. A comma is nothing special here. A `redis+shard://` URL may stand
    /// alone.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub(crate) fn from_urls<S: AsRef<str>>(urls: impl IntoIterator<Item = S>) -> Result<Self> {
        let urls: Vec<_> = urls.into_iter().collect();
        if let [url] = urls.as_slice()
            && let Some(url) = shard::parse(url.as_ref().trim())
        {
            return url;
        }
        let nodes = urls.iter().zip(1..).map(|(url, number)| {
            item::parse_one(url.as_ref().trim())
                .map_err(|reason| ShardError::configuration(format!("URL {number}: {reason}")))
        });
        Self::new(nodes.collect::<Result<_>>()?, &Options::default())
    }

    fn new(nodes: Vec<UrlNode>, options: &Options) -> Result<Self> {
        let topology = Topology::new(nodes.iter().map(|node| node.node.clone()))?;
        Ok(Self {
            nodes,
            topology: options.pool.apply(topology),
            timeout: options.pool.timeout,
            connect_timeout: options.pool.connect_timeout,
        })
    }
}

impl fmt::Debug for UrlNode {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlNode")
            .field("node", &self.node)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "redacted"))
            .field("database", &self.database)
            .field("is_resp3", &self.is_resp3)
            .finish()
    }
}

#[cfg(test)]
mod tests;
