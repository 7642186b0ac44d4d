//! Configuration: text in, definitions out.
//!
//! Two readers: a `nutcracker.yml` (Cargo feature `config`) and URLs, which are lists of nodes with
//! options behind them. Both answer with a definition or with an error that says where the text is
//! wrong; neither opens a file, looks at the environment or resolves a name.
//!
//! Not here: turning a definition into connections (the front ends do), and reading the line of one
//! server ([`Node`](crate::Node) does).

#[cfg(any(feature = "config", feature = "memcache"))]
mod failed_reads;
#[cfg(feature = "config")]
mod nutcracker;
mod url;

#[cfg(any(feature = "config", feature = "memcache"))]
pub use failed_reads::FailedReads;
#[cfg(feature = "config")]
pub use nutcracker::Listen;
#[cfg(feature = "config")]
pub use nutcracker::NutcrackerConfig;
#[cfg(feature = "config")]
pub use nutcracker::PoolConfig;
#[cfg(feature = "config")]
pub use nutcracker::ServerCredentials;
pub(crate) use url::Limit;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use url::MemcacheTls;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use url::MemcacheUrl;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use url::MemcacheUrlNode;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use url::Rules;
pub(crate) use url::ShardUrl;
pub(crate) use url::Tls;
pub(crate) use url::UrlNode;
#[cfg_attr(
    not(feature = "memcache"),
    allow(unused_imports, reason = "the memcached client reads them")
)]
pub(crate) use url::UrlProtocol;
